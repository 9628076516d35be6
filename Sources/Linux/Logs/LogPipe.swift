import CSpawn
import Glibc
import SystemPackage

/// One output stream of a service, captured through a named FIFO into its unit's log.
///
/// A FIFO with a name, and open for reading and writing at both ends: so a dead supervisor means neither SIGPIPE nor the end of
/// the file for the service, and its successor opens the same FIFO and goes on where the old one stopped. What is in it is
/// taken out only after it was written to the log, by whole lines: a supervisor that is killed at any moment loses nothing, and at
/// most what it was just writing (64 KiB) is there twice.
public final class LogPipe {
    /// One of the last lines; `order` tells which of two streams came first.
    public struct LastLine {
        public var order: UInt64
        public var text: String
    }

    public static let ringLines = 20
    static let ringLineBytes = 400

    public let path: String
    private let origin: LogOrigin
    private let log: UnitLog
    private let capture: LogCapture
    private let fifo: OwnedDescriptor
    private var source: IOSource?
    private var splitter = LineSplitter()
    private var ring: [(order: UInt64, bytes: [UInt8])] = []
    private var oldest = 0
    private var isClosing = false
    /// Told once when no process has the FIFO open for writing any more; only of one that nobody here has given out.
    private var ended: (() -> Void)?

    /// Makes the FIFO at `path`, or takes the one of an earlier supervisor process.
    /// - Parameter owner: the service's user, who may then open it as /dev/stdout, which opens the FIFO anew; nil: ours.
    public convenience init(
        path: String, owner: (uid: UInt32, gid: UInt32)? = nil, origin: LogOrigin, log: UnitLog, capture: LogCapture
    ) throws(SystemError) {
        let directory = try SafeDirectory.parent(of: path, .ofRoot)
        _ = try directory.makeFIFO(FileName(FileTree.name(of: path)), mode: 0o600)
        let fifo = try Self.open(directory, path, O_RDWR)
        if let owner { try checkErrno(fchown(fifo.raw, owner.uid, owner.gid), "change owner of", path) }
        try self.init(fifo, path, origin, log, capture, ended: nil)
    }

    private static func open(
        _ directory: borrowing SafeDirectory, _ path: String, _ flags: Int32
    ) throws(SystemError) -> OwnedDescriptor {
        try directory.open(FileName(FileTree.name(of: path)), flags | O_NONBLOCK)
    }

    /// Takes the FIFO at `path` of a service that nobody watches any more; without a reader the service would wait for one for
    /// ever as soon as the FIFO is full. `ended` is told when no process has it open for writing.
    public convenience init(
        left path: String, origin: LogOrigin, log: UnitLog, capture: LogCapture, ended: @escaping () -> Void
    ) throws(SystemError) {
        // Not for writing, too: our own end would hide that there is no other.
        let directory = try SafeDirectory.parent(of: path, .ofRoot)
        let fifo = try Self.open(directory, path, O_RDONLY)
        try self.init(fifo, path, origin, log, capture, ended: ended)
        // That there is no writer is only told of a FIFO that has had one since it was opened.
        _ = try Self.open(directory, path, O_WRONLY)
    }

    private init(
        _ fifo: consuming OwnedDescriptor, _ path: String, _ origin: LogOrigin, _ log: UnitLog, _ capture: LogCapture,
        ended: (() -> Void)?
    ) throws(SystemError) {
        self.path = path
        self.origin = origin
        self.log = log
        self.capture = capture
        self.ended = ended
        self.fifo = fifo
        var status = stat()
        try checkErrno(fstat(self.fifo.raw, &status), "stat", path)
        guard status.st_mode & S_IFMT == S_IFIFO else { throw SystemError("make FIFO", path, .fileExists) }
        // Edge-triggered: an unfinished line stays in the FIFO, which is then readable all the time.
        source = try capture.loop.addIO(self.fifo.raw, [.readable, .edge], priority: .logs) { [unowned self] events in
            arrived(events)
        }
    }

    /// Our end. Whoever keeps it open keeps what the service has written and nobody has read.
    public var descriptor: Int32 { fifo.raw }

    /// The service's end, for `SpawnPlan`: blocking, an open file description of its own, so that the O_NONBLOCK of ours does
    /// not reach it. Close it after the spawn.
    public func openForService() throws(SystemError) -> OwnedDescriptor {
        OwnedDescriptor(owning: try check(holdfast_reopen(fifo.raw, O_RDWR), "open", path))
    }

    /// The last lines, oldest first, for a failure report; at most 20 with 400 bytes each. An unfinished one is among them.
    public var lastLines: [LastLine] {
        var lines = ring[oldest...] + ring[..<oldest]
        withBuffer { buffer in
            let rest = splitter.unfinished(
                UnsafeRawBufferPointer(rebasing: buffer[..<capture.peeker.peek(fifo, buffer)]))
            if !rest.isEmpty { lines.append((capture.order, Array(rest.prefix(Self.ringLineBytes)))) }
        }
        return lines.suffix(Self.ringLines).map {
            LastLine(order: $0.order, text: String(decoding: $0.bytes, as: UTF8.self))
        }
    }

    /// Reads what is there now, at most 1 MiB; then `lastLines` is up to date for a process that has just died.
    public func drain() {
        var rounds = (1 << 20) / PipePeeker.size
        while rounds > 0, readOnce() { rounds -= 1 }
        if rounds == 0 { askAgain() }
    }

    /// Reads what is left, writes an unfinished last line, stops and removes the FIFO. When no process of the service lives.
    public func close() {
        guard source != nil else { return }
        isClosing = true
        drain()
        withBuffer { buffer in
            let rest = UnsafeRawBufferPointer(rebasing: buffer[..<capture.peeker.peek(fifo, buffer)])
            log.begin()
            splitter.finish(rest) { add($0) }
            log.finish(origin)
            capture.peeker.skip(fifo, rest.count)
        }
        source?.cancel()
        source = nil
        capture.journal.forget(self)
        if let directory = try? SafeDirectory.parent(of: path, .ofRoot) {
            _ = try? directory.unlink(FileName(FileTree.name(of: path)))
        }
    }

    // MARK: - Reading

    private func withBuffer(_ body: (UnsafeMutableRawBufferPointer) -> Void) {
        // A buffer for the time of the call: with a thousand services a buffer each would be most of our memory.
        withUnsafeTemporaryAllocation(byteCount: PipePeeker.size, alignment: 16, body)
    }

    private func arrived(_ events: IOEvents) {
        if readOnce() { return askAgain() }
        guard events.contains(.hangUp), let ended else { return }
        self.ended = nil
        ended()
    }

    /// Lets the loop come back in its next round, when the others have had their turn.
    private func askAgain() { try? source?.setEvents([.readable, .edge]) }

    /// Takes what a pipe holds, once: what a service prints without end is its own trouble and not that of others.
    /// - Returns: whether there is more that can be taken now.
    private func readOnce() -> Bool {
        var isMore = false
        withBuffer { buffer in
            let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<capture.peeker.peek(fifo, buffer)])
            guard !bytes.isEmpty else { return }
            var isBusy = false
            log.begin()
            let used = splitter.feed(bytes) { line in
                isBusy = !add(line)
                return !isBusy
            }
            log.end()
            capture.peeker.skip(fifo, used)
            if isBusy {
                capture.journal.whenWritable(self) { [unowned self] in askAgain() }
            } else {
                isMore = leave(UnsafeRawBufferPointer(rebasing: bytes[used...]), used)
            }
        }
        return isMore
    }

    /// Leaves an unfinished line in the FIFO, unless its end could then not come: a pipe may be full with few bytes.
    private func leave(_ rest: UnsafeRawBufferPointer, _ used: Int) -> Bool {
        let isMore = Int(holdfast_pipe_length(fifo.raw)) > rest.count
        guard !rest.isEmpty else { return isMore }
        if isMore ? used == 0 : isFull {
            splitter.carry(rest)
            capture.peeker.skip(fifo, rest.count)
        }
        return isMore
    }

    private var isFull: Bool {
        var state = pollfd(fd: fifo.raw, events: Int16(POLLOUT), revents: 0)
        return poll(&state, 1, 0) == 0
    }

    private func add(_ line: UnsafeRawBufferPointer) -> Bool {
        guard log.add(line, from: origin, mayWait: !isClosing) else { return false }
        remember(line)
        return true
    }

    private func remember(_ line: UnsafeRawBufferPointer) {
        let kept = line.prefix(Self.ringLineBytes)
        capture.order += 1
        if ring.count < Self.ringLines {
            ring.append((capture.order, Array(kept)))
            return
        }
        // In place of the oldest, in its memory: this runs for every line that a service prints.
        ring[oldest].order = capture.order
        ring[oldest].bytes.removeAll(keepingCapacity: true)
        ring[oldest].bytes.append(contentsOf: kept)
        oldest = (oldest + 1) % Self.ringLines
    }
}
