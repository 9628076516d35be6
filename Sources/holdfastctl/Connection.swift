import ControlProtocol
import Glibc

/// Why there is nothing, or nothing more, to be had from the daemon.
enum ConnectionError: Error, Equatable {
    /// No connection came about: `errno` at `step`.
    case unreachable(path: String, step: String, errno: Int32)
    /// The path does not fit into a socket address.
    case pathTooLong(path: String)
    /// The daemon closed the connection before its last reply.
    case closed
    /// What it sent is not Varlink.
    case garbled(MessageError)

    var message: String {
        switch self {
        case .unreachable(let path, let step, let errno):
            "cannot reach the daemon: \(step) \(path): \(String(cString: strerror(errno)))"
        case .pathTooLong(let path): "cannot reach the daemon: the path is too long for a Unix socket: \(path)"
        case .closed: "the daemon closed the connection before it had answered"
        case .garbled(let error): "the daemon answered with something else than Varlink: \(error)"
        }
    }
}

/// Where the handler of ^C writes a byte; -1 until ``Interrupts/catch()``.
/// Proof for `nonisolated(unsafe)`: holdfastctl has a single thread, which sets it once before the handler is installed.
private nonisolated(unsafe) var interruptWriteEnd: CInt = -1

/// Makes ^C something that `poll` sees. A flag and `EINTR` would leave a gap between the look at the flag and the wait;
/// the call that closes it, ppoll(2), is not visible to Swift (it needs `_GNU_SOURCE`), so it is a pipe.
enum Interrupts {
    /// The end to poll; nil if ^C still ends the process.
    /// Proof for `nonisolated(unsafe)`: as above.
    private(set) nonisolated(unsafe) static var readEnd: CInt?

    /// Takes what ^C has put into the pipe, so that the next wait waits.
    static func take() {
        guard let readEnd else { return }
        var bytes = [UInt8](repeating: 0, count: 64)
        _ = read(readEnd, &bytes, bytes.count)
    }

    /// From now on ^C is an event of ``Connection/next(tick:)`` instead of the end of the process.
    static func catchThem() {
        guard readEnd == nil else { return }
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else { return }
        _ = fcntl(ends[0], F_SETFD, FD_CLOEXEC)
        _ = fcntl(ends[1], F_SETFD, FD_CLOEXEC)
        // Neither the handler nor ``take()`` may wait.
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
        readEnd = ends[0]
        interruptWriteEnd = ends[1]
        signal(SIGINT) { _ in
            var byte: UInt8 = 0
            _ = write(interruptWriteEnd, &byte, 1)
        }
        // Who started us may have had it blocked (thread pools do), and a mask survives execve.
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGINT)
        sigprocmask(SIG_UNBLOCK, &set, nil)
    }
}

/// A connection to the daemon, closed when it goes out of scope.
struct Connection: ~Copyable {
    /// For `poll`.
    let descriptor: CInt
    private var framer = MessageFramer(limit: MessageLimit.reply)

    /// What ``next(tick:)`` came back with.
    enum Event {
        case reply(Reply)
        /// The tick is over; nothing was received.
        case tick
        /// The user pressed ^C.
        case interrupted
    }

    init(path: String) throws(ConnectionError) {
        // A daemon that goes away must show as an error of `send`, not as the end of this process.
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
        guard descriptor >= 0 else { throw .unreachable(path: path, step: "opening a socket for", errno: errno) }
        let status = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard status == 0 else {
            let cause = errno
            close(descriptor)
            throw .unreachable(path: path, step: "connecting to", errno: cause)
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
                throw .closed
            }
            sent += count
        }
    }

    /// Waits for the next reply.
    /// - Parameter tick: milliseconds after which to come back without one; nil to wait for as long as it takes.
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
            if ready < 0 { continue }  // EINTR; the byte in the pipe is there the next time
            if entries[1].revents != 0 {
                Interrupts.take()
                return .interrupted
            }
            try receive()
        }
    }

    /// The next reply among those that were received already.
    mutating func takenReply() throws(ConnectionError) -> Reply? {
        do throws(MessageError) {
            return try framer.next().map { message throws(MessageError) in try Reply(message: message) }
        } catch {
            throw .garbled(error)
        }
    }

    /// Bytes that were received and are not taken yet: another reply may be complete.
    var waiting: Int { framer.bufferedBytes }

    /// Reads once from a connection that has something to read.
    /// - Returns: a reply if one is complete.
    mutating func takeReply() throws(ConnectionError) -> Reply? {
        try receive()
        return try takenReply()
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
