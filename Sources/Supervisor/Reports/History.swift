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
        entries = Array((entries + newer).suffix(Self.limit))
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
        entries = Array(entries.suffix(Self.limit))
    }

    /// Numbers the entry and writes it. A full disk loses the entry in the file, not the operation.
    func append(_ entry: HistoryEntry) throws(SystemError) {
        var entry = entry
        lastNumber &+= 1
        entry.number = lastNumber
        entries.append(entry)
        if entries.count > Self.limit { entries.removeFirst(entries.count - Self.limit) }
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

    /// Whether an equal entry exists, apart from its number.
    func contains(_ entry: HistoryEntry) -> Bool {
        entries.contains { known in
            var entry = entry
            entry.number = known.number
            return known == entry
        }
    }

    /// Entries of a unit, or of all units, the newest first.
    func entries(of unit: String?, limit: Int) -> [HistoryEntry] {
        Array(entries.reversed().lazy.filter { unit == nil || $0.unit == unit }.prefix(limit))
    }
}
