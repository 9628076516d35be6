import ControlProtocol
import Foundation
import Testing

/// Sends one datagram to a path.
func sendDatagram(_ text: String, to path: String) throws {
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    defer { close(descriptor) }
    let sent = withUnixAddress(path) { connect(descriptor, $0, $1) } == 0
    guard sent, send(descriptor, text, text.utf8.count, 0) == text.utf8.count else {
        throw WaitedInVain(what: "a datagram to be taken at \(path)")
    }
}

extension RawConnection {
    /// All bytes until the peer closes, after this side has ended its direction.
    func readAll() throws -> String {
        shutdown(descriptor, Int32(SHUT_WR))
        var all: [UInt8] = []
        while true {
            let bytes = try read()
            if bytes.isEmpty { return String(decoding: all, as: UTF8.self) }
            all += bytes
        }
    }
}

extension EndToEnd {
    /// Sockets that start their services.
    @Suite struct Activation {
        /// `app.socket` and `app.service`: holdfast-static that answers `v1`.
        private func app(_ layout: World.Layout, listen: String? = nil, socket: String = "", service: String = "")
            throws
        {
            try layout.unit(
                "app.socket", "[Socket]\nListenStream=\(listen ?? "127.0.0.1:\(layout.port)")\n\(socket)")
            try layout.unit(
                "app.service",
                """
                [Service]
                Type=notify
                Environment=SWIFT_BACKTRACE=enable=no
                ExecStart=\(layout.server) --body v1
                TimeoutStopSec=5s
                \(service)
                """)
        }

        /// A service that writes the input from its socket to `out/NAME`, and ends.
        private func reader(_ layout: World.Layout, _ name: String, listen: String, bytes: Int) throws {
            try layout.unit("\(name).socket", "[Socket]\n\(listen)\n")
            try layout.unit(
                "\(name).service",
                """
                [Service]
                StandardInput=socket
                StandardOutput=file:\(layout.path)/out/\(name)
                ExecStart=/usr/bin/head -c \(bytes)
                """)
        }

        private func socket(_ world: World, _ name: String) throws -> SocketStatus {
            try #require(try world.sockets().first { $0.unit == name })
        }

        private func state(_ world: World, _ name: String) throws -> UnitState? { try world.status(name).first?.state }

        @Test("The first connection starts the service, which takes it; crashed, the next connection starts it again")
        func firstConnection() throws {
            try withWorld {
                try app($0)
            } then: { world in
                #expect(try world.run("start", "app.socket").outcome == .started)
                #expect(try state(world, "app") == .stopped)
                for round in 1...2 {
                    let client = try RawConnection(port: world.port)
                    try client.send("GET / HTTP/1.0\r\n\r\n")
                    #expect(try client.readAnswer().hasSuffix("v1"), "round \(round)")
                    #expect(try state(world, "app") == .running)
                    let main = try Watched(try world.mainPid("app.service"))
                    main.kill()
                    try main.awaitEnd()
                    try eventually("the crash to be noticed") { try state(world, "app") != .running }
                }
                let shown = try socket(world, "app.socket")
                #expect(shown.triggered == 2 && shown.state == .listening)
                #expect(try world.run("stop", "app.socket").outcome == .stopped)
                #expect(throws: WaitedInVain.self) { _ = try RawConnection(port: world.port) }
            }
        }

        @Test(
            "While the service runs, started by hand or by its socket, the supervisor does not wake up for connections")
        func noWakeUps() throws {
            try withWorld {
                try app($0)
            } then: { world in
                try world.run("start", "app.socket")
                try world.run("start", "app")
                #expect(try socket(world, "app.socket").state == .running)
                let before = try wakeUps(world)
                for _ in 0..<50 {
                    let client = try RawConnection(port: world.port)
                    try client.send("GET / HTTP/1.0\r\n\r\n")
                    #expect(try client.readAnswer().hasSuffix("v1"))
                }
                let after = try wakeUps(world)
                // Other events may wake it (a log line, a timer of a second), but not fifty.
                #expect(after - before < 25)
                try world.run("stop", "app")
                let client = try RawConnection(port: world.port)
                try client.send("GET / HTTP/1.0\r\n\r\n")
                #expect(try client.readAnswer().hasSuffix("v1"), "stopped by hand it is started by the next connection")
            }
        }

        /// Voluntary context switches of the supervisor so far.
        private func wakeUps(_ world: World) throws -> Int {
            let text = try String(contentsOfFile: "/proc/\(world.daemon.pid)/status", encoding: .utf8)
            let line = text.split(separator: "\n").first { $0.hasPrefix("voluntary_ctxt_switches") }
            return try #require(line?.split(separator: "\t").last.flatMap { Int($0) })
        }

        @Test("A datagram and a line in a FIFO start a service that reads them")
        func otherKinds() throws {
            try withWorld {
                try reader($0, "datagram", listen: "ListenDatagram=\($0.path)/out/d", bytes: 5)
                try reader($0, "fifo", listen: "ListenFIFO=\($0.path)/run/f\nRemoveOnStop=yes", bytes: 5)
                try reader($0, "sequence", listen: "ListenSequentialPacket=\($0.path)/out/q", bytes: 0)
                // RTMGRP_IPV4_IFADDR: addresses that are added or removed.
                try reader($0, "netlink", listen: "ListenNetlink=route 16", bytes: 4)
            } then: { world in
                for name in ["datagram", "fifo", "sequence", "netlink"] {
                    #expect(try world.run("start", "\(name).socket").outcome == .started)
                }
                try sendDatagram("hello", to: "\(world.path)/out/d")
                try eventually("the datagram to be read") { world.contents("out/datagram") == "hello" }
                let fifo = try FileHandle(forWritingTo: URL(fileURLWithPath: "\(world.path)/run/f"))
                fifo.write(Data("world".utf8))
                try eventually("the line to be read") { world.contents("out/fifo") == "world" }
                let kinds = try world.sockets().map { "\($0.unit) \($0.kind.rawValue)" }
                #expect(
                    kinds == [
                        "datagram.socket datagram", "fifo.socket fifo", "netlink.socket netlink",
                        "sequence.socket sequential_packet",
                    ])
                #expect(try world.run("stop", "fifo.socket").outcome == .stopped)
                #expect(!FileManager.default.fileExists(atPath: "\(world.path)/run/f"), "RemoveOnStop=")
            }
        }

        @Test("A message of the kernel starts a service that reads it", .enabled(if: supervisorIsRoot))
        func netlink() throws {
            try withWorld {
                // RTMGRP_IPV4_IFADDR: addresses that are added or removed.
                try reader($0, "netlink", listen: "ListenNetlink=route 16", bytes: 4)
            } then: { world in
                #expect(try world.run("start", "netlink.socket").outcome == .started)
                // An address of this test's own, on the loopback interface.
                _ = try Program.run("ip", ["address", "add", "127.83.17.5/32", "dev", "lo"])
                defer { _ = try? Program.run("ip", ["address", "del", "127.83.17.5/32", "dev", "lo"]) }
                try eventually("the kernel's message to be read") { world.contents("out/netlink")?.utf8.count == 4 }
            }
        }

        /// Instances of `echo@.service` that the supervisor knows.
        private func instances(_ world: World) throws -> Int {
            try world.status().count { $0.unit.hasPrefix("echo@") && $0.unit != "echo@.service" }
        }

        @Test(
            "Accept=yes: an instance of the template for each connection, with the connection as its input and output")
        func accept() throws {
            try withWorld {
                try $0.unit(
                    "echo.socket", "[Socket]\nListenStream=127.0.0.1:\($0.port)\nAccept=yes\nMaxConnections=3\n")
                try $0.unit(
                    "echo@.service",
                    """
                    [Service]
                    StandardInput=socket
                    ExecStart=/bin/sh -c 'echo "$REMOTE_ADDR $REMOTE_PORT $LISTEN_FDS $LISTEN_FDNAMES %i"; exec cat'
                    """)
            } then: { world in
                #expect(try world.run("start", "echo.socket").outcome == .started)
                let first = try RawConnection(port: world.port)
                try first.send("hello\n")
                let local = try first.localPort()
                var lines = try first.readAll().split(separator: "\n").map(String.init)
                #expect(
                    lines == [
                        "127.0.0.1 \(local) 1 connection 0-127.0.0.1:\(world.port)-127.0.0.1:\(local)", "hello",
                    ])
                // Three connections at once; a fourth is refused until one of them has ended.
                var open = try (0..<3).map { _ in try RawConnection(port: world.port) }
                for client in open {
                    try client.send("x\n")
                    _ = try client.read()
                }
                #expect(try RawConnection(port: world.port).readAll() == "")
                #expect(try socket(world, "echo.socket").connections == 3)
                _ = try open.removeLast().readAll()
                try eventually("the instance to be gone") { try socket(world, "echo.socket").connections == 2 }
                lines = try RawConnection(port: world.port).readAll().split(separator: "\n").map(String.init)
                #expect(lines.first?.contains("4-127.0.0.1") == true)
                // Ended instances are not kept.
                try eventually("only two to be left") { try instances(world) == 2 }
                for client in open { _ = try client.readAll() }
                try eventually("all to be gone") { try instances(world) == 0 }
                #expect(try world.history().isEmpty, "a connection is no deploy")
            }
        }

        @Test("200 connections at once, each with an instance of its own: every one is answered, none refused")
        func manyConnections() throws {
            try withWorld {
                try $0.unit(
                    "echo.socket",
                    """
                    [Socket]
                    ListenStream=127.0.0.1:\($0.port)
                    Accept=yes
                    MaxConnections=200
                    TriggerLimitBurst=0
                    """)
                try $0.unit("echo@.service", "[Service]\nStandardInput=socket\nExecStart=/bin/cat\n")
            } then: { world in
                #expect(try world.run("start", "echo.socket").outcome == .started)
                let clients = try (0..<200).map { _ in try RawConnection(port: world.port) }
                for (index, client) in clients.enumerated() { try client.send("line \(index)") }
                for (index, client) in clients.enumerated() { #expect(try client.readAll() == "line \(index)") }
                let shown = try socket(world, "echo.socket")
                #expect(shown.accepted == 200)
            }
        }

        @Test("A service that cannot be started makes its socket fail at its limit, rather than be tried for ever")
        func triggerLimit() throws {
            try withWorld {
                try $0.unit("bad.socket", "[Socket]\nListenStream=127.0.0.1:\($0.port)\n")
                try $0.unit("bad.service", "[Service]\nExecStart=/bin/false\n")
                try $0.unit(
                    "fast.socket",
                    "[Socket]\nListenStream=\($0.path)/out/fast\nTriggerLimitBurst=3\nTriggerLimitIntervalSec=1min\nPollLimitBurst=0\n"
                )
                // Ends well without accepting the connection: started again and again.
                try $0.unit("fast.service", "[Service]\nExecStart=/bin/true\n")
            } then: { world in
                try world.run("start", "bad.socket")
                _ = try RawConnection(port: world.port)
                try eventually("the socket to fail") { try socket(world, "bad.socket").state == .failed }
                let bad = try socket(world, "bad.socket")
                #expect(bad.reason == "its service failed too often (StartLimitBurst=)" && bad.triggered == 6)
                #expect(throws: WaitedInVain.self) { _ = try RawConnection(port: world.port) }
                #expect(try world.run("start", "bad.socket").outcome == .started)
                try world.run("start", "fast.socket")
                _ = try RawConnection(unix: "\(world.path)/out/fast")
                try eventually("the socket to fail") { try socket(world, "fast.socket").state == .failed }
                let fast = try socket(world, "fast.socket")
                #expect(fast.reason?.contains("activated 3 times within") == true && fast.triggered == 3)
            }
        }

        @Test("An idle service is stopped and started again under a trickle of requests, and none is lost")
        func idleStop() throws {
            try withWorld {
                // Each restart counts as a start.
                try app(
                    $0, socket: "X-IdleStopSec=300ms\nTriggerLimitBurst=0\nPollLimitBurst=0",
                    service: "StartLimitIntervalSec=0")
            } then: { world in
                try world.run("start", "app.socket")
                for round in 0..<12 {
                    #expect(try RawConnection(port: world.port).sendsAndReads("v1"), "round \(round)")
                    // At all distances from the 300 ms, so that half of the requests find the service running, half of
                    // them stopped, and some stopping: no event reports these moments, so the service must answer at
                    // any time.
                    usleep(useconds_t(150_000 * (round % 6)))
                }
                try eventually("the service to be stopped") { try state(world, "app") == .stopped }
                #expect(try socket(world, "app.socket").triggered ?? 0 > 1)
                // A connection that stays open keeps the service running.
                let client = try RawConnection(port: world.port)
                try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                _ = try client.readAnswer()
                let main = try Watched(try world.mainPid("app.service"))
                // Three times the idle time; no event reports that nothing happens.
                usleep(1_000_000)
                #expect(!main.hasEnded)
            }
        }

        @Test("A template swap unit is started with the release that it had last; without one the socket says so")
        func swapUnit() throws {
            try withWorld {
                try $0.web()
                try $0.release("v1")
                try $0.unit(
                    "http.socket", "[Socket]\nListenStream=127.0.0.1:\($0.port)\nFileDescriptorName=http\n")
            } then: { world in
                #expect(try world.run("start", "http.socket").outcome == .started)
                _ = try RawConnection(port: world.port)
                try eventually("the socket to fail") { try socket(world, "http.socket").state == .failed }
                #expect(try socket(world, "http.socket").reason?.contains("release") == true)
                #expect(try world.run("swap", "web@v1").outcome == .started)
                #expect(try world.run("stop", "web").outcome == .stopped)
                #expect(try world.run("start", "http.socket").outcome == .started)
                let client = try RawConnection(port: world.port)
                try client.send("GET / HTTP/1.0\r\n\r\n")
                #expect(try client.readAnswer().hasSuffix("v1"))
            }
        }

        @Test("Commands of a socket run around its opening and closing; one that fails says so, and nothing is opened")
        func commands() throws {
            try withWorld {
                let note =
                    "/bin/sh -c 'echo $0 $(test -e \($0.path)/run/s && echo open || echo closed) >> \($0.path)/out/log'"
                try app(
                    $0, listen: "\($0.path)/run/s",
                    socket: """
                        RemoveOnStop=yes
                        Symlinks=\($0.path)/run/link
                        ExecStartPre=\(note) pre
                        ExecStartPost=\(note) post
                        ExecStopPre=\(note) stop
                        ExecStopPost=\(note) end
                        """)
                try $0.unit(
                    "bad.socket", "[Socket]\nListenStream=\($0.path)/run/b\nExecStartPre=/bin/sh -c 'exit 3'\n")
                try $0.unit("bad.service", "[Service]\nExecStart=/bin/true\n")
            } then: { world in
                #expect(try world.run("start", "app.socket").outcome == .started)
                #expect(try RawConnection(unix: "\(world.path)/run/link").sendsAndReads("v1"))
                try world.run("stop", "app")
                #expect(try world.run("stop", "app.socket").outcome == .stopped)
                #expect(world.contents("out/log") == "pre closed\npost open\nstop open\nend closed\n")
                var status = stat()
                #expect(lstat("\(world.path)/run/link", &status) != 0)
                let bad = try world.run("start", "bad.socket")
                #expect(bad.status != 0)
                #expect(bad.errors.contains("ExecStartPre= exited with status 3"), "\(bad.errors)")
                #expect(!FileManager.default.fileExists(atPath: "\(world.path)/run/b"))
            }
        }

        @Test("FlushPending= throws away what a service left behind; without it the next one gets it")
        func flushPending() throws {
            try withWorld {
                for (name, flush) in [("keep", "no"), ("flush", "yes")] {
                    try $0.unit(
                        "\(name).socket",
                        "[Socket]\nListenDatagram=\($0.path)/out/\(name).sock\nFlushPending=\(flush)\nTriggerLimitBurst=0\n"
                    )
                    // Takes one of the waiting datagrams.
                    try $0.unit(
                        "\(name).service",
                        """
                        [Service]
                        StandardInput=socket
                        ExecStart=/bin/sh -c 'sleep 0.3; head -c 1 >> \($0.path)/out/\(name)'
                        """)
                }
            } then: { world in
                for name in ["keep", "flush"] {
                    try world.run("start", "\(name).socket")
                    for text in ["1", "2", "3"] { try sendDatagram(text, to: "\(world.path)/out/\(name).sock") }
                }
                try eventually("all that was kept to be read") { world.contents("out/keep") == "123" }
                try eventually("the service to be gone") { try state(world, "flush") == .stopped }
                #expect(world.contents("out/flush") == "1")
                try sendDatagram("4", to: "\(world.path)/out/flush.sock")
                try eventually("what came afterwards to be read") { world.contents("out/flush") == "14" }
            }
        }
    }
}

extension RawConnection {
    func localPort() throws -> Int {
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard status == 0 else { throw WaitedInVain(what: "the port of a connection") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    fileprivate func sendsAndReads(_ body: String) throws -> Bool {
        try send("GET / HTTP/1.0\r\n\r\n")
        return try readAnswer().hasSuffix(body)
    }
}
