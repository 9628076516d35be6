import Testing

@testable import Engine

/// Type=, ExitType=, RemainAfterExit=, conditions and reloads (systemd.service(5), systemd.unit(5)).
@Suite("Service types")
struct TypeTests {
    private let app = "app.service"

    private func started(_ type: ServiceSpec.StartType, _ change: @escaping (inout ServiceSpec) -> Void = { _ in })
        -> Bench
    {
        var bench = Bench()
        bench.start(
            Plans.service(app) {
                $0.type = type
                change(&$0)
            })
        return bench
    }

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
        var bench = started(.oneshot) { $0.commands.stop = [.no] }
        #expect(
            bench.takeLog("start ", "stop ") == [
                "start app.service", "stop app.service", "start of app.service completed for 1",
            ])
        #expect(bench.serving(app) == nil && bench.failures.isEmpty)
    }

    @Test("oneshot with RemainAfterExit= stays up without a process until it is stopped; then its ExecStop= runs")
    func remains() {
        var bench = started(.oneshot) {
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
        let bench = started(.oneshot) {
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

    // MARK: - Forking

    @Test("forking: up when what was executed has ended and the daemon is known; its end is the service's")
    func forking() {
        var bench = started(.forking)
        #expect(
            bench.takeLog("start ", "seek") == [
                "start app.service", "seek app.service", "start of app.service completed for 1",
            ])
        #expect(bench.service(app)?.phase == .running)
        bench.exit(app, .exited(3))
        #expect(bench.failures.last?.cause == .exited(.exited(3)) && bench.serving(app) == nil)
    }

    @Test("forking: a PID file is waited for, as long as anything of the service lives and TimeoutStartSec= allows")
    func pidFile() {
        var bench = Bench()
        bench.searches = [app: .later]
        let plan = Plans.service(app) {
            $0.type = .forking
            $0.lifecycle.hasPidFile = true
        }
        bench.start(plan)
        #expect(bench.service(app)?.phase == .starting)
        bench.pidFileAppears(app)
        #expect(bench.service(app)?.phase == .running && bench.service(app)?.mainProcess != nil)

        var late = Bench()
        late.searches = [app: .later]
        late.start(plan)
        late.pass(.seconds(90))
        #expect(late.failures.last?.cause == .timedOut(.seconds(90)))
        #expect(late.takeLog("cancel") == ["cancel search"])

        var gone = Bench()
        gone.searches = [app: .later]
        gone.start(plan)
        gone.treeEnds(app)
        #expect(gone.failures.last?.cause == .protocolError("none of its processes is left"))
    }

    @Test("forking: ExecStartPost= may be what writes the PID file")
    func pidFileByStartPost() {
        var bench = Bench()
        bench.searches = [app: .later]
        bench.start(
            Plans.service(app) {
                $0.type = .forking
                $0.lifecycle.hasPidFile = true
                $0.commands.startPost = [.no]
            })
        #expect(bench.takeLog("startPost") == ["startPost app.service"])
        #expect(bench.service(app)?.phase == .starting && bench.results.isEmpty)
        bench.pidFileAppears(app)
        #expect(bench.service(app)?.phase == .running && bench.results.last?.outcome == .completed)
    }

    @Test("forking: a main process that hands over through its PID file before it goes is no end")
    func successor() {
        var bench = started(.forking) { $0.lifecycle.hasPidFile = true }
        bench.exit(app, .exited(0))
        #expect(bench.service(app)?.phase == .running)
        bench.searches = [app: .absent]
        bench.exit(app, .exited(1))
        #expect(bench.serving(app) == nil && bench.failures.last?.cause == .exited(.exited(1)))
    }

    /// Self-upgrading servers: `Type=simple` with `PIDFile=` and `ExecReload=kill -HUP`, which systemd permits.
    @Test(
        "with PIDFile= the process that it names is the main one when the main process ends, whatever the type",
        arguments: [ServiceSpec.StartType.simple, .notify, .notifyReload, .forking])
    func successorByPidFile(_ type: ServiceSpec.StartType) {
        var bench = started(type) { $0.lifecycle.hasPidFile = true }
        if type == .notify || type == .notifyReload { bench.ready(app) }
        let old = bench.main(app)
        _ = bench.takeLog()
        bench.exit(app, .exited(1))
        #expect(bench.service(app)?.phase == .running && bench.main(app) != nil && bench.main(app) != old)
        #expect(bench.takeLog("signal", "kill", "seek") == ["seek app.service"])
        bench.searches[app] = .later
        bench.exit(app)
        #expect(bench.service(app) == nil && bench.view(app)?.lastFailure == nil)
    }

    @Test("a successor that is found while the service drains is told to drain, too")
    func successorDrains() {
        var bench = Bench()
        bench.start(
            Plans.service(app) {
                $0.lifecycle.hasPidFile = true
                $0.drain = .init(method: .signal(10), timeout: .seconds(60))
            })
        bench.command(.stop(GroupID(app)))
        _ = bench.takeLog()
        bench.exit(app)
        #expect(bench.service(app)?.phase == .draining)
        #expect(bench.takeLog("signal") == ["signal 10 app.service"])
        bench.searches[app] = .absent
        bench.exit(app)
        #expect(bench.service(app) == nil)
    }

    @Test("a notify service whose main process hands over before READY=1 waits for the successor's")
    func successorBeforeReady() {
        var bench = started(.notify) { $0.lifecycle.hasPidFile = true }
        bench.exit(app)
        #expect(bench.service(app)?.phase == .starting)
        bench.ready(app)
        #expect(bench.service(app)?.phase == .running)
    }

    @Test("forking: MAINPID= said before the launcher has ended names the main process")
    func mainPidOfForking() {
        var bench = Bench()
        bench.hanging = ["start app.service"]
        bench.searches[app] = .absent
        bench.start(Plans.service(app) { $0.type = .forking })
        let main = bench.namesMain(app)
        bench.endControl("start app.service")
        #expect(bench.service(app)?.phase == .running && bench.service(app)?.mainProcess == main)
        bench.exit(app, .exited(3))
        #expect(bench.view(app)?.lastFailure?.cause == .exited(.exited(3)))
    }

    @Test("forking: MAINPID= ends the wait for a PID file")
    func mainPidInsteadOfPidFile() {
        var bench = Bench()
        bench.searches[app] = .later
        bench.start(
            Plans.service(app) {
                $0.type = .forking
                $0.lifecycle.hasPidFile = true
            })
        #expect(bench.service(app)?.phase == .starting)
        let main = bench.namesMain(app)
        #expect(bench.service(app)?.phase == .running && bench.service(app)?.mainProcess == main)
        #expect(bench.takeLog("cancel") == ["cancel search"])
    }

    // MARK: - Awaited events

    @Test("a start that times out says what did not come: READY=1, or whose READY=1 was refused")
    func missingReady() {
        var bench = Bench()
        let plan = Plans.service(app) {
            $0.type = .notify
            $0.startTimeout = .seconds(3)
        }
        bench.start(plan)
        #expect(bench.service(app)?.awaited == .readyMessage(refused: nil))
        bench.pass(.seconds(3))
        #expect(bench.failures.last?.awaited == .readyMessage(refused: nil))
        bench.exit(app, .signalled(15, coreDumped: false))

        bench.start(plan)
        var message = NotifyMessage()
        message.ready = true
        message.sender = "process 17 (sh)"
        bench.notify(app, message, by: .other)
        #expect(bench.service(app)?.awaited == .readyMessage(refused: "process 17 (sh)"))
        bench.exit(app, .exited(0))
        #expect(bench.failures.last?.awaited == .readyMessage(refused: "process 17 (sh)"))
    }

    @Test("a start that times out says what is in the PID file, the last finding of all, or which command hangs")
    func missingMain() {
        var bench = Bench()
        bench.searches[app] = .later
        bench.start(
            Plans.service(app) {
                $0.type = .forking
                $0.lifecycle.hasPidFile = true
                $0.startTimeout = .seconds(3)
            })
        #expect(bench.service(app)?.awaited == .mainProcess(nil))
        for finding in ["it does not exist", "it holds no number"] {
            bench.noteSearch(app, SearchNote(pidFile: "/run/app.pid", finding: finding))
        }
        bench.pass(.seconds(3))
        let note = SearchNote(pidFile: "/run/app.pid", finding: "it holds no number")
        #expect(bench.failures.last?.awaited == .mainProcess(note))

        bench.hanging = ["startPre two.service"]
        bench.start(
            Plans.service("two.service") {
                $0.commands.startPre = [.no]
                $0.startTimeout = .seconds(3)
            })
        #expect(bench.service("two.service")?.awaited == .command(.startPre(0)))
        bench.start(Plans.service("three.service", after: ["two.service"]))
        #expect(bench.view("three.service")?.operation?.obstacles == [GroupID("two.service")])
        bench.pass(.seconds(3))
        #expect(bench.failures.last?.awaited == .command(.startPre(0)))
        #expect(bench.service("three.service")?.awaited == nil)
    }

    @Test("ReadyTimeoutSec= of a swap says what the member that is late waits for")
    func missingOfSwap() {
        var bench = Bench.servingSite()
        bench.swap(Plans.site("v2"))
        let edge = bench.service("edge@v2.service")
        #expect(edge?.awaited == .units(["app@v2.service"]))
        bench.pass(.seconds(30))
        bench.exit("app@v2.service", .signalled(15, coreDumped: false))
        #expect(bench.results.last?.failure?.awaited == .readyMessage(refused: nil))
    }

    @Test("forking: what was executed ends badly, and the start fails")
    func launcherFails() {
        var bench = Bench()
        bench.endings = ["start app.service": .exited(1)]
        bench.start(Plans.service(app) { $0.type = .forking })
        #expect(bench.results.last?.outcome == .failed && bench.takeLog("seek") == [])
    }

    @Test("forking without a known main process: up as long as anything of it lives")
    func unknownMain() {
        var bench = Bench()
        bench.searches = [app: .absent]
        bench.start(Plans.service(app) { $0.type = .forking })
        #expect(bench.service(app)?.phase == .running && bench.service(app)?.mainProcess == nil)
        bench.treeEnds(app)
        #expect(bench.serving(app) == nil && bench.failures.isEmpty)
    }

    // MARK: - ExitType= and RemainAfterExit= of others

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
        var bench = started(.simple) { $0.lifecycle.remainsAfterExit = true }
        bench.exit(app, .exited(0))
        #expect(bench.service(app)?.phase == .exited)
        var failing = started(.simple) { $0.lifecycle.remainsAfterExit = true }
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

    // MARK: - Reload

    private func reloading(_ change: @escaping (inout ServiceSpec) -> Void = { _ in }) -> Bench {
        var bench = Bench()
        bench.start(
            Plans.service(app) {
                $0.type = .notifyReload
                change(&$0)
            })
        bench.ready(app)
        bench.pass(.seconds(1))
        _ = bench.takeLog()
        bench.command(.reload(GroupID(app)))
        return bench
    }

    @Test("notify-reload: the signal is answered by RELOADING=1 with a time after it, and READY=1 ends the reload")
    func notifyReload() {
        var bench = reloading()
        #expect(bench.takeLog("signal") == ["signal 1 app.service"])
        #expect(bench.service(app)?.phase == .reloading)
        // READY=1 alone belongs to another event, and an old RELOADING=1 to an earlier reload.
        bench.ready(app)
        var message = NotifyMessage()
        message.reloading = true
        message.monotonic = .milliseconds(999)
        bench.notify(app, message)
        bench.ready(app)
        #expect(bench.service(app)?.phase == .reloading && bench.results.count == 1)
        message.monotonic = .seconds(1)
        bench.notify(app, message)
        bench.ready(app)
        #expect(bench.service(app)?.phase == .running && bench.results.last?.outcome == .completed)
    }

    @Test("notify-reload: a service that does not answer goes on, and the reload has failed")
    func unansweredReload() {
        var bench = reloading { $0.lifecycle.reloadSignal = 12 }
        #expect(bench.takeLog("signal") == ["signal 12 app.service"])
        bench.pass(.seconds(90))
        #expect(bench.service(app)?.phase == .running && bench.results.last?.outcome == .failed)
        bench.pass(.seconds(500))
        #expect(bench.service(app)?.phase == .running)
    }

    @Test("RELOADING=1 unasked shows as reloading until READY=1")
    func ownReload() {
        var bench = Bench()
        bench.start(Plans.service(app) { $0.type = .notify })
        bench.ready(app)
        var message = NotifyMessage()
        message.reloading = true
        bench.notify(app, message)
        #expect(bench.service(app)?.phase == .reloading)
        bench.ready(app)
        #expect(bench.service(app)?.phase == .running && bench.engine.nextDeadline == nil)
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
        // The next start that is not skipped ends that.
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
