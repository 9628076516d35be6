import ControlProtocol
import Foundation
import Testing

/// Targets, and what one unit's end, reload or boot does to others.
extension EndToEnd.Graph {
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
                world.daemon.errorText.contains("gate.service is not active (Requisite=)")
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
