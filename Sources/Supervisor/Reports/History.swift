import ControlProtocol
import FoundationEssentials
import Linux

/// Every operation that changed the serving generation, or tried to: one JSON object per line, appended when the
/// operation ended and synced before the operator gets the answer (`sync`). The newest entries are in memory. A full
/// file is renamed to `history.jsonl.1`, in place of the previous one.
final class History {
    private let path: String
    private let files: any FilesPort
    private(set) var entries: [HistoryEntry] = []
    private var lastNumber = 0
    private var isSynced = true
    /// Whether the file may end in a part of a line: a crash or a full disk has cut a write short.
    private var endsInPart = false
    /// Bytes in the file.
    private var size = 0
    private let sizeLimit: Int
    /// Failures of operations that traffic started, in the present hour.
    private var failuresOfTraffic: (hour: Int64, count: Int) = (0, 0)
    /// Entries in memory; older ones stay in the file.
    private static let limit = 256
    /// Bytes that are read from a file at start.
    private static let readLimit = 1 << 20
    /// Recorded failures per hour of operations that traffic started.
    private static let failuresAnHour = 32

    /// - Parameter sizeLimit: bytes in a file; there are two at most.
    init(path: String, files: any FilesPort, sizeLimit: Int = 4 << 20) {
        self.path = path
        self.files = files
        self.sizeLimit = sizeLimit
        size = files.size(of: path) ?? 0
        endsInPart = size > 0 && (try? files.tail(of: path, limit: 1)) != [UInt8(ascii: "\n")]
        read(path)
        guard entries.count < Self.limit else { return }
        let newer = entries
        entries = []
        read(older)
        entries = Array(Self.merged(entries + newer).suffix(Self.limit))
    }

    /// Puts entries with the end of a drain, which were written later, in the place of those without it.
    private static func merged(_ entries: [HistoryEntry]) -> [HistoryEntry] {
        var merged: [HistoryEntry] = []
        var places: [Int: Int] = [:]
        for entry in entries {
            if entry.drained != nil, let place = places[entry.number], merged[place].isSame(as: entry) {
                merged[place] = entry
            } else {
                places[entry.number] = merged.count
                merged.append(entry)
            }
        }
        return merged
    }

    private var older: String { path + ".1" }

    private func read(_ path: String) {
        guard let content = try? files.tail(of: path, limit: Self.readLimit) else { return }
        let decoder = JSONDecoder()
        for line in content.split(separator: UInt8(ascii: "\n")) {
            // A line that a crash cut short is not an entry; the other entries must not be lost with it.
            guard let entry = try? decoder.decode(HistoryEntry.self, from: Data(line)) else { continue }
            entries.append(entry)
            // A number out of range comes from a damaged file; the next number would overflow and end the daemon.
            if entry.number < 1 << 53 { lastNumber = max(lastNumber, entry.number) }
        }
        entries = Array(Self.merged(entries).suffix(Self.limit))
    }

    /// Numbers the entry and writes it. A full disk loses the entry in the file, not the operation.
    func append(_ entry: HistoryEntry) throws(SystemError) {
        var entry = entry
        if let place = place(of: entry) {
            // It is written again, with the end of its drain.
            entry.number = entries[place].number
            entries[place] = entry
        } else {
            lastNumber &+= 1
            entry.number = lastNumber
            entries.append(entry)
            if entries.count > Self.limit { entries.removeFirst(entries.count - Self.limit) }
        }
        guard let object = try? JSONObject(encoding: entry) else { return }
        let newline = [UInt8(ascii: "\n")]
        // An entry behind a part of a line would be unreadable with it.
        let line = (endsInPart ? newline : []) + object.bytes + newline
        if size > 0, size + line.count > sizeLimit { try rotate() }
        isSynced = false
        endsInPart = true
        try files.append(line, to: path)
        endsInPart = false
        size += line.count
    }

    /// Renames a full file after a sync: entries that an operator has seen are on disk first.
    private func rotate() throws(SystemError) {
        try sync()
        try files.move(path, to: older)
        size = 0
    }

    /// Counts a failure of an operation that traffic started; false if this hour has had too many.
    func takesFailureOfTraffic(at second: Int64) -> Bool {
        let hour = second / 3600
        if failuresOfTraffic.hour != hour { failuresOfTraffic = (hour, 0) }
        guard failuresOfTraffic.count < Self.failuresAnHour else { return false }
        failuresOfTraffic.count += 1
        return true
    }

    /// Waits until all appended entries are on disk: one call for all entries of a target's start, because each sync
    /// takes the disk milliseconds and the supervisor waits meanwhile.
    func sync() throws(SystemError) {
        guard !isSynced else { return }
        isSynced = true
        do throws(SystemError) {
            try files.sync(path)
        } catch {
            // After an error of the disk the kernel forgets what it could not write (fsync(2)): asking again proves nothing.
            isSynced = !error.isTransient
            throw error
        }
    }

    /// The place of the entry that has become this one by the end of its drain.
    private func place(of entry: HistoryEntry) -> Int? {
        guard entry.drained != nil else { return nil }
        return entries.lastIndex { $0.drained == nil && $0.isSame(as: entry) }
    }

    /// Whether an equal entry exists, apart from its number; it may have the end of its drain already.
    func contains(_ entry: HistoryEntry) -> Bool {
        entries.contains { $0.isSame(as: entry) && (entry.drained == nil || $0.drained == entry.drained) }
    }

    /// The entry of the operation that started a generation and whose drain has not ended, if it is in memory.
    func entry(of unit: String, to generation: Int) -> HistoryEntry? {
        entries.last { $0.unit == unit && $0.to?.generation == generation && $0.drained == nil }
    }

    /// Entries of a unit, or of all units, the newest first.
    func entries(of unit: String?, limit: Int) -> [HistoryEntry] {
        Array(entries.reversed().lazy.filter { unit == nil || $0.unit == unit }.prefix(limit))
    }
}

extension HistoryEntry {
    /// Whether both are of one operation: equal but for the number and the end of its drain.
    fileprivate func isSame(as other: HistoryEntry) -> Bool {
        var other = other
        (other.number, other.drained, other.durations.drain) = (number, drained, durations.drain)
        return self == other
    }
}
