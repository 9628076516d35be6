import ControlProtocol
import Engine
import Linux

/// Requests under the names that their clients gave them: which were begun, and how they were answered. It is in the journal, so
/// that the next supervisor process can tell a client whose answer this one did not live to send.
///
/// What it says is the truth or "unknown": an answer is that of the very request; that a request was never begun is said only of
/// one that was made since the records began.
struct RequestLedger {
    /// Who is told how a request ended.
    struct Waiter: Codable, Equatable {
        var call: ControlSessions.CallID
        /// It asked by `Outcome`, so the answer is wrapped.
        var isOutcome: Bool
    }

    struct Entry: Codable {
        var identity: RequestIdentity
        var uid: UInt32
        var method: String
        /// Of the call's parameters: to tell a request that is repeated from another one under the same name.
        var fingerprint: UInt64
        var begunAt: Instant
        /// Something was done for it that the engine did not decide, and does not know of.
        var hasActed = false
        /// The last reply.
        var answer: SavedReply?
        /// What became of it cannot be found out any more.
        var isLost = false
        var waiter: Waiter?
    }

    struct SavedReply: Codable, Equatable {
        var error: String?
        var parameters: [UInt8]
    }

    /// What became of a request.
    enum Fate {
        case underWay
        case answered(Reply)
        case lost
        /// None of this name was begun since the records began.
        case absent
        /// Another user's.
        case foreign
    }

    /// Answers that are kept. Whoever was there to read an answer has it from the socket, so few are ever asked for.
    static let limit = 128
    /// Bytes of all answers that are kept.
    static let sizeLimit = 1 << 20

    private(set) var entries: [RequestIdentity: Entry] = [:]
    /// Those that are over, the oldest first.
    private var over: [RequestIdentity] = []
    /// Bytes of their answers.
    private var size = 0
    private var ofCall: [ControlSessions.CallID: RequestIdentity] = [:]
    /// Since then every request is known that was begun.
    private(set) var completeSince: Instant
    /// What the journal does not have yet.
    private var changed: Set<RequestIdentity> = []
    private var hasNewBeginning = true

    init(at now: Instant) { completeSince = now }

    // MARK: - Beginning and end

    /// Notes a request that is about to be begun.
    mutating func begin(
        _ identity: RequestIdentity, _ call: Call, from peer: Peer, _ id: ControlSessions.CallID, at now: Instant
    ) {
        entries[identity] = Entry(
            identity: identity, uid: peer.uid, method: call.method, fingerprint: Self.fingerprint(call), begunAt: now,
            waiter: Waiter(call: id, isOutcome: false))
        ofCall[id] = identity
        changed.insert(identity)
    }

    /// Something is done now that the engine did not decide.
    mutating func act(_ identity: RequestIdentity) {
        guard entries[identity]?.hasActed == false else { return }
        entries[identity]?.hasActed = true
        changed.insert(identity)
    }

    /// Notes how a request was answered.
    /// - Returns: whether that was not known yet.
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

    /// What became of a request cannot be found out any more.
    mutating func lose(_ identity: RequestIdentity) {
        guard let entry = entries[identity], entry.answer == nil, !entry.isLost else { return }
        entries[identity]?.isLost = true
        over.append(identity)
        changed.insert(identity)
        trim()
    }

    /// It was never begun after all.
    mutating func retract(_ identity: RequestIdentity) {
        guard let entry = entries.removeValue(forKey: identity) else { return }
        if let waiter = entry.waiter { ofCall[waiter.call] = nil }
        size -= entry.answer?.parameters.count ?? 0
        changed.insert(identity)
    }

    private mutating func trim() {
        while over.count > Self.limit || size > Self.sizeLimit {
            // What is decided and not told yet stays; so many wait only for a moment, and each has a connection.
            guard let index = over.firstIndex(where: { entries[$0]?.waiter == nil }) else { return }
            let identity = over.remove(at: index)
            guard let entry = entries[identity] else { continue }
            // One that made it shortly before this one and is forgotten could be taken for one that never was.
            completeSince = max(completeSince, entry.begunAt + .nanoseconds(1))
            hasNewBeginning = true
            retract(identity)
        }
    }

    // MARK: - Who waits

    func identity(of call: ControlSessions.CallID) -> RequestIdentity? { ofCall[call] }

    var awaitedCalls: Dictionary<ControlSessions.CallID, RequestIdentity>.Keys { ofCall.keys }

    func isAwaited(_ identity: RequestIdentity) -> Bool { entries[identity]?.waiter != nil }

    func isShutdown(_ identity: RequestIdentity?) -> Bool {
        identity.flatMap { entries[$0]?.method } == Request.shutdown.method
    }

    func isReexec(_ identity: RequestIdentity) -> Bool { entries[identity]?.method == Request.reexec.method }

    /// From now on this call is told, and no other.
    /// - Returns: the call that was to be told before.
    mutating func wait(_ waiter: Waiter, for identity: RequestIdentity) -> Waiter? {
        let before = entries[identity]?.waiter
        if let before { ofCall[before.call] = nil }
        entries[identity]?.waiter = waiter
        ofCall[waiter.call] = identity
        return before
    }

    /// Who is to be told of the end; once.
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

    /// What became of a request, for a peer that asks.
    func fate(of identity: RequestIdentity, for peer: Peer) -> Fate {
        guard let entry = entries[identity] else { return .absent }
        guard entry.uid == peer.uid || peer.uid == 0 else { return .foreign }
        if let answer = entry.answer { return .answered(Reply(answer)) }
        return entry.isLost ? .lost : .underWay
    }

    /// The same request, and not another one under its name.
    func isRepeated(_ identity: RequestIdentity, by call: Call) -> Bool {
        guard let entry = entries[identity] else { return false }
        return entry.method == call.method && entry.fingerprint == Self.fingerprint(call)
    }

    /// FNV-1a; the same in every process.
    private static func fingerprint(_ call: Call) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in call.parameters.bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return hash
    }

    // MARK: - Survival

    /// All of it, for a successor.
    struct Saved: Codable {
        var entries: [Entry]
        var completeSince: Instant
    }

    /// The oldest first, as far as they are over.
    var saved: Saved {
        let rest = entries.values.filter { $0.answer == nil && !$0.isLost }.sorted { $0.begunAt < $1.begunAt }
        return Saved(entries: over.compactMap { entries[$0] } + rest, completeSince: completeSince)
    }

    /// - Parameter keepsWaiters: the connections are the same still.
    init(_ saved: Saved, keepsWaiters: Bool) {
        completeSince = saved.completeSince
        for var entry in saved.entries {
            if !keepsWaiters { entry.waiter = nil }
            entries[entry.identity] = entry
            if entry.answer != nil || entry.isLost { over.append(entry.identity) }
            size += entry.answer?.parameters.count ?? 0
            if let waiter = entry.waiter { ofCall[waiter.call] = entry.identity }
            // A journal that is gone on with may not have it yet.
            if entry.answer == nil, !entry.isLost { changed.insert(entry.identity) }
        }
    }

    /// What was noted since this was asked last; nil instead of an entry: it is forgotten.
    /// Requests before this may have been begun, or answered, without being written down: none of them counts as never begun.
    mutating func loseTrack(at now: Instant) {
        completeSince = max(completeSince, now)
        hasNewBeginning = true
        for entry in entries.values where entry.answer == nil { lose(entry.identity) }
    }

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
