import HeapModule

/// The one place where time waits. Each owner has at most one deadline of its kind; setting it anew makes what was set
/// before void, so a timer of an earlier state can never fire into a later one (I6).
struct Deadlines: Sendable {
    enum Owner: Hashable, Sendable, Codable {
        case instance(InstanceID)
        case probe(InstanceID)
        case watchdog(InstanceID)
        case runtime(InstanceID)
        case group(GroupID)
        /// The next try to start what is upheld.
        case upheld(GroupID)
    }
    private struct Entry: Comparable, Sendable {
        let at: Instant
        let serial: UInt64
        let owner: Owner
        static func < (left: Entry, right: Entry) -> Bool { (left.at, left.serial) < (right.at, right.serial) }
        static func == (left: Entry, right: Entry) -> Bool { left.serial == right.serial }
    }
    struct Due: Sendable {
        fileprivate let owner: Owner
        fileprivate let serial: UInt64
    }
    private var heap = Heap<Entry>()
    private var valid: [Owner: (at: Instant, serial: UInt64)] = [:]
    private var lastSerial: UInt64 = 0

    mutating func set(_ owner: Owner, _ at: Instant?) {
        guard let at else {
            valid[owner] = nil
            dropStale()
            return
        }
        if let set = valid[owner], set.at == at { return }
        lastSerial &+= 1
        valid[owner] = (at, lastSerial)
        heap.insert(Entry(at: at, serial: lastSerial, owner: owner))
        dropStale()
    }

    var next: Instant? { heap.min?.at }

    func deadline(of owner: Owner) -> Instant? { valid[owner]?.at }

    /// Those that are due, in their order; each is to be taken before it is acted on. One that is set meanwhile is not among them,
    /// even if it is due already: what sets itself a deadline that has passed would be acted on for ever.
    mutating func allDue(at now: Instant) -> [Due] {
        var due: [Due] = []
        while let first = heap.min, first.at <= now {
            heap.removeMin()
            if isValid(first) { due.append(Due(owner: first.owner, serial: first.serial)) }
        }
        return due
    }

    /// The owner; nil if its deadline has been set anew or taken back since.
    mutating func take(_ due: Due) -> Owner? {
        guard valid[due.owner]?.serial == due.serial else { return nil }
        valid[due.owner] = nil
        dropStale()
        return due.owner
    }

    private func isValid(_ entry: Entry) -> Bool { valid[entry.owner]?.serial == entry.serial }

    private mutating func dropStale() {
        while let first = heap.min, !isValid(first) { heap.removeMin() }
        // A service that prolongs its time-out a thousand times must not cost a thousand entries.
        if heap.count > 2 * valid.count + 64 {
            heap = Heap(valid.map { Entry(at: $0.value.at, serial: $0.value.serial, owner: $0.key) })
        }
    }
}

extension Deadlines: Codable {
    /// One that is valid. In the order in which they are due, which of two that are due together was set first included.
    private struct Pending: Codable {
        let owner: Owner
        let at: Instant
    }

    init(from decoder: any Decoder) throws {
        for pending in try [Pending](from: decoder) { set(pending.owner, pending.at) }
    }

    func encode(to encoder: any Encoder) throws {
        let order = valid.sorted { ($0.value.at, $0.value.serial) < ($1.value.at, $1.value.serial) }
        try order.map { Pending(owner: $0.key, at: $0.value.at) }.encode(to: encoder)
    }
}
