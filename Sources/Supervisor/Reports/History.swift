import ControlProtocol
import FoundationEssentials
import Linux

/// Every operation that changed what serves, or tried to: one JSON object a line, appended when it ended and synced before an
/// operator is told (`sync`). What is in the file is kept; in memory are the newest entries.
struct History {
    private let path: String
    private(set) var entries: [HistoryEntry] = []
    private var lastNumber = 0
    private var isSynced = true
    /// Entries in memory; older ones stay in the file.
    private static let limit = 256
    /// More than this of a file is not read at start.
    private static let readLimit = 1 << 20

    init(path: String) {
        self.path = path
        guard let content = try? UnitDirectory.readTail(path, limit: Self.readLimit) else { return }
        let decoder = JSONDecoder()
        for line in content.split(separator: UInt8(ascii: "\n")) {
            // A line that a crash cut short is not an entry; it must not cost the others.
            guard let entry = try? decoder.decode(HistoryEntry.self, from: Data(line)) else { continue }
            entries.append(entry)
            // A number out of reach is a damaged file; counting on from it would end the daemon.
            if entry.number < 1 << 53 { lastNumber = max(lastNumber, entry.number) }
        }
        entries = Array(entries.suffix(Self.limit))
    }

    /// Numbers the entry and writes it. A disk that is full costs the entry in the file, not the operation.
    mutating func append(_ entry: HistoryEntry) throws(SystemError) {
        var entry = entry
        lastNumber &+= 1
        entry.number = lastNumber
        entries.append(entry)
        if entries.count > Self.limit { entries.removeFirst(entries.count - Self.limit) }
        guard let object = try? JSONObject(encoding: entry) else { return }
        isSynced = false
        try FileTree.append(path, object.bytes + [UInt8(ascii: "\n")], durable: false)
    }

    /// Waits until what was appended is on disk: once for all that a target's start appended, because a disk takes
    /// milliseconds each time and meanwhile nothing else is done.
    mutating func sync() throws(SystemError) {
        guard !isSynced else { return }
        isSynced = true
        try FileTree.sync(path)
    }

    /// Whether an entry is there, under whatever number.
    func contains(_ entry: HistoryEntry) -> Bool {
        entries.contains { known in
            var entry = entry
            entry.number = known.number
            return known == entry
        }
    }

    /// The newest first.
    func entries(of unit: String?, limit: Int) -> [HistoryEntry] {
        Array(entries.reversed().lazy.filter { unit == nil || $0.unit == unit }.prefix(limit))
    }
}
