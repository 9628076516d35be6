/// A dictionary that records which of its values may have changed since the last `takeChanged`: only those must be
/// written.
struct Tracked<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private(set) var all: [Key: Value] = [:]
    private var changed: Set<Key> = []

    init() {}

    /// Creates a dictionary from values that were read; none of them counts as changed.
    init(_ all: [Key: Value]) { self.all = all }

    subscript(key: Key) -> Value? {
        get { all[key] }
        _modify {
            changed.insert(key)
            yield &all[key]
        }
    }

    subscript(key: Key, default fallback: @autoclosure () -> Value) -> Value {
        get { all[key] ?? fallback() }
        _modify {
            changed.insert(key)
            yield &all[key, default: fallback()]
        }
    }

    mutating func removeValue(forKey key: Key) -> Value? {
        changed.insert(key)
        return all.removeValue(forKey: key)
    }

    var keys: Dictionary<Key, Value>.Keys { all.keys }
    var values: Dictionary<Key, Value>.Values { all.values }
    var count: Int { all.count }
    var isEmpty: Bool { all.isEmpty }

    /// The keys whose values were added, changed or removed since the last call.
    mutating func takeChanged() -> Set<Key> {
        defer { changed.removeAll(keepingCapacity: true) }
        return changed
    }
}

extension Tracked: Sequence {
    func makeIterator() -> Dictionary<Key, Value>.Iterator { all.makeIterator() }
}

extension Tracked: Codable where Key: Codable, Value: Codable {
    init(from decoder: any Decoder) throws { self.init(try [Key: Value](from: decoder)) }
    func encode(to encoder: any Encoder) throws { try all.encode(to: encoder) }
}
