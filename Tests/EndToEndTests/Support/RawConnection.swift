import Foundation

/// A connection without a client library: one request and answer, or arbitrary bytes.
final class RawConnection {
    let descriptor: Int32
    private var buffer: [UInt8] = []
    /// The number of bytes at the start of the buffer that are known to contain no NUL.
    private var searched = 0

    init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        address.sin_port = UInt16(port).bigEndian
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw WaitedInVain(what: "a connection to port \(port): \(Self.cause)") }
    }

    init(unix path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard withUnixAddress(path, { connect(descriptor, $0, $1) }) == 0 else {
            throw WaitedInVain(what: "a connection to \(path): \(Self.cause)")
        }
    }

    private static var cause: String { String(cString: strerror(errno)) }

    deinit { close(descriptor) }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        var left = bytes[...]
        while !left.isEmpty {
            let count = left.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { throw WaitedInVain(what: "a connection that takes bytes: \(Self.cause)") }
            left = left.dropFirst(count)
        }
    }

    /// Sends as much as possible without waiting; returns the number of bytes.
    func sendWithoutWaiting(_ bytes: [UInt8]) -> Int {
        bytes.withUnsafeBytes {
            Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        }
    }

    /// Bytes from the peer; empty after it has closed.
    func read() throws -> [UInt8] {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, Int32(patience * 1000)) > 0 else { throw WaitedInVain(what: "an answer") }
        var bytes = [UInt8](repeating: 0, count: 65536)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        return Array(bytes.prefix(max(0, count)))
    }

    /// One HTTP answer with `Content-Length`.
    func readAnswer() throws -> String {
        while true {
            let text = String(decoding: buffer, as: UTF8.self)
            if let end = text.range(of: "\r\n\r\n") {
                let length = text[..<end.lowerBound].lowercased().split(separator: "\r\n")
                    .first { $0.hasPrefix("content-length:") }?.split(separator: " ").last.flatMap { Int($0) }
                if text[end.upperBound...].utf8.count >= length ?? 0 {
                    buffer = []
                    return text
                }
            }
            let more = try read()
            guard !more.isEmpty else { throw WaitedInVain(what: "the rest of an answer: \(text)") }
            buffer += more
        }
    }

    /// Reads up to the next NUL, a Varlink message.
    func readMessage() throws -> String {
        while true {
            if let end = buffer[searched...].firstIndex(of: 0) {
                defer { buffer.removeFirst(end + 1) }
                searched = 0
                return String(decoding: buffer[..<end], as: UTF8.self)
            }
            searched = buffer.count
            let more = try read()
            guard !more.isEmpty else { throw WaitedInVain(what: "a message; the supervisor hung up") }
            buffer += more
        }
    }

    /// Whether the peer has closed both directions, even with unread bytes.
    var isClosedByPeer: Bool {
        var entry = pollfd(fd: descriptor, events: 0, revents: 0)
        return poll(&entry, 1, 0) > 0 && entry.revents & Int16(POLLHUP | POLLERR) != 0
    }

    /// Waits until the peer has closed; bytes before that are ignored.
    func awaitClose() throws { while try !read().isEmpty {} }

    /// Whether the connection has left the backlog of the held socket.
    func isAccepted(by world: World) throws -> Bool {
        try world.sockets().filter { $0.unit == "http.socket" }.allSatisfy { $0.queued == 0 }
    }
}
