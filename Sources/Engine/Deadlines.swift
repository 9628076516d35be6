import HeapModule

/// All pending deadlines. Each owner has at most one deadline of its kind; a new one replaces the earlier one, so a
/// timer of an earlier state can never fire in a later one (I6).
struct Deadlines: Sendable {
    enum Owner: Hashable, Sendable, Codable {
        case instance(InstanceID)
        case probe(InstanceID)
        case watchdog(InstanceID)
        case runtime(InstanceID)
        case group(GroupID)
        /// The next attempt to start an upheld group.
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

    /// Deadlines that are due, in order; each must be claimed with `claim` before it is acted on. A deadline set meanwhile
    /// is not included, even if it is due already: otherwise an owner that sets itself a past deadline would loop for
    /// ever.
    mutating func allDue(at now: Instant) -> [Due] {
        var due: [Due] = []
        while let first = heap.min, first.at <= now {
            heap.removeMin()
            if isValid(first) { due.append(Due(owner: first.owner, serial: first.serial)) }
        }
        return due
    }

    /// Removes a deadline and returns its owner; nil if it was replaced or cancelled meanwhile.
    mutating func claim(_ due: Due) -> Owner? {
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
    /// A valid deadline. Stored in the order of expiry; of two with the same time, the one that was set first comes
    /// first.
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
