import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Sockets for programs that do not know systemd's convention.
    @Suite struct Conventions {
        /// A server in Python that finds its socket by the convention `how`, and answers `body`. Ends at SIGTERM, after
        /// its answer.
        static let server = """
            import os, re, signal, socket, sys
            how, body = sys.argv[1], sys.argv[2].encode()
            env = os.environ
            def number():
                if how == "fd-env": return int(env["LISTEN_FD_HTTP"])
                if how == "nginx": return int(env["NGINX"].split(";")[0])
                if how == "server-starter":
                    address, fd = env["SERVER_STARTER_PORT"].split(";")[0].rsplit("=", 1)
                    assert address == socket.socket(fileno=os.dup(int(fd))).getsockname()[0] + ":" + address.rsplit(":")[-1]
                    assert env["SERVER_STARTER_GENERATION"] == env["GENERATION"]
                    return int(fd)
                if how == "einhorn":
                    assert env["EINHORN_FD_COUNT"] == "1"
                    return int(env["EINHORN_FD_0"])
                if how == "stdin": return 0
            if how == "address":
                listener = socket.socket()
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((env["HOST"], int(env["PORT"])))
                assert env["LISTEN_ADDRESS"] == env["HOST"] + ":" + env["PORT"] == env["LISTEN_ADDRESS_OWN"]
                listener.listen(100)
            elif how == "path":
                listener = socket.socket(socket.AF_UNIX)
                listener.bind(env["LISTEN_ADDRESS"])
                listener.listen(100)
            else:
                listener = socket.socket(fileno=number())
            assert how == "fd-env" or "LISTEN_FDS" not in env, env
            leave = False
            def told(*_):
                global leave
                leave = True
            signal.signal(signal.SIGTERM, told)
            listener.settimeout(0.05)
            while not leave:
                try: connection, _ = listener.accept()
                except (TimeoutError, BlockingIOError): continue
                connection.settimeout(5)
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n%s" % (len(body), body))
                connection.close()

            """

        private func web(_ layout: World.Layout, _ convention: String, swap: String = "") throws {
            try layout.publicSocket()
            try layout.write("server.py", Self.server)
            try layout.unit(
                "web@.service",
                """
                [Service]
                Sockets=http.socket
                X-Handoff=\(convention)
                ExecStart=/usr/bin/python3 \(layout.path)/server.py \(convention) %i
                [X-Swap]
                ReadyProbe=http http.socket /
                SoakSec=100ms
                \(swap)
                """)
        }

        @Test(
            "A program finds its sockets by the convention that it knows, and is swapped without a lost request",
            arguments: ["fd-env", "nginx", "server-starter", "einhorn", "stdin"])
        func convention(_ name: String) throws {
            try withWorld {
                try web($0, name)
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                try underLoad(world, [.newConnections], until: "v2") { (_) throws in
                    #expect(try world.run("swap", "web@v2").outcome == .completed)
                }
                let pid = try world.mainPid("web@v2.service")
                let found = try #require(ProcessEntry(pid)).descriptors
                #expect(found.keys.sorted().filter { $0 < 4 } == (name == "stdin" ? [0, 1, 2] : [0, 1, 2, 3]))
            }
        }

        @Test("Several conventions at once; names that nobody knows are refused")
        func several() throws {
            try withWorld { layout in
                try web(layout, "fd-env")
                try layout.unit("web@.service.d/all.conf", "[Service]\nX-Handoff=systemd nginx\nX-Handoff=einhorn\n")
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                let seen = try #require(ProcessEntry(world.mainPid("web@v1.service"))).environment
                #expect(seen["LISTEN_FDS"] == "1" && seen["LISTEN_FD_HTTP"] == "3" && seen["NGINX"] == "3;")
                #expect(seen["EINHORN_FD_0"] == "3" && seen["SERVER_STARTER_PORT"] == nil)
                try world.layout().unit("web@.service.d/all.conf", "[Service]\nX-Handoff=enhorn\n")
                let refused = try world.run("swap", "web@v2")
                #expect(refused.status != 0)
                #expect(refused.output.contains(#"not \"enhorn\""#), "\(refused.output)")
                #expect(try world.generations("web").map(\.release) == ["v1"])
            }
        }

        /// `site@.target`: HAProxy in front of a backend that binds its address itself.
        private func binding(_ layout: World.Layout, how: String, listen: String) throws {
            try layout.site(
                app: "ExecStart=\nExecStart=/usr/bin/python3 \(layout.path)/server.py \(how) %i\nType=simple")
            try layout.write("server.py", Self.server)
            try layout.unit("app@.socket", "[Socket]\nFileDescriptorName=own\nX-Pass=address\nListenStream=\(listen)\n")
        }

        @Test(
            "X-Pass=address: a program that binds itself gets an address of its generation, proved by the probe and known to the proxy",
            arguments: [("address", "127.0.0.1:0"), ("path", "%t/site/app-%i.sock")])
        func address(_ how: String, _ listen: String) throws {
            try withWorld {
                try binding($0, how: how, listen: listen)
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                try underLoad(world, until: "v2") { _ in
                    let swap = try world.begin("swap", "site@v2")
                    try swap.waitFor(.soak)
                    let own = try world.sockets().filter { $0.unit.hasPrefix("app@") }
                    #expect(own.count == 2 && Set(own.map(\.address)).count == 2, "\(own)")
                    #expect(own.allSatisfy { !$0.listening && $0.holders.count == 1 }, "\(own)")
                    #expect(try swap.end().outcome == .completed)
                }
                #expect(try world.sockets().filter { $0.unit.hasPrefix("app@") }.count == 1)
                #expect(world.filesBelow(world.path + "/run/site").count == (how == "path" ? 1 : 0))
            }
        }

        @Test("X-Pass=address: a program that never listens is not ready")
        func neverListens() throws {
            try withWorld { layout in
                try binding(layout, how: "address", listen: "127.0.0.1:0")
                try layout.unit("site@.target.d/short.conf", "[X-Swap]\nReadyTimeoutSec=1s\n")
                try layout.unit("app@.service.d/deaf.conf", "[Service]\nExecStart=\nExecStart=/bin/sleep infinity\n")
            } then: { world in
                let start = try world.run("swap", "site@v1")
                #expect(
                    start.status == 7 && start.reason?.message.contains("Connection refused") == true, "\(start.output)"
                )
            }
        }
    }

    /// `X-Template=`
    @Suite struct Templates {
        private func site(_ layout: World.Layout) throws {
            try layout.site(edge: "X-Template=\(layout.path)/haproxy.cfg.mustache:haproxy.cfg\nEnvironment=LIMIT=77")
            try layout.unit(
                "edge@.service.d/rendered.conf",
                """
                [Service]
                X-Handoff=nginx
                ExecStartPre=
                ExecStart=
                ExecStartPre=/usr/sbin/haproxy -c -q -f ${GENERATION_DIRECTORY}/haproxy.cfg
                ExecStart=/usr/sbin/haproxy -Ws -f ${GENERATION_DIRECTORY}/haproxy.cfg
                """)
            let configuration = World.Layout.haproxy
                .replacingOccurrences(of: "${LISTEN_FD_HTTP}", with: "{{socket.http.fd}}")
                .replacingOccurrences(of: "${UPSTREAM_APP}", with: "{{upstream.app.address}}")
            #expect(configuration.contains("{{socket.http.fd}}") && configuration.contains("{{upstream.app.address}}"))
            try layout.write(
                "haproxy.cfg.mustache",
                "# {{unit}} {{release}} {{generation}} {{environment.LIMIT}}\n" + configuration)
        }

        @Test(
            "A proxy that knows no environment gets its sockets and upstreams in a file that is rendered for its generation"
        )
        func rendered() throws {
            try withWorld {
                try site($0)
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                try underLoad(world, until: "v2") { (_) throws in
                    #expect(try world.run("swap", "site@v2").outcome == .completed)
                }
                let pid = try world.mainPid("edge@v2.service")
                let directory = try #require(ProcessEntry(pid)?.environment["GENERATION_DIRECTORY"])
                let text = try String(contentsOfFile: "\(directory)/haproxy.cfg", encoding: .utf8)
                #expect(text.hasPrefix("# edge@v2.service v2 2 77\n"), "\(text.prefix(80))")
                #expect(text.contains("app-v2.sock.2") && text.contains("fd@3"))
            }
        }

        @Test("A template with a mistake ends the swap before anything is started, with file, line and what there is")
        func mistake() throws {
            try withWorld {
                try site($0)
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                let before = world.processes().map(\.pid).sorted()
                let text = try #require(world.contents("haproxy.cfg.mustache"))
                try world.layout().write(
                    "haproxy.cfg.mustache", "\n" + text.replacingOccurrences(of: "{{release}}", with: "{{relaese}}"))
                let swap = try world.run("swap", "site@v2")
                #expect(swap.status == 7 && swap.outcome == .rolledBack, "\(swap.output)")
                let message = swap.reason?.message ?? ""
                #expect(message.contains("\(world.path)/haproxy.cfg.mustache:2:"), "\(message)")
                #expect(message.contains("there is no relaese"), "\(message)")
                #expect(world.processes().map(\.pid).sorted() == before)
                try world.layout().remove("haproxy.cfg.mustache")
                let gone = try world.run("swap", "site@v2")
                #expect(gone.reason?.message.contains("haproxy.cfg.mustache: No such file") == true, "\(gone.output)")
            }
        }
    }
}
