import Testing

@testable import Engine

/// `STOPPING=1` (sd_notify(3)) as in systemd 252: `TimeoutStopSec=` counts from then on, without a signal or
/// `ExecStop=`.
@Suite("A service that stops by its own word")
struct OwnStopTests {
    private let app = "app.service"
    private let group = GroupID("app.service")

    private static func message(_ change: (inout NotifyMessage) -> Void) -> NotifyMessage {
        var message = NotifyMessage()
        change(&message)
        return message
    }
    private let stopping = message { $0.stopping = true }

    private func running(_ change: (inout ServiceSpec) -> Void = { _ in }) -> Bench {
        var bench = Bench()
        bench.start(
            Plans.service(app) { spec in
                spec.type = .notify
                spec.commands.stop = [.no]
                change(&spec)
            })
        bench.ready(app)
        _ = bench.takeLog()
        return bench
    }

    private func end(_ bench: Bench) -> String {
        guard bench.service(app) == nil else { return "there" }
        return bench.view(app)?.lastFailure.map { "\($0.step) \($0.cause.serviceResult)" } ?? "clean"
    }

    @Test("nothing is sent before TimeoutStopSec= is over; then SIGKILL, and the result is timeout")
    func neverEnds() {
        var bench = running()
        bench.notify(app, stopping)
        bench.pass(.seconds(89))
        #expect(bench.service(app)?.phase == .stopping)
        #expect(bench.takeLog("signal", "kill", "stop") == [])
        bench.pass(.seconds(1))
        #expect(bench.takeLog("signal", "kill", "stop") == ["kill tree of app.service"])
        #expect(end(bench) == "leave timeout")

        var aborted = running { $0.lifecycle.stopFailureMode = .abort }
        aborted.notify(app, stopping)
        aborted.pass(.seconds(90))
        #expect(aborted.takeLog("signal", "kill") == ["signal 6 tree of app.service"])

        var spared = running { $0.sendsFinalKill = false }
        spared.notify(app, stopping)
        spared.pass(.seconds(90))
        #expect(spared.takeLog("signal", "kill") == ["signal 15 tree of app.service"])
    }

    @Test("an end in time is judged as any other, and what it leaves behind gets the kill signal")
    func endsInTime() {
        for (status, expected) in [(Ended.exited(0), "clean"), (.exited(7), "leave exit-code")] {
            var bench = running()
            bench.notify(app, stopping)
            bench.exit(app, status)
            #expect(end(bench) == expected)
            #expect(bench.takeLog("stop ") == [])
        }
        var bench = Bench()
        bench.strayChildren = [app]
        bench.start(Plans.service(app))
        _ = bench.takeLog()
        bench.notify(app, stopping)
        bench.exit(app)
        #expect(bench.takeLog("signal", "kill") == ["signal 15 tree of app.service"])
        bench.treeEnds(app)
        #expect(end(bench) == "clean")
    }

    @Test("RuntimeMaxSec= and the watchdog end with it")
    func otherLimits() {
        var bench = running { ($0.lifecycle.runtimeMax, $0.lifecycle.watchdog) = (.seconds(5), .seconds(5)) }
        bench.notify(app, stopping)
        bench.pass(.seconds(80))
        #expect(bench.takeLog("signal", "kill") == [])
        bench.exit(app)
        #expect(end(bench) == "clean")
    }

    @Test(
        "before it is up it waits until ExecStartPost= is done, and during a reload until that is; READY=1 takes it back"
    )
    func waitsForItsTime() {
        var bench = Bench()
        bench.hanging = ["startPost app.service"]
        bench.start(Plans.service(app) { $0.commands.startPost = [.no] })
        bench.notify(app, stopping)
        #expect(bench.service(app)?.phase == .startPost)
        bench.endControl("startPost app.service")
        #expect(bench.service(app)?.phase == .stopping)

        var early = Bench()
        early.start(Plans.service(app) { $0.type = .notify })
        early.notify(app, stopping)
        early.ready(app)
        #expect(early.service(app)?.phase == .running)

        for takesBack in [false, true] {
            var reloading = running { $0.commands.reload = [.no] }
            reloading.hanging = ["reload app.service"]
            reloading.command(.reload(group))
            reloading.notify(app, stopping)
            if takesBack { reloading.ready(app) }
            #expect(reloading.service(app)?.phase == .reloading)
            reloading.endControl("reload app.service")
            #expect(reloading.service(app)?.phase == (takesBack ? .running : .stopping))
        }
    }

    @Test("a stop meanwhile sends nothing and gives no more time; drain-now does")
    func stopMeanwhile() {
        var bench = running()
        bench.notify(app, stopping)
        bench.pass(.seconds(60))
        bench.command(.stop(group))
        #expect(bench.takeLog("signal", "kill", "stop app") == [])
        bench.pass(.seconds(30))
        #expect(bench.takeLog("kill") == ["kill tree of app.service"])

        bench = Bench.servingSite()
        bench.notify("edge@v1.service", stopping)
        bench.swapReady("v2")
        #expect(bench.takeLog("signal") == [])
        bench.command(.drain(Plans.site, DrainRequest(isNow: true)))
        #expect(bench.takeLog("signal").first == "signal 15 tree of edge@v1.service")
    }

    @Test("a generation on trial that says so is rolled back; one that drains is only doing what it was told")
    func inSwaps() {
        var bench = Bench.servingSite()
        bench.swap(Plans.site("v2"))
        bench.ready("app@v2.service")
        bench.notify("app@v2.service", stopping)
        bench.exit("app@v2.service")
        #expect(bench.results.last?.outcome == .rolledBack)
        #expect(bench.results.last?.failure?.cause == .text("sent STOPPING=1 during the soak"))

        bench = Bench.servingSite()
        bench.swapReady("v2")
        bench.notify("edge@v1.service", stopping)
        #expect(bench.service("edge@v1.service")?.phase == .draining)
    }

    @Test("after a crash it still is not signalled, whatever KillMode= says")
    func afterCrash() throws {
        var bench = running { ($0.killMode, $0.notifyAccess) = (.mixed, .all) }
        bench.notify(app, stopping)
        try bench.pause(.seconds(5))
        var found = SurvivingState()
        found.instances = Set(bench.specs.keys)
        var engine = bench.engine
        let signals = engine.recovery(found).filter {
            switch $0 {
            case .signal, .signalTree, .killTree: true
            default: false
            }
        }
        #expect(signals.isEmpty)
    }
}
