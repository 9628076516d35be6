/// A dictionary that knows which of its values may have changed since somebody asked last: only those must be written down.
struct Tracked<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private(set) var all: [Key: Value] = [:]
    private var changed: Set<Key> = []

    init() {}

    /// As it was read; nothing counts as changed.
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

    /// Keys whose values were added, changed or removed, since this was called last.
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
