import CSpawn
import Glibc
import SystemPackage

/// One output stream of a service, captured through a named FIFO into its unit's `LogFile`.
///
/// A FIFO with a name, and open for reading and writing at both ends: so a dead supervisor means neither SIGPIPE nor the end of
/// the file for the service, and its successor opens the same FIFO and goes on where the old one stopped.
public final class LogPipe {
    public enum Stream: String, Sendable { case out, err }

    /// What one wake-up may read: a service that prints without end does not starve others.
    static let bytesPerWakeUp = 256 << 10
    static let ringLines = 20
    static let ringLineBytes = 400
    static let bufferSize = 64 << 10

    public let path: String
    private let file: LogFile
    private let prefix: [UInt8]
    private let fifo: OwnedDescriptor
    private var source: IOSource?
    private var splitter = LineSplitter()
    private var stamp = TimestampText()
    private var batch: [UInt8] = []
    private var ring: [[UInt8]] = []
    private var oldest = 0

    /// Makes the FIFO at `path`, or takes the one of an earlier supervisor process. `label` names the origin in each line:
    /// `2026-01-02T03:04:05.678Z LABEL out: text`; unit and generation, as `app@v2.service#7`.
    public init(path: String, label: String, stream: Stream, file: LogFile, loop: EventLoop) throws(SystemError) {
        self.path = path
        self.file = file
        prefix = Array(" \(label) \(stream.rawValue): ".utf8)
        if mkfifo(path, 0o600) < 0 && errno != EEXIST { throw SystemError("make FIFO", path) }
        fifo = try OwnedDescriptor.open(path, O_RDWR | O_NONBLOCK | O_NOFOLLOW)
        var status = stat()
        try checkErrno(fstat(fifo.raw, &status), "stat", path)
        guard status.st_mode & S_IFMT == S_IFIFO else { throw SystemError("make FIFO", path, .fileExists) }
        source = try loop.addIO(fifo.raw, .readable, priority: .probesAndLogs) { [unowned self] _ in
            read(limit: Self.bytesPerWakeUp)
        }
    }

    /// Our end. Whoever keeps it open keeps what the service has written and nobody has read.
    public var descriptor: Int32 { fifo.raw }

    /// The service's end, for `SpawnPlan`: blocking, an open file description of its own, so that the O_NONBLOCK of ours does
    /// not reach it. Close it after the spawn.
    public func openForService() throws(SystemError) -> OwnedDescriptor {
        try OwnedDescriptor.open(path, O_RDWR)
    }

    /// The last lines, oldest first, for a failure report; at most 20 with 400 bytes each.
    public var lastLines: [String] { (ring[oldest...] + ring[..<oldest]).map { String(decoding: $0, as: UTF8.self) } }

    /// Reads what is there now, at most 1 MiB; then `lastLines` is up to date for a process that has just died.
    public func drain() { read(limit: 1 << 20) }

    /// Reads what is left, writes an unfinished last line, stops and removes the FIFO. When no process of the service lives.
    public func close() {
        drain()
        splitter.finish { line in add(line) }
        writeBatch()
        source?.cancel()
        source = nil
        unlink(path)
    }

    private func read(limit: Int) {
        // A buffer for the time of the call: with a thousand services a buffer each would be most of our memory.
        withUnsafeTemporaryAllocation(byteCount: Self.bufferSize, alignment: 16) { buffer in
            var total = 0
            while total < limit {
                let count = Glibc.read(fifo.raw, buffer.baseAddress, buffer.count)
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else { break }
                total += count
                splitter.feed(UnsafeRawBufferPointer(rebasing: buffer[..<count])) { add($0) }
                writeBatch()
                // Less than asked for: empty, which the next call would only say once more.
                if count < buffer.count { break }
            }
        }
        batch = []
    }

    private func add(_ line: UnsafeRawBufferPointer) {
        stamp.append(to: &batch)
        batch += prefix
        batch.append(contentsOf: line)
        batch.append(UInt8(ascii: "\n"))
        remember(line)
    }

    private func remember(_ line: UnsafeRawBufferPointer) {
        let kept = line.prefix(Self.ringLineBytes)
        if ring.count < Self.ringLines {
            ring.append(Array(kept))
            return
        }
        // In place of the oldest, in its memory: this runs for every line that a service prints.
        ring[oldest].removeAll(keepingCapacity: true)
        ring[oldest].append(contentsOf: kept)
        oldest = (oldest + 1) % Self.ringLines
    }

    private func writeBatch() {
        guard !batch.isEmpty else { return }
        batch.withUnsafeBytes { file.append($0) }
        batch.removeAll(keepingCapacity: true)
    }
}

/// Targets of `StandardInput=`, `StandardOutput=` and `StandardError=` that are plain opens (systemd.exec(5)).
public enum OutputTarget: Equatable, Sendable {
    case null
    /// Ours.
    case inherit
    /// Overwritten from the start, not shortened.
    case file(String)
    case append(String)
    case truncate(String)

    /// The descriptor for `SpawnPlan`; `stream` (0, 1, 2) is which of ours `inherit` means.
    public func open(stream: Int32) throws(SystemError) -> OwnedDescriptor {
        let writing = stream == 0 ? O_RDONLY : O_WRONLY | O_CREAT
        switch self {
        case .null: return try OwnedDescriptor.null()
        case .inherit: return OwnedDescriptor(owning: try check(holdfast_duplicate(stream, 3), "duplicate descriptor"))
        case .file(let path): return try Self.open(path, writing)
        case .append(let path): return try Self.open(path, writing | O_APPEND)
        case .truncate(let path): return try Self.open(path, writing | O_TRUNC)
        }
    }

    /// O_NOCTTY: a terminal that is named here must not become ours. O_NONBLOCK: a FIFO without a reader would stop us until
    /// it has one (it is ENXIO now); taken back, because the service would inherit it.
    private static func open(_ path: String, _ flags: Int32) throws(SystemError) -> OwnedDescriptor {
        let opened = try OwnedDescriptor.open(path, flags | O_NOCTTY | O_NONBLOCK)
        try opened.setNonBlocking(false)
        return opened
    }
}
