import ControlProtocol
import Engine
import Linux
import StateCoding

/// Journal records by the first letter of their keys.
struct JournalReader {
    private let records: [String: [UInt8]]

    init(records: [String: [UInt8]]) { self.records = records }

    /// State that a killed process has left; nil if the journal is empty.
    static func state(_ contents: RecordFile.Contents) throws -> SavedState? {
        let records = contents.records
        guard let head = records["a"], let core = records["c"] else {
            // The first write of a file contains its head.
            guard contents.unreadable > 0 else { return nil }
            throw StateFile.Unreadable(description: "it has no beginning")
        }
        let reader = JournalReader(records: records)
        let state = SavedState(
            head: try StateDecoder.decode(SavedHead.self, from: head),
            engine: Engine(
                try StateDecoder.decode(Engine.CoreRecord.self, from: core), try reader.all("g"), try reader.all("i")),
            backlog: [], lastDefinition: 0, units: try reader.numbered("u"), definitions: try reader.all("d"),
            sockets: try reader.numbered("s"), shared: try reader.named("h"), generations: try reader.all("n"),
            instances: try reader.all("r"), processes: try reader.all("p"), own: SavedOwn(),
            people: try reader.people(), activation: try reader.value("x"),
            signals: UnsentSignals.left(try reader.value("t"), sent: try reader.value("ts")),
            left: try reader.value("z"), unwrittenHistory: try reader.value("y"))
        return state
    }

    private func keys(_ letter: String) -> [String] { records.keys.filter { $0.hasPrefix(letter) }.sorted() }

    private func read<T: Decodable>(_ key: String) throws -> T {
        try StateDecoder.decode(T.self, from: records[key] ?? [])
    }

    private func value<T: Decodable>(_ key: String) throws -> T? {
        records[key] == nil ? nil : try read(key)
    }

    private func all<T: Decodable>(_ letter: String) throws -> [T] { try keys(letter).map { try read($0) } }

    private func named<T: Decodable>(_ letter: String) throws -> [String: T] {
        var found: [String: T] = [:]
        for key in keys(letter) { found[String(key.dropFirst())] = try read(key) as T }
        return found
    }

    /// Clients' requests. Their callers are no longer known.
    func people() throws -> SavedPeople {
        var people = SavedPeople()
        for (number, pending) in try numbered("w") as [Int: PendingRequest] {
            people.requests[RequestID(number: UInt64(number))] = pending
        }
        for (number, batch) in try numbered("b") as [Int: Batch] { people.batches[UInt64(number)] = batch }
        for (number, part) in try numbered("e") as [Int: SavedPart] {
            people.parts[RequestID(number: UInt64(number))] = part
        }
        people.lastRequest = max(
            people.requests.keys.map(\.number).max() ?? 0, people.batches.keys.max() ?? 0,
            people.parts.keys.map(\.number).max() ?? 0)
        if let since = try value("l") as Instant? {
            people.ledger = RequestLedger.Saved(entries: try all("q"), completeSince: since)
        }
        return people
    }

    private func numbered<T: Decodable>(_ letter: String) throws -> [Int: T] {
        var found: [Int: T] = [:]
        for key in keys(letter) {
            if let number = Int(key.dropFirst()) { found[number] = try read(key) as T }
        }
        return found
    }
}
