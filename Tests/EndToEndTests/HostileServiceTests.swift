import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Services that try to take the supervisor's time from all others.
    @Suite struct HostileServices {
        /// Its main process lets its child trace it, and exits: a zombie that its parent cannot reap.
        private static let traced = """
            import ctypes, os, signal
            libc = ctypes.CDLL(None)
            libc.ptrace.argtypes = [ctypes.c_long] * 4
            libc.prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, where Yama asks for it
            reading, writing = os.pipe()
            if os.fork() == 0:
                traced = libc.ptrace(0x4206, os.getppid(), 0, 0) == 0  # PTRACE_SEIZE
                os.write(writing, b"y" if traced else b"n")
                signal.pause()
            os._exit(3 if os.read(reading, 1) == b"y" else 4)
            """

        /// CPU time of the supervisor so far, in clock ticks.
        private func ticks(_ world: World) throws -> Int {
            let text = try String(contentsOfFile: "/proc/\(world.daemon.pid)/stat", encoding: .utf8)
            let fields = text[text.lastIndex(of: ")")!...].split(separator: " ")
            return Int(fields[12])! + Int(fields[13])!
        }

        @Test(
            "A main process that is dead and traced by its own child counts as ended, costs no processor time, and stops nothing"
        )
        func tracedByItsChild() throws {
            try withWorld { layout in
                try layout.write("traced.py", Self.traced)
                try layout.unit(
                    "traced.service",
                    "[Service]\nExecStart=/usr/bin/python3 \(layout.path)/traced.py\nTimeoutStopSec=5s\n")
                try layout.unit("other.service", "[Service]\nExecStart=/bin/sleep 1000\n")
            } then: { world in
                #expect(try world.run("start", "traced").status == 0)
                try eventually("the end of the main process to be noticed") {
                    try world.status("traced").first?.state == .failed
                }
                let before = try ticks(world)
                #expect(try world.run("start", "other").status == 0)
                #expect(try world.run("stop", "other").status == 0)
                #expect(try ticks(world) - before < 50)
            }
        }

        /// Endless floods by which a service can keep the supervisor busy.
        private static let floods = [
            "exits": "ExecStart=/bin/true\nRestart=always\nRestartSec=0",
            "lines": "ExecStart=/usr/bin/yes",
            "orphans": "ExecStart=/bin/sh -c 'while :; do (setsid /bin/true &); done'",
            "messages":
                "NotifyAccess=all\nExecStart=/usr/bin/python3 -c 'import os, socket; s = socket.socket(1, 2); s.connect(os.environ[\"NOTIFY_SOCKET\"])\\nwhile 1: s.send(b\"STATUS=x\")'",
        ]

        @Test("Conditions that lead through whole file systems are looked at by another process, and answered")
        func conditions() throws {
            try withWorld { layout in
                try layout.write("there/a/b", "")
                for (name, pattern) in ["found": "there/*/b", "missing": "there/*/nothing"] {
                    try layout.unit(
                        "\(name).service",
                        """
                        [Unit]
                        ConditionPathExists=\(layout.path)/there
                        ConditionPathExistsGlob=\(layout.path)/\(pattern)
                        [Service]
                        ExecStart=/bin/sleep 1000
                        """)
                }
                try layout.unit(
                    "everything.service",
                    "[Unit]\nAssertPathExistsGlob=/*/*/*/*/*/*/nothing\n[Service]\nExecStart=/bin/sleep 1000\n")
            } then: { world in
                #expect(try world.run("start", "found").outcome == .started)
                let missing = try world.run("start", "missing")
                #expect(
                    missing.errors.contains("ConditionPathExistsGlob=")
                        || missing.output.contains("ConditionPathExistsGlob="))
                #expect(try world.status("missing").first?.state == .stopped)
                let before = try ticks(world)
                let start = try world.begin("start", "everything")
                try eventually("status to say what it waits for") {
                    let service = try world.status("everything").first?.generations.first?.services.first
                    return service?.waitingFor == "its conditions to be checked"
                }
                // Either the condition does not hold, or it could not be checked in time.
                let end = try start.end()
                #expect(end.errors.contains("PathExistsGlob="), "\(end.errors)")
                #expect(try ticks(world) - before < 100)
            }
        }

        @Test(
            "Services that end, print, leave orphans or report without end delay no timer, no request and no SIGTERM",
            arguments: ["exits", "lines", "orphans", "messages", "all"])
        func floods(kind: String) throws {
            let kinds = kind == "all" ? Self.floods.keys.sorted() : [kind]
            try withWorld { layout in
                for kind in kinds {
                    for number in 1...(kind == "exits" ? 3 : 1) {
                        try layout.unit(
                            "\(kind)-\(number).service",
                            "[Unit]\nStartLimitIntervalSec=0\n[Service]\nTimeoutStopSec=2s\n\(Self.floods[kind]!)\n")
                    }
                }
                try layout.unit(
                    "short.service", "[Service]\nExecStart=/bin/sleep 1000\nRuntimeMaxSec=1\nTimeoutStopSec=5s\n")
            } then: { world in
                for kind in kinds { #expect(try world.run("start", "\(kind)-*").status == 0) }
                #expect(try world.run("start", "short").status == 0)
                try eventually("the end of the time that short.service may run") {
                    try world.status("short").first?.state == .failed
                }
                world.daemon.send(SIGTERM)
                #expect(try world.daemon.end() == 0)
            }
        }

        @Test(
            "A user who may not ask cannot fill the log: a few lines, on whichever socket",
            .enabled(if: supervisorIsRoot))
        func refusals() throws {
            let ask = """
                import socket, sys
                path, bind = sys.argv[1:]
                for n in range(500):
                    s = socket.socket(socket.AF_UNIX)
                    s.connect(path)
                    s.sendall(b'{"method":"io.holdfast.Manager.Stop","parameters":{"name":"a"}}\\0')
                    s.recv(4096)
                    s = socket.socket(socket.AF_UNIX)
                    s.connect(bind)
                    assert s.recv(100) == b""
                """
            let bind = "/tmp/hf-bind-\(UInt32.random(in: 0 ... .max))"
            defer { unlink(bind) }
            try withWorld(arguments: ["--multibinder", bind]) { layout in
                try layout.write("ask.py", ask)
            } then: { world in
                let stranger = try Program.run(
                    "setpriv",
                    [
                        "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "/usr/bin/python3",
                        world.path + "/ask.py", world.controlSocket, bind,
                    ])
                #expect(try stranger.end() == 0, "\(stranger.errorText)")
                let lines = world.daemon.errorText.split(separator: "\n").count { $0.contains("was denied") }
                #expect(lines == 5)
            }
        }

        /// Names a hundred of its own processes as its main process, and then another service's as often as it can.
        private static let renaming = """
            import os, socket, time
            out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            out.connect(os.environ["NOTIFY_SOCKET"])
            for _ in range(100):
                pid = os.fork()
                if pid == 0:
                    time.sleep(1000)
                out.send(b"MAINPID=%d" % pid)
            for _ in range(1000):
                out.send(b"MAINPID=1")
            out.send(b"READY=1")
            time.sleep(1000)
            """

        @Test(
            "A service that names ever new main processes takes neither all descriptors of the supervisor nor its log")
        func everNewMains() throws {
            try withWorld { layout in
                try layout.write("renaming.py", Self.renaming)
                try layout.unit(
                    "renaming.service",
                    """
                    [Service]
                    Type=notify
                    NotifyAccess=all
                    ExecStart=/usr/bin/python3 \(layout.path)/renaming.py
                    TimeoutStopSec=5s
                    """)
            } then: { world in
                let descriptors = "/proc/\(world.daemon.pid)/fd"
                let before = try FileManager.default.contentsOfDirectory(atPath: descriptors).count
                #expect(try world.run("start", "renaming").status == 0)
                #expect(try FileManager.default.contentsOfDirectory(atPath: descriptors).count - before < 60)
                let complaints = world.daemon.errorText.split(separator: "\n").filter {
                    $0.contains("renaming.service")
                }
                // Of a thousand; the log accepts a hundred lines about a unit at once (LineBounds).
                #expect(complaints.count < 150)
                #expect(try world.run("stop", "renaming").status == 0)
            }
        }

        @Test(
            "A main process that has left its control group is told to end, and killed, all the same (needs cgroups)",
            .enabled(if: supervisorIsRoot && FileManager.default.isWritableFile(atPath: Self.rootOfGroups)),
            arguments: [true, false])
        func leftItsGroup(listens: Bool) throws {
            try withWorld { layout in
                try layout.unit(
                    "leaver.service",
                    """
                    [Service]
                    ExecStart=/bin/sh -c 'trap "\(listens ? "exit 3" : "")" TERM; echo $$$$ > \(Self.rootOfGroups) && touch \(layout.path)/out/left; while :; do sleep 0.1; done'
                    TimeoutStopSec=\(listens ? 20 : 1)
                    """)
            } then: { world in
                #expect(try world.run("start", "leaver").status == 0)
                try eventually("the service to leave its group") { world.contents("out/left") != nil }
                _ = try world.run("stop", "leaver")
                #expect(try world.status("leaver").first?.state == .failed)
                // Its child is in no group of the service either, and ends by itself.
                try eventually("the last sleep to end") { world.processes().isEmpty }
            }
        }

        private static var rootOfGroups: String {
            let unified = "/sys/fs/cgroup/unified/cgroup.procs"
            return FileManager.default.fileExists(atPath: unified) ? unified : "/sys/fs/cgroup/cgroup.procs"
        }
    }
}
