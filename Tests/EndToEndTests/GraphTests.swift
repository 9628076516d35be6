import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Relations between units: `[Unit]` of systemd.unit(5), and requests as transactions.
    @Suite struct Graph {
        /// A unit that records its start (`+name`) and stop (`-name`).
        private func noted(_ layout: World.Layout, _ name: String, _ unit: String = "") throws {
            let note = { (sign: String) in "/bin/sh -c 'echo \(sign)\(name) >> \(layout.path)/notes'" }
            try layout.unit(
                "\(name).service",
                """
                [Unit]
                \(unit)
                [Service]
                Type=oneshot
                RemainAfterExit=yes
                ExecStart=\(note("+"))
                ExecStop=\(note("-"))
                ExecReload=\(note("~"))
                """)
        }

        private func sleeper(_ layout: World.Layout, _ name: String, _ unit: String = "") throws {
            try layout.unit("\(name).service", "[Unit]\n\(unit)\n[Service]\nExecStart=/usr/bin/sleep 1000\n")
        }

        /// Records since the last call.
        private func notes(_ world: World) throws -> [String] {
            let text = world.contents("notes") ?? ""
            try world.layout().write("notes", "")
            return text.split(separator: "\n").map(String.init)
        }

        private func isRunning(_ world: World, _ name: String) throws -> Bool {
            try world.status(name).first?.state == .running
        }

        private func eventuallyStopped(_ world: World, _ name: String) throws {
            try eventually("\(name) to be stopped") { try world.status(name).first?.state == .stopped }
        }

        @Test(
            "BindsTo=: who is bound to a unit is stopped when it ends by itself, and is not when it is restarted by its rules"
        )
        func bindsTo() throws {
            try withWorld { layout in
                try sleeper(layout, "store")
                try sleeper(layout, "app", "BindsTo=store.service\nAfter=store.service")
                try sleeper(layout, "tail", "Requires=app.service")
                try layout.unit(
                    "steady.service", "[Service]\nExecStart=/usr/bin/sleep 1000\nRestart=always\nRestartSec=0\n")
                try sleeper(layout, "rider", "BindsTo=steady.service\nAfter=steady.service")
            } then: { world in
                #expect(try world.run("start", "tail").outcome == .started)
                #expect(try isRunning(world, "app") && isRunning(world, "store"))
                try Watched(world.mainPid("store.service")).kill()
                try eventuallyStopped(world, "app")
                try eventuallyStopped(world, "tail")
                let why = try world.control("why", "app").outputText.split(whereSeparator: \.isWhitespace)
                #expect(
                    why.joined(separator: " ").contains("stopped, because store.service is gone")
                )
                #expect(
                    world.daemon.errorText.contains(
                        "app.service: stopped, because store.service is gone"))
                #expect(try world.run("start", "rider").outcome == .started)
                let before = try world.mainPid("rider.service")
                let steady = try Watched(world.mainPid("steady.service"))
                steady.kill()
                try eventually("its successor") { try world.mainPid("steady.service") != Int(steady.pid) }
                #expect(try world.mainPid("rider.service") == before)
            }
        }

        @Test("PartOf= and Requires=: a stop and a restart take along who depends, in order; a start does not")
        func partOf() throws {
            try withWorld { layout in
                try noted(layout, "base")
                try noted(layout, "part", "PartOf=base.service\nAfter=base.service")
                try noted(layout, "user", "Requires=base.service\nAfter=part.service base.service")
                try noted(layout, "other", "Wants=base.service\nAfter=base.service")
            } then: { world in
                for name in ["base", "part", "user", "other"] { #expect(try world.run("start", name).status == 0) }
                #expect(try notes(world) == ["+base", "+part", "+user", "+other"])
                #expect(try world.run("restart", "base").outcome == .completed)
                try eventually("all of them to be up again") { try notes(world, count: 6) }
                #expect(try notes(world) == ["-user", "-part", "-base", "+base", "+part", "+user"])
                #expect(try world.run("stop", "base").outcome == .stopped)
                #expect(try notes(world) == ["-user", "-part", "-base"])
                #expect(try world.run("start", "base").outcome == .started)
                #expect(try notes(world) == ["+base"])
                #expect(try world.run("restart", "part").outcome == .started)
                #expect(try notes(world) == ["+part"])
            }
        }

        /// Whether there are that many records; they stay.
        private func notes(_ world: World, count: Int) throws -> Bool {
            (world.contents("notes") ?? "").split(separator: "\n").count == count
        }

        @Test("Conflicts=: the one that is started stops the other first, whichever of the two says so")
        func conflicts() throws {
            try withWorld { layout in
                try noted(layout, "day", "Conflicts=night.service")
                try noted(layout, "night")
                try noted(layout, "torn", "Requires=night.service\nConflicts=night.service")
            } then: { world in
                #expect(try world.run("start", "night").outcome == .started)
                #expect(try world.run("start", "day").outcome == .started)
                #expect(try notes(world) == ["+night", "-night", "+day"])
                #expect(try world.run("start", "night").outcome == .started)
                #expect(try notes(world) == ["-day", "+night"])
                let refused = try world.control("start", "torn")
                #expect(try refused.end() != 0)
                #expect(
                    refused.errorText.contains("night.service would have to be both started and stopped"),
                    "\(refused.errorText)")
                #expect(try isRunning(world, "night"))
            }
        }

        @Test(
            "Requisite=, RefuseManualStart=, RefuseManualStop=, masked and broken units: refused whole, with the reason, nothing begun"
        )
        func refusals() throws {
            try withWorld { layout in
                try noted(layout, "gate")
                try noted(layout, "late", "Requisite=gate.service\nAfter=gate.service\nWants=side.service")
                try noted(layout, "side")
                try noted(layout, "inner", "RefuseManualStart=yes\nRefuseManualStop=yes")
                try noted(layout, "outer", "Requires=inner.service\nAfter=inner.service")
                try layout.unit("broken.service", "[Service]\nType=wrong\nExecStart=/bin/true\n")
                try noted(layout, "hopes", "Wants=side.service broken.service")
                try noted(layout, "needs", "Wants=side.service\nRequires=broken.service")
            } then: { world in
                func refusal(_ words: String...) throws -> String {
                    let program = try Program.run(
                        "\(World.binaries)/holdfastctl", words, environment: world.environment)
                    #expect(try program.end() != 0, "\(words)")
                    return program.errorText
                }
                let late = try refusal("start", "late")
                #expect(late.contains("gate.service, which late.service requires to be active, is not"), "\(late)")
                let inner = try refusal("start", "inner")
                #expect(inner.contains("inner.service may not be started by hand (RefuseManualStart=)"), "\(inner)")
                let needs = try refusal("start", "needs")
                #expect(needs.contains("broken.service"), "\(needs)")
                #expect(try notes(world) == [])
                #expect(try world.run("start", "hopes").outcome == .started)
                #expect(try world.run("start", "outer").outcome == .started)
                let stop = try refusal("stop", "inner")
                #expect(stop.contains("inner.service may not be stopped by hand"), "\(stop)")
                #expect(try isRunning(world, "outer"))
                #expect(try world.run("start", "gate").outcome == .started)
                #expect(try world.run("start", "late").outcome == .started)
            }
        }

        @Test("An ordering cycle is refused with the whole cycle; where it can, a wanted unit is left out instead")
        func cycles() throws {
            try withWorld { layout in
                try noted(layout, "a", "Requires=b.service\nAfter=b.service")
                try noted(layout, "b", "Requires=c.service\nAfter=c.service")
                try noted(layout, "c", "Requires=a.service\nAfter=a.service")
                try noted(layout, "x", "Wants=y.service\nAfter=y.service")
                try noted(layout, "y", "After=x.service")
            } then: { world in
                let refused = try world.control("start", "a")
                #expect(try refused.end() != 0)
                #expect(
                    refused.errorText.contains(
                        "ordering cycle: a.service after b.service after c.service after a.service"),
                    "\(refused.errorText)")
                #expect(try notes(world) == [])
                let start = try world.run("start", "x")
                #expect(start.outcome == .started)
                #expect(
                    start.result?.notes.contains { $0.contains("y.service is left out") } == true, "\(start.output)")
                #expect(try notes(world) == ["+x"])
            }
        }

        @Test(
            "Upholds=: what is upheld is started again whenever it is down, by its own end or by an operator, while the other is up"
        )
        func upholds() throws {
            try withWorld { layout in
                try sleeper(layout, "keeper", "Upholds=worker.service")
                try sleeper(layout, "worker")
            } then: { world in
                #expect(try world.run("start", "keeper").outcome == .started)
                try eventually("worker") { try isRunning(world, "worker") }
                let first = try Watched(world.mainPid("worker.service"))
                first.kill()
                try eventually("its successor") {
                    let status = try world.status("worker").first
                    return status?.state == .running
                        && status?.generations.first?.services.first?.mainPid != Int(first.pid)
                }
                #expect(try world.run("stop", "worker").outcome == .stopped)
                try eventually("worker to be back") { try isRunning(world, "worker") }
                #expect(try world.run("stop", "keeper").outcome == .stopped)
                #expect(try world.run("stop", "worker").outcome == .stopped)
                #expect(try !isRunning(world, "worker"))
            }
        }

        @Test(
            "OnFailure= and OnSuccess=: started when a service has ended for good, not at each restart, and not for a release that was rolled back"
        )
        func triggers() throws {
            try withWorld { layout in
                try layout.unit(
                    "tell@.service",
                    "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'env > \(layout.path)/env-%i; echo %i >> \(layout.path)/notes'\n"
                )
                try layout.unit(
                    "job.service",
                    """
                    [Unit]
                    OnFailure=tell@failed.service
                    OnSuccess=tell@done.service
                    StartLimitBurst=3
                    StartLimitIntervalSec=1h
                    [Service]
                    ExecStart=/bin/sh -c 'echo run >> \(layout.path)/notes; test -e \(layout.path)/good'
                    Restart=on-failure
                    RestartSec=0
                    """)
                try sleeper(layout, "steady", "OnSuccess=tell@stopped.service")
                try layout.site()
                try layout.release("v1")
                try layout.release("v2", "--unhealthy")
                try layout.write("units/app@.service.d/tell.conf", "[Unit]\nOnFailure=tell@app-%i.service\n")
                try layout.write("units/site@.target.d/ready.conf", "[X-Swap]\nReadyTimeoutSec=1s\n")
            } then: { world in
                _ = try world.control("start", "job").end()
                try eventually("the end of its restarts") { try notes(world, count: 4) }
                #expect(try notes(world) == ["run", "run", "run", "failed"])
                let told = (world.contents("env-failed") ?? "").split(separator: "\n").map(String.init)
                #expect(told.contains("MONITOR_UNIT=job.service") && told.contains("MONITOR_SERVICE_RESULT=exit-code"))
                #expect(told.contains("MONITOR_EXIT_CODE=exited") && told.contains("MONITOR_EXIT_STATUS=1"))
                try world.layout().write("good", "")
                _ = try world.control("reset-failed", "job").end()
                _ = try world.control("start", "job").end()
                try eventually("its success") { world.contents("notes")?.contains("done") == true }
                #expect(try world.run("start", "steady").outcome == .started)
                #expect(try world.run("stop", "steady").outcome == .stopped)
                try eventually("word of its stop") { world.contents("notes")?.contains("stopped") == true }
                #expect(try world.run("swap", "site@v1").outcome == .started)
                #expect(try world.run("swap", "site@v2").outcome == .rolledBack)
                try Watched(world.mainPid("app@v1.service")).kill()
                try eventually("word of what really failed") { world.contents("notes")?.contains("app-v1") == true }
                #expect(try !notes(world).contains("app-v2"))
            }
        }

        @Test("StopWhenUnneeded=: a unit goes with the last one that needs it")
        func unneeded() throws {
            try withWorld { layout in
                try sleeper(layout, "helper", "StopWhenUnneeded=yes")
                try sleeper(layout, "one", "Wants=helper.service")
                try sleeper(layout, "two", "Requires=helper.service\nAfter=helper.service")
            } then: { world in
                #expect(try world.run("start", "one").outcome == .started)
                #expect(try world.run("start", "two").outcome == .started)
                #expect(try world.run("stop", "one").outcome == .stopped)
                #expect(try isRunning(world, "helper"))
                #expect(try world.run("stop", "two").outcome == .stopped)
                try eventuallyStopped(world, "helper")
            }
        }

        @Test("A target has a state: its units are asked for by it, and others depend on it")
        func targets() throws {
            try withWorld { layout in
                try layout.unit("stack.target", "[Unit]\nWants=web.service db.service\n")
                try noted(layout, "db")
                try noted(layout, "web", "After=db.service")
                try noted(layout, "cron", "PartOf=stack.target\nAfter=stack.target")
                try noted(layout, "audit", "Requires=stack.target\nAfter=stack.target")
                try noted(layout, "guest", "Requisite=stack.target")
            } then: { world in
                #expect(try world.control("start", "guest").end() != 0)
                #expect(try world.run("start", "audit").outcome == .started)
                #expect(try notes(world) == ["+db", "+web", "+audit"])
                #expect(try isRunning(world, "stack.target"))
                #expect(try world.run("start", "guest").outcome == .started)
                #expect(try world.run("start", "cron").outcome == .started)
                #expect(try notes(world) == ["+guest", "+cron"])
                #expect(try world.status().map(\.unit).contains("stack.target") == false, "lists are of services")
                #expect(try world.run("restart", "stack.target").status == 0)
                #expect(
                    try Set(notes(world))
                        == ["-audit", "-cron", "-web", "-db", "+db", "+web", "+audit", "+cron"])
                #expect(try world.run("stop", "stack.target").outcome == .stopped)
                let stopped = try notes(world)
                #expect(Set(stopped) == ["-audit", "-guest", "-cron", "-web", "-db"])
                #expect(stopped.firstIndex(of: "-web") ?? 9 < stopped.firstIndex(of: "-db") ?? 0)
                #expect(try !isRunning(world, "stack.target"))
            }
        }

        @Test("A part of a target that cannot be started is in the answer, which comes all the same")
        func brokenParts() throws {
            try withWorld { layout in
                try layout.unit("own@.socket", "[Socket]\nListenStream=\(layout.path)/run/own-%i\n")
                try noted(layout, "part")
                try layout.unit("stack.target", "[Unit]\nWants=part.service own@v1.socket\n")
            } then: { world in
                let start = try world.run("start", "stack.target")
                #expect(start.outcome == .failed && start.status != 0)
                #expect(
                    start.reason?.message.contains("own@v1.socket belongs to a generation") == true, "\(start.output)")
                #expect(try isRunning(world, "part"))
            }
        }

        @Test("A connection whose instance may not start is closed, and the next one is taken")
        func refusedConnections() throws {
            try withWorld { layout in
                try noted(layout, "gate")
                try layout.unit("echo.socket", "[Socket]\nListenStream=127.0.0.1:\(layout.port)\nAccept=yes\n")
                try layout.unit(
                    "echo@.service",
                    "[Unit]\nRequisite=gate.service\n[Service]\nStandardInput=socket\nExecStart=/bin/echo hello\n")
            } then: { world in
                #expect(try world.run("start", "echo.socket").outcome == .started)
                try RawConnection(port: world.port).awaitClose()
                // The log is read through a pipe of its own.
                try eventually("the reason in the log") {
                    world.daemon.errorText.contains("requires to be active, is not")
                }
                #expect(try world.run("start", "gate").outcome == .started)
                let answer = try RawConnection(port: world.port).read()
                #expect(String(decoding: answer, as: UTF8.self) == "hello\n")
            }
        }

        @Test("What has no unit file any more can still be reloaded and stopped")
        func withoutFile() throws {
            try withWorld { layout in
                try noted(layout, "old")
            } then: { world in
                #expect(try world.run("start", "old").outcome == .started)
                try world.layout().remove("units/old.service")
                #expect(try world.run("reload", "old.service").outcome == .completed)
                #expect(try world.run("stop", "old.service").outcome == .stopped)
                #expect(try notes(world) == ["+old", "~old", "-old"])
            }
        }

        @Test("PropagatesReloadTo= and PropagatesStopTo= reach the others")
        func propagation() throws {
            try withWorld { layout in
                try noted(layout, "front", "PropagatesReloadTo=back.service\nPropagatesStopTo=back.service")
                try noted(layout, "back")
                try noted(layout, "third", "ReloadPropagatedFrom=front.service")
            } then: { world in
                for name in ["front", "back", "third"] { #expect(try world.run("start", name).outcome == .started) }
                #expect(try notes(world) == ["+front", "+back", "+third"])
                #expect(try world.run("reload", "front").outcome == .completed)
                try eventually("all reloads") { try notes(world, count: 3) }
                #expect(try Set(notes(world)) == ["~front", "~back", "~third"])
                #expect(try world.run("stop", "front").outcome == .stopped)
                try eventuallyStopped(world, "back")
                #expect(try isRunning(world, "third"))
            }
        }

        @Test("PropagatesStopTo= and StopPropagatedFrom= act also when the unit ends by itself, PartOf= does not")
        func propagationOfEnds() throws {
            try withWorld { layout in
                try sleeper(layout, "front", "PropagatesStopTo=back.service")
                try noted(layout, "back")
                try noted(layout, "third", "StopPropagatedFrom=front.service")
                try noted(layout, "part", "PartOf=front.service")
            } then: { world in
                for name in ["front", "back", "third", "part"] {
                    #expect(try world.run("start", name).outcome == .started)
                }
                kill(pid_t(try world.mainPid("front.service")), SIGKILL)
                try eventuallyStopped(world, "back")
                try eventuallyStopped(world, "third")
                #expect(try isRunning(world, "part"))
            }
        }

        @Test("Before= of another unit counts, also at boot")
        func before() throws {
            try withWorld { layout in
                try noted(layout, "zeta", "Before=alpha.service")
                try noted(layout, "alpha")
                for name in ["zeta", "alpha"] {
                    try layout.write("units/\(name).service.d/i.conf", "[Install]\nWantedBy=multi-user.target\n")
                }
            } then: { world in
                #expect(try world.control("enable", "alpha", "zeta").end() == 0)
                try world.restart()
                try eventually("both") { try notes(world, count: 2) }
                #expect(try notes(world) == ["+zeta", "+alpha"])
            }
        }

        @Test(
            "What holds between units holds after a re-exec, and what happened while the supervisor was dead counts (I7)"
        )
        func survives() throws {
            try withWorld { layout in
                try sleeper(layout, "store")
                try sleeper(layout, "app", "BindsTo=store.service\nAfter=store.service\nPartOf=stack.target")
                try layout.unit("stack.target", "[Unit]\nWants=store.service\n")
                try sleeper(layout, "keeper", "Upholds=worker.service")
                try sleeper(layout, "worker")
            } then: { world in
                #expect(try world.run("start", "stack.target").status == 0)
                #expect(try world.run("start", "app").outcome == .started)
                #expect(try world.run("start", "keeper").outcome == .started)
                try eventually("worker") { try isRunning(world, "worker") }
                #expect(try world.control("daemon-reexec").end() == 0)
                try world.awaitReady()
                try Watched(world.mainPid("store.service")).kill()
                try eventuallyStopped(world, "app")
                #expect(try isRunning(world, "stack.target"))
                #expect(try world.run("start", "app").outcome == .started)
                let store = try Watched(world.mainPid("store.service"))
                let worker = try Watched(world.mainPid("worker.service"))
                try world.crash()
                store.kill()
                worker.kill()
                try store.awaitEnd()
                try worker.awaitEnd()
                try world.startAgain()
                try eventuallyStopped(world, "app")
                try eventually("worker to be back") { try isRunning(world, "worker") }
                #expect(try isRunning(world, "stack.target"))
            }
        }
    }
}
