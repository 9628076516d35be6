import CSpawn
import Glibc
import SystemPackage

/// State shared by the logs of all units: the loop, one scratch pipe, the journal and the compressor.
public final class LogCapture {
    let loop: EventLoop
    let peeker: PipePeeker
    let journal: JournalSocket
    public let compressor: LogCompressor
    /// The number of lines of all units so far.
    var order: UInt64 = 0
    private let directory: String
    private let group: UInt32?
    private var logs: [String: UnitLog] = [:]

    /// - Parameters:
    ///   - directory: the directory of the files.
    ///   - group: the group that may read them beside their owner.
    public init(
        loop: EventLoop, children: Children, directory: String, group: UInt32? = nil,
        journal: String = JournalSocket.path
    ) throws(SystemError) {
        self.loop = loop
        self.directory = directory
        self.group = group
        self.journal = JournalSocket(loop: loop, path: journal)
        peeker = try PipePeeker()
        compressor = LogCompressor(children: children)
    }

    /// The log of a unit, one for all its generations, so that one of them rotates it. Sets its policy to `policy`.
    public func log(of unit: String, policy: LogPolicy, onTrouble: @escaping (UnitLog.Trouble) -> Void) -> UnitLog {
        if let log = logs[unit] {
            if log.policy != policy { log.policy = policy }
            return log
        }
        let log = UnitLog(unit: unit, file: file(of: unit), journal: journal, policy: policy)
        log.onTrouble = onTrouble
        logs[unit] = log
        return log
    }

    /// The log of a unit, if `log(of:)` has made it.
    public func existing(_ unit: String) -> UnitLog? { logs[unit] }

    /// Drops the log of a unit of which nothing runs any more.
    public func forget(_ unit: String) { logs[unit] = nil }

    /// Opens all files again at their next lines.
    public func reopen() { for log in logs.values { log.file.reopen() } }

    /// Whether the unit has a log.
    public func hasFiles(_ unit: String) -> Bool {
        logs[unit] != nil || access("\(directory)/\(LogArchive.fileName(unit))", F_OK) == 0
    }

    /// Empties the file of a unit, and removes its older ones.
    public func clear(_ unit: String) throws(SystemError) { try (logs[unit]?.file ?? file(of: unit)).clear() }

    private func file(of unit: String) -> LogFile {
        let file = LogFile(path: "\(directory)/\(LogArchive.fileName(unit))", group: group)
        file.compress = { [unowned self, unowned file] path in
            compressor.add(path) { [weak file] in file?.compressed(path) }
        }
        return file
    }
}

/// Reads FIFOs without taking bytes out, through a pipe of its own (tee(2)).
final class PipePeeker {
    /// The default capacity of a pipe.
    static let size = 64 << 10
    private let pipe: Pipe
    private let null: OwnedDescriptor

    init() throws(SystemError) {
        pipe = try Pipe(nonBlockingReader: true)
        null = try OwnedDescriptor.open("/dev/null", O_WRONLY)
    }

    /// The number of bytes in the FIFO copied to `buffer`; the bytes stay in the FIFO.
    func peek(_ fifo: borrowing OwnedDescriptor, _ buffer: UnsafeMutableRawBufferPointer) -> Int {
        let ends = [pipe.reading.raw, pipe.writing.raw]
        // An error is ignored, because a later call would show it again.
        return max(0, Int(holdfast_peek_pipe(fifo.raw, ends, buffer.baseAddress, buffer.count)))
    }

    /// Takes bytes out that `peek` has returned.
    func skip(_ fifo: borrowing OwnedDescriptor, _ count: Int) {
        if count > 0 { _ = holdfast_skip_pipe(fifo.raw, null.raw, count) }
    }
}
