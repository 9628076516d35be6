import Glibc
import Testing

@testable import ProbeCore

/// What a scripted server does with one connection after it has read a request.
private enum Move: Sendable {
    /// Sends this and waits for the client to close.
    case answer(String)
    /// Sends this and closes.
    case answerAndClose(String)
    /// Sends this, then a reset.
    case reset(String)
    /// Says nothing until the client closes.
    case silence
}

/// Serves one connection after the other, each by the next list of moves; closes its socket behind the last.
private func withServer(
    _ connections: [[Move]], _ body: (String) throws -> Void
) throws {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            _ = bind(listener, $0, length)
            _ = listen(listener, 16)
            _ = getsockname(listener, $0, &length)
        }
    }
    let script = Script(listener: listener, connections: connections)
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(script).toOpaque()
    let created = pthread_create(
        &thread, nil,
        { argument in
            guard let argument else { return nil }
            Unmanaged<Script>.fromOpaque(argument).takeRetainedValue().serve()
            return nil
        }, argument)
    try #require(created == 0)
    defer { pthread_join(thread, nil) }
    try body("http://127.0.0.1:\(UInt16(bigEndian: address.sin_port))/")
}

private final class Script: Sendable {
    let listener: Int32
    let connections: [[Move]]

    init(listener: Int32, connections: [[Move]]) {
        self.listener = listener
        self.connections = connections
    }

    func serve() {
        var buffer = [UInt8](repeating: 0, count: 4096)
        for moves in connections {
            let peer = accept(listener, nil, nil)
            for move in moves {
                _ = recv(peer, &buffer, buffer.count, 0)
                switch move {
                case .answer(let text): send(peer, text)
                case .answerAndClose(let text): send(peer, text)
                case .reset(let text):
                    send(peer, text)
                    var linger = linger(l_onoff: 1, l_linger: 0)
                    setsockopt(peer, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
                case .silence: _ = recv(peer, &buffer, buffer.count, 0)
                }
            }
            if case .answer = moves.last { _ = recv(peer, &buffer, buffer.count, 0) }
            close(peer)
        }
        close(listener)
    }

    private func send(_ peer: Int32, _ text: String) {
        _ = Array(text.utf8).withUnsafeBytes { Glibc.send(peer, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }
}

private func probe(
    _ url: String, requests: Int, keepAlive: Bool = false, timeout: Double = 60
) throws -> Tally {
    var configuration = ProbeConfiguration(target: try Target(url: url) { _ in false })
    configuration.requests = requests
    configuration.keepAlive = keepAlive
    configuration.timeout = timeout
    return try Loop(configuration).run().0
}

private let good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nV1"

@Suite(.serialized) struct LoopTests {
    @Test("a new connection for each request is the default")
    func newConnections() throws {
        try withServer([[.answer(good)], [.answer(good)]]) { url in
            let tally = try probe(url, requests: 2)
            #expect(tally.ok == 2)
            #expect(tally.lost == 0)
            #expect(tally.connections == 2)
        }
    }

    @Test("with keep-alive one connection serves many requests, and a new one follows Connection: close")
    func keepAlive() throws {
        let last = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nV1"
        try withServer([[.answer(good), .answerAndClose(last)], [.answer(good)]]) { url in
            let tally = try probe(url, requests: 3, keepAlive: true)
            #expect(tally.ok == 3)
            #expect(tally.lost == 0)
            #expect(tally.connections == 2)
        }
    }

    @Test("a request that meets a closed keep-alive connection is lost, not repeated")
    func closedKeepAlive() throws {
        try withServer([[.answerAndClose(good)], [.answer(good)]]) { url in
            let tally = try probe(url, requests: 3, keepAlive: true)
            #expect(tally.ok == 2)
            #expect(tally.lost == 1)
        }
    }

    @Test("a refused connection is counted as refused")
    func refused() throws {
        var address = ""
        try withServer([[.answer(good)]]) { url in
            address = url
            _ = try probe(url, requests: 1)
        }
        #expect(try probe(address, requests: 3).losses == [.refused: 3])
    }

    @Test("an answer that ends early is counted as closed early")
    func closedEarly() throws {
        try withServer([[.answerAndClose("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nV1")], [.answerAndClose("")]]) {
            url in
            let tally = try probe(url, requests: 2)
            #expect(tally.losses == [.closedEarly: 2])
        }
    }

    @Test("a reset is counted as a reset")
    func reset() throws {
        try withServer([[.reset("")], [.reset("HTTP/1.1 200")]]) { url in
            let tally = try probe(url, requests: 2)
            #expect(tally.losses == [.reset: 2])
        }
    }

    @Test("a complete answer before a reset is an answer")
    func answerThenReset() throws {
        try withServer([[.reset(good)]]) { url in
            let tally = try probe(url, requests: 1)
            #expect(tally.ok == 1)
        }
    }

    @Test("an error status is counted as a bad status")
    func badStatus() throws {
        try withServer([[.answer("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")]]) { url in
            let tally = try probe(url, requests: 1)
            #expect(tally.losses == [.badStatus: 1])
            #expect(tally.statuses == [503: 1])
        }
    }

    @Test("silence is counted as timed out")
    func timedOut() throws {
        try withServer([[.silence]]) { url in
            let tally = try probe(url, requests: 1, timeout: 0.01)
            #expect(tally.losses == [.timedOut: 1])
        }
    }

    @Test("what is not HTTP is counted as other")
    func other() throws {
        try withServer([[.answerAndClose("hello\r\n")]]) { url in
            let tally = try probe(url, requests: 1)
            #expect(tally.losses == [.other: 1])
        }
    }

    @Test("idle clients take turns, the longest idle first")
    func turns() {
        var ring = Ring(capacity: 3)
        for client in 0..<3 { ring.append(client) }
        #expect(ring.popFirst() == 0)
        ring.append(0)
        #expect([ring.popFirst(), ring.popFirst(), ring.popFirst(), ring.popFirst()] == [1, 2, 0, nil])
    }
}
