import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// A release's changes to a socket that it shares with others end with the release.
    @Suite struct SocketAttributes {
        /// Answers its release's name; the path `/filter` makes its socket drop all packets, `/lock` locks that filter,
        /// and `/options` changes other options. Ends at SIGTERM.
        private static let server = """
            import ctypes, os, select, signal, socket, struct, sys
            s = socket.socket(fileno=3)
            running = True
            def end(*_):
                global running
                running = False
            signal.signal(signal.SIGTERM, end)
            s.setblocking(False)
            n = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            n.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
            def serve(c):
                c.settimeout(5)
                path = c.recv(4096).split(b" ")[1]
                if path in (b"/filter", b"/lock", b"/all"):
                    code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
                    s.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HP", 1, ctypes.addressof(code)))
                if path == b"/lock": s.setsockopt(socket.SOL_SOCKET, 44, 1)
                if path in (b"/options", b"/all"):
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    s.setsockopt(0, 21, 255)
                    s.setblocking(True)
                    s.listen(1)
                c.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(sys.argv[1]) + sys.argv[1].encode())
                c.close()
            while running:
                if not select.select([s], [], [], 0.05)[0]: continue
                try: c, _ = s.accept()
                except OSError: continue
                try: serve(c)
                except OSError: pass

            """

        private func layOut(_ layout: World.Layout) throws {
            try layout.publicSocket()
            try layout.write("server.py", Self.server)
            try layout.unit(
                "web@.service",
                """
                [Service]
                Type=notify
                Sockets=http.socket
                ExecStart=/usr/bin/python3 \(layout.path)/server.py %i
                [X-Swap]
                SoakSec=100ms
                DrainTimeoutSec=5s
                """)
        }

        private func answer(_ world: World, _ path: String = "/") throws -> String {
            let client = try RawConnection(port: world.port)
            try client.send("GET \(path) HTTP/1.0\r\n\r\n")
            return try client.readAnswer().components(separatedBy: "\r\n\r\n").last ?? ""
        }

        private func changes(_ world: World) throws -> [String: SocketChange] {
            let all = try world.sockets().filter { $0.unit == "http.socket" }.flatMap { $0.changes ?? [] }
            return Dictionary(all.map { ($0.attribute, $0) }) { $1 }
        }

        @Test("A filter that drops everything is removed as soon as a swap back begins, and its release is named")
        func filter() throws {
            try withWorld {
                try layOut($0)
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                #expect(try world.run("swap", "web@v2").outcome == .completed)
                #expect(try answer(world, "/filter") == "v2")
                #expect(try world.run("rollback", "web").outcome == .completed)
                for _ in 0..<20 { #expect(try answer(world) == "v1") }
                let change = try #require(try changes(world)["socket filter"])
                #expect(change.suspects == ["web@v2.service (generation 2)"] && change.problem == nil)
                let sentence = "web@v2.service (generation 2) changed socket filter from none to a classic BPF program"
                #expect(world.daemon.errorText.contains(sentence))
                #expect(try world.control("why", "http.socket").outputText.contains("web@v2.service (generation 2)"))
                #expect(try world.control("sockets").outputText.contains("socket filter was a classic BPF program"))
            }
        }

        @Test("One that is locked is told, and the next generation gets a new socket at the same address")
        func locked() throws {
            try withWorld {
                try layOut($0)
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                #expect(try world.run("swap", "web@v2").outcome == .completed)
                #expect(try answer(world, "/lock") == "v2")
                #expect(try world.run("swap", "web@v3").outcome == .completed)
                for _ in 0..<20 { #expect(try answer(world) == "v3") }
                #expect(world.daemon.errorText.contains("it cannot be put back: it is locked (SO_LOCK_FILTER)"))
                #expect(try world.sockets().filter { $0.unit == "http.socket" }.count == 1)
                #expect(try world.run("swap", "web@v4").outcome == .completed)
                try world.run("stop", "web")
                #expect(try world.run("start", "web@v4").outcome == .started)
                #expect(try answer(world) == "v4")
            }
        }

        @Test("A socket that nobody has any more, and that cannot be mended, is another one at the same address")
        func lockedAndStopped() throws {
            try withWorld {
                try layOut($0)
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                #expect(try answer(world, "/lock") == "v1")
                try world.run("stop", "web")
                let client = try RawConnection(port: world.port)
                try client.send("GET / HTTP/1.0\r\n\r\n")
                #expect(try world.run("start", "web@v2").outcome == .started)
                #expect(try client.readAnswer().hasSuffix("v2"), "who came meanwhile is served")
            }
        }

        @Test("What a release changed is put back also if the supervisor was killed or executed anew in between")
        func survives() throws {
            try withWorld {
                try layOut($0)
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                #expect(try answer(world, "/filter") == "v1")
                try world.crash()
                try world.startAgain()
                #expect(try world.control("daemon-reexec").end() == 0)
                try world.awaitReady()
                #expect(try world.run("swap", "web@v2").outcome == .completed)
                #expect(try answer(world, "/options") == "v2")
                try world.crash()
                try world.startAgain()
                let swap = try world.run("swap", "web@v3")
                #expect(swap.outcome == .completed, "\(swap.output) \(swap.errors)")
                #expect(try answer(world) == "v3")
                let found = try changes(world)
                #expect(found["socket filter"]?.suspects == ["web@v1.service (generation 1)"])
                for attribute in ["SO_RCVBUF", "IP_MINTTL", "O_NONBLOCK", "backlog"] {
                    let change = try #require(found[attribute], "\(found.keys)")
                    #expect(change.suspects == ["web@v2.service (generation 2)"] && change.problem == nil, "\(change)")
                }
                #expect(try world.sockets().first { $0.unit == "http.socket" }?.backlog == 4096)
            }
        }

        @Test("A plain service that exits and is started again finds its socket as its unit says")
        func restarted() throws {
            try withWorld { layout in
                try layout.publicSocket()
                try layout.write("server.py", Self.server)
                try layout.unit(
                    "app.service",
                    """
                    [Service]
                    Type=notify
                    Sockets=http.socket
                    ExecStart=/usr/bin/python3 \(layout.path)/server.py app
                    Restart=always
                    RestartSec=0
                    """)
            } then: { world in
                #expect(try world.run("start", "app").outcome == .started)
                let main = try Watched(try world.mainPid("app.service"))
                #expect(try answer(world, "/all") == "app")
                main.kill()
                for _ in 0..<20 { #expect(try answer(world) == "app") }
                let found = try changes(world)
                for attribute in ["socket filter", "SO_RCVBUF", "IP_MINTTL", "backlog"] {
                    #expect(found[attribute]?.suspects == ["app.service"], "\(attribute): \(found)")
                }
            }
        }
    }
}
