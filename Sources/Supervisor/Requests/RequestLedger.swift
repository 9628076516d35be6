import ControlProtocol
import Engine
import Linux

/// Clients' requests by identity: which were begun, and how they were answered. The ledger is in the journal, so that
/// the next supervisor process can give a client the answer that this one did not live to send.
///
/// Its answers are true or "unknown": an answer is the one to that very request; "never begun" is given only for a
/// request that was made since the records began.
struct RequestLedger {
    /// The call that gets the end of a request.
    struct Waiter: Codable, Equatable {
        var call: ControlSessions.CallID
        /// Whether it asked by `Outcome`, so that the answer is wrapped.
        var isOutcome: Bool
    }

    struct Entry: Codable {
        var identity: RequestIdentity
        var uid: UInt32
        var method: String
        /// Hash of the call's parameters, which distinguishes a repeated request from another one with the same
        /// identity.
        var fingerprint: UInt64
        var begunAt: Instant
        /// Whether the request has had effects that the engine did not decide, and does not know of.
        var hasActed = false
        /// The last reply.
        var answer: SavedReply?
        /// Whether the outcome cannot be determined any more.
        var isLost = false
        var waiter: Waiter?
    }

    struct SavedReply: Codable, Equatable {
        var error: String?
        var parameters: [UInt8]
    }

    /// Known fate of a request.
    enum Fate {
        case underWay
        case answered(Reply)
        case lost
        /// No such request was begun since the records began.
        case absent
        /// The request is another user's.
        case foreign
    }

    /// Answers that are kept. A connected client has its answer from the socket, so few are ever asked for.
    static let limit = 128
    /// Bytes of all answers that are kept.
    static let sizeLimit = 1 << 20

    private(set) var entries: [RequestIdentity: Entry] = [:]
    /// Ended requests, the oldest first.
    private var over: [RequestIdentity] = []
    /// Bytes of the ended requests' answers.
    private var size = 0
    private var ofCall: [ControlSessions.CallID: RequestIdentity] = [:]
    /// Time since which every begun request is known.
    private(set) var completeSince: Instant
    /// Requests whose changes are not in the journal yet.
    private var changed: Set<RequestIdentity> = []
    private var hasNewBeginning = true

    init(at now: Instant) { completeSince = now }

    // MARK: - Beginning and end

    /// Records a request that is about to begin.
    mutating func recordRequest(
        _ identity: RequestIdentity, _ call: Call, from peer: Peer, _ id: ControlSessions.CallID, at now: Instant
    ) {
        entries[identity] = Entry(
            identity: identity, uid: peer.uid, method: call.method, fingerprint: Self.fingerprint(call), begunAt: now,
            waiter: Waiter(call: id, isOutcome: false))
        ofCall[id] = identity
        changed.insert(identity)
    }

    /// Records that the request now has effects that the engine did not decide.
    mutating func act(_ identity: RequestIdentity) {
        guard entries[identity]?.hasActed == false else { return }
        entries[identity]?.hasActed = true
        changed.insert(identity)
    }

    /// Records the answer to a request.
    /// - Returns: whether the answer is new.
    mutating func answer(_ identity: RequestIdentity, _ reply: Reply) -> Bool {
        guard let entry = entries[identity] else { return false }
        let answer = SavedReply(error: reply.error, parameters: reply.parameters.bytes)
        guard entry.answer != answer else { return false }
        if entry.answer == nil, !entry.isLost { over.append(identity) }
        size += answer.parameters.count - (entry.answer?.parameters.count ?? 0)
        entries[identity]?.answer = answer
        entries[identity]?.isLost = false
        changed.insert(identity)
        trim()
        return true
    }

    /// Records that the outcome of a request cannot be determined any more.
    mutating func lose(_ identity: RequestIdentity) {
        guard let entry = entries[identity], entry.answer == nil, !entry.isLost else { return }
        entries[identity]?.isLost = true
        over.append(identity)
        changed.insert(identity)
        trim()
    }

    /// Removes a request that was never begun after all.
    mutating func retract(_ identity: RequestIdentity) {
        guard let entry = entries.removeValue(forKey: identity) else { return }
        if let waiter = entry.waiter { ofCall[waiter.call] = nil }
        size -= entry.answer?.parameters.count ?? 0
        changed.insert(identity)
    }

    private mutating func trim() {
        while over.count > Self.limit || size > Self.sizeLimit {
            // Decided requests with a waiting call stay; they wait only for a moment, and each has a connection.
            guard let index = over.firstIndex(where: { entries[$0]?.waiter == nil }) else { return }
            let identity = over.remove(at: index)
            guard let entry = entries[identity] else { continue }
            // A forgotten request from shortly before this one could be taken for one that was never begun.
            completeSince = max(completeSince, entry.begunAt + .nanoseconds(1))
            hasNewBeginning = true
            retract(identity)
        }
    }

    // MARK: - Waiting calls

    func identity(of call: ControlSessions.CallID) -> RequestIdentity? { ofCall[call] }

    var awaitedCalls: Dictionary<ControlSessions.CallID, RequestIdentity>.Keys { ofCall.keys }

    func isAwaited(_ identity: RequestIdentity) -> Bool { entries[identity]?.waiter != nil }

    func isShutdown(_ identity: RequestIdentity?) -> Bool {
        identity.flatMap { entries[$0]?.method } == Request.shutdown.method.name
    }

    func isReexec(_ identity: RequestIdentity) -> Bool { entries[identity]?.method == Request.reexec.method.name }

    /// Makes this call the only one that gets the end of the request.
    /// - Returns: the call that waited before.
    mutating func wait(_ waiter: Waiter, for identity: RequestIdentity) -> Waiter? {
        let before = entries[identity]?.waiter
        if let before { ofCall[before.call] = nil }
        entries[identity]?.waiter = waiter
        ofCall[waiter.call] = identity
        return before
    }

    /// The call that gets the end of the request; returned only once.
    mutating func takeWaiter(of identity: RequestIdentity) -> Waiter? {
        guard let waiter = entries[identity]?.waiter else { return nil }
        entries[identity]?.waiter = nil
        ofCall[waiter.call] = nil
        return waiter
    }

    mutating func left(_ call: ControlSessions.CallID) {
        guard let identity = ofCall.removeValue(forKey: call) else { return }
        entries[identity]?.waiter = nil
    }

    // MARK: - Questions

    /// Fate of a request, for a peer that asks.
    func fate(of identity: RequestIdentity, for peer: Peer) -> Fate {
        guard let entry = entries[identity] else { return .absent }
        guard entry.uid == peer.uid || peer.uid == 0 else { return .foreign }
        if let answer = entry.answer { return .answered(Reply(answer)) }
        return entry.isLost ? .lost : .underWay
    }

    /// Whether the call repeats the request, and is not another one with the same identity.
    func isRepeated(_ identity: RequestIdentity, by call: Call) -> Bool {
        guard let entry = entries[identity] else { return false }
        return entry.method == call.method && entry.fingerprint == Self.fingerprint(call)
    }

    /// FNV-1a hash of the parameters, the same in every process.
    private static func fingerprint(_ call: Call) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in call.parameters.bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return hash
    }

    // MARK: - Survival

    /// The whole ledger, for a successor.
    struct Saved: Codable {
        var entries: [Entry]
        var completeSince: Instant
    }

    /// Ended requests, the oldest first, and then those in progress.
    var saved: Saved {
        let rest = entries.values.filter { $0.answer == nil && !$0.isLost }.sorted { $0.begunAt < $1.begunAt }
        return Saved(entries: over.compactMap { entries[$0] } + rest, completeSince: completeSince)
    }

    /// - Parameter keepsWaiters: whether the connections are still the same.
    init(_ saved: Saved, keepsWaiters: Bool) {
        completeSince = saved.completeSince
        for var entry in saved.entries {
            if !keepsWaiters { entry.waiter = nil }
            entries[entry.identity] = entry
            if entry.answer != nil || entry.isLost { over.append(entry.identity) }
            size += entry.answer?.parameters.count ?? 0
            if let waiter = entry.waiter { ofCall[waiter.call] = entry.identity }
            // A journal that is continued may not have it yet.
            if entry.answer == nil, !entry.isLost { changed.insert(entry.identity) }
        }
    }

    /// Counts no request before `now` as never begun: such requests may have been begun, or answered, without a record.
    mutating func loseTrack(at now: Instant) {
        completeSince = max(completeSince, now)
        hasNewBeginning = true
        for entry in entries.values where entry.answer == nil { lose(entry.identity) }
    }

    /// Entries that changed since the last call; nil in place of an entry that was removed.
    mutating func takeChanges() -> (entries: [(RequestIdentity, Entry?)], completeSince: Instant?) {
        defer { (changed, hasNewBeginning) = ([], false) }
        let list = changed.map { identity in (identity, entries[identity]) }
        return (list, hasNewBeginning ? completeSince : nil)
    }
}

extension Reply {
    init(_ saved: RequestLedger.SavedReply) {
        self.init(parameters: JSONObject(written: saved.parameters), error: saved.error)
    }
}
