import Testing

@testable import Engine

/// Type=, ExitType=, RemainAfterExit= and conditions (systemd.service(5), systemd.unit(5)).
@Suite("Service types")
struct TypeTests {
    private let app = "app.service"

    // MARK: - Oneshot

    @Test("oneshot: its commands run one after the other, and the start is done when the last has ended")
    func oneshot() {
        var bench = Bench()
        bench.hanging = ["start 1 app.service"]
        bench.start(
            Plans.service(app) {
                $0.type = .oneshot
                $0.commands.start = [.no, .no]
                $0.commands.stop = [.no]
            })
        #expect(bench.takeLog("start ", "stop ", "start of") == ["start app.service", "start 1 app.service"])
        #expect(bench.results.isEmpty)
        bench.pass(.seconds(90))
        #expect(bench.failures.last?.cause == .timedOut(.seconds(90)))
    }

    @Test("oneshot without RemainAfterExit= ends at once, ExecStop= included, and counts as started")
    func oneshotEnds() {
        var bench = Bench.started(.oneshot) { $0.commands.stop = [.no] }
        #expect(
            bench.takeLog("start ", "stop ") == [
                "start app.service", "stop app.service", "start of app.service completed for 1",
            ])
        #expect(bench.serving(app) == nil && bench.failures.isEmpty)
    }

    @Test("oneshot with RemainAfterExit= stays up without a process until it is stopped; then its ExecStop= runs")
    func remains() {
        var bench = Bench.started(.oneshot) {
            $0.lifecycle.remainsAfterExit = true
            $0.commands.stop = [.no]
        }
        #expect(bench.service(app)?.phase == .exited && bench.serving(app) == 1)
        #expect(bench.takeLog("stop ") == [])
        bench.command(.stop(GroupID(app)))
        #expect(bench.takeLog("stop ") == ["stop app.service", "stop of app.service completed for 1"])
        #expect(bench.serving(app) == nil)
    }

    @Test("oneshot without any ExecStart= is up at once")
    func nothingToStart() {
        let bench = Bench.started(.oneshot) {
            $0.commands.start = []
            $0.lifecycle.remainsAfterExit = true
        }
        #expect(bench.service(app)?.phase == .exited)
    }

    @Test("oneshot: a command that fails ends the start, unless it has the prefix -; a signal is never clean")
    func oneshotFails() {
        for (status, mayFail, isDone) in [
            (Ended.exited(1), CommandCounts.MayFail.no, false), (.exited(1), .yes, true),
            (.signalled(15, coreDumped: false), .no, false), (.exited(0), .no, true),
        ] {
            var bench = Bench()
            bench.endings = ["start app.service": status]
            bench.start(
                Plans.service(app) {
                    $0.type = .oneshot
                    $0.commands.start = [mayFail, .no]
                    $0.commands.stop = [.no]
                })
            #expect((bench.results.last?.outcome == .completed) == isDone, "\(status) \(mayFail)")
            #expect(bench.takeLog("start 1 ").isEmpty == !isDone)
        }
    }

    @Test("who starts after a oneshot starts when that has ended")
    func orderAfterOneshot() {
        var bench = Bench()
        bench.hanging = ["start setup.service"]
        bench.start(Plans.service("setup.service") { $0.type = .oneshot })
        bench.start(Plans.service(app, after: ["setup.service"]))
        #expect(bench.takeLog("start app.service") == [])
        bench.endControl("start setup.service")
        #expect(bench.takeLog("start app.service") == ["start app.service"])
    }

    @Test("a oneshot that has succeeded satisfies Requires=, one that has failed does not")
    func requiredOneshot() {
        for status in [Ended.exited(0), .exited(1)] {
            var bench = Bench()
            bench.endings = ["start setup.service": status]
            bench.start(Plans.service("setup.service") { $0.type = .oneshot })
            bench.start(Plans.service(app, after: ["setup.service"], requires: ["setup.service"]))
            #expect((bench.results.last?.outcome == .completed) == (status == .exited(0)))
        }
    }

    @Test(
        "oneshots with RemainAfterExit= or without are restarted only as far as the table allows, never after success")
    func oneshotRestart() {
        var bench = Bench()
        bench.endings = ["start app.service": .exited(1)]
        bench.start(
            Plans.service(app) {
                $0.type = .oneshot
                $0.restart.policy = .onFailure
                $0.restart.delay = .seconds(1)
            })
        bench.endings = [:]
        bench.pass(.seconds(1))
        #expect(bench.takeLog("start app") == ["start app.service", "start app.service"])
        bench.pass(.seconds(60))
        #expect(bench.takeLog("start app") == [])
    }

    // MARK: - ExitType= and RemainAfterExit= of other types

    @Test("ExitType=cgroup: the main process may end before the others, if it ends well")
    func exitType() {
        var bench = Bench()
        bench.strayChildren = [app]
        bench.start(Plans.service(app) { $0.lifecycle.endsWithTree = true })
        bench.exit(app, .exited(0))
        #expect(bench.service(app)?.phase == .running)
        bench.treeEnds(app)
        #expect(bench.serving(app) == nil && bench.failures.isEmpty)

        var failing = Bench()
        failing.strayChildren = [app]
        failing.start(Plans.service(app) { $0.lifecycle.endsWithTree = true })
        failing.exit(app, .exited(1))
        #expect(failing.takeLog("signal 15") == ["signal 15 tree of app.service"])
    }

    @Test("RemainAfterExit= of a simple service: a clean end leaves it up, a failure does not")
    func simpleRemains() {
        var bench = Bench.started(.simple) { $0.lifecycle.remainsAfterExit = true }
        bench.exit(app, .exited(0))
        #expect(bench.service(app)?.phase == .exited)
        var failing = Bench.started(.simple) { $0.lifecycle.remainsAfterExit = true }
        failing.exit(app, .exited(1))
        #expect(failing.serving(app) == nil)
    }

    @Test("a oneshot is never cut over to in the place of one that accepts connections")
    func oneshotIsNoAcceptor() {
        var bench = Bench()
        bench.start(Plans.service(swaps: true))
        bench.swap(Plans.service(swaps: true) { $0.type = .oneshot })
        #expect(bench.results.last?.outcome == .rolledBack)
        #expect(bench.service(app)?.phase == .running)
    }

    // MARK: - Conditions

    @Test("an unmet condition skips the start without a failure, an unmet assert fails it, and neither is retried")
    func conditions() {
        let plan = Plans.service(app) {
            $0.lifecycle.hasConditions = true
            $0.restart.policy = .always
            $0.commands.startPre = [.no]
        }
        var met = Bench()
        met.start(plan)
        #expect(
            met.takeLog("check", "start") == [
                "check app.service", "startPre app.service", "start app.service",
                "start of app.service completed for 1",
            ])
        var unmet = Bench()
        unmet.verdicts = [app: .unmet("ConditionPathExists=/x")]
        unmet.start(plan)
        #expect(
            unmet.takeLog("start", "skipped") == [
                "skipped ConditionPathExists=/x", "start of app.service completed for 1",
            ])
        #expect(unmet.failures.isEmpty && unmet.serving(app) == nil)
        #expect(unmet.results.map(\.skippedBy) == ["ConditionPathExists=/x"])
        #expect(unmet.engine.view(of: GroupID(app))?.skippedBy == "ConditionPathExists=/x")
        // The next start that is not skipped clears the condition.
        unmet.verdicts = [:]
        unmet.start(plan)
        #expect(unmet.results.last?.outcome == .completed && unmet.results.last?.skippedBy == nil)
        #expect(unmet.engine.view(of: GroupID(app))?.skippedBy == nil)
        var failed = Bench()
        failed.verdicts = [app: .assertFailed("AssertPathExists=/x does not hold")]
        failed.start(plan)
        failed.pass(.seconds(60))
        #expect(failed.results.map(\.outcome) == [.failed])
        #expect(failed.failures.map(\.cause) == [.text("AssertPathExists=/x does not hold")])
    }

    // MARK: - Type × readiness × failure

    /// The result of a start of each type after this event.
    @Test("each type is ready exactly when systemd.service(5) says", arguments: ServiceSpec.StartType.allCases)
    func readiness(_ type: ServiceSpec.StartType) {
        var bench = Bench()
        bench.hanging = ["start app.service"]
        bench.searches = [app: .later]
        bench.start(
            Plans.service(app) {
                $0.type = type
                $0.lifecycle.remainsAfterExit = type == .oneshot
            })
        let isReadyAtOnce = type == .simple
        #expect((bench.results.last?.outcome == .completed) == isReadyAtOnce)
        switch type {
        case .simple: break
        case .notify, .notifyReload: bench.ready(app)
        case .oneshot: bench.endControl("start app.service")
        case .forking:
            bench.endControl("start app.service")
            #expect(bench.results.isEmpty)
            bench.pidFileAppears(app)
        }
        #expect(bench.results.last?.outcome == .completed)
        #expect(bench.serving(app) == 1)
    }

    @Test(
        "each type fails its start when what it executed ends badly or cannot be executed, and is gone then",
        arguments: ServiceSpec.StartType.allCases, [true, false])
    func failingStart(_ type: ServiceSpec.StartType, _ isExecutable: Bool) {
        var bench = Bench()
        bench.hanging = ["start app.service"]
        if !isExecutable { bench.notExecutable = ["start app.service"] }
        bench.start(Plans.service(app) { $0.type = type })
        if isExecutable {
            switch type {
            case .simple, .notify, .notifyReload: bench.exit(app, .exited(7))
            case .oneshot, .forking: bench.endControl("start app.service", .exited(7))
            }
        }
        #expect(bench.failures.count == 1)
        #expect(bench.serving(app) == nil && bench.engine.nextDeadline == nil)
        // A simple service was started; its later end does not change that.
        #expect(bench.results.last?.outcome == (type == .simple && isExecutable ? .completed : .failed))
    }
}
