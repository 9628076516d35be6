import ControlProtocol
import Engine
import Linux

/// Clients' requests by identity: recorded before any effect, answered to the waiting call, and known to the next
/// supervisor process.
extension Supervisor {
    // MARK: - Beginning

    /// Records a request that changes something.
    /// - Returns: false if it is known already: then no operation is begun, and the call is answered like the first
    ///   one.
    func isNew(
        _ call: ValidCall, _ id: ControlSessions.CallID, _ peer: Peer
    ) throws(ControlError) -> Bool {
        let identity = call.identity ?? .random()
        let fate = fate(of: identity, for: peer)
        switch fate {
        case .absent:
            ledger.begin(identity, call.call, from: peer, id, at: now)
            if call.method.effect == .immediate { noteAction(for: identity) }
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

    private static var requester: String { "root or the user who made the request" }

    /// Records the client's request before an effect that the engine does not decide.
    func noteAction() {
        if let currentIdentity { noteAction(for: currentIdentity) }
    }

    private func noteAction(for identity: RequestIdentity) {
        ledger.act(identity)
        recordRequestChanges()
        journal.flush()
    }

    // MARK: - Answering

    /// Sends the last reply to a call.
    func conclude(_ call: ControlSessions.CallID, _ reply: Reply) {
        if let identity = ledger.identity(of: call) {
            conclude(identity, reply)
        } else {
            control.reply(call, reply)
        }
    }

    /// Sends the last reply to a pending request.
    func conclude(_ pending: PendingRequest, _ reply: Reply) {
        if let identity = pending.identity {
            conclude(identity, reply)
        } else if let call = pending.call {
            control.reply(call, reply)
        }
    }

    /// Records the last reply to a client's request, and then sends it.
    func conclude(_ identity: RequestIdentity, _ reply: Reply) {
        if ledger.answer(identity, reply) {
            recordRequestChanges()
            journal.flush()
        }
        guard let waiter = ledger.takeWaiter(of: identity) else { return }
        control.reply(waiter.call, waiter.isOutcome ? Reply(outcome: reply) : reply)
    }

    /// Whether a client waits for the end of the request.
    func isAwaited(_ pending: PendingRequest) -> Bool {
        pending.identity.map { ledger.isAwaited($0) } ?? (pending.call != nil)
    }

    // MARK: - Questions

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
            if let id = requests.only(of: identity) { requests[id]?.call = waiter.call }
            if reexec.isChecking, ledger.isReexec(identity) { reexec.addCall(waiter.call) }
            armProgressTimer()
            return nil
        }
    }

    /// Fate of a request. The history outlives the journal.
    private func fate(of identity: RequestIdentity, for peer: Peer) -> RequestLedger.Fate {
        let fate = ledger.fate(of: identity, for: peer)
        guard case .absent = fate else { return fate }
        let entries = history.entries.filter { $0.request == identity.description }
        guard let entry = entries.first, entries.count == 1 else { return .absent }
        guard peer.uid == 0 || entry.who?.uid == Int(peer.uid) else { return .foreign }
        return .answered(Reply(OperationReply(result: ShownResult(entry))))
    }
}

extension ShownResult {
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
