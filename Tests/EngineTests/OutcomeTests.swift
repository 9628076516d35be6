import Testing

@testable import Engine

/// The reported outcome of an operation, which must be true at that moment (I5).
@Suite("Outcomes")
struct OutcomeTests {
    private let app = "app.service"

    @Test("a new generation that dies while the old one drains: the end of the drain says so, with the reason")
    func lostDuringDrain() {
        var bench = Bench.servingSite()
        bench.swapReady("v2")
        bench.exit("edge@v2.service", .exited(3))
        bench.exit("app@v2.service")
        bench.exit("edge@v1.service")
        bench.exit("app@v1.service")
        #expect(bench.results.last?.outcome == .completed, "it was true at the cutover")
        #expect(bench.drained.last?.loss?.unit == "edge@v2.service")
        #expect(bench.drained.last?.loss?.cause == .exited(.exited(3)))
    }

    @Test("a stop while the old generation drains: the swap was completed; before the cutover it is aborted")
    func stopDuringDrain() {
        var bench = Bench.servingSite()
        bench.swapReady("v2")
        bench.command(.stop(Plans.site))
        #expect(bench.results.first { $0.kind == .swap }?.outcome == .completed)
        var early = Bench.servingSite()
        early.swap(Plans.site("v2"))
        early.command(.stop(Plans.site))
        #expect(early.results.first { $0.kind == .swap }?.outcome == .aborted)
    }

    @Test("a swap that fails after what served has ended is not rolled back to it")
    func nothingToRollBackTo() {
        var bench = Bench.servingSite()
        bench.swap(Plans.site("v2"))
        bench.exit("edge@v1.service", .exited(1))
        bench.exit("app@v1.service", .exited(1))
        bench.exit("app@v2.service", .exited(2))
        #expect(bench.results.last?.outcome == .failed)
        #expect(bench.results.last?.failure?.unit == "app@v2.service")
    }

    @Test("a backend does not serve in place of its proxy: without that, nothing is rolled back to")
    func proxyGone() {
        var bench = Bench.servingSite()
        bench.swap(Plans.site("v2"))
        bench.exit("edge@v1.service", .exited(1))
        bench.exit("app@v2.service", .exited(2))
        #expect(bench.results.last?.outcome == .failed && bench.results.last?.failure?.unit == "app@v2.service")
        bench = Bench.servingSite()
        bench.swap(Plans.site("v2"))
        bench.exit("app@v1.service", .exited(1))
        bench.exit("app@v2.service", .exited(2))
        #expect(bench.results.last?.outcome == .rolledBack && bench.results.last?.ended == ["app@v1.service"])
    }

    @Test("the public tier has what the private one has left of ReadyTimeoutSec=, also without a soak")
    func readyTimeoutIsShared() {
        var bench = Bench.servingSite()
        var plan = Plans.site("v2")
        plan.settings.soak = .zero
        bench.swap(plan)
        bench.pass(.seconds(20))
        bench.ready("app@v2.service")
        bench.pass(.seconds(11))
        #expect(bench.results.last?.outcome == .rolledBack)
    }

    @Test("BindsTo= of a unit that its condition skipped: the program does not run")
    func boundToSkipped() {
        var bench = Bench()
        bench.verdicts = ["base.service": .unmet("ConditionPathExists=/x")]
        var plan = Plans.service(app, after: ["base.service"], requires: ["base.service"])
        plan.relations.bindsTo = [GroupID("base.service")]
        bench.start(Plans.service("base.service") { $0.lifecycle.hasConditions = true })
        bench.start(plan)
        #expect(bench.takeLog("start app.service", "start base.service") == [])
        #expect(bench.failures.last?.step == .dependency || bench.results.last?.failure?.step == .dependency)
    }
}
