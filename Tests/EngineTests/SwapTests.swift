import Testing

@testable import Engine

@Suite("Swaps")
struct SwapTests {
    private let site = "site@.target"

    @Test("services start in the order of After=, each only when those before it are ready")
    func startOrder() {
        var bench = Bench()
        bench.start(Plans.site("v1"))
        #expect(bench.takeLog("start") == ["start app@v1.service"])
        bench.ready("app@v1.service")
        #expect(bench.takeLog("start") == ["start edge@v1.service"])
        #expect(bench.serving(site) == nil)
        bench.ready("edge@v1.service")
        #expect(bench.serving(site) == 1)
        #expect(bench.results.map(\.outcome) == [.completed])
    }

    @Test("the private tier is proved and soaked before the public tier starts")
    func privateTierFirst() {
        var bench = Bench.servingSite()
        bench.swap(Plans.site("v2"))
        bench.ready("app@v2.service")
        bench.pass(.milliseconds(4999))
        #expect(bench.takeLog("start") == ["start app@v2.service"])
        bench.pass(.milliseconds(1))
        #expect(bench.takeLog("start") == ["start edge@v2.service"])
    }

    @Test("the old generation is told to drain only when the whole new one has been ready for the soak")
    func cutoverAfterSoak() {
        var bench = Bench.servingSite()
        bench.swap(Plans.site("v2"))
        bench.ready("app@v2.service")
        bench.pass(.seconds(5))
        bench.ready("edge@v2.service")
        bench.pass(.milliseconds(4999))
        #expect(bench.takeLog("signal", "serving") == [])
        bench.pass(.milliseconds(1))
        #expect(bench.takeLog("signal", "serving") == ["serving 2", "signal 10 edge@v1.service"])
    }

    @Test("a backend is told to drain only when its proxy is gone")
    func drainInReverseOrder() {
        var bench = Bench.servingSite()
        bench.swapReady("v2")
        _ = bench.takeLog()
        bench.exit("edge@v1.service")
        #expect(bench.takeLog("signal 15 app@v1.service") == ["signal 15 app@v1.service"])
        #expect(bench.engine.drains(of: Plans.site).map(\.generation.number) == [1])
        bench.exit("app@v1.service")
        #expect(bench.takeLog("gone", "release") == ["gone app@v1.service", "release 1"])
        #expect(bench.drained.map(\.generation.number) == [1] && bench.drained.last?.operation == 2)
        #expect(bench.results.last?.outcome == .completed)
        #expect(bench.results.last?.from?.release == "v1")
        #expect(bench.results.last?.to?.release == "v2")
    }

    @Test("a grandchild that stays behind keeps its proxy's tier from counting as gone")
    func grandchildIsWaitedFor() {
        var bench = Bench()
        bench.strayChildren = ["edge@v1.service"]
        bench.start(Plans.site("v1"))
        bench.ready("app@v1.service")
        bench.ready("edge@v1.service")
        bench.swapReady("v2")
        _ = bench.takeLog()
        bench.exit("edge@v1.service")
        #expect(bench.takeLog("signal") == ["signal 15 tree of edge@v1.service"])
        bench.pass(.seconds(90))
        #expect(
            bench.takeLog("kill", "signal").prefix(2) == ["kill tree of edge@v1.service", "signal 15 app@v1.service"])
    }

    @Test("what does not drain in time gets the kill signal, then SIGKILL")
    func drainTimeout() {
        var bench = Bench.servingSite()
        bench.swapReady("v2")
        _ = bench.takeLog()
        bench.pass(.milliseconds(59_999))
        #expect(bench.takeLog("signal", "kill") == [])
        bench.pass(.milliseconds(1))
        #expect(bench.takeLog("signal", "kill") == ["signal 15 tree of edge@v1.service"])
        bench.pass(.milliseconds(89_999))
        #expect(bench.takeLog("signal", "kill") == [])
        bench.pass(.milliseconds(1))
        #expect(bench.takeLog("signal", "kill") == ["kill tree of edge@v1.service", "signal 15 app@v1.service"])
    }

    @Test("drainNow ends the wait for what drains, with the kill signal first")
    func drainNow() {
        var bench = Bench.servingSite()
        bench.swapReady("v2")
        _ = bench.takeLog()
        bench.command(.drain(Plans.site, DrainRequest(isNow: true)))
        #expect(bench.takeLog("signal", "kill") == ["signal 15 tree of edge@v1.service"])
        bench.command(.drain(Plans.site, DrainRequest(isNow: true)))
        // Its backend is not left to finish, either.
        #expect(
            bench.takeLog("kill", "signal") == [
                "kill tree of edge@v1.service", "signal 15 app@v1.service", "signal 15 tree of app@v1.service",
            ])
        bench.exit("app@v1.service")
        #expect(bench.drained.last?.force == .request)
        bench.command(.drain(Plans.site, DrainRequest(isNow: true)))
        #expect(bench.refusals == [.nothingDrains(Plans.site)])
    }

    // MARK: - Rollback at each phase

    private func expectRolledBack(_ bench: Bench, _ unit: String, _ step: Failure.Step, _ cause: Failure.Cause) {
        #expect(bench.serving(site) == 1)
        #expect(bench.service("app@v1.service")?.phase == .running)
        #expect(bench.service("edge@v1.service")?.phase == .running)
        let result = bench.results.last
        #expect(result?.outcome == .rolledBack)
        #expect(result?.failure?.unit == unit)
        #expect(result?.failure?.step == step)
        #expect(result?.failure?.cause == cause)
        #expect(bench.log.contains("release 2"))
        #expect(!bench.log.contains { $0.hasPrefix("signal") && $0.contains("v1") })
    }

    @Test("sockets that cannot be opened roll the swap back with that reason")
    func prepareFails() {
        var bench = Bench.servingSite()
        let failure = Failure(unit: "app@v2.socket", step: .prepare, cause: .text("Address already in use"))
        bench.preparationFailure = failure
        bench.swap(Plans.site("v2"))
        expectRolledBack(bench, "app@v2.socket", .prepare, .text("Address already in use"))
    }

    @Test("a program that is not there rolls the swap back with the step that failed")
    func spawnFails() {
        var bench = Bench.servingSite()
        bench.notExecutable = ["start app@v2.service"]
        bench.swap(Plans.site("v2"))
        expectRolledBack(
            bench, "app@v2.service", .start, .spawn("executing /srv/x: No such file or directory", status: 203))
    }

    @Test("an ExecStartPre= that fails rolls the swap back with its exit status")
    func startPreFails() {
        var bench = Bench.servingSite()
        bench.endings = ["startPre edge@v2.service": .exited(1)]
        var plan = Plans.site("v2")
        plan.services[1].commands.startPre = [.no]
        bench.swap(plan)
        bench.ready("app@v2.service")
        bench.pass(.seconds(5))
        bench.exit("app@v2.service")
        expectRolledBack(bench, "edge@v2.service", .startPre, .exited(.exited(1)))
        #expect(!bench.log.contains("start edge@v2.service"))
    }

    @Test("a program that exits at once rolls the swap back with its exit status")
    func exitsAtOnce() {
        var bench = Bench.servingSite()
        bench.swap(Plans.site("v2"))
        bench.exit("app@v2.service", .exited(3))
        expectRolledBack(bench, "app@v2.service", .readiness, .exited(.exited(3)))
    }

    @Test("a program that never gets ready rolls the swap back when ReadyTimeoutSec= is over")
    func neverReady() {
        var bench = Bench.servingSite()
        bench.swap(Plans.site("v2"))
        bench.pass(.milliseconds(29_999))
        #expect(bench.phase(site) == .start)
        bench.pass(.milliseconds(1))
        #expect(bench.phase(site) == .rollBack)
        bench.exit("app@v2.service")
        expectRolledBack(bench, "app@v2.service", .readiness, .timedOut(.seconds(30)))
    }

    @Test("a probe that never agrees rolls the swap back with its last answer")
    func probeFails() {
        var bench = Bench.servingSite()
        bench.probeAnswers = ["app@v2.service": .notReady("503 Service Unavailable")]
        var plan = Plans.site("v2")
        plan.services[0].hasProbe = true
        bench.swap(plan)
        bench.ready("app@v2.service")
        bench.pass(.seconds(30))
        bench.exit("app@v2.service")
        expectRolledBack(bench, "app@v2.service", .readiness, .probe("503 Service Unavailable"))
    }

    @Test("a crash during the soak rolls the swap back")
    func crashDuringSoak() {
        var bench = Bench.servingSite()
        bench.swap(Plans.site("v2"))
        bench.ready("app@v2.service")
        bench.pass(.seconds(2))
        #expect(bench.phase(site) == .soak)
        bench.exit("app@v2.service", .signalled(11, coreDumped: true))
        expectRolledBack(bench, "app@v2.service", .soak, .exited(.signalled(11, coreDumped: true)))
    }

    @Test("a crash that is told after the end of the soak, but before the deadline, still rolls back")
    func crashToldLate() throws {
        var bench = Bench.servingSite()
        bench.swap(Plans.site("v2"))
        bench.ready("app@v2.service")
        bench.pass(.seconds(5))
        bench.ready("edge@v2.service")
        // The exit is the first event after the soak; the deadline has not been delivered yet.
        let late = bench.now + .seconds(6)
        let main = try #require(bench.main("edge@v2.service"))
        var engine = bench.engine
        let effects = engine.handle(.exited(main, .exited(1)), at: late)
        #expect(!effects.contains { if case .recordServing = $0 { true } else { false } })
        // In the bench the exit precedes the deadline: the same result, to its end.
        bench.exit("edge@v2.service", .exited(1))
        bench.exit("app@v2.service", .exited(0))
        expectRolledBack(bench, "edge@v2.service", .soak, .exited(.exited(1)))
    }

    @Test("a probe that fails during the soak rolls back, the proxy first")
    func probeFailsDuringSoak() {
        var bench = Bench.servingSite()
        var plan = Plans.site("v2")
        plan.services[0].hasProbe = true
        bench.swap(plan)
        bench.ready("app@v2.service")
        bench.pass(.seconds(5))
        bench.ready("edge@v2.service")
        bench.probeAnswers = ["app@v2.service": .notReady("500 Internal Server Error")]
        _ = bench.takeLog()
        bench.pass(.seconds(1))
        #expect(bench.takeLog("signal") == ["signal 10 edge@v2.service"])
        bench.exit("edge@v2.service")
        #expect(bench.takeLog("signal 15 app") == ["signal 15 app@v2.service"])
        bench.exit("app@v2.service")
        expectRolledBack(bench, "app@v2.service", .soak, .probe("500 Internal Server Error"))
    }

    @Test("Restart= does not count on trial: one attempt, then the verdict")
    func noRestartOnTrial() {
        var bench = Bench.servingSite()
        var plan = Plans.site("v2")
        plan.services[0].restart.policy = .always
        bench.swap(plan)
        bench.exit("app@v2.service", .exited(1))
        #expect(bench.takeLog("start") == ["start app@v2.service"])
        #expect(bench.results.last?.outcome == .rolledBack)
    }

    // MARK: - Which services move

    @Test("the same release swapped onto itself is another generation")
    func sameRelease() {
        var bench = Bench.servingSite()
        bench.swap(Plans.site("v1"), kind: .restart)
        bench.ready("app@v1.service", generation: 2)
        bench.pass(.seconds(5))
        bench.ready("edge@v1.service", generation: 2)
        bench.pass(.seconds(5))
        #expect(bench.serving(site) == 2)
        bench.exit("edge@v1.service", generation: 1)
        bench.exit("app@v1.service", generation: 1)
        #expect(bench.results.last?.outcome == .completed)
        #expect(bench.service("app@v1.service")?.birth == 2)
    }

    @Test("a member swapped alone takes the next number and the others along, untouched")
    func partialSwap() {
        var bench = Bench.servingSite()
        bench.swap(Plans.site("v2", only: ["app"]))
        bench.ready("app@v2.service")
        bench.pass(.seconds(5))
        #expect(
            bench.takeLog("start", "signal", "serving") == [
                "start app@v2.service", "serving 2", "signal 15 app@v1.service",
            ])
        bench.exit("app@v1.service")
        #expect(bench.results.last?.outcome == .completed)
        let generation = bench.view(site)?.generations.first { $0.role == .serving }
        #expect(generation?.services.map(\.spec.unit) == ["edge@v1.service", "app@v2.service"])
        #expect(bench.service("edge@v1.service")?.birth == 1)
        // The name of the generation is that of most of its members.
        #expect(generation?.release == "v1")
    }

    @Test("a carried proxy leaves before the backend of another release that it uses")
    func carriedPartnerStopsFirst() {
        var bench = Bench.servingSite()
        bench.swap(Plans.site("v2", only: ["app"]))
        bench.ready("app@v2.service")
        bench.pass(.seconds(5))
        bench.exit("app@v1.service")
        _ = bench.takeLog()
        bench.command(.stop(Plans.site))
        #expect(bench.takeLog("signal") == ["signal 10 edge@v1.service"])
        bench.exit("edge@v1.service")
        #expect(bench.takeLog("signal 15 app") == ["signal 15 app@v2.service"])
    }

    @Test("sockets of a generation stay as long as a member that was carried over")
    func carriedMemberKeepsItsGeneration() {
        var bench = Bench.servingSite()
        bench.swap(Plans.site("v2", only: ["app"]))
        bench.ready("app@v2.service")
        bench.pass(.seconds(5))
        bench.exit("app@v1.service")
        #expect(bench.takeLog("release") == [])
        bench.swapReady("v3")
        bench.exit("edge@v1.service")
        bench.exit("app@v2.service")
        #expect(bench.takeLog("release") == ["release 1", "release 2"])
    }

    @Test("a service skipped by ExecCondition= does not replace one that accepts connections")
    func skippedAcceptor() {
        var bench = Bench.servingSite()
        bench.endings = ["condition edge@v2.service": .exited(1)]
        var plan = Plans.site("v2")
        plan.services[1].commands.condition = [.no]
        bench.swap(plan)
        bench.ready("app@v2.service")
        bench.pass(.seconds(5))
        bench.exit("app@v2.service")
        #expect(bench.results.last?.outcome == .rolledBack)
        #expect(bench.results.last?.failure?.step == .condition)
        #expect(bench.serving(site) == 1)
    }
}
