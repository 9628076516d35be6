import Testing
import Vocabulary

@testable import Engine

@Suite("Services")
struct ServiceTests {
    private let app = "app.service"

    private func running(_ change: @escaping (inout ServiceSpec) -> Void = { _ in }) -> Bench {
        var bench = Bench()
        bench.start(Plans.service(app, change))
        _ = bench.takeLog()
        return bench
    }

    // MARK: - Restart=

    enum Reason: CaseIterable { case cleanExit, cleanSignal, uncleanExit, uncleanSignal, timeout, watchdog }

    /// The table under `Restart=` in systemd.service(5): each value with the reasons for which it restarts.
    static let restarting: [(RestartPolicy, Set<Reason>)] = [
        (.no, []), (.always, Set(Reason.allCases)), (.onSuccess, [.cleanExit, .cleanSignal]),
        (.onFailure, [.uncleanExit, .uncleanSignal, .timeout, .watchdog]),
        (.onAbnormal, [.uncleanSignal, .timeout, .watchdog]), (.onAbort, [.uncleanSignal]), (.onWatchdog, [.watchdog]),
    ]

    @Test("Restart= follows the table of systemd.service(5)", arguments: restarting, Reason.allCases)
    func restartTable(_ row: (RestartPolicy, Set<Reason>), _ reason: Reason) {
        var bench = Bench()
        let policy = row.0
        bench.start(
            Plans.service(app) {
                $0.restart.policy = policy
                $0.restart.delay = .zero
                if reason == .timeout { $0.type = .notify }
                if reason == .watchdog { $0.lifecycle.watchdog = .seconds(1) }
            })
        _ = bench.takeLog()
        switch reason {
        case .cleanExit: bench.exit(app, .exited(0))
        case .cleanSignal: bench.exit(app, .signalled(1, coreDumped: false))
        case .uncleanExit: bench.exit(app, .exited(1))
        case .uncleanSignal: bench.exit(app, .signalled(9, coreDumped: false))
        case .timeout:
            bench.pass(.seconds(90))
            bench.exit(app, .signalled(15, coreDumped: false))
        case .watchdog:
            bench.pass(.seconds(1))
            bench.exit(app, .signalled(6, coreDumped: true))
        }
        #expect(bench.takeLog("start app") == (row.1.contains(reason) ? ["start app.service"] : []))
    }

    @Test("SuccessExitStatus=, RestartPreventExitStatus= and RestartForceExitStatus= change the verdict")
    func exitStatusSets() {
        var rules = RestartRules(policy: .onFailure)
        rules.success.codes = [3]
        rules.prevent.codes = [4]
        rules.force.codes = [0]
        func result(_ status: Ended) -> ServiceEnd {
            let failed = ServiceResult.failed(Failure(unit: app, step: .run, cause: .exited(status)))
            return ServiceEnd(result: rules.isClean(status) ? .clean(status) : failed, main: status)
        }
        #expect(rules.restarts(after: result(.exited(1))))
        #expect(!rules.restarts(after: result(.exited(3))))
        #expect(!rules.restarts(after: result(.exited(4))))
        #expect(rules.restarts(after: result(.exited(0))))
    }

    @Test("RestartSec= is waited for")
    func restartDelay() {
        var bench = running {
            $0.restart.policy = .always
            $0.restart.delay = .seconds(2)
        }
        bench.exit(app)
        #expect(bench.service(app)?.phase == .autoRestart)
        bench.pass(.milliseconds(1999))
        #expect(bench.takeLog("start ") == [])
        bench.pass(.milliseconds(1))
        #expect(bench.takeLog("start ") == ["start app.service"])
    }

    @Test("a service that is started too often stays down, and says so")
    func startLimit() {
        var bench = running {
            $0.restart.policy = .always
            $0.restart.delay = .zero
        }
        for _ in 0..<5 { bench.exit(app) }
        #expect(bench.takeLog("start ").count == 4)
        #expect(bench.failures.last?.cause == .startLimit(5, .seconds(10)))
        #expect(bench.view(app)?.lastFailure?.cause == .startLimit(5, .seconds(10)))
        #expect(bench.serving(app) == nil)
    }

    @Test("starts outside StartLimitIntervalSec= do not count")
    func startLimitForgets() {
        var bench = running {
            $0.restart.policy = .always
            $0.restart.delay = .seconds(3)
        }
        for _ in 0..<20 {
            bench.exit(app)
            bench.pass(.seconds(3))
        }
        #expect(bench.service(app)?.phase == .running)
        #expect(bench.service(app)?.restarts == 20)
    }

    @Test("a stop is not followed by a restart")
    func stopIsFinal() {
        var bench = running { $0.restart.policy = .always }
        bench.command(.stop(GroupID(app)))
        bench.exit(app, .exited(1))
        #expect(bench.takeLog("start ") == [])
        #expect(bench.results.last?.outcome == .completed)
        #expect(bench.engine.nextDeadline == nil)
    }

    @Test("a plain service that fails to start is reported at once, while Restart= goes on")
    func startFailsAndGoesOn() {
        var bench = Bench()
        bench.start(
            Plans.service(app) {
                $0.type = .notify
                $0.restart.policy = .always
                $0.restart.delay = .seconds(1)
            })
        bench.exit(app, .exited(1))
        #expect(bench.results.last?.outcome == .failed)
        #expect(bench.takeLog("serving") == ["serving 1"])
        bench.pass(.seconds(1))
        bench.ready(app)
        #expect(bench.service(app)?.phase == .running)
    }

    // MARK: - Commands

    @Test("conditions, pre, main, post run in this order; stop and post-stop on the way out")
    func commandOrder() {
        var bench = Bench()
        bench.start(
            Plans.service(app) {
                $0.commands.condition = [.no]
                $0.commands.startPre = [.no, .no]
                $0.commands.startPost = [.no]
                $0.commands.stop = [.no]
                $0.commands.stopPost = [.no]
            })
        #expect(
            bench.takeLog("condition", "startPre", "start ", "startPost") == [
                "condition app.service", "startPre app.service", "startPre app.service", "start app.service",
                "startPost app.service", "start of app.service completed for 1",
            ])
        bench.command(.stop(GroupID(app)))
        bench.exit(app)
        #expect(
            bench.takeLog("stop", "signal") == [
                "stop app.service", "signal 15 tree of app.service", "stopPost app.service",
                "stop of app.service completed for 1",
            ])
    }

    @Test("ExecCondition= with 1 to 254 skips the service without failing it, 255 fails it")
    func condition() {
        for (status, outcome) in [(1, FinishedOperation.Outcome.completed), (254, .completed), (255, .failed)] {
            var bench = Bench()
            bench.endings = ["condition app.service": .exited(Int32(status))]
            bench.start(Plans.service(app) { $0.commands.condition = [.no] })
            #expect(bench.takeLog("start ") == ["start of app.service \(outcome) for 1"])
            #expect(bench.serving(app) == nil)
            let condition = outcome == .completed ? "ExecCondition= (exited with status \(status))" : nil
            #expect(bench.results.map(\.skippedBy) == [condition])
        }
    }

    @Test("a command with the prefix - may fail")
    func mayFail() {
        var bench = Bench()
        bench.endings = ["startPre app.service": .exited(1)]
        bench.start(Plans.service(app) { $0.commands.startPre = [.yes] })
        #expect(bench.service(app)?.phase == .running)
    }

    @Test("ExecStop= is not run for a service that never came up")
    func noStopWithoutStart() {
        var bench = Bench()
        bench.start(
            Plans.service(app) {
                $0.type = .notify
                $0.commands.stop = [.no]
                $0.commands.stopPost = [.no]
            })
        bench.exit(app, .exited(1))
        #expect(bench.takeLog("stop ", "stopPost") == ["stopPost app.service"])
    }

    @Test("a main process that was told to go before it was known to be missing is not waited for")
    func spawnFailsAfterStop() {
        var engine = Engine()
        let now = Instant(nanoseconds: 0)
        var plan = Plans.service(app, swaps: true)
        plan.services[0].drain = .init(method: .signal(15), timeout: nil)
        _ = engine.handle(.command(.start(plan), RequestID(number: 1)), at: now)
        let effects = engine.handle(.prepared(GenerationID(group: plan.group, number: 1)), at: now)
        guard
            case .spawn(let main, _, .start(0))? = effects.first(where: { if case .spawn = $0 { true } else { false } })
        else {
            Issue.record("nothing was spawned")
            return
        }
        _ = engine.handle(.command(.stop(plan.group), RequestID(number: 2)), at: now)
        let after = engine.handle(
            .spawnFailed(main, "executing /srv/x: No such file or directory", status: 203), at: now)
        #expect(after.contains { if case .watchTree = $0 { true } else { false } })
    }

    // MARK: - Time-outs

    @Test("the kill signal, and after TimeoutStopSec= SIGKILL")
    func stopTimeout() {
        var bench = running()
        bench.command(.stop(GroupID(app)))
        #expect(bench.takeLog("signal", "kill") == ["signal 15 tree of app.service"])
        bench.pass(.milliseconds(89_999))
        #expect(bench.takeLog("signal", "kill") == [])
        bench.pass(.milliseconds(1))
        #expect(bench.takeLog("kill") == ["kill tree of app.service"])
        #expect(bench.results.last?.outcome == .completed)
    }

    @Test("with KillMode=mixed the rest is killed when the main process is gone")
    func killModeMixed() {
        var bench = Bench()
        bench.strayChildren = [app]
        bench.start(Plans.service(app) { $0.killMode = .mixed })
        bench.command(.stop(GroupID(app)))
        #expect(bench.takeLog("signal", "kill") == ["signal 15 app.service"])
        bench.exit(app)
        #expect(bench.takeLog("kill") == ["kill tree of app.service"])
    }

    @Test("EXTEND_TIMEOUT_USEC= prolongs the time-out, and never shortens it")
    func extendTimeout() {
        var bench = Bench()
        bench.start(Plans.service(app) { $0.type = .notify })
        var message = NotifyMessage()
        message.extendTimeout = .milliseconds(1)
        bench.notify(app, message)
        bench.pass(.seconds(80))
        #expect(bench.service(app)?.phase == .starting)
        message.extendTimeout = .seconds(60)
        bench.notify(app, message)
        bench.pass(.seconds(59))
        #expect(bench.service(app)?.phase == .starting)
        bench.pass(.seconds(1))
        #expect(bench.failures.last?.step == .readiness)
    }

    @Test("a time-out of zero does not keep the engine busy for ever")
    func zeroTimeout() {
        var bench = running { $0.stopTimeout = .zero }
        bench.command(.stop(GroupID(app)))
        bench.pass(.seconds(1))
        #expect(bench.results.last?.outcome == .completed)
    }

    // MARK: - Notify

    @Test("NotifyAccess= decides whose READY=1 counts")
    func notifyAccess() {
        for (access, counts) in [(NotifyAccess.none, false), (.main, false), (.exec, false), (.all, true)] {
            var bench = Bench()
            bench.start(
                Plans.service(app) {
                    $0.type = .notify
                    $0.notifyAccess = access
                })
            var message = NotifyMessage()
            message.ready = true
            bench.notify(app, message, by: .other)
            #expect((bench.service(app)?.phase == .running) == counts)
        }
    }

    @Test("READY=1 of an earlier run makes no later run ready")
    func lateReady() throws {
        var bench = Bench()
        bench.start(
            Plans.service(app) {
                $0.type = .notify
                $0.restart.policy = .always
                $0.restart.delay = .zero
            })
        let old = try #require(bench.main(app))
        bench.exit(app, .exited(1))
        var message = NotifyMessage()
        message.ready = true
        #expect(try #require(bench.main(app)) != old)
        bench.notify(app, message, by: .process(old))
        #expect(bench.service(app)?.phase == .starting)
        bench.ready(app)
        #expect(bench.service(app)?.phase == .running)
    }

    @Test("MAINPID= names who is waited for; a process that is gone already cannot be named")
    func mainPid() throws {
        let bench = running()
        func phase(_ engine: Engine) -> ServicePhase? {
            engine.groupIDs.flatMap { engine.view(of: $0)?.generations ?? [] }.flatMap(\.services).first?.phase
        }
        let instance = try #require(bench.instance(app))
        let first = try #require(bench.main(app))
        var engine = bench.engine
        let token = engine.newToken(for: instance)
        _ = engine.handle(.mainProcessChanged(instance, token), at: bench.now)
        #expect(engine.handle(.exited(first, .exited(0)), at: bench.now).isEmpty, "it is not the main one any more")
        #expect(phase(engine) == .running)
        #expect(!engine.handle(.exited(token, .exited(0)), at: bench.now).isEmpty)
        #expect(phase(engine) != .running)
        #expect(engine.handle(.mainProcessChanged(instance, token), at: bench.now).isEmpty)
        let owners = engine.owners.count
        _ = engine.newToken(for: InstanceID(number: 999))
        #expect(engine.owners.count == owners)
    }

    // MARK: - Deadlines

    @Test("a deadline that is set anew makes the one before it void")
    func deadlines() {
        var deadlines = Deadlines()
        let owner = Deadlines.Owner.group(GroupID(app))
        deadlines.set(owner, Instant(nanoseconds: 10))
        deadlines.set(owner, Instant(nanoseconds: 20))
        #expect(deadlines.owners(dueAt: 15) == [])
        #expect(deadlines.next == Instant(nanoseconds: 20))
        deadlines.set(owner, nil)
        #expect(deadlines.next == nil)
        for count in 0..<10_000 { deadlines.set(owner, Instant(nanoseconds: Int64(count))) }
        #expect(deadlines.owners(dueAt: 9998) == [])
        #expect(deadlines.owners(dueAt: 9999) == [owner])
        #expect(deadlines.owners(dueAt: .max) == [])
    }

    @Test("what sets itself a deadline that has passed has its next turn when deadlines are looked at again")
    func passedDeadlines() {
        var deadlines = Deadlines()
        let (first, second, third) = (
            Deadlines.Owner.group(GroupID(app)), Deadlines.Owner.probe(InstanceID(number: 1)),
            Deadlines.Owner.watchdog(InstanceID(number: 1))
        )
        deadlines.set(first, Instant(nanoseconds: 10))
        deadlines.set(second, Instant(nanoseconds: 20))
        deadlines.set(third, Instant(nanoseconds: 30))
        var fired: [Deadlines.Owner] = []
        for due in deadlines.allDue(at: Instant(nanoseconds: 30)) {
            guard let owner = deadlines.claim(due) else { continue }
            fired.append(owner)
            deadlines.set(first, Instant(nanoseconds: .min))
            deadlines.set(third, nil)
        }
        #expect(fired == [first, second])
        #expect(deadlines.next == Instant(nanoseconds: .min))
        #expect(deadlines.owners(dueAt: 30) == [first])
    }
}

extension Deadlines {
    fileprivate mutating func owners(dueAt nanoseconds: Int64) -> [Owner] {
        allDue(at: Instant(nanoseconds: nanoseconds)).compactMap { claim($0) }
    }
}
