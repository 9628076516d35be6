import Testing

@testable import StaticCore

@Suite struct SitePathTests {
    @Test("plain targets name what they say")
    func plain() throws {
        #expect(SitePath(target: "/")?.names == [])
        #expect(SitePath(target: "/")?.isDirectory == true)
        #expect(SitePath(target: "/a/b.html?q=/../x#f")?.names == ["a", "b.html"])
        #expect(SitePath(target: "/a/b.html")?.isDirectory == false)
        #expect(SitePath(target: "//a///b/")?.names == ["a", "b"])
        #expect(SitePath(target: "/a/")?.isDirectory == true)
        #expect(SitePath(target: "/a/./b/.")?.names == ["a", "b"])
        #expect(SitePath(target: "/a%20b/%C3%A4")?.names == ["a b", "ä"])
        #expect(SitePath(target: "http://host/x")?.names == ["x"])
        #expect(SitePath(target: "http://host")?.names == [])
        #expect(SitePath(target: "/.well-known/acme")?.names == [".well-known", "acme"])
    }

    @Test(
        "a target that tries to leave the root, however it is written, names nothing",
        arguments: [
            "/..", "/../etc/passwd", "/a/../../b", "/a/..", "/%2e%2e/x", "/%2E./x", "/.%2e/x", "/a%2f..%2fb", "/a%2Fb",
            "/%00", "/a%00.html", "/%", "/%4", "/%zz", "/%ff", "/.git/config", "/.env", "/%2egit", "/...", "relative",
            "", "*", "..", "ftp://h/x",
        ])
    func escapes(target: String) {
        #expect(SitePath(target: target) == nil)
    }

    @Test("whatever the target, no name is one that leads elsewhere")
    func random() {
        let pieces = ["/", ".", "..", "%2e", "%2f", "%5c", "%00", "%25", "a", "b", "?", "#", "\\", "%c0%af", "é", "%"]
        var state: UInt64 = 7
        for _ in 0..<50_000 {
            var target = "/"
            for _ in 0..<8 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                target += pieces[Int(state >> 33) % pieces.count]
            }
            for name in SitePath(target: target)?.names ?? [] {
                #expect(
                    !name.isEmpty && !name.hasPrefix(".") && !name.contains("/") && !name.contains("\0"), "\(target)")
            }
        }
    }

    @Test("an overlong target is refused")
    func long() {
        #expect(SitePath(target: "/" + String(repeating: "a/", count: SitePath.limit)) == nil)
        #expect(SitePath(target: "/" + String(repeating: "a", count: 256)) == nil)
    }

    @Test("media types go by the file's ending")
    func mediaTypes() {
        #expect(SitePath.mediaType(of: "/x/index.HTML") == "text/html; charset=utf-8")
        #expect(SitePath.mediaType(of: "x.tar.gz") == "application/octet-stream")
        #expect(SitePath.mediaType(of: "README") == "application/octet-stream")
    }

    @Test("dates are written as HTTP wants them")
    func dates() {
        #expect(httpDate(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
    }

    @Test("listen addresses are understood in each form")
    func listenAddresses() {
        #expect(ServerAddress("127.0.0.1:80") == .tcp(host: "127.0.0.1", port: 80))
        #expect(ServerAddress("[::1]:80") == .tcp(host: "::1", port: 80))
        #expect(ServerAddress("8080") == .tcp(host: "0.0.0.0", port: 8080))
        #expect(ServerAddress("/run/a.sock") == .unix(path: "/run/a.sock"))
        for bad in ["", ":80", "a:b", "a:70000", "name"] { #expect(ServerAddress(bad) == nil, "\(bad)") }
    }

    @Test("sockets that were meant for another process are not taken")
    func inheritance() {
        func passed(_ pid: String?, _ count: String?) -> Range<Int32> {
            Inheritance.descriptors(environment: { $0 == "LISTEN_PID" ? pid : count }, pid: 42)
        }
        #expect(passed("42", "2") == 3..<5)
        #expect(passed("43", "2").isEmpty)
        #expect(passed(nil, "2").isEmpty)
        #expect(passed("42", nil).isEmpty)
        for count in ["0", "-1", "x", "100000", "99999999999"] { #expect(passed("42", count).isEmpty) }
    }
}
