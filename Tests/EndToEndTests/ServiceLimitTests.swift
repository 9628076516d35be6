import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Reloads by signal, watchdogs, time limits and start limits, with a program that sends the messages in its
    /// arguments.
    @Suite struct ServiceLimits {
        /// Speaks sd_notify(3), and records its signals and reloads in `out/NAME`.
        private static let program = #"""
            #!/usr/bin/env python3
            import os, signal, socket, sys, time
            name, *words = sys.argv[1:]
            def note(text):
                with open(f"@/out/{name}", "a") as file: file.write(text + "\n")
            def say(text):
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
                    connection.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])
            def reload(number, frame):
                note(signal.Signals(number).name)
                if "mute" not in words:
                    say(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
                    note("reloaded")
                    say("READY=1")
            def end(number, frame):
                note(signal.Signals(number).name)
                if "deaf" not in words or number == signal.SIGABRT:
                    signal.signal(number, signal.SIG_DFL)
                    os.kill(os.getpid(), number)
            for number in signal.SIGHUP, signal.SIGUSR1: signal.signal(number, reload)
            for number in signal.SIGTERM, signal.SIGABRT: signal.signal(number, end)
            # The first run does what it is told, those after it are well.
            again = os.path.exists(f"@/out/{name}")
            note("run")
            if "late" not in words: say("READY=1")
            if "shorter" in words and not again: say("WATCHDOG_USEC=100000")
            if "trigger" in words and not again: say("WATCHDOG=trigger")
            while True:
                if "feed" in words or again: say("WATCHDOG=1")
                time.sleep(0.02)
            """#

        private func service(_ world: World, _ unit: String) throws -> ServiceStatus? {
            try world.status(unit).first?.generations.first?.services.first { $0.unit == unit + ".service" }
        }

        private func noted(_ world: World, _ name: String) -> [String] {
            (world.contents("out/\(name)") ?? "").split(separator: "\n").map(String.init)
        }

        private func withServices(
            _ units: [(name: String, words: String, lines: String)], then body: (World) throws -> Void
        ) throws {
            try withWorld(
                { layout in
                    try layout.write("program", Self.program.replacing("@/", with: layout.path + "/"), mode: 0o755)
                    for unit in units {
                        try layout.unit(
                            "\(unit.name).service",
                            """
                            [Service]
                            Type=notify
                            ExecStart=\(layout.path)/program \(unit.name) \(unit.words)
                            TimeoutStopSec=20s
                            LimitCORE=0
                            \(unit.lines.replacing("@/", with: layout.path + "/"))
                            """)
                    }
                }, then: body)
        }

        @Test(
            "notify-reload: ReloadSignal= is sent, and the reload has ended when the service says that it is ready again"
        )
        func notifyReload() throws {
            try withServices([
                ("app", "", "Type=notify-reload"), ("other", "", "Type=notify-reload\nReloadSignal=SIGUSR1"),
                ("mute", "mute", "Type=notify-reload\nTimeoutStartSec=1s"),
            ]) { (world: World) throws in
                #expect(try world.run("start", "app", "other", "mute").status == 0)
                let pids = try ["app", "other", "mute"].map { try world.mainPid("\($0).service") }
                for (name, signal) in [("app", "SIGHUP"), ("other", "SIGUSR1")] {
                    for _ in 1...2 {
                        let reload = try world.run("reload", name)
                        #expect(reload.outcome == .completed, "\(reload.output)\(reload.errors)")
                    }
                    #expect(noted(world, name) == ["run", signal, "reloaded", signal, "reloaded"])
                    #expect(try service(world, name)?.state == .running)
                }
                let mute = try world.run("reload", "mute")
                #expect(mute.outcome == .failed, "\(mute.output)")
                #expect(noted(world, "mute") == ["run", "SIGHUP"])
                #expect(try ["app", "other", "mute"].map { try world.mainPid("\($0).service") } == pids)
            }
        }

        @Test("A watchdog that is not fed: SIGABRT, the result of a watchdog, and another run by Restart=on-watchdog")
        func watchdog() throws {
            let unit = """
                Restart=on-watchdog
                RestartSec=0
                ExecStopPost=/bin/sh -c 'echo $SERVICE_RESULT $EXIT_CODE $EXIT_STATUS >> @/out/result-%N'
                """
            try withServices([
                ("fed", "feed", "WatchdogSec=5s\n\(unit)"), ("missed", "", "WatchdogSec=300ms\n\(unit)"),
                ("shorter", "shorter", "WatchdogSec=1h\n\(unit)"), ("trigger", "trigger", "WatchdogSec=1h\n\(unit)"),
                ("unset", "shorter", "\(unit)"),
            ]) { (world: World) throws in
                let names = ["missed", "shorter", "trigger", "unset"]
                #expect(try world.run("start", "fed").outcome == .started)
                for name in names { #expect(try world.run("start", name).status == 0) }
                for name in names {
                    try eventually("the second run of \(name)") {
                        try noted(world, name) == ["run", "SIGABRT", "run"] && service(world, name)?.state == .running
                    }
                    #expect(try service(world, name)?.restarts == 1)
                    let result = world.contents("out/result-\(name)")
                    #expect(result == "watchdog killed ABRT\n" || result == "watchdog dumped ABRT\n", "\(name)")
                }
                #expect(noted(world, "fed") == ["run"] && world.contents("out/result-fed") == nil)
            }
        }

        @Test("TimeoutStartFailureMode= and TimeoutStopFailureMode=: by the kill signal, by SIGABRT, or at once")
        func failureModes() throws {
            let modes = ["terminate", "abort", "kill"]
            let starts = modes.map {
                (
                    name: "start-\($0)", words: "late feed",
                    lines: "TimeoutStartSec=1s\nTimeoutStartFailureMode=\($0)\n"
                        + "ExecStopPost=/bin/sh -c 'echo $SERVICE_RESULT $EXIT_STATUS >> @/out/start-\($0)'"
                )
            }
            let stops = modes.map {
                (
                    name: "stop-\($0)", words: "deaf feed",
                    lines: "TimeoutStopSec=500ms\nTimeoutAbortSec=20s\nTimeoutStopFailureMode=\($0)\n"
                        + "ExecStopPost=/bin/sh -c 'echo $EXIT_STATUS >> @/out/stop-\($0)'"
                )
            }
            try withServices(starts + stops) { (world: World) throws in
                let expected = ["terminate": ["SIGTERM", "timeout TERM"], "abort": ["SIGABRT", "timeout ABRT"]]
                for mode in modes {
                    let start = try world.run("start", "start-\(mode)")
                    #expect(
                        start.outcome == .failed && start.reason?.message.contains("1 s") == true, "\(start.errors)")
                    #expect(noted(world, "start-\(mode)") == ["run"] + (expected[mode] ?? ["timeout KILL"]))
                    #expect(try world.run("start", "stop-\(mode)").outcome == .started)
                    #expect(try world.run("stop", "stop-\(mode)").outcome == .stopped)
                    let end = mode == "abort" ? ["SIGABRT", "ABRT"] : ["KILL"]
                    #expect(noted(world, "stop-\(mode)") == ["run", "SIGTERM"] + end)
                }
            }
        }

        @Test(
            "RuntimeMaxSec= ends what runs so long, with ExecStop=, as a time-out that Restart=on-abnormal restarts after"
        )
        func runtimeMax() throws {
            try withServices([
                (
                    "app", "feed",
                    """
                    RuntimeMaxSec=500ms
                    Restart=on-abnormal
                    RestartSec=0
                    StartLimitBurst=2
                    StartLimitIntervalSec=1h
                    ExecStop=/bin/sh -c 'echo stop >> @/out/app'
                    ExecStopPost=/bin/sh -c 'echo $SERVICE_RESULT $EXIT_STATUS >> @/out/app'
                    """
                )
            ]) { (world: World) throws in
                #expect(try world.run("start", "app").outcome == .started)
                try eventually("the limit of starts") { try world.status("app").first?.state == .failed }
                let run = ["run", "stop", "SIGTERM", "timeout TERM"]
                try eventually("its last command") { noted(world, "app") == run + run }
            }
        }

        @Test("ExecReload= that fails fails the reload and not the service; ExecStartPre= that fails fails the start")
        func failingCommands() throws {
            try withServices([
                ("app", "feed", "ExecReload=-/bin/false\nExecReload=/bin/sh -c 'exit 9'\nExecReload=/bin/rm -r @/out"),
                (
                    "pre", "feed",
                    """
                    ExecStartPre=/bin/sh -c 'echo first >> @/out/pre'
                    ExecStartPre=/bin/sh -c 'exit 5'
                    ExecStartPre=/bin/sh -c 'echo third >> @/out/pre'
                    ExecStopPost=/bin/sh -c 'echo $SERVICE_RESULT >> @/out/pre'
                    """
                ),
            ]) { (world: World) throws in
                #expect(try world.run("start", "app").outcome == .started)
                let pid = try world.mainPid("app.service")
                let reload = try world.run("reload", "app")
                #expect(
                    reload.outcome == .failed && reload.reason?.exitStatus?.contains("status 9") == true,
                    "\(reload.output)")
                #expect(try world.mainPid("app.service") == pid && noted(world, "app") == ["run"])
                let start = try world.run("start", "pre")
                #expect(
                    start.outcome == .failed && start.reason?.exitStatus?.contains("status 5") == true,
                    "\(start.output)")
                #expect(noted(world, "pre") == ["first", "exit-code"])
            }
        }

        @Test("StartLimitBurst= counts starts by operators; reset-failed lets them go on, and clears what failed")
        func startLimit() throws {
            try withServices([("app", "feed", "StartLimitBurst=2\nStartLimitIntervalSec=1h")]) {
                (world: World) throws in
                for _ in 1...2 {
                    #expect(try world.run("start", "app").outcome == .started)
                    #expect(try world.run("stop", "app").outcome == .stopped)
                }
                #expect(try world.run("start", "app").outcome == .failed)
                #expect(try world.status("app").first?.state == .failed)
                #expect(try world.control("why", "app").outputText.contains("holdfastctl reset-failed app.service"))
                #expect(try world.control("reset-failed").outputText == "app.service: reset\n")
                #expect(try world.status("app").first?.state == .stopped)
                #expect(try world.run("start", "app").outcome == .started)
                #expect(try world.control("reset-failed", "app").end() == 0)
                #expect(try world.status("app").first?.state == .running)
                #expect(noted(world, "app").count { $0 == "run" } == 3)
            }
        }
    }
}

extension EndToEnd {
    /// The table of `Restart=` in systemd.service(5), with real ends of real processes.
    @Suite struct RestartTable {
        private static let ends: [(name: String, service: String)] = [
            ("exit0", "ExecStart=/bin/sh -c 'echo run >> @; exit 0'"),
            ("exit1", "ExecStart=/bin/sh -c 'echo run >> @; exit 1'"),
            ("clean", "ExecStart=/bin/sh -c 'echo run >> @; kill -TERM $$$$'"),
            ("signal", "ExecStart=/bin/sh -c 'echo run >> @; kill -KILL $$$$'"),
            (
                "timeout",
                "Type=notify\nTimeoutStartSec=100ms\nExecStart=/bin/sh -c 'echo run >> @; exec sleep 1000'"
            ),
            (
                "watchdog",
                "Type=notify\nNotifyAccess=all\nWatchdogSec=100ms\nLimitCORE=0\n"
                    + "ExecStart=/bin/sh -c 'echo run >> @; systemd-notify --ready; exec sleep 1000'"
            ),
        ]
        private static let table: [String: Set<String>] = [
            "no": [], "always": ["exit0", "exit1", "clean", "signal", "timeout", "watchdog"],
            "on-success": ["exit0", "clean"], "on-failure": ["exit1", "signal", "timeout", "watchdog"],
            "on-abnormal": ["signal", "timeout", "watchdog"], "on-abort": ["signal"], "on-watchdog": ["watchdog"],
        ]

        @Test("Each kind of end is followed by another run with exactly those values of Restart= that say so")
        func table() throws {
            let names = Self.table.keys.sorted().flatMap { policy in Self.ends.map { "\($0.name)-\(policy)" } }
            try withWorld { layout in
                for (policy, _) in Self.table {
                    for end in Self.ends {
                        let name = "\(end.name)-\(policy)"
                        // A restarted service would restart forever; the limit makes the second run the last one, so no
                        // wait is needed.
                        try layout.unit(
                            "\(name).service",
                            """
                            [Service]
                            Restart=\(policy)
                            RestartSec=0
                            StartLimitBurst=2
                            StartLimitIntervalSec=1h
                            TimeoutStopSec=10s
                            \(end.service.replacing("@", with: "\(layout.path)/out/\(name)"))
                            """)
                    }
                }
            } then: { (world: World) throws in
                for name in names { _ = try world.run("start", name) }
                try eventually("everything to have ended") {
                    try world.status().allSatisfy { $0.state == .stopped || $0.state == .failed }
                }
                for (policy, restarting) in Self.table {
                    for end in Self.ends {
                        let runs = world.contents("out/\(end.name)-\(policy)")?.split(separator: "\n").count
                        #expect(runs == (restarting.contains(end.name) ? 2 : 1), "\(end.name), Restart=\(policy)")
                    }
                }
            }
        }
    }
}
