import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Relations between units: `[Unit]` of systemd.unit(5), and requests as transactions.
    @Suite struct Graph {
        /// A unit that records its start (`+name`) and stop (`-name`).
        func noted(_ layout: World.Layout, _ name: String, _ unit: String = "") throws {
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

        func sleeper(_ layout: World.Layout, _ name: String, _ unit: String = "") throws {
            try layout.unit("\(name).service", "[Unit]\n\(unit)\n[Service]\nExecStart=/usr/bin/sleep 1000\n")
        }

        /// Records since the last call.
        func notes(_ world: World) throws -> [String] {
            let text = world.contents("notes") ?? ""
            try world.layout().write("notes", "")
            return text.split(separator: "\n").map(String.init)
        }

        func isRunning(_ world: World, _ name: String) throws -> Bool {
            try world.status(name).first?.state == .running
        }

        func eventuallyStopped(_ world: World, _ name: String) throws {
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
        func notes(_ world: World, count: Int) throws -> Bool {
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
                #expect(late.contains("cannot start late.service: gate.service is not active (Requisite=)"), "\(late)")
                let inner = try refusal("start", "inner")
                #expect(inner.contains("cannot start inner.service: RefuseManualStart=yes"), "\(inner)")
                let needs = try refusal("start", "needs")
                #expect(needs.contains("broken.service"), "\(needs)")
                #expect(try notes(world) == [])
                #expect(try world.run("start", "hopes").outcome == .started)
                #expect(try world.run("start", "outer").outcome == .started)
                let stop = try refusal("stop", "inner")
                #expect(stop.contains("cannot stop inner.service: RefuseManualStop=yes"), "\(stop)")
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
                    start.result?.notes.contains { $0.contains("y.service skipped") } == true, "\(start.output)")
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
    }
}
