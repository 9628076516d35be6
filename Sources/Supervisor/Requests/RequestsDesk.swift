import ControlProtocol
import Engine
import Linux

/// Interface of the supervisor to the desk of requests.
protocol RequestsHost: AnyObject {
    /// Throws if the peer lacks the right, and logs it.
    func check(_ access: ControlProtocol.Method.Access, of peer: Peer) throws(ControlError)
    /// Refuses a request that cannot be carried out now, for lack of resources or of room in the journal, and reads the
    /// unit files again if they have changed.
    func prepare(_ call: ValidCall) throws(ControlError)
    /// The reply to a request; nil if a later event answers it.
    func answer(
        _ request: Request, _ id: ControlSessions.CallID, _ peer: Peer
    ) throws(ControlError) -> Reply?

    /// Name of a user; nil without an account.
    func userName(_ uid: UInt32) -> String?
    /// A client of a pending request has come or gone.
    func clientsChanged()
    /// A client asks again for a re-execution that is being checked.
    func joinReexec(_ call: ControlSessions.CallID)
    /// Operations that a request asked for, by the history, which outlives the journal.
    func historyEntries(of identity: RequestIdentity) -> [HistoryEntry]
    func syncHistory()
}

/// The journal, as far as requests are recorded in it.
protocol RequestJournal: AnyObject {
    /// Collects a record for the next `flush`; nil ends it.
    func put(_ key: Journal.Key, _ value: (some Encodable)?)
    func end(_ key: Journal.Key)
    func flush()
    /// Whether changes since the last write would not survive a crash.
    var isBehind: Bool { get }
    /// Trouble of the journal as a sentence for clients; nil if there is none.
    var trouble: String? { get }
}

extension JournalDesk: RequestJournal {}

/// Clients' requests: recorded before any effect, answered to the waiting call, and known to the next supervisor
/// process.
///
/// - `RequestsDesk+Batches`: requests that mean several units, and ends.
/// - `RequestsDesk+Records`: the requests in the journal.
final class RequestsDesk {
    unowned let host: any RequestsHost
    let control: ControlSessions
    private let loop: any Loop
    let journal: any RequestJournal
    var pending = PendingRequests()
    private(set) var lastRequest: UInt64 = 0
    var batches: [UInt64: Batch] = [:]
    /// Clients' requests by identity.
    var ledger: RequestLedger
    /// Identity of the client's request that is being handled.
    private var currentIdentity: RequestIdentity?

    init(
        _ host: any RequestsHost, _ control: ControlSessions, _ loop: any Loop, _ journal: any RequestJournal
    ) {
        (self.host, self.control, self.loop, self.journal) = (host, control, loop, journal)
        ledger = RequestLedger(at: Instant(nanoseconds: loop.now))
    }

    var now: Instant { Instant(nanoseconds: loop.now) }

    // MARK: - Pending requests

    subscript(id: RequestID) -> PendingRequest? {
        get { pending[id] }
        set { pending[id] = newValue }
    }

    func remove(_ id: RequestID) -> PendingRequest? { pending.remove(id) }

    func of(_ group: GroupID) -> [(id: RequestID, request: PendingRequest)] { pending.of(group) }

    func has(_ group: GroupID) -> Bool { pending.has(group) }

    /// Requests with a connection.
    var withCaller: [(id: RequestID, request: PendingRequest)] { pending.withCaller }

    /// A number that no request and no batch has had.
    func nextNumber() -> UInt64 {
        lastRequest &+= 1
        return lastRequest
    }

    /// Numbers up to this one are taken.
    func reserveNumbers(to number: UInt64) { lastRequest = max(lastRequest, number) }

    func make(
        call: ControlSessions.CallID? = nil, group: GroupID? = nil, kind: OperationKind? = nil, peer: Peer? = nil,
        notes: [String] = [], batch: UInt64? = nil
    ) -> RequestID {
        let id = RequestID(number: nextNumber())
        let who = peer.map { Actor(uid: Int($0.uid), user: host.userName($0.uid)) }
        pending[id] = PendingRequest(
            call: call, group: group, kind: kind, who: who, startedAt: now, notes: notes, batch: batch,
            identity: call.flatMap(ledger.identity) ?? batch.flatMap { batches[$0]?.identity })
        return id
    }

    /// Requests that an operation's end answers: those that asked for the operation, and those that wait for any
    /// operation.
    func waiting(for group: GroupID, _ ids: [RequestID]) -> [RequestID] {
        let waiting = of(group).filter(\.request.waitsForAnyEnd).map(\.id)
        return ids + waiting.filter { !ids.contains($0) }
    }

    // MARK: - Calls

    func handleCall(_ id: ControlSessions.CallID, _ call: Call, _ peer: Peer) {
        do throws(ControlError) {
            let call = try ValidCall(call)
            try host.check(call.method.access, of: peer)
            defer { currentIdentity = nil }
            if call.method.changesSomething {
                guard try isNew(call, id, peer) else { return }
                currentIdentity = ledger.identity(of: id)
                try host.prepare(call)
            }
            if let reply = try host.answer(call.request, id, peer) { conclude(id, reply) }
        } catch {
            conclude(id, Reply(error))
        }
    }

    /// The client of a call has gone. Its operation continues.
    func callerLeft(_ call: ControlSessions.CallID) {
        ledger.left(call)
        for (id, request) in withCaller where request.call == call { pending[id]?.call = nil }
        host.clientsChanged()
    }

    /// Records a request that changes something.
    /// - Returns: false if it is known already: then no operation is begun, and the call is answered like the first
    ///   one.
    private func isNew(
        _ call: ValidCall, _ id: ControlSessions.CallID, _ peer: Peer
    ) throws(ControlError) -> Bool {
        let identity = call.identity ?? .random()
        let fate = fate(of: identity, for: peer)
        switch fate {
        case .absent:
            ledger.recordRequest(identity, call.call, from: peer, id, at: now)
            if call.method.effect == .immediate { recordAction(for: identity) }
            return true
        case .foreign: throw .permissionDenied(required: Self.requester)
        case .underWay, .answered, .lost:
            guard ledger.isRepeated(identity, by: call.call) else {
                throw .invalidParameter(parameter: "request")
            }
            let reply = try reply(fate, identity, RequestLedger.Waiter(call: id, isOutcome: false))
            if let reply { control.reply(id, reply) }
            return false
        }
    }

    private static let requester = "root or the user who made the request"

    /// Records the client's request before an effect that the engine does not decide.
    func recordAction() {
        if let currentIdentity { recordAction(for: currentIdentity) }
    }

    private func recordAction(for identity: RequestIdentity) {
        ledger.act(identity)
        recordChanges()
        journal.flush()
    }

    // MARK: - Answers

    /// Sends the last reply to a call.
    func conclude(_ call: ControlSessions.CallID, _ reply: Reply) {
        if let identity = ledger.identity(of: call) {
            conclude(identity, reply)
        } else {
            control.reply(call, reply)
        }
    }

    /// Sends the last reply to a pending request.
    func conclude(_ request: PendingRequest, _ reply: Reply) {
        if let identity = request.identity {
            conclude(identity, reply)
        } else if let call = request.call {
            control.reply(call, reply)
        }
    }

    /// Records the last reply to a client's request, and then sends it.
    func conclude(_ identity: RequestIdentity, _ reply: Reply) {
        if ledger.answer(identity, reply) {
            recordChanges()
            journal.flush()
        }
        guard let waiter = ledger.takeWaiter(of: identity) else { return }
        control.reply(waiter.call, waiter.isOutcome ? Reply(outcome: reply) : reply)
    }

    // MARK: - Outcomes

    /// `Outcome`
    func outcome(
        of identity: RequestIdentity, _ call: ControlSessions.CallID, _ peer: Peer
    ) throws(ControlError) -> Reply? {
        try reply(fate(of: identity, for: peer), identity, RequestLedger.Waiter(call: call, isOutcome: true))
    }

    /// The answer about a request; nil if it is in progress: then the caller waits for its end.
    private func reply(
        _ fate: RequestLedger.Fate, _ identity: RequestIdentity, _ waiter: RequestLedger.Waiter
    ) throws(ControlError) -> Reply? {
        switch fate {
        case .answered(let reply): return waiter.isOutcome ? Reply(outcome: reply) : reply
        case .lost: throw .outcomeUnknown(request: identity.description)
        case .foreign: throw .permissionDenied(required: Self.requester)
        case .absent:
            let since = (now - ledger.completeSince).seconds
            throw .noSuchRequest(request: identity.description, since: max(0, since))
        case .underWay:
            if let before = ledger.wait(waiter, for: identity) {
                control.reply(before.call, Reply(.failed(message: "another connection waits for this request now")))
            }
            if let id = pending.only(of: identity) { pending[id]?.call = waiter.call }
            if ledger.isReexec(identity) { host.joinReexec(waiter.call) }
            host.clientsChanged()
            return nil
        }
    }

    private func fate(of identity: RequestIdentity, for peer: Peer) -> RequestLedger.Fate {
        let fate = ledger.fate(of: identity, for: peer)
        guard case .absent = fate else { return fate }
        let entries = host.historyEntries(of: identity)
        guard let entry = entries.first, entries.count == 1 else { return .absent }
        guard peer.uid == 0 || entry.who?.uid == Int(peer.uid) else { return .foreign }
        return .answered(Reply(OperationReply(result: OperationResult(entry))))
    }
}

extension OperationResult {
    /// Makes the result of an operation from its history entry.
    fileprivate init(_ entry: HistoryEntry) {
        self.init(
            outcome: entry.outcome, unit: GroupID(entry.unit).unit(release: entry.to?.release),
            generation: entry.to?.generation, release: entry.to?.release,
            fromGeneration: entry.from?.generation, fromRelease: entry.from?.release,
            reason: entry.reason.map { FailureReport(unit: entry.unit, phase: .record, message: $0) },
            durations: entry.durations)
    }
}
