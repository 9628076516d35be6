import Foundation
import Testing

extension EndToEnd {
    /// holdfastd is the same supervisor, and starts the same services, in whatever state it was started.
    @Suite struct Starter {
        /// Executes its arguments in an unusual state, which the first one names.
        private static let odd = """
            import os, resource, signal, sys
            kind, directory, command = sys.argv[1], sys.argv[2], sys.argv[3:]
            number = kind.rpartition(" ")[2]
            if kind == "closed all":
                for fd in range(3): os.close(fd)
            elif kind.startswith("closed "): os.close(int(number))
            elif kind == "descriptors":
                leak = os.open(directory + "/leak", os.O_CREAT | os.O_RDWR)
                for fd in (3, 4, 9, 200): os.dup2(leak, fd, inheritable=True)
                os.environ.update(LISTEN_PID="1", LISTEN_FDS="2")
            elif kind == "mask": signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            elif kind == "ignored":
                for s in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}: signal.signal(s, signal.SIG_IGN)
            elif kind == "timer": signal.setitimer(signal.ITIMER_REAL, 0.1)
            elif kind.startswith("umask "): os.umask(int(number, 8))
            elif kind == "relative":
                os.chdir(directory)
                command = [a.removeprefix(directory + "/") if i > 0 else a for i, a in enumerate(command)]
            elif kind == "environment":
                os.environ.update(FOO="bar", LC_ALL="tr_TR.UTF-8", LC_NUMERIC="de_DE.UTF-8", TMPDIR="/nowhere",
                    JOURNAL_STREAM="1:2", SYSTEMD_EXEC_PID="1", WATCHDOG_PID="1", WATCHDOG_USEC="1", INVOCATION_ID="x",
                    LISTEN_FDS="1", LISTEN_FDNAMES="x", TERM="xterm", GENERATION="9", LISTEN_FD_HTTP="7", MAINPID="1")
            elif kind == "limits":
                for which, soft in ((resource.RLIMIT_FSIZE, 4096), (resource.RLIMIT_NOFILE, 64)):
                    resource.setrlimit(which, (soft, resource.getrlimit(which)[1]))
            os.execv(command[0], command)

            """

        /// Records the process's own attributes.
        private static let look = """
            import json, os, re, resource, sys
            out = sys.argv[1]
            fds = {n: re.sub("[0-9]+(?=]|-look|.out|.err)", "N", os.readlink("/proc/self/fd/" + n))
                for n in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + n)}
            status = dict(line.split(":", 1) for line in open("/proc/self/status"))
            env = {k: v for k, v in os.environ.items() if k not in ("INVOCATION_ID", "SYSTEMD_EXEC_PID", "MANAGERPID")
                and not k.startswith("GENERATION")}
            own = {"fds": fds, "cwd": os.getcwd(), "env": env, "nice": os.nice(0),
                "status": {k: status[k] for k in ("Umask", "SigBlk", "SigIgn", "SigCgt")},
                "limits": {n: resource.getrlimit(getattr(resource, n)) for n in dir(resource) if n.startswith("RLIMIT_")}}
            with open(out + ".new", "w") as f: json.dump(own, f, indent=1, sort_keys=True)
            os.rename(out + ".new", out)

            """

        private func layOut(_ layout: World.Layout) throws {
            try layout.write("odd.py", Self.odd)
            try layout.write("look.py", Self.look)
            try layout.unit(
                "look.service",
                """
                [Service]
                Type=oneshot
                ExecStart=/usr/bin/python3 \(layout.path)/look.py \(layout.path)/out/look
                """)
            try layout.unit("bad.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'exit 3'\n")
        }

        /// Lines of /proc/PID/status. Caught signals are the Swift runtime's choice, before the program's first line.
        private func status(_ world: World) throws -> [String: String] {
            let text = try String(contentsOfFile: "/proc/\(world.daemon.pid)/status", encoding: .utf8)
            var found: [String: String] = [:]
            for line in text.split(separator: "\n") {
                let parts = line.split(separator: ":", maxSplits: 1)
                if parts.count == 2, ["Umask", "SigBlk", "SigIgn"].contains(String(parts[0])) {
                    found[String(parts[0])] = String(parts[1])
                }
            }
            return found
        }

        private func look(_ world: World) throws -> String {
            let start = try world.run("start", "look")
            #expect(start.status == 0, "\(start.errors)")
            return try #require(world.contents("out/look"))
        }

        /// Lines that only one of the two has.
        private func difference(_ left: String, _ right: String) -> [Substring] {
            let (left, right) = (left.split(separator: "\n"), right.split(separator: "\n"))
            return left.filter { !right.contains($0) } + right.filter { !left.contains($0) }
        }

        private func shutDown(_ world: World) throws {
            #expect(try world.control("shutdown").end() == 0)
            #expect(try world.daemon.end() == 0)
            world.forgetNotifications()
        }

        @Test(
            "Closed or further descriptors, signals blocked or ignored, a timer, umask, directory, environment: nothing of it counts"
        )
        func anyStart() throws {
            try withWorld {
                try layOut($0)
            } then: { world in
                let (own, service) = (try status(world), try look(world))
                let kinds = [
                    "closed 0", "closed 1", "closed 2", "closed all", "descriptors", "mask", "ignored", "timer",
                    "umask 077",
                    "umask 000", "relative", "environment",
                ]
                for kind in kinds {
                    try shutDown(world)
                    try world.beginAgain(under: ["python3", world.path + "/odd.py", kind, world.path])
                    try world.awaitReady()
                    let daemon = try #require(ProcessEntry(world.daemon.pid))
                    let descriptors = daemon.descriptors
                    #expect(Set(0...2).isSubset(of: descriptors.keys), "\(kind)")
                    #expect(!descriptors.values.contains(world.path + "/leak"), "\(kind)")
                    #expect(try status(world) == own, "\(kind)")
                    #expect(try difference(look(world), service) == [], "\(kind)")
                    let bad = try world.run("start", "bad")
                    #expect(bad.errors.contains("exited with status 3"), "\(kind): \(bad.errors)")
                    let lock = world.contents("run/holdfast/lock") ?? ""
                    #expect(lock == "\(world.daemon.pid)\n", "\(kind)")
                    #expect(!world.daemon.errorText.hasPrefix("<"), "\(kind): \(world.daemon.errorText)")
                    let directory = try FileManager.default.destinationOfSymbolicLink(
                        atPath: "/proc/\(world.daemon.pid)/cwd")
                    #expect(directory == "/", "\(kind)")
                    world.forgetNotifications()
                    let again = try world.control("daemon-reexec")
                    #expect(try again.end() == 0, "\(kind): \(again.errorText)")
                    #expect(try status(world) == own, "\(kind), after a re-exec")
                    #expect(try difference(look(world), service) == [], "\(kind), after a re-exec")
                }
            }
        }

        @Test(
            "Limits are those of the starter for services, also after a re-exec, and none for the supervisor's own files"
        )
        func limits() throws {
            try withWorld {
                try layOut($0)
            } then: { world in
                let service = try look(world)
                try shutDown(world)
                try world.beginAgain(under: ["python3", world.path + "/odd.py", "limits", world.path])
                try world.awaitReady()
                for _ in 0..<2 {
                    let limited = try look(world)
                    #expect(limited != service)
                    for value in ["RLIMIT_FSIZE\": [\n   4096", "RLIMIT_NOFILE\": [\n   64"] {
                        #expect(limited.contains(value), "\(limited)")
                    }
                    let own = try String(contentsOfFile: "/proc/\(world.daemon.pid)/limits", encoding: .utf8)
                    #expect(
                        own.split(separator: "\n").contains { $0.hasPrefix("Max file size             unlimited") },
                        "\(own)")
                    #expect(try world.control("daemon-reexec").end() == 0)
                }
            }
        }

        @Test(
            "holdfastctl with closed standard streams talks to the supervisor, and prints into no socket",
            arguments: 0...2)
        func client(_ closed: Int) throws {
            try withWorld {
                try layOut($0)
            } then: { world in
                let script = "exec \(closed)>&-; \"$@\""
                let command = ["-c", script, "sh", "\(World.binaries)/holdfastctl"]
                for arguments in [["status"], ["start", "look"], ["start", "nothing"]] {
                    let program = try Program.run("sh", command + arguments, environment: world.environment)
                    #expect(try program.end() == (arguments.last == "nothing" ? 1 : 0), "\(program.errorText)")
                }
                #expect(!world.daemon.errorText.contains("malformed"))
            }
        }
    }
}
