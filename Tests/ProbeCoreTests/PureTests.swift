import Testing

@testable import ProbeCore

private func target(_ url: String, unix: String? = nil, socket: String? = nil) throws(ProbeError) -> Target {
    try Target(url: url, unixPath: unix) { $0 == socket }
}

@Suite struct TargetTests {
    @Test("host, port and path are found in each form of URL")
    func forms() throws {
        #expect(try target("http://a.example").endpoint == .tcp(host: "a.example", port: 80))
        #expect(try target("http://a.example").path == "/")
        #expect(try target("HTTP://a:8080/x?y=1#z").endpoint == .tcp(host: "a", port: 8080))
        #expect(try target("http://a:8080/x?y=1#z").path == "/x?y=1")
        #expect(try target("http://a?y").path == "/?y")
        #expect(try target("http://[::1]:81/").endpoint == .tcp(host: "::1", port: 81))
        #expect(try target("http://site/x", unix: "/run/a").endpoint == .unix(path: "/run/a"))
        #expect(try target("http://site/x", unix: "/run/a").authority == "site")
    }

    @Test("a socket's path ends where the socket is, or else at its .sock name")
    func unix() throws {
        let held = try target("http+unix:///run/a.sock.7/healthz?x", socket: "/run/a.sock.7")
        #expect(held.endpoint == .unix(path: "/run/a.sock.7"))
        #expect(held.path == "/healthz?x")
        let plain = try target("http+unix:///run/site/x/y", socket: "/run/site")
        #expect(plain.endpoint == .unix(path: "/run/site"))
        #expect(plain.path == "/x/y")
        #expect(try target("http+unix:///run/b.sock/x").path == "/x")
        #expect(try target("http+unix:///run/b").endpoint == .unix(path: "/run/b"))
    }

    @Test("what cannot be asked is refused with its reason")
    func refused() {
        for url in [
            "", "a.example", "https://a/", "http://", "http:///x", "http://a:0/", "http://a:65536/", "http://a:b/",
            "http://[::1/", "http://u@a/", "http://a/x y", "http://a/\r\nX: y", "http+unix://a", "http+unix:///",
        ] {
            #expect(throws: ProbeError.self, "\(url)") { try target(url) }
        }
    }

    @Test("only a request that wants its connection closed says so")
    func request() throws {
        let target = try target("http://a:1/p")
        let once = String(decoding: target.request(keepAlive: false), as: UTF8.self)
        #expect(once.hasPrefix("GET /p HTTP/1.1\r\nHost: a:1\r\n"))
        #expect(once.hasSuffix("Connection: close\r\n\r\n"))
        #expect(!String(decoding: target.request(keepAlive: true), as: UTF8.self).contains("Connection"))
    }
}

@Suite struct StripTests {
    private let token = Array("V1".utf8)

    @Test("twenty thousand answers a second become a hundred tokens a second")
    func sampled() {
        var strip = Strip(all: false)
        for answer in 0..<200_000 { strip.show(token, at: Int64(answer) * 50) }
        let shown = strip.take(.max).count / 2
        #expect(1000...1040 ~= shown)
    }

    @Test("a short run is shown whole, and so is every run with --strip-all")
    func whole() {
        var strip = Strip(all: false)
        for _ in 0..<20 { strip.show(token, at: 0) }
        #expect(strip.take(.max).count == 40)
        var all = Strip(all: true)
        for _ in 0..<10_000 { all.show(token, at: 0) }
        #expect(all.take(.max).count == 20_000)
    }

    @Test("a loss is never sampled away")
    func losses() {
        var strip = Strip(all: false)
        for _ in 0..<1000 { strip.show(token, at: 0) }
        strip.showLoss(at: 0)
        #expect(!strip.take(.max).contains(Strip.lossToken[0]))
        strip.show(token, at: 1_000_000)
        #expect(strip.take(.max) == Strip.lossToken + token)
    }

    @Test("control characters of a body never reach the terminal, and a stuck one costs bounded memory")
    func foreign() {
        var strip = Strip(all: true)
        strip.show([27, 91, 50, 74, 200], at: 0)
        #expect(strip.take(.max) == Array(".[2J.".utf8))
        for _ in 0..<100_000 { strip.show(token, at: 0) }
        #expect(strip.take(.max).count <= Strip.limit)
    }
}

@Suite struct TallyTests {
    @Test("only a loss makes the verdict bad")
    func verdict() {
        var tally = Tally()
        #expect(tally.exitStatus == 0)
        tally.answered(status: 200, body: [], microseconds: 5)
        tally.couldNotSend("no ports")
        #expect(tally.exitStatus == 0)
        tally.answered(status: 503, body: [], microseconds: 5)
        #expect(tally.exitStatus == 1)
        #expect(tally.losses == [.badStatus: 1])
        #expect(tally.requests == 2)
    }

    @Test("having been able to send nothing is no success")
    func nothing() {
        var tally = Tally()
        tally.couldNotSend("no ports")
        #expect(tally.exitStatus == 1)
    }

    @Test("the keys of the JSON are always the same, and foreign text cannot break it")
    func json() throws {
        var tally = Tally()
        let configuration = ProbeConfiguration(target: try target("http://a/"))
        let empty = tally.json(seconds: 1.5, configuration: configuration)
        let expected = """
            {"requests":0,"ok":0,"lost":0,"losses":{"refused":0,"reset":0,"closedEarly":0,"badStatus":0,"timedOut":0,\
            "other":0},"local":0,"bodies":{},"statuses":{},"latencyMicroseconds":{"p50":0,"p90":0,"p99":0,"p999":0,\
            "max":0,"mean":0},"seconds":1.500,"connections":0,"keepAlive":false,"url":"http://a/"}
            """
        #expect(empty == expected)
        tally.answered(status: 200, body: [0x22, 0x5c, 0x0a, 0x01, 0xff], microseconds: 5)
        #expect(tally.json(seconds: 1, configuration: configuration).contains(#""\"\\\n\u0001\#u{fffd}":1"#))
    }

    @Test("a server that answers everything differently costs bounded memory")
    func bodies() throws {
        var tally = Tally()
        for number in 0..<1000 { tally.answered(status: 200, body: Array("\(number)".utf8), microseconds: 1) }
        let json = tally.json(seconds: 1, configuration: ProbeConfiguration(target: try target("http://a/")))
        #expect(json.contains("\"(others)\":\(1000 - Tally.bodyLimit)"))
    }
}
