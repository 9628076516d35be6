import Glibc
import SystemPackage

/// How a unit's output is kept.
public struct LogPolicy: Equatable, Sendable {
    public var limits = LogFile.Limits()
    /// At most `rateBurst` lines in `rateInterval` nanoseconds; 0 in either: as many as come.
    public var rateInterval: Int64 = 0
    public var rateBurst = 0
    /// Of syslog(3): what a line without a level of its own has.
    public var level = 6
    public var facility = 3
    /// A line may begin with its level, `<3>` (sd-daemon(3)).
    public var hasLevelPrefix = true
    /// Lines of a higher number are not kept.
    public var maximumLevel = 7
    /// SYSLOG_IDENTIFIER in the journal.
    public var identifier = ""

    public init() {}
}

/// Where a line comes from.
public struct LogOrigin: Sendable {
    public enum Stream: String, Sendable { case out, err }

    public var unit: String
    /// nil: it is not one's (the commands of a socket unit).
    public var generation: Int?
    public var stream: Stream
    /// To systemd's journal instead of the file.
    public var toJournal: Bool
    /// ` app@v2.service#7 out: `
    private(set) var prefix: [UInt8]

    public init(unit: String, generation: Int?, stream: Stream, toJournal: Bool = false) {
        self.unit = unit
        self.generation = generation
        self.stream = stream
        self.toJournal = toJournal
        prefix = []
        prefix = Self.prefix(label, stream.rawValue)
    }

    private var label: String { generation.map { "\(unit)#\($0)" } ?? unit }

    /// In front of what Holdfast says itself.
    var notePrefix: [UInt8] { Self.prefix(label, "log") }

    private static func prefix(_ label: String, _ word: String) -> [UInt8] { Array(" \(label) \(word): ".utf8) }
}

/// The captured output of one unit: what all its generations print comes together here, by whole lines, and goes on to its
/// file or to the journal. A line is `TIME UNIT#GENERATION out|err: TEXT`; `log:` is Holdfast's own word about the log.
///
/// Whatever happens to the disk, the service goes on: what cannot be written is counted and told, there and by `told`.
public final class UnitLog {
    /// What somebody should know.
    public enum Trouble {
        /// The first of a row.
        case lost(SystemError)
        case keptAgain(lost: Int)
        /// It goes to the file.
        case noJournal(SystemError)
    }

    /// When this many bytes have come together they are written; fewer where files are small, so that they are of their size.
    private var batchSize: Int { min(256 << 10, max(4 << 10, (policy.limits.size ?? .max) / 4)) }

    public let unit: String
    public var policy: LogPolicy { didSet { file.limits = policy.limits } }
    public let file: LogFile
    /// Lines that could not be written, and lines over the rate limit.
    public private(set) var lost = 0
    public private(set) var suppressed = 0
    /// Why the last lines were lost.
    public private(set) var lastFailure: SystemError?
    public var told: ((Trouble) -> Void)?

    private let journal: JournalSocket
    private var stamp = TimestampText()
    private var batch: [UInt8] = []
    private var linesInBatch = 0
    /// Lost in a row, and not yet told in the file.
    private var lostInRow = 0
    private var window = (end: Int64.min, count: 0, suppressed: 0)
    private var journalIsMissing = false

    init(unit: String, file: LogFile, journal: JournalSocket, policy: LogPolicy) {
        self.unit = unit
        self.file = file
        self.journal = journal
        self.policy = policy
        file.limits = policy.limits
    }

    /// Takes the time for the lines that come now.
    func begin() { stamp.refresh() }

    /// Takes a line.
    /// - Parameter mayWait: what the journal has no room for comes again later; else it goes to the file.
    /// - Returns: false if it cannot be taken now; `journal.whenWritable` tells when.
    func add(_ line: UnsafeRawBufferPointer, from origin: LogOrigin, mayWait: Bool = true) -> Bool {
        let level = level(of: line)
        if level > policy.maximumLevel { return true }
        guard admits(from: origin) else { return true }
        if origin.toJournal {
            switch sendToJournal(line, level, origin) {
            case .done: return true
            case .later:
                if mayWait {
                    window.count -= 1
                    return false
                }
            case .failed(let error): missing(error)
            }
        }
        append(origin.prefix, line)
        return true
    }

    /// Writes what has come together.
    func flush() {
        guard !batch.isEmpty else { return }
        do throws(SystemError) {
            try file.append(batch, at: Int64(stamp.second))
            if lostInRow > 0 { told?(.keptAgain(lost: lostInRow)) }
            lostInRow = 0
        } catch {
            if lostInRow == 0 { told?(.lost(error)) }
            lost += linesInBatch
            lostInRow += linesInBatch
            lastFailure = error
        }
        batch.removeAll(keepingCapacity: true)
        linesInBatch = 0
    }

    /// Ends a round: a thousand services have no buffers each.
    func end() {
        flush()
        batch = []
    }

    /// Nothing more comes from there: what the rate limit suppressed is told, which the next line would have done.
    func finish(_ origin: LogOrigin) {
        tellSuppressed(origin)
        end()
    }

    // MARK: - Lines

    private func append(_ prefix: [UInt8], _ line: UnsafeRawBufferPointer) {
        if batch.isEmpty, lostInRow > 0, let lastFailure {
            batch += stamp.bytes
            batch += " \(unit) log: \(lostInRow) lines were lost: \(lastFailure)\n".utf8
        }
        batch += stamp.bytes
        batch += prefix
        batch.append(contentsOf: line)
        batch.append(UInt8(ascii: "\n"))
        linesInBatch += 1
        if batch.count >= batchSize { flush() }
    }

    private func note(_ text: String, _ origin: LogOrigin) {
        Array(text.utf8).withUnsafeBytes { append(origin.notePrefix, $0) }
    }

    private func level(of line: UnsafeRawBufferPointer) -> Int {
        guard policy.hasLevelPrefix, line.count >= 3, line[0] == UInt8(ascii: "<"), line[2] == UInt8(ascii: ">"),
            (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(line[1])
        else { return policy.level }
        return Int(line[1] - UInt8(ascii: "0"))
    }

    // MARK: - Rate

    /// systemd.exec(5), LogRateLimitIntervalSec=: when more than the burst came in an interval, the rest of it is dropped.
    private func admits(from origin: LogOrigin) -> Bool {
        guard policy.rateInterval > 0, policy.rateBurst > 0 else { return true }
        let now = EventLoop.now
        if now >= window.end {
            tellSuppressed(origin)
            window = (now.addingSaturated(policy.rateInterval), 0, 0)
        }
        guard window.count < policy.rateBurst else {
            window.suppressed += 1
            suppressed += 1
            return false
        }
        window.count += 1
        return true
    }

    private func tellSuppressed(_ origin: LogOrigin) {
        guard window.suppressed > 0 else { return }
        note("\(window.suppressed) lines were suppressed: more than \(policy.rateBurst) in an interval", origin)
        window.suppressed = 0
    }

    // MARK: - The journal

    private func sendToJournal(_ line: UnsafeRawBufferPointer, _ level: Int, _ origin: LogOrigin) -> JournalSocket.Sent
    {
        let hasPrefix =
            policy.hasLevelPrefix && line.count >= 3 && line[0] == UInt8(ascii: "<") && line[2] == UInt8(ascii: ">")
        let text = hasPrefix ? UnsafeRawBufferPointer(rebasing: line[3...]) : line
        // As journald does it with what comes from standard output.
        guard text.contains(where: { $0 > 0x20 }) else { return .done }
        var entry = JournalEntry()
        entry.add("MESSAGE", text)
        entry.add("PRIORITY", "\(level)".utf8)
        entry.add("SYSLOG_FACILITY", "\(policy.facility)".utf8)
        entry.add("SYSLOG_IDENTIFIER", policy.identifier.utf8)
        entry.add("HOLDFAST_UNIT", origin.unit.utf8)
        if let generation = origin.generation { entry.add("HOLDFAST_GENERATION", "\(generation)".utf8) }
        entry.add("HOLDFAST_STREAM", origin.stream.rawValue.utf8)
        let sent = journal.send(entry.bytes)
        if case .done = sent { journalIsMissing = false }
        return sent
    }

    private func missing(_ error: SystemError) {
        if !journalIsMissing { told?(.noJournal(error)) }
        journalIsMissing = true
    }
}
