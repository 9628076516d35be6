import ControlProtocol
import Glibc

/// The reason for which the daemon sends nothing, or nothing more.
enum ConnectionError: Error, Equatable {
    /// No connection could be made: `errno` at `step`.
    case unreachable(path: String, step: String, errno: Int32)
    /// The path does not fit into a socket address.
    case pathTooLong(path: String)
    /// The daemon closed the connection before its last reply.
    case closed
    /// The daemon sent bytes that are not Varlink.
    case garbled(MessageError)

    var message: String {
        switch self {
        case .unreachable(let path, let step, let errno):
            "cannot reach the daemon: \(step) \(path): \(String(cString: strerror(errno)))"
        case .pathTooLong(let path): "cannot reach the daemon: the path is too long for a Unix socket: \(path)"
        case .closed: "the daemon closed the connection before it answered"
        case .garbled(let error): "the daemon sent an invalid Varlink message: \(error)"
        }
    }
}

/// The descriptor to which the handler of ^C writes a byte; -1 until ``Interrupts/install()``. Proof for
/// `nonisolated(unsafe)`: holdfastctl has a single thread, which sets it once before the handler is installed.
private nonisolated(unsafe) var interruptWriteEnd: CInt = -1

/// Turns ^C into an event for `poll`. A flag and `EINTR` would leave a gap between the check of the flag and the wait;
/// ppoll(2), which closes it, is not visible to Swift (it needs `_GNU_SOURCE`), so it is a pipe.
enum Interrupts {
    /// The end to poll; nil if ^C still ends the process. `nonisolated(unsafe)` as ``interruptWriteEnd``.
    private(set) nonisolated(unsafe) static var readEnd: CInt?

    /// Empties the pipe, so that the next wait does not return at once.
    static func clear() {
        guard let readEnd else { return }
        var bytes = [UInt8](repeating: 0, count: 64)
        _ = read(readEnd, &bytes, bytes.count)
    }

    /// Turns ^C into an event of ``Connection/next(tick:)`` instead of the end of the process.
    static func install() {
        guard readEnd == nil else { return }
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else { return }
        _ = fcntl(ends[0], F_SETFD, FD_CLOEXEC)
        _ = fcntl(ends[1], F_SETFD, FD_CLOEXEC)
        // Neither the handler nor ``clear()`` may block.
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
        readEnd = ends[0]
        interruptWriteEnd = ends[1]
        signal(SIGINT) { _ in
            var byte: UInt8 = 0
            _ = write(interruptWriteEnd, &byte, 1)
        }
        // The parent process may have blocked the signal (thread pools do), and a mask survives execve.
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGINT)
        sigprocmask(SIG_UNBLOCK, &set, nil)
    }
}

/// A connection to the daemon, closed when it goes out of scope.
struct Connection: ~Copyable {
    /// The descriptor to `poll`.
    let descriptor: CInt
    private var framer = MessageFramer(limit: MessageLimit.reply)

    /// The result of ``next(tick:)``.
    enum Event {
        case reply(Reply)
        /// The tick elapsed without a reply.
        case tick
        /// The user pressed ^C.
        case interrupted
    }

    init(path: String) throws(ConnectionError) {
        // A vanished daemon must cause an error of `send`, not the end of this process.
        signal(SIGPIPE, SIG_IGN)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let fits = withUnsafeMutableBytes(of: &address.sun_path) { room in
            guard bytes.count < room.count, !bytes.contains(0) else { return false }
            room.copyBytes(from: bytes)
            return true
        }
        guard fits else { throw .pathTooLong(path: path) }
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .unreachable(path: path, step: "open a socket for", errno: errno) }
        let status = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard status == 0 else {
            let cause = errno
            close(descriptor)
            throw .unreachable(path: path, step: "connect to", errno: cause)
        }
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    func send(_ call: Call) throws(ConnectionError) {
        let bytes = call.encoded()
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                // The daemon may have sent a reason before it closed the connection: the caller reads that next, or
                // else the end.
                if errno == EPIPE { return }
                throw .closed
            }
            sent += count
        }
    }

    /// Waits for the next reply.
    /// - Parameter tick: milliseconds after which to return without one; nil to wait without a limit.
    mutating func next(tick: Int?) throws(ConnectionError) -> Event {
        while true {
            do throws(MessageError) {
                if let message = try framer.next() { return .reply(try Reply(message: message)) }
            } catch {
                throw .garbled(error)
            }
            // poll(2) ignores an entry whose descriptor is negative.
            var entries = [
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: Interrupts.readEnd ?? -1, events: Int16(POLLIN), revents: 0),
            ]
            let ready = poll(&entries, 2, CInt(tick ?? -1))
            if ready == 0 { return .tick }
            if ready < 0 { continue }  // EINTR; the byte in the pipe is found in the next round
            if entries[1].revents != 0 {
                Interrupts.clear()
                return .interrupted
            }
            try receive()
        }
    }

    /// The next complete reply among the bytes received so far.
    mutating func bufferedReply() throws(ConnectionError) -> Reply? {
        do throws(MessageError) {
            return try framer.next().map { message throws(MessageError) in try Reply(message: message) }
        } catch {
            throw .garbled(error)
        }
    }

    /// The number of bytes received and not yet taken: another reply may be complete.
    var bufferedBytes: Int { framer.bufferedBytes }

    /// Reads once from a connection that is readable.
    /// - Returns: a reply if one is complete.
    mutating func receiveReply() throws(ConnectionError) -> Reply? {
        try receive()
        return try bufferedReply()
    }

    private mutating func receive() throws(ConnectionError) {
        let chunk = [UInt8](unsafeUninitializedCapacity: 64 * 1024) { buffer, count in
            count = max(0, read(descriptor, buffer.baseAddress, buffer.count))
        }
        // An error of `read` on a socket that polled readable is as final as its end.
        guard !chunk.isEmpty else { throw .closed }
        framer.append(chunk)
    }
}
