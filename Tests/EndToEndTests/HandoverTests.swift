import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// The environment and descriptors of a program when it is executed.
    @Suite struct Handover {
        /// `show@.service`: writes its environment to `out/WHAT` and stays. Two sockets, one upstream.
        private func show(_ layout: World.Layout, service: String = "") throws {
            try layout.publicSocket()
            try layout.unit("show@.socket", "[Socket]\nListenStream=%t/site/show-%i.sock\n")
            try layout.unit(
                "show@.service",
                """
                [Service]
                Sockets=http.socket show@%i.socket
                X-Upstreams=show@%i.socket
                ExecStartPre=\(layout.path)/show pre
                ExecStart=\(layout.path)/show start
                \(service)
                [X-Swap]
                SoakSec=50ms
                """)
            try layout.write(
                "show",
                """
                #!/bin/sh
                { echo "PID=$$"; env; } > \(layout.path)/out/$1.$GENERATION
                ls -l /proc/self/fd > \(layout.path)/out/$1.fds
                if [ "$1" = start ]; then exec sleep infinity; fi
                """, mode: 0o755)
        }

        private func variables(_ world: World, _ file: String) throws -> [String: String] {
            let text = try #require(world.contents("out/\(file)"))
            let pairs = text.split(separator: "\n").compactMap { line -> (String, String)? in
                let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                return parts.count == 2 ? (parts[0], parts[1]) : nil
            }
            return Dictionary(pairs) { $1 }
        }

        @Test("The program sees its sockets, upstreams, generation and release, and so does ExecStartPre=")
        func environment() throws {
            try withWorld {
                try show($0, service: "Environment=\"OWN=two words\" OTHER=1")
            } then: { world in
                #expect(try world.run("swap", "show@v1").outcome == .started)
                let pid = try world.mainPid("show@v1.service")
                for (file, isMain) in [("pre.1", false), ("start.1", true)] {
                    let seen = try variables(world, file)
                    #expect(seen["LISTEN_FDS"] == "2", "\(file)")
                    #expect(seen["LISTEN_PID"] == seen["PID"], "\(file)")
                    let names = (seen["LISTEN_FDNAMES"] ?? "").split(separator: ":").map(String.init)
                    #expect(Set(names) == ["http", "show@v1.socket"], "\(file)")
                    let (http, own) = (Int(seen["LISTEN_FD_HTTP"] ?? ""), Int(seen["LISTEN_FD_SHOW"] ?? ""))
                    #expect(http == names.firstIndex(of: "http").map { $0 + 3 }, "\(file)")
                    #expect(own == names.firstIndex(of: "show@v1.socket").map { $0 + 3 }, "\(file)")
                    #expect(seen["UPSTREAM_SHOW"] == "\(world.path)/run/site/show-v1.sock.1", "\(file)")
                    #expect(seen["GENERATION"] == "1", "\(file)")
                    #expect(seen["RELEASE"] == "v1", "\(file)")
                    #expect(seen["OWN"] == "two words" && seen["OTHER"] == "1", "\(file)")
                    let directory = try #require(seen["GENERATION_DIRECTORY"])
                    #expect(FileManager.default.fileExists(atPath: directory), "\(file)")
                    if isMain { #expect(seen["PID"] == "\(pid)") }
                }
                let first = try variables(world, "start.1")["GENERATION_DIRECTORY"]
                #expect(try world.run("swap", "show@v2").outcome == .completed)
                let seen = try variables(world, "start.2")
                #expect(seen["GENERATION"] == "2" && seen["RELEASE"] == "v2")
                #expect(seen["UPSTREAM_SHOW"] == "\(world.path)/run/site/show-v2.sock.2")
                #expect(!FileManager.default.fileExists(atPath: first ?? "/"), "a generation's directory goes with it")
                #expect(!FileManager.default.fileExists(atPath: "\(world.path)/run/site/show-v1.sock.1"))
            }
        }

        @Test("A program has descriptors 0, 1, 2 and its sockets, and nothing else of the supervisor")
        func descriptors() throws {
            try withWorld {
                try show($0)
            } then: { world in
                for round in 1...3 {
                    #expect(try world.run("swap", "show@v\(round)").status == 0)
                    let pid = try world.mainPid("show@v\(round).service")
                    let found = try #require(ProcessEntry(pid)).descriptors
                    #expect(found.keys.sorted() == [0, 1, 2, 3, 4], "\(found)")
                    #expect(found[3]?.hasPrefix("socket:") == true && found[4]?.hasPrefix("socket:") == true)
                    // Descriptors of the command before the program: `ls` has one more, the directory that it lists.
                    let before = world.contents("out/pre.fds")?.split(separator: "\n").dropFirst().count
                    #expect(before == 6, "\(world.contents("out/pre.fds") ?? "")")
                }
            }
        }

        @Test("A proxy and its worker have descriptors of the held socket, and none of the supervisor's other files")
        func proxyDescriptors() throws {
            try withWorld {
                try $0.site()
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                let held = try #require(ProcessEntry(world.daemon.pid)).descriptors.values.filter {
                    $0.hasPrefix("socket:")
                }
                let proxies = world.processes(generation: 1).filter { $0.name == "haproxy" }
                #expect(proxies.count == 2)
                for proxy in proxies {
                    let shared = Set(proxy.descriptors.values).intersection(held)
                    #expect(shared.count == 1, "\(proxy): \(proxy.descriptors)")
                }
            }
        }

        @Test("EnvironmentFile= is read at every start, a missing one is an error unless it begins with -")
        func environmentFile() throws {
            try withWorld { layout in
                try show(
                    layout, service: "EnvironmentFile=\(layout.path)/releases/%i.env\nEnvironmentFile=-/nowhere/at/all")
                try layout.write("releases/v1.env", "# a comment\nCOLOUR='light green'\nEMPTY=\nA=1\nA=2\n")
            } then: { world in
                #expect(try world.run("swap", "show@v1").outcome == .started)
                let seen = try variables(world, "start.1")
                #expect(seen["COLOUR"] == "light green" && seen["EMPTY"] == "" && seen["A"] == "2")
                let missing = try world.run("swap", "show@v2")
                #expect(missing.outcome == .rolledBack)
                #expect(missing.reason?.message.contains("\(world.path)/releases/v2.env") == true, "\(missing.output)")
                try world.layout().write("releases/v1.env", "COLOUR=blue\n")
                #expect(try world.run("restart", "show").outcome == .completed)
                #expect(try variables(world, "start.3")["COLOUR"] == "blue")
            }
        }

        @Test(
            "User= runs the program as that user, who may write to the generation's directory",
            .enabled(if: supervisorIsRoot))
        func user() throws {
            try withWorld { layout in
                try layout.unit(
                    "who.service",
                    """
                    [Service]
                    Type=notify
                    NotifyAccess=all
                    User=nobody
                    ExecStart=/bin/sh -c 'id -un > $$GENERATION_DIRECTORY/who; exec /usr/bin/python3 \(layout.path)/ready.py'
                    [X-Swap]
                    SoakSec=0
                    """)
                try layout.write("ready.py", Notifications.ready)
            } then: { world in
                #expect(try world.run("start", "who").outcome == .started)
                let entry = try #require(ProcessEntry(world.mainPid("who.service")))
                let directory = try #require(entry.environment["GENERATION_DIRECTORY"])
                #expect(try String(contentsOfFile: "\(directory)/who", encoding: .utf8) == "nobody\n")
                #expect(entry.environment["USER"] == "nobody")
            }
        }
    }

    /// Rights to send sd_notify(3) messages.
    @Suite struct Notifications {
        /// Sends READY=1 and waits for SIGTERM.
        static let ready = """
            import os, socket, signal
            signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
            s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            s.sendto(b"READY=1\\nSTATUS=hello", os.environ["NOTIFY_SOCKET"])
            while True: signal.pause()

            """

        private func notify(_ layout: World.Layout, _ program: String, service: String = "", swap: String = "") throws {
            try layout.write("program.py", program)
            try layout.unit(
                "talk.service",
                """
                [Service]
                Type=notify
                TimeoutStartSec=1s
                ExecStart=/usr/bin/python3 \(layout.path)/program.py
                \(service)
                \(swap)
                """)
        }

        @Test("READY=1 from a process that is not of the service is ignored")
        func stranger() throws {
            try withWorld { layout in
                try layout.web(swap: "ReadyTimeoutSec=1s")
                try layout.release("v2", "--never-ready")
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                let swap = try world.begin("swap", "web@v2")
                try swap.waitFor(.start)
                let pid = try world.mainPid("web@v2.service")
                let stranger = try Datagrams(to: "\(world.runtime)/notify")
                for _ in 0..<20 {
                    stranger.send("READY=1")
                    stranger.send("READY=1\nMAINPID=\(pid)")
                    stranger.send("X_SERVICE=web@v2.service\nREADY=1")
                }
                #expect(try swap.end().outcome == .rolledBack)
                #expect(try world.generations("web").map(\.release) == ["v1"])
            }
        }

        @Test(
            "NotifyAccess=main: a child of the main process is not heard; NotifyAccess=all: it is",
            arguments: ["main", "all"])
        func child(_ access: String) throws {
            try withWorld { layout in
                try notify(
                    layout,
                    """
                    import os, socket, signal
                    if os.fork() == 0:
                        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                        s.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
                        os._exit(0)
                    while True: signal.pause()
                    """, service: "NotifyAccess=\(access)")
            } then: { world in
                let start = try world.run("start", "talk")
                #expect(start.outcome == (access == "all" ? .started : .failed), "\(start.output)")
                if access == "main" { #expect(start.status == 7) }
            }
        }

        @Test("MAINPID= moves the main process: the launcher may leave, the named one is watched and signalled")
        func mainPid() throws {
            try withWorld { layout in
                try notify(
                    layout,
                    """
                    import os, socket, signal, sys
                    child = os.fork()
                    if child == 0:
                        os.execv("/bin/sleep", ["sleep", "infinity"])
                    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                    s.sendto(b"MAINPID=%d\\nREADY=1" % child, os.environ["NOTIFY_SOCKET"])
                    os._exit(0)
                    """, service: "Restart=no")
            } then: { world in
                #expect(try world.run("start", "talk").outcome == .started)
                let main = try Watched(world.mainPid("talk.service"))
                #expect(ProcessEntry(Int(main.pid))?.name == "sleep")
                try eventually("the launcher to be gone") { world.processes().count == 1 }
                #expect(try world.status("talk").first?.state == .running)
                main.kill()
                try eventually("the end of the named process to be known") {
                    try world.status("talk").first?.state == .failed
                }
            }
        }

        @Test("MAINPID= of a process of somebody else is ignored")
        func foreignMainPid() throws {
            try withWorld { layout in
                try notify(
                    layout,
                    """
                    import os, socket, signal
                    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
                    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                    s.sendto(b"MAINPID=1\\nREADY=1", os.environ["NOTIFY_SOCKET"])
                    s.sendto(b"MAINPID=%d" % os.getppid(), os.environ["NOTIFY_SOCKET"])
                    s.sendto(b"STATUS=done", os.environ["NOTIFY_SOCKET"])
                    while True: signal.pause()
                    """)
            } then: { world in
                #expect(try world.run("start", "talk").outcome == .started)
                try eventually("the last message") {
                    try world.status("talk").first?.generations.first?.services.first?.statusText == "done"
                }
                #expect(try ProcessEntry(world.mainPid("talk.service"))?.name.hasPrefix("python3") == true)
            }
        }

        @Test("BARRIER=1: the descriptor is closed when everything before it was taken in")
        func barrier() throws {
            try withWorld { layout in
                try notify(
                    layout,
                    """
                    import os, select, socket, signal
                    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
                    path = os.environ["NOTIFY_SOCKET"]
                    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                    s.sendto(b"READY=1\\nSTATUS=before the barrier", path)
                    r, w = os.pipe()
                    s.connect(path)
                    socket.send_fds(s, [b"BARRIER=1"], [w])
                    os.close(w)
                    p = select.poll()
                    p.register(r, 0)
                    answered = p.poll(20000)
                    open("\(layout.path)/out/barrier", "w").write("passed" if answered else "nobody answered")
                    while True: signal.pause()
                    """)
            } then: { world in
                #expect(try world.run("start", "talk").outcome == .started)
                try eventually("the barrier") { !(world.contents("out/barrier") ?? "").isEmpty }
                #expect(world.contents("out/barrier") == "passed")
                let status = try world.status("talk").first?.generations.first?.services.first?.statusText
                #expect(status == "before the barrier")
            }
        }

        @Test(
            "systemd-notify of the distribution is understood",
            .enabled(if: access("/usr/bin/systemd-notify", X_OK) == 0))
        func systemdNotify() throws {
            try withWorld { layout in
                try layout.unit(
                    "talk.service",
                    """
                    [Service]
                    Type=notify
                    NotifyAccess=all
                    ExecStart=/bin/sh -c 'systemd-notify --ready --status="by the tool"; exec sleep infinity'
                    """)
            } then: { (world) throws in
                #expect(try world.run("start", "talk").outcome == .started)
                #expect(try world.status("talk").first?.generations.first?.services.first?.statusText == "by the tool")
            }
        }
    }
}
