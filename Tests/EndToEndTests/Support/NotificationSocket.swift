import Foundation

/// The NOTIFY_SOCKET of a supervisor: the test acts as its service manager.
final class NotificationSocket {
    private let descriptor: Int32

    init(_ path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard withUnixAddress(path, { bind(descriptor, $0, $1) }) == 0 else {
            throw WaitedInVain(what: "a socket at \(path)")
        }
        chmod(path, 0o666)
    }

    deinit { close(descriptor) }

    /// Discards the messages so far.
    func drop() {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT)) >= 0 {}
    }

    /// Waits for a message with this line, as long as the sender lives.
    func awaitLine(_ line: String, from program: Program) throws {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            var entries = [
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: program.watched.descriptor, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&entries, 2, Int32(patience * 1000)) > 0 else { throw WaitedInVain(what: line) }
            guard entries[0].revents != 0 else {
                try program.end()
                throw WaitedInVain(what: "\(line); the supervisor has ended: \(program.errorText)")
            }
            let count = recv(descriptor, &buffer, buffer.count, 0)
            let text = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
            if text.split(separator: "\n").contains(Substring(line)) { return }
        }
    }
}

/// Calls `body` with the address of a Unix socket.
func withUnixAddress<T>(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> T) -> T {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { buffer in
        buffer.copyBytes(from: path.utf8.prefix(buffer.count - 1))
    }
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
}

/// Sends datagrams to a Unix socket from a process that is no service.
final class Datagrams {
    private let descriptor: Int32
    private let path: String

    init(to path: String) throws {
        self.path = path
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw WaitedInVain(what: "a socket") }
    }

    deinit { close(descriptor) }

    /// Sends a datagram without waiting; false if the receiver does not take it now.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        let sent = withUnixAddress(path) { address, length in
            sendto(descriptor, bytes, bytes.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL), address, length)
        }
        return sent == bytes.count
    }

    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }
}
