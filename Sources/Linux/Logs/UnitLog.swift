import Glibc
import SystemPackage

/// The settings of a unit's log.
public struct LogPolicy: Equatable, Sendable {
    public var limits = LogFile.Limits()
    /// The limit of `rateBurst` lines in `rateInterval` nanoseconds; none if either is 0.
    public var rateInterval: Int64 = 0
    public var rateBurst = 0
    /// Level and facility of syslog(3) for a line without a level of its own.
    public var level = 6
    public var facility = 3
    /// Whether a line may begin with its level, `<3>` (sd-daemon(3)).
    public var hasLevelPrefix = true
    /// The highest level number that is kept.
    public var maximumLevel = 7
    /// SYSLOG_IDENTIFIER in the journal.
    public var identifier = ""

    public init() {}
}

/// The source of a line.
public struct LogOrigin: Sendable {
    public enum Stream: String, Sendable { case out, err }

    public var unit: String
    /// Nil for lines that belong to no generation (the commands of a socket unit).
    public var generation: Int?
    public var stream: Stream
    /// Whether lines go to systemd's journal instead of the file.
    public var toJournal: Bool
    /// The text between time and line: ` app@v2.service#7 out: `.
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

    /// The same for Holdfast's own remarks.
    var notePrefix: [UInt8] { Self.prefix(label, "log") }

    private static func prefix(_ label: String, _ word: String) -> [UInt8] { Array(" \(label) \(word): ".utf8) }
}

/// The captured output of one unit: the lines of all its generations, passed on to its file or to the journal as whole
/// lines. A line is `TIME UNIT#GENERATION out|err: TEXT`; `log:` marks Holdfast's own remarks about the log.
///
/// A full or failing disk does not stop the service: lines that cannot be written are counted and reported, in the log
/// and through `onTrouble`.
public final class UnitLog {
    /// An event to report to the operator.
    public enum Trouble {
        /// The first loss of a row.
        case lost(SystemError)
        case keptAgain(lost: Int)
        /// The journal is unavailable; lines go to the file.
        case noJournal(SystemError)
    }

    /// The size in bytes at which a batch is written; smaller for small files, so that they keep their size.
    private var batchSize: Int { min(256 << 10, max(4 << 10, (policy.limits.size ?? .max) / 4)) }

    public let unit: String
    public var policy: LogPolicy { didSet { file.limits = policy.limits } }
    public let file: LogFile
    /// Lines that could not be written, and lines over the rate limit.
    public private(set) var lost = 0
    public private(set) var suppressed = 0
    /// The cause of the last loss.
    public private(set) var lastFailure: SystemError?
    public var onTrouble: ((Trouble) -> Void)?

    private let journal: JournalSocket
    private var stamp = TimestampText()
    private var batch: [UInt8] = []
    private var linesInBatch = 0
    /// Lines lost in a row and not yet reported in the file.
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

    /// Takes the time for the next lines.
    func beginRound() { stamp.refresh() }

    /// Adds a line.
    /// - Parameter mayWait: a line for which the journal has no room is added again later; else it goes to the file.
    /// - Returns: false if it cannot be added now; `journal.whenWritable` reports when it can.
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
            case .failed(let error): reportMissingJournal(error)
            }
        }
        append(origin.prefix, line)
        return true
    }

    /// Writes the batch.
    func flush() {
        guard !batch.isEmpty else { return }
        do throws(SystemError) {
            try file.append(batch, at: Int64(stamp.second))
            if lostInRow > 0 { onTrouble?(.keptAgain(lost: lostInRow)) }
            lostInRow = 0
        } catch {
            if lostInRow == 0 { onTrouble?(.lost(error)) }
            lost += linesInBatch
            lostInRow += linesInBatch
            lastFailure = error
        }
        batch.removeAll(keepingCapacity: true)
        linesInBatch = 0
    }

    /// Ends a round and frees the batch: with a thousand services each buffer counts.
    func endRound() {
        flush()
        batch = []
    }

    /// Ends an origin: reports the lines suppressed by the rate limit, which the next line would have reported.
    func finish(_ origin: LogOrigin) {
        logSuppressed(origin)
        endRound()
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

    private func appendNote(_ text: String, _ origin: LogOrigin) {
        Array(text.utf8).withUnsafeBytes { append(origin.notePrefix, $0) }
    }

    private func level(of line: UnsafeRawBufferPointer) -> Int {
        guard policy.hasLevelPrefix, line.count >= 3, line[0] == UInt8(ascii: "<"), line[2] == UInt8(ascii: ">"),
            (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(line[1])
        else { return policy.level }
        return Int(line[1] - UInt8(ascii: "0"))
    }

    // MARK: - Rate

    /// The rate limit of systemd.exec(5), LogRateLimitIntervalSec=: lines over the burst in an interval are dropped.
    private func admits(from origin: LogOrigin) -> Bool {
        guard policy.rateInterval > 0, policy.rateBurst > 0 else { return true }
        let now = EventLoop.now
        if now >= window.end {
            logSuppressed(origin)
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

    private func logSuppressed(_ origin: LogOrigin) {
        guard window.suppressed > 0 else { return }
        appendNote("\(window.suppressed) lines were suppressed: more than \(policy.rateBurst) in an interval", origin)
        window.suppressed = 0
    }

    // MARK: - The journal

    private func sendToJournal(_ line: UnsafeRawBufferPointer, _ level: Int, _ origin: LogOrigin) -> JournalSocket.Sent
    {
        let hasPrefix =
            policy.hasLevelPrefix && line.count >= 3 && line[0] == UInt8(ascii: "<") && line[2] == UInt8(ascii: ">")
        let text = hasPrefix ? UnsafeRawBufferPointer(rebasing: line[3...]) : line
        // journald also drops such lines of standard output.
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

    private func reportMissingJournal(_ error: SystemError) {
        if !journalIsMissing { onTrouble?(.noJournal(error)) }
        journalIsMissing = true
    }
}
