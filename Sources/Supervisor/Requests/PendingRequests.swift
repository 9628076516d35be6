import ControlProtocol
import Engine

/// A call that waits for the engine, or a request that nobody waits for (a dependency, a signal).
struct PendingRequest: Codable {
    var call: ControlSessions.CallID?
    var group: GroupID?
    var kind: OperationKind?
    var who: Actor?
    var startedAt: Instant
    /// Said with the result: what moved along, what else was started.
    var notes: [String] = []
    /// The socket whose traffic asked for it.
    var socket: SocketID?
    /// Nobody has asked for it: traffic starts it, or the lack of traffic stops it. nil stands for false.
    var isOfTraffic: Bool?
    /// Part of a request that means several units.
    var batch: UInt64?
    /// Waits for the end of whatever is under way, whoever asked for it.
    var waitsForAnyEnd = false
    /// The name of the client's request, which is in the journal; nil if no client asked.
    var identity: RequestIdentity?
}

/// All of them, found by group without looking at the others: a target may start a thousand units at once.
struct PendingRequests {
    private(set) var all: [RequestID: PendingRequest] = [:]
    private var ofGroup: [GroupID: Set<RequestID>] = [:]
    /// Those that somebody may be watching: few, as each has a connection.
    private var called: Set<RequestID> = []
    /// Of clients' requests: what the journal does not have yet.
    private var changed: Set<RequestID> = []

    /// Adds, changes (the group stays) or removes one.
    subscript(id: RequestID) -> PendingRequest? {
        get { all[id] }
        set {
            let before = all.removeValue(forKey: id)
            if (newValue ?? before)?.identity != nil { changed.insert(id) }
            if let group = before?.group, newValue == nil {
                ofGroup[group]?.remove(id)
                if ofGroup[group]?.isEmpty == true { ofGroup[group] = nil }
            }
            guard let newValue else {
                called.remove(id)
                return
            }
            all[id] = newValue
            if let group = newValue.group { ofGroup[group, default: []].insert(id) }
            if newValue.call == nil { called.remove(id) } else { called.insert(id) }
        }
    }

    mutating func remove(_ id: RequestID) -> PendingRequest? {
        defer { self[id] = nil }
        return all[id]
    }

    func of(_ group: GroupID) -> [(id: RequestID, request: PendingRequest)] {
        (ofGroup[group] ?? []).compactMap { id in all[id].map { (id, $0) } }
    }

    func has(_ group: GroupID) -> Bool { ofGroup[group] != nil }

    /// Clients' requests that were added, changed or removed since this was asked last.
    mutating func takeChanged() -> Set<RequestID> {
        defer { changed.removeAll(keepingCapacity: true) }
        return changed
    }

    /// The one that is answered to a client's request; nil if several are, or none.
    func only(of identity: RequestIdentity) -> RequestID? {
        let found = all.filter { $0.value.identity == identity && $0.value.batch == nil }
        return found.count == 1 ? found.keys.first : nil
    }

    /// Those with a connection behind them.
    var withCaller: [(id: RequestID, request: PendingRequest)] {
        called.compactMap { id in all[id].map { (id, $0) } }
    }
}
