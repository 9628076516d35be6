import CSpawn
import Glibc
import SystemPackage

/// One output stream of a service, captured through a named FIFO into its unit's log.
///
/// The FIFO has a name and is open for reading and writing at both ends: so the death of the supervisor causes neither
/// SIGPIPE nor an end of file for the service, and its successor opens the same FIFO and continues. Bytes are taken out
/// only after they were written to the log, in whole lines: a supervisor that is killed at any moment loses none, and
/// at most the batch being written (64 KiB) is logged twice.
public final class LogPipe {
    /// One of the last lines; `order` gives the sequence over both streams.
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
    /// Called once when no process has the FIFO open for writing; only for one that this process has not given out.
    private var ended: (() -> Void)?

    /// Makes the FIFO at `path`, or takes the one of an earlier supervisor process.
    /// - Parameter owner: the service's user, who may then open it as /dev/stdout, which opens it again; nil: ours.
    public convenience init(
        path: String, owner: (uid: UInt32, gid: UInt32)? = nil, origin: LogOrigin, log: UnitLog, capture: LogCapture
    ) throws(SystemError) {
        let directory = try SafeDirectory.parent(of: path, .ofRoot)
        let name = FileName(FileTree.name(of: path))
        let isNew = try directory.makeFIFO(name, mode: 0o600)
        do throws(SystemError) {
            let fifo = try Self.open(directory, path, O_RDWR)
            if let owner { try checkErrno(fchown(fifo.raw, owner.uid, owner.gid), "change owner of", path) }
            try self.init(fifo, path, origin, log, capture, ended: nil)
        } catch {
            if isNew { unlink(path) }
            throw error
        }
    }

    private static func open(
        _ directory: borrowing SafeDirectory, _ path: String, _ flags: Int32
    ) throws(SystemError) -> OwnedDescriptor {
        try directory.open(FileName(FileTree.name(of: path)), flags | O_NONBLOCK)
    }

    /// Takes the FIFO at `path` of a service that is no longer supervised; without a reader the service would block for
    /// ever as soon as the FIFO is full. Calls `ended` when no process has it open for writing.
    public convenience init(
        left path: String, origin: LogOrigin, log: UnitLog, capture: LogCapture, ended: @escaping () -> Void
    ) throws(SystemError) {
        // Not opened for writing: our own end would hide that there is no other.
        let directory = try SafeDirectory.parent(of: path, .ofRoot)
        let fifo = try Self.open(directory, path, O_RDONLY)
        try self.init(fifo, path, origin, log, capture, ended: ended)
        // The kernel reports the absence of writers only if there has been one since the FIFO was opened.
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
        // Edge-triggered: an unfinished line stays in the FIFO, which is then always readable.
        source = try capture.loop.addIO(self.fifo.raw, [.readable, .edge], priority: .logs) { [unowned self] events in
            arrived(events)
        }
    }

    /// Our end. An open descriptor of it keeps the bytes that the service has written and that have not been read.
    public var descriptor: Int32 { fifo.raw }

    public var fileID: FileID? {
        var status = stat()
        return fstat(fifo.raw, &status) == 0 ? FileID(status) : nil
    }

    /// The service's end, for `SpawnPlan`: blocking, and an open file description of its own, so that O_NONBLOCK of
    /// ours does not affect it. The caller closes it after the spawn.
    public func openForService() throws(SystemError) -> OwnedDescriptor {
        OwnedDescriptor(owning: try check(holdfast_reopen(fifo.raw, O_RDWR), "open", path))
    }

    /// The last lines, oldest first, for a failure report; at most 20 of 400 bytes each. Includes an unfinished one.
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

    /// Reads the bytes present, at most 1 MiB; then `lastLines` is up to date for a process that has just died.
    public func drain() {
        var rounds = (1 << 20) / PipePeeker.size
        while rounds > 0, readOnce() { rounds -= 1 }
        if rounds == 0 { requestAnotherTurn() }
    }

    /// Reads the rest, writes an unfinished last line, stops and removes the FIFO. For a service without processes.
    public func close() {
        guard source != nil else { return }
        isClosing = true
        drain()
        withBuffer { buffer in
            let rest = UnsafeRawBufferPointer(rebasing: buffer[..<capture.peeker.peek(fifo, buffer)])
            log.beginRound()
            splitter.finish(rest) { add($0) }
            log.finish(origin)
            capture.peeker.skip(fifo, rest.count)
        }
        source?.cancel()
        source = nil
        capture.journal.forget(self)
        // This needs no descriptor, because none may be left; only we can write to the directory.
        unlink(path)
    }

    // MARK: - Reading

    private func withBuffer(_ body: (UnsafeMutableRawBufferPointer) -> Void) {
        // A buffer for the duration of the call: with a thousand services one buffer each would be most of our memory.
        withUnsafeTemporaryAllocation(byteCount: PipePeeker.size, alignment: 16, body)
    }

    private func arrived(_ events: IOEvents) {
        if readOnce() { return requestAnotherTurn() }
        guard events.contains(.hangUp), let ended else { return }
        self.ended = nil
        ended()
    }

    /// Makes the loop dispatch this source again in its next round, after the others.
    private func requestAnotherTurn() { try? source?.setEvents([.readable, .edge]) }

    /// Reads the contents of a pipe once: a service that prints without end must not delay others.
    /// - Returns: whether more can be read now.
    private func readOnce() -> Bool {
        var isMore = false
        withBuffer { buffer in
            let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<capture.peeker.peek(fifo, buffer)])
            guard !bytes.isEmpty else { return }
            var isBusy = false
            log.beginRound()
            let used = splitter.feed(bytes) { line in
                isBusy = !add(line)
                return !isBusy
            }
            log.endRound()
            capture.peeker.skip(fifo, used)
            if isBusy {
                capture.journal.whenWritable(self) { [unowned self] in requestAnotherTurn() }
            } else {
                isMore = keepUnfinished(UnsafeRawBufferPointer(rebasing: bytes[used...]), used)
            }
        }
        return isMore
    }

    /// Leaves an unfinished line in the FIFO, unless its rest could then not arrive: a pipe may be full with few bytes.
    private func keepUnfinished(_ rest: UnsafeRawBufferPointer, _ used: Int) -> Bool {
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
        recordLastLine(line)
        return true
    }

    private func recordLastLine(_ line: UnsafeRawBufferPointer) {
        let kept = line.prefix(Self.ringLineBytes)
        capture.order += 1
        if ring.count < Self.ringLines {
            ring.append((capture.order, Array(kept)))
            return
        }
        // Replaces the oldest in its memory: this runs for every line that a service prints.
        ring[oldest].order = capture.order
        ring[oldest].bytes.removeAll(keepingCapacity: true)
        ring[oldest].bytes.append(contentsOf: kept)
        oldest = (oldest + 1) % Self.ringLines
    }
}
