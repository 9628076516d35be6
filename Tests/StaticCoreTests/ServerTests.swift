import Glibc
import NIOCore
import Testing

@testable import StaticCore

private func serving(
    _ content: StaticConfiguration.Content = .text("V1"), drainIdle: Double = 30
) throws -> (StaticServer, port: Int) {
    var configuration = StaticConfiguration(content: content)
    configuration.drainIdle = drainIdle
    let server = try StaticServer(configuration: configuration)
    try server.listen(.tcp(host: "127.0.0.1", port: 0))
    return (server, try #require(server.localPort))
}

private let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

@Suite struct ServerTests {
    @Test("pipelined requests are answered all, and in order")
    func pipelining() throws {
        let scratch = Scratch()
        for number in 0..<50 { scratch.write("\(number)", Array("<\(number)>".utf8)) }
        let (server, port) = try serving(.directory(scratch.path))
        let client = RawClient(port: port)
        client.send((0..<50).map { "GET /\($0) HTTP/1.1\r\nHost: x\r\n\r\n" }.joined())
        let answers = client.read(until: "<49>")
        #expect(answers.split(separator: "<").dropFirst().map { $0.prefix { $0 != ">" } } == (0..<50).map { "\($0)" })
        _ = server
    }

    @Test("HEAD has the length and not the body; other methods are refused without reading what they bring")
    func methods() throws {
        let (server, port) = try serving()
        let client = RawClient(port: port)
        client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(client.read(until: "\r\n\r\n").contains("Content-Length: 2\r\n"))
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\nabc")
        let answer = String(decoding: client.readToEnd(), as: UTF8.self)
        #expect(answer.hasPrefix("HTTP/1.1 405 "))
        #expect(answer.contains("Allow: GET, HEAD\r\n"))
        #expect(answer.contains("Connection: close\r\n"))
        _ = server
    }

    @Test(
        "what is not a request, or has no end, is refused",
        arguments: [
            "nonsense\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
            "GET / HTTP/1.1\r\na: " + String(repeating: "x", count: 40_000) + "\r\n\r\n",
            "GET / HTTP/1.1\r\n" + String(repeating: "a: b\r\n", count: 1000) + "\r\n",
        ])
    func malformed(request: String) throws {
        let (server, port) = try serving()
        let client = RawClient(port: port)
        client.send(request)
        #expect(String(decoding: client.readToEnd(), as: UTF8.self).hasPrefix("HTTP/1.1 4"))
        _ = server
    }

    @Test("a large file arrives as it is")
    func large() throws {
        let scratch = Scratch()
        let bytes = (0..<3_000_001).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        scratch.write("large.bin", bytes)
        let (server, port) = try serving(.directory(scratch.path))
        let client = RawClient(port: port)
        client.send("GET /large.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        _ = client.read(until: "\r\n\r\n")
        #expect(client.readToEnd() == bytes)
        _ = server
    }

    @Test("links are followed inside the root and not out of it; only regular files are served")
    func links() throws {
        let scratch = Scratch()
        mkdir(scratch.path + "/www", 0o755)
        mkdir(scratch.path + "/www-other", 0o755)
        mkdir(scratch.path + "/www/sub", 0o755)
        scratch.write("secret", Array("secret".utf8))
        scratch.write("www-other/file", Array("secret".utf8))
        scratch.write("www/page.html", Array("page".utf8))
        scratch.write("www/sub/index.html", Array("sub".utf8))
        symlink("page.html", scratch.path + "/www/inside")
        symlink("../secret", scratch.path + "/www/outside")
        symlink("../www-other", scratch.path + "/www/neighbour")
        symlink("/", scratch.path + "/www/slash")
        mkfifo(scratch.path + "/www/fifo", 0o644)
        let (server, port) = try serving(.directory(scratch.path + "/www"))
        func status(_ path: String) -> String {
            let client = RawClient(port: port)
            client.send("GET \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return String(decoding: client.readToEnd().dropFirst(9).prefix(3), as: UTF8.self)
        }
        for path in ["/page.html", "/inside", "/sub/", "/healthz"] { #expect(status(path) == "200", "\(path)") }
        #expect(status("/sub") == "301")
        for path in [
            "/outside", "/neighbour/file", "/slash/etc/passwd", "/fifo", "/", "/none", "/page.html/", "/../secret",
        ] {
            #expect(status(path) == "404", "\(path)")
        }
        _ = server
    }
}

@Suite struct DrainTests {
    @Test("draining ends at once when nothing is connected")
    func nothing() throws {
        let (server, _) = try serving()
        try server.drain().wait()
    }

    @Test("a connection that is kept alive gets one more answer, which says Connection: close")
    func keptAlive() throws {
        let (server, port) = try serving()
        let client = RawClient(port: port)
        client.send(get)
        #expect(!client.read(until: "V1").contains("Connection: close"))
        let drained = server.drain()
        client.send(get)
        let answer = String(decoding: client.readToEnd(), as: UTF8.self)
        #expect(answer.hasPrefix("HTTP/1.1 200 "))
        #expect(answer.contains("Connection: close\r\n"))
        withExtendedLifetime(client) {}
        _ = consume client
        try drained.wait()
    }

    @Test("a request of which a part had arrived is served")
    func partial() throws {
        let (server, port) = try serving(drainIdle: 0)
        let client = RawClient(port: port)
        client.send(get)
        _ = client.read(until: "V1")
        // The first request's successor is under way: its first byte is known to be read once the answer behind it, on
        // another connection of the same single-threaded loop, has come.
        client.send("GET / HT")
        let other = RawClient(port: port)
        other.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        _ = other.readToEnd()
        let drained = server.drain()
        client.send("TP/1.1\r\nHost: x\r\n\r\n")
        #expect(String(decoding: client.readToEnd(), as: UTF8.self).hasPrefix("HTTP/1.1 200 "))
        _ = consume client
        _ = consume other
        try drained.wait()
    }

    @Test("an accepted connection that has sent nothing yet is served")
    func silent() throws {
        let (server, port) = try serving(drainIdle: 0)
        let client = RawClient(port: port)
        let other = RawClient(port: port)
        other.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        _ = other.readToEnd()
        let drained = server.drain()
        client.send(get)
        #expect(String(decoding: client.readToEnd(), as: UTF8.self).hasPrefix("HTTP/1.1 200 "))
        _ = consume client
        _ = consume other
        try drained.wait()
    }

    @Test("pipelined requests that had arrived are all answered, and the last says goodbye")
    func pipelined() throws {
        var configuration = StaticConfiguration(content: .text("V1"))
        configuration.answerDelay = 0.02
        let server = try StaticServer(configuration: configuration)
        try server.listen(.tcp(host: "127.0.0.1", port: 0))
        let client = RawClient(port: try #require(server.localPort))
        client.send(get + get + get)
        _ = client.read(until: "V1")
        let drained = server.drain()
        let rest = String(decoding: client.readToEnd(), as: UTF8.self)
        #expect(rest.components("HTTP/1.1 200 ") == 2)
        #expect(rest.components("Connection: close") == 1)
        _ = consume client
        try drained.wait()
    }

    @Test("idle connections are closed after their time")
    func idle() throws {
        let (server, port) = try serving(drainIdle: 0.01)
        let client = RawClient(port: port)
        client.send(get)
        _ = client.read(until: "V1")
        let drained = server.drain()
        #expect(client.readToEnd() == [])
        try drained.wait()
    }

    @Test("a passed socket keeps its backlog, and outlives the server that used it")
    func passed() throws {
        let holder = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(holder) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = bind(holder, $0, length)
                _ = listen(holder, 1234)
                _ = getsockname(holder, $0, &length)
            }
        }
        let port = Int(UInt16(bigEndian: address.sin_port))
        let before = backlog(holder)
        #expect(before == 1234)

        let server = try StaticServer(configuration: StaticConfiguration(content: .text("V1")))
        try server.adopt(dup(holder))
        #expect(backlog(holder) == before)
        let client = RawClient(port: port)
        client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        #expect(String(decoding: client.readToEnd(), as: UTF8.self).hasSuffix("V1"))
        _ = consume client
        try server.drain().wait()

        // Nobody accepts now, and still nobody is refused: the connection waits for a successor.
        let waiting = RawClient(port: port)
        waiting.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        let successor = try StaticServer(configuration: StaticConfiguration(content: .text("V2")))
        try successor.adopt(dup(holder))
        #expect(String(decoding: waiting.readToEnd(), as: UTF8.self).hasSuffix("V2"))
    }

    @Test("what is not a listening socket is refused by number and reason")
    func notListening() throws {
        let server = try StaticServer(configuration: StaticConfiguration(content: .text("V1")))
        let plain = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(plain) }
        #expect(throws: StaticError.self) { try server.adopt(plain) }
        #expect(throws: StaticError.self) { try server.adopt(9999) }
    }

    /// The accept queue's limit: `tcpi_sacked` of a listening socket, behind eight bytes and five words of `tcp_info`.
    private func backlog(_ descriptor: Int32) -> UInt32 {
        var words = [UInt32](repeating: 0, count: 64)
        var size = socklen_t(256)
        guard getsockopt(descriptor, Int32(IPPROTO_TCP), 11, &words, &size) == 0 else { return 0 }
        return words[7]
    }
}

@Suite struct NotifyTests {
    @Test("a message arrives at a path and at an abstract name", arguments: ["", "@"])
    func arrives(prefix: String) throws {
        let scratch = Scratch()
        let path = prefix + scratch.path + "/notify"
        let receiver = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(receiver) }
        let (address, length) = try Notify.socketAddress(path)
        let bound = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(receiver, $0, length) }
        }
        try #require(bound == 0)
        try Notify.send("READY=1\nSTATUS=x", to: path)
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = recv(receiver, &buffer, buffer.count, 0)
        #expect(String(decoding: buffer[..<max(0, count)], as: UTF8.self) == "READY=1\nSTATUS=x")
    }

    @Test("without a socket nothing is said; an impossible one is an error with its reason")
    func nowhere() throws {
        try Notify.send("READY=1", to: nil)
        try Notify.send("READY=1", to: "")
        for path in ["relative", "/nowhere/at/all", "/" + String(repeating: "x", count: 200)] {
            #expect(throws: StaticError.self) { try Notify.send("READY=1", to: path) }
        }
    }
}

extension String {
    /// How often `part` occurs.
    fileprivate func components(_ part: String) -> Int {
        var count = 0
        var rest = self[...]
        while let start = rest.indices.first(where: { rest[$0...].hasPrefix(part) }) {
            count += 1
            rest = rest[start...].dropFirst(part.count)
        }
        return count
    }
}
