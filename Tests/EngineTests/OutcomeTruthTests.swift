import Testing

@testable import Engine

/// Reported outcomes of operations are true at the moment of the report (I5).
@Suite("Truth of outcomes")
struct OutcomeTruthTests {
    private let app = "app.service"
    private let group = GroupID("app.service")

    private func started(_ change: @escaping (inout ServiceSpec) -> Void) -> Bench {
        var bench = Bench()
        bench.start(Plans.service(app, change))
        return bench
    }

    @Test("reload: a service that ended during it, however, was not reloaded", arguments: [0, 1, 9])
    func reload(_ status: Int32) {
        for restarts in [true, false] {
            var bench = started {
                $0.commands.reload = [.no]
                $0.restart.policy = restarts ? .always : .no
            }
            bench.hanging = ["reload app.service"]
            bench.command(.reload(group))
            bench.exit(app, status == 9 ? .signalled(9, coreDumped: false) : .exited(status))
            if bench.results.last?.kind != .reload { bench.endControl("reload app.service") }
            #expect(bench.results.last?.kind == .reload && bench.results.last?.outcome == .failed)
            #expect(bench.results.last?.failure?.unit == app, "and the reason is told")
        }
        var bench = started { $0.commands.reload = [.no] }
        bench.command(.reload(group))
        #expect(bench.results.last?.kind == .reload && bench.results.last?.outcome == .completed)
    }

    @Test("a stop before the cutover: the swap is aborted, and nothing is said to serve still")
    func stopBeforeCutover() {
        var bench = Bench.servingSite()
        bench.swapReady("v2", hold: true)
        bench.command(.stop(Plans.site))
        let swap = bench.results.first { $0.kind == .swap }
        #expect(swap?.outcome == .aborted && swap?.serving == nil && swap?.from?.number == 1)
        #expect(swap?.failure?.cause == .text("stopped by another request"))
        var aborted = Bench.servingSite()
        aborted.swapReady("v2", hold: true)
        aborted.command(.abort(Plans.site))
        for unit in ["edge@v2.service", "app@v2.service"] { aborted.exit(unit) }
        #expect(aborted.results.last?.outcome == .aborted && aborted.results.last?.serving?.number == 1)
        #expect(aborted.results.last?.failure == nil)
    }

    @Test("start of what ends at once is over; of what conditions skip is skipped; what runs is neither")
    func remainder() {
        #expect(started { $0.type = .oneshot }.results.last?.isOver == true)
        #expect(started { _ in }.results.last?.isOver == false)
        let stays = started {
            $0.type = .oneshot
            $0.lifecycle.remainsAfterExit = true
        }
        #expect(stays.results.last?.isOver == false)
        var skipped = Bench()
        skipped.verdicts = [app: .unmet("ConditionPathExists=/x")]
        skipped.start(Plans.service(app) { $0.lifecycle.hasConditions = true })
        #expect(skipped.results.last?.outcome == .completed && skipped.results.last?.skippedBy != nil)
        var condition = Bench()
        condition.endings = ["condition app.service": .exited(1)]
        condition.start(Plans.service(app) { $0.commands.condition = [.no] })
        #expect(condition.results.last?.skippedBy != nil)
        // The service was up, and ended before its last command did.
        var brief = Bench()
        brief.hanging = ["startPost app.service"]
        brief.start(Plans.service(app) { $0.commands.startPost = [.no] })
        brief.exit(app)
        if brief.results.isEmpty { brief.endControl("startPost app.service") }
        #expect(brief.results.last?.outcome != .completed || brief.results.last?.isOver == true)
        // The same for a restart.
        var again = started { $0.type = .oneshot }
        again.swap(Plans.service(app) { $0.type = .oneshot }, kind: .restart)
        #expect(again.results.last?.isOver == true)
    }
}
