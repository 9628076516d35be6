import ControlProtocol
import Engine

/// A call that waits for the engine, or a request without a client (a dependency, a signal).
struct PendingRequest: Codable {
    var call: ControlSessions.CallID?
    var group: GroupID?
    var kind: OperationKind?
    var who: Actor?
    var startedAt: Instant
    /// Notes for the result: units that moved along, and others that were started.
    var notes: [String] = []
    /// The socket whose traffic asked for the start.
    var socket: SocketID?
    /// Whether traffic starts the unit, or the lack of traffic stops it, without a client's request. nil stands for
    /// false.
    var isOfTraffic: Bool?
    /// The batch of which this is a part.
    var batch: UInt64?
    /// Whether it waits for the end of any operation in progress, whichever request began it.
    var waitsForAnyEnd = false
    /// Generations whose drains it waits for; nil if it waits for an operation.
    var awaitedDrains: Set<Int>?
    /// Ends of those drains so far.
    var drained: [DrainEnd]?
    /// Identity of the client's request, which is in the journal; nil without a client.
    var identity: RequestIdentity?
}

/// All pending requests, indexed by group: a target may start a thousand units at once.
struct PendingRequests {
    private(set) var all: [RequestID: PendingRequest] = [:]
    private var ofGroup: [GroupID: Set<RequestID>] = [:]
    /// Requests that a client may be following: few, as each has a connection.
    private var called: Set<RequestID> = []
    /// Clients' requests whose changes are not in the journal yet.
    private var changed: Set<RequestID> = []

    /// Adds, changes (the group stays) or removes a request.
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

    /// Clients' requests that were added, changed or removed since the last call.
    mutating func takeChanged() -> Set<RequestID> {
        defer { changed.removeAll(keepingCapacity: true) }
        return changed
    }

    /// The pending request that answers a client's request; nil if there are several, or none.
    func only(of identity: RequestIdentity) -> RequestID? {
        let found = all.filter { $0.value.identity == identity && $0.value.batch == nil }
        return found.count == 1 ? found.keys.first : nil
    }

    /// Requests with a connection.
    var withCaller: [(id: RequestID, request: PendingRequest)] {
        called.compactMap { id in all[id].map { (id, $0) } }
    }
}
