import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Service types, conditions and enabled units, with shell scripts as programs.
    @Suite struct Lifecycles {
        private func service(_ world: World, _ unit: String) throws -> ServiceStatus? {
            try world.status(unit).first?.generations.first?.services.first { $0.unit == unit }
        }

        @Test("forking: the daemon that the PID file names is the main process, and its end is the service's")
        func forking() throws {
            try withWorld { layout in
                try layout.write(
                    "daemon", "#!/bin/sh\nmkdir -p $1; echo $$ > $1/app.pid; exec sleep 1000\n", mode: 0o755)
                try layout.unit(
                    "app.service",
                    """
                    [Service]
                    Type=forking
                    PIDFile=\(layout.path)/run/late/app.pid
                    ExecStart=/bin/sh -c '\(layout.path)/daemon \(layout.path)/run/late &'
                    ExecStopPost=/bin/rm -r \(layout.path)/run/late
                    """)
            } then: { world in
                #expect(try world.run("start", "app").outcome == .started)
                let pid = try world.mainPid("app.service")
                #expect(world.contents("run/late/app.pid") == "\(pid)\n")
                #expect(try #require(ProcessEntry(pid)).arguments == ["sleep", "1000"])
                try Watched(pid).kill()
                try eventually("the end of the service") { try world.status("app").first?.state == .failed }
                // The supervisor is the process's parent by now, as its subreaper: so the exit status is known.
                let status = try world.status("app").first
                #expect(status?.reason?.contains("killed by SIGKILL") == true, "\(status?.reason ?? "no reason")")
                #expect(world.processes().map(\.description) == [])
            }
        }

        @Test("forking without a PID file: the only process that is left is the main process")
        func guessed() throws {
            try withWorld { layout in
                try layout.unit(
                    "app.service", "[Service]\nType=forking\nExecStart=/bin/sh -c '/usr/bin/sleep 1000 &'\n")
                try layout.unit(
                    "two.service",
                    "[Service]\nType=forking\nExecStart=/bin/sh -c '/usr/bin/sleep 1000 & /usr/bin/sleep 1001 &'\n")
            } then: { world in
                #expect(try world.run("start", "app").outcome == .started)
                #expect(try #require(ProcessEntry(world.mainPid("app.service"))).arguments.last == "1000")
                #expect(try world.run("start", "two").outcome == .started)
                #expect(try service(world, "two.service")?.mainPid == nil)
                #expect(try service(world, "two.service")?.state == .running)
                // The service is up as long as one of its processes lives.
                let main = try world.mainPid("app.service")
                for process in world.processes() where process.pid != main { try Watched(process.pid).kill() }
                try eventually("the end of two.service") { try world.status("two").first?.state == .stopped }
                #expect(try world.run("stop", "app").outcome == .stopped)
            }
        }

        @Test("a forking service whose PID file never comes fails its start by the time-out, and leaves nothing")
        func noPidFile() throws {
            try withWorld { layout in
                try layout.unit(
                    "app.service",
                    """
                    [Service]
                    Type=forking
                    PIDFile=\(layout.path)/never.pid
                    ExecStart=/bin/sh -c '/usr/bin/sleep 1000 &'
                    TimeoutStartSec=300ms
                    """)
            } then: { world in
                let start = try world.run("start", "app")
                #expect(start.outcome == .failed)
                #expect(world.processes().map(\.description) == [])
            }
        }

        @Test(
            "oneshot: started when all of its commands have ended; with RemainAfterExit= it is up until it is stopped")
        func oneshot() throws {
            try withWorld { layout in
                try layout.unit(
                    "once.service",
                    """
                    [Service]
                    Type=oneshot
                    RemainAfterExit=yes
                    ExecStart=/bin/sh -c 'echo one >> \(layout.path)/out/once'
                    ExecStart=/bin/sh -c 'echo two >> \(layout.path)/out/once'
                    ExecStop=/bin/sh -c 'echo three >> \(layout.path)/out/once'
                    """)
                try layout.unit(
                    "app.service",
                    "[Unit]\nRequires=once.service\nAfter=once.service\n[Service]\nExecStart=/usr/bin/sleep 1000\n")
            } then: { world in
                let start = try world.run("start", "app")
                #expect(start.outcome == .started)
                #expect(world.contents("out/once") == "one\ntwo\n")
                #expect(try service(world, "once.service")?.state == .exited)
                #expect(try world.run("stop", "once").outcome == .stopped)
                #expect(world.contents("out/once") == "one\ntwo\nthree\n")
                #expect(world.processes().map(\.description) == [], "what requires it is stopped with it")
            }
        }

        @Test("an unmet condition skips a start and says which; an assert fails it; both are looked at anew each time")
        func conditions() throws {
            try withWorld { layout in
                try layout.unit(
                    "app.service",
                    """
                    [Unit]
                    ConditionPathExists=\(layout.path)/out/wanted
                    AssertPathIsDirectory=\(layout.path)/out
                    AssertUser=\(layout.path.isEmpty ? "nobody" : "!nosuchuser")
                    [Service]
                    ExecStart=/usr/bin/sleep 1000
                    """)
                try layout.unit(
                    "bad.service", "[Unit]\nAssertPathExists=/no/such\n[Service]\nExecStart=/usr/bin/sleep 1000\n")
            } then: { world in
                let skipped = try world.run("start", "app")
                #expect(skipped.status == 0 && skipped.outcome == .skipped)
                let reason = "ConditionPathExists=\(world.path)/out/wanted does not hold"
                #expect(skipped.reason?.message == reason)
                for verb in ["start", "restart", "swap"] {
                    let told = try world.control(verb, "app")
                    #expect(try told.end() == 0)
                    #expect(told.outputLines.last == "app.service: skipped (\(reason))", "\(told.outputText)")
                }
                #expect(try world.status("app").map(\.reason) == ["skipped: \(reason)"])
                #expect(try world.control("why", "app").outputText.contains(reason))
                #expect(try world.history().contains { $0.outcome == .skipped && $0.reason == reason })
                #expect(
                    skipped.result?.notes == [
                        "app.service is not started: ConditionPathExists=\(world.path)/out/wanted does not hold"
                    ])
                #expect(world.processes().map(\.description) == [])
                try world.layout().write("out/wanted", "")
                #expect(try world.run("start", "app").result?.notes == [])
                #expect(world.processes().count == 1)
                let failed = try world.run("start", "bad")
                #expect(failed.outcome == .failed)
                #expect(failed.reason?.message.contains("AssertPathExists=/no/such does not hold") == true)
            }
        }

        @Test("what is enabled is started with the supervisor, sockets too; what is disabled or masked is not")
        func enabled() throws {
            try withWorld { layout in
                for name in ["on", "off"] {
                    try layout.unit(
                        "\(name).service",
                        "[Service]\nExecStart=/usr/bin/sleep 1000\n[Install]\nWantedBy=multi-user.target\n")
                }
                try layout.publicSocket()
                try layout.write(
                    "units/http.socket.d/install.conf", "[Install]\nWantedBy=sockets.target\n")
                try layout.web(swap: "SoakSec=0")
                try layout.write("units/web@.service.d/install.conf", "[Install]\nWantedBy=multi-user.target\n")
            } then: { world in
                func isEnabled(_ unit: String) throws -> String { try world.control("is-enabled", unit).outputText }
                #expect(try isEnabled("on") == "disabled\n")
                #expect(try world.control("enable", "on", "http.socket", "web").end() == 0)
                #expect(try world.control("enable", "--now", "off").end() == 0)
                #expect(try isEnabled("on") == "enabled\n" && isEnabled("web@v1") == "enabled\n")
                #expect(try world.run("swap", "web@v2").outcome == .started)
                #expect(try world.control("disable", "--now", "off").end() == 0)
                #expect(try isEnabled("off") == "disabled\n")
                #expect(try world.status("off").first?.state == .stopped)
                try world.restart()
                try eventually("the release that served last to serve again") {
                    try world.status("web").first?.state == .running
                }
                #expect(try world.status("web").first?.release == "v2")
                #expect(try world.status("on").first?.state == .running)
                #expect(try world.status("off").first?.state == .stopped)
                #expect(try world.sockets().map(\.unit) == ["http.socket"])
                #expect(try world.control("mask", "--now", "off").end() == 1, "a file is not replaced")
                try world.layout().remove("units/off.service")
                #expect(try world.control("mask", "off.service").end() == 0)
                #expect(try isEnabled("off.service") == "masked\n")
                #expect(try world.control("start", "off").errorText.contains("masked"))
                #expect(try world.control("unmask", "off.service").end() == 0)
            }
        }
    }
}
