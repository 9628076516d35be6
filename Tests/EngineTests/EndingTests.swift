import Testing
import Vocabulary

@testable import Engine

/// Exits of services: clean or failed, with their causes and consequences (systemd.exec(5), tables 5 and 6).
@Suite("How services end")
struct EndingTests {
    private let app = "app.service"
    private let group = GroupID("app.service")

    private func running(_ change: @escaping (inout ServiceSpec) -> Void = { _ in }) -> Bench {
        var bench = Bench()
        var plan = Plans.service(app) { spec in
            spec.triggers.onFailure = ["alert"]
            spec.triggers.onSuccess = ["next"]
            change(&spec)
        }
        plan.relations.triggers.onFailure = ["target-alert"]
        plan.relations.triggers.onSuccess = ["target-next"]
        bench.start(plan)
        _ = bench.takeLog()
        return bench
    }

    // MARK: - Earlier failures do not count at the end

    @Test("a reload that failed makes a later clean end neither failed nor a case for OnFailure=")
    func failedReloadIsOver() {
        for isExecutable in [true, false] {
            var bench = running { $0.commands.reload = [.no] }
            if isExecutable {
                bench.endings = ["reload app.service": .exited(4)]
            } else {
                bench.notExecutable = ["reload app.service"]
            }
            bench.command(.reload(group))
            #expect(bench.results.last?.outcome == .failed && bench.results.last?.failure?.step == .reload)
            #expect(bench.service(app)?.failure?.step == .reload, "it is shown as long as it runs")
            #expect(bench.view(app)?.lastFailure == nil)
            bench.exit(app)
            #expect(bench.view(app)?.lastFailure == nil)
            #expect(
                bench.takeLog("wants") == [
                    "wants next: success of app.service", "wants target-next: success of app.service",
                ])
        }
    }

    @Test("a reload that the service began by itself and never ended makes a later clean end no failure")
    func announcedReloadIsOver() {
        var bench = running { $0.type = .notify }
        bench.ready(app)
        var message = NotifyMessage()
        message.reloading = true
        bench.notify(app, message)
        bench.pass(.seconds(90))
        #expect(bench.service(app)?.phase == .running && bench.service(app)?.failure?.step == .reload)
        bench.exit(app)
        #expect(bench.view(app)?.lastFailure == nil)
    }

    @Test("a run that failed, and one after it that ended cleanly or was skipped, are no failure")
    func failedRunIsOver() {
        var bench = running { $0.restart.policy = .onFailure }
        bench.exit(app, .exited(1))
        bench.pass(.seconds(1))
        bench.exit(app)
        #expect(bench.view(app)?.lastFailure == nil && bench.serving(app) == nil)
        #expect(
            bench.takeLog("wants") == [
                "wants next: success of app.service", "wants target-next: success of app.service",
            ])

        var skipped = running { spec in
            spec.restart.policy = .onFailure
            spec.commands.condition = [.no]
        }
        skipped.endings = ["condition app.service": .exited(1)]
        skipped.exit(app, .exited(1))
        skipped.pass(.seconds(1))
        #expect(skipped.view(app)?.lastFailure == nil && skipped.serving(app) == nil)
        #expect(skipped.takeLog("wants").contains { $0.contains("alert") } == false)
    }

    // MARK: - Failures while stopping

    /// The end of `app.service`: step and `$SERVICE_RESULT`, or `clean`.
    private func end(_ bench: Bench) -> String {
        let failure = bench.view(app)?.lastFailure
        let wants = bench.view(app)?.serving == nil ? "" : " serving"
        return (failure.map { "\($0.step) \($0.cause.serviceResult)" } ?? "clean") + wants
    }

    private func stopped(
        _ status: Ended = .exited(0), change: @escaping (inout ServiceSpec) -> Void = { _ in },
        prepare: (inout Bench) -> Void = { _ in }
    ) -> Bench {
        var bench = running(change)
        prepare(&bench)
        bench.command(.stop(group))
        if bench.main(app) != nil { bench.exit(app, status) }
        return bench
    }

    @Test(
        "an exit while it is stopped counts by the same rule as any other",
        arguments: [
            (Ended.exited(0), "clean"), (.exited(7), "leave exit-code"), (.exited(3), "clean"),
            (.signalled(15, coreDumped: false), "clean"), (.signalled(10, coreDumped: false), "leave signal"),
            (.signalled(11, coreDumped: true), "leave core-dump"), (.unknown, "clean"),
        ])
    func exitWhileStopped(row: (Ended, String)) {
        var bench = stopped(row.0, change: { $0.restart.success.codes = [3] })
        #expect(end(bench) == row.1)
        #expect(bench.results.last?.outcome == .completed && bench.results.last?.kind == .stop)
        let isClean = row.1 == "clean"
        #expect((bench.results.last?.uncleanEnds.isEmpty ?? false) == isClean)
        #expect(
            bench.takeLog("wants") == [
                isClean ? "wants next: success of app.service" : "wants alert: failure of app.service"
            ])
        bench.start(Plans.service(app))
        #expect(end(bench) == "clean serving")
    }

    @Test("TimeoutStopSec= exceeded is a time-out, at the signal, at ExecStop= and at ExecStopPost=")
    func stopTimeouts() {
        var late = running()
        late.command(.stop(group))
        late.pass(.seconds(90))
        #expect(end(late) == "leave timeout")
        #expect(late.takeLog("wants") == ["wants alert: failure of app.service"])

        var hanging = running { $0.commands.stop = [.no, .no] }
        hanging.hanging = ["stop app.service"]
        hanging.command(.stop(group))
        hanging.pass(.seconds(90))
        hanging.endControl("stop app.service", .signalled(15, coreDumped: false))
        hanging.exit(app)
        #expect(end(hanging) == "stop timeout")

        var post = running { $0.commands.stopPost = [.no, .no] }
        post.hanging = ["stopPost app.service"]
        post.command(.stop(group))
        post.exit(app)
        post.pass(.seconds(90))
        #expect(end(post) == "stopPost timeout")
        #expect(post.takeLog("stopPost") == ["stopPost app.service"])
    }

    @Test("each ExecStop= and ExecStopPost= command has the whole of TimeoutStopSec=")
    func stopTimeoutOfEachCommand() {
        var bench = running { ($0.commands.stop, $0.commands.stopPost) = ([.no, .no], [.no, .no]) }
        bench.hanging = ["stop app.service", "stopPost app.service"]
        bench.command(.stop(group))
        for _ in 0..<2 {
            bench.pass(.seconds(80))
            bench.endControl("stop app.service")
        }
        bench.exit(app)
        for _ in 0..<2 {
            bench.pass(.seconds(80))
            bench.endControl("stopPost app.service")
        }
        #expect(end(bench) == "clean")
    }

    @Test("ExecStop= and ExecStopPost=: none after one that failed, unless that has the prefix -")
    func stopCommandsFail() {
        let notThere: (inout Bench) -> Void = { $0.notExecutable = ["stop app.service"] }
        for (marks, runs) in [([CommandCounts.MayFail.no, .no], 1), ([.yes, .no], 2)] {
            var bench = stopped(
                change: { $0.commands.stop = marks }, prepare: { $0.endings = ["stop app.service": .exited(3)] })
            #expect(end(bench) == "stop exit-code")
            #expect(bench.takeLog("stop app").count == runs)
            var post = stopped(
                change: { $0.commands.stopPost = marks },
                prepare: { $0.endings = ["stopPost app.service": .signalled(9, coreDumped: false)] })
            #expect(end(post) == "stopPost signal")
            #expect(post.takeLog("stopPost").count == runs)
            #expect(end(stopped(change: { $0.commands.stop = marks }, prepare: notThere)) == "stop exit-code")
        }
        #expect(end(stopped(change: { $0.commands.stop = [.yes] }, prepare: notThere)) == "clean")
    }

    @Test("the first thing that goes wrong is the result")
    func firstFailureCounts() {
        let bench = stopped(
            .exited(7), change: { ($0.commands.stop, $0.commands.stopPost) = ([.no], [.no]) },
            prepare: { $0.endings = ["stop app.service": .exited(3), "stopPost app.service": .exited(4)] })
        #expect(end(bench) == "stop exit-code")
        #expect(bench.results.last?.uncleanEnds.first?.cause == .exited(.exited(3)))
    }

    @Test(
        "what is ended with one of its commands running counts how that ends; a run that waits to be restarted is none")
    func stoppedOnTheWay() {
        var pre = Bench()
        pre.hanging = ["startPre app.service"]
        pre.start(Plans.service(app) { $0.commands.startPre = [.no] })
        pre.command(.stop(group))
        pre.endControl("startPre app.service", .signalled(15, coreDumped: false))
        #expect(end(pre) == "leave signal")

        var waiting = running { ($0.restart.policy, $0.restart.delay) = (.always, .seconds(100)) }
        waiting.exit(app, .exited(7))
        waiting.command(.stop(group))
        #expect(end(waiting) == "clean")
        #expect(waiting.takeLog("wants") == ["wants next: success of app.service"])
    }

    @Test("a clean end that leaves something behind is a time-out, for which Restart=on-failure restarts")
    func strayAfterCleanEnd() {
        var bench = Bench()
        bench.strayChildren = [app]
        bench.start(Plans.service(app) { ($0.restart.policy, $0.restart.delay) = (.onFailure, .zero) })
        bench.exit(app)
        _ = bench.takeLog()
        bench.pass(.seconds(90))
        #expect(bench.takeLog("start ") == ["start app.service"])
    }

    @Test(
        "a generation that a swap replaces fails on its way out: the end of its drain says so, and OnFailure= fires")
    func replacedFails() {
        var bench = Bench()
        var old = Plans.site("v1")
        for index in old.services.indices { old.services[index].triggers.onFailure = ["alert"] }
        bench.start(old)
        bench.ready("app@v1.service")
        bench.ready("edge@v1.service")
        bench.swapReady("v2")
        bench.exit("edge@v1.service", .exited(7))
        bench.exit("app@v1.service")
        #expect(bench.results.last?.outcome == .completed)
        #expect(bench.drained.last?.uncleanEnds.map(\.unit) == ["edge@v1.service"])
        #expect(bench.view("site@.target")?.lastFailure == nil)
        #expect(bench.takeLog("wants") == ["wants alert: failure of edge@v1.service"])
    }

    // MARK: - Failed starts

    @Test(
        "a notify service that ends cleanly before READY=1 breaks the protocol; RestartPreventExitStatus= is about its status"
    )
    func protocolError() {
        func bench(_ policy: RestartPolicy, prevent: Set<Int32> = []) -> Bench {
            var bench = running {
                ($0.type, $0.restart.policy, $0.restart.delay) = (.notify, policy, .seconds(100))
                $0.restart.prevent.codes = prevent
            }
            bench.exit(app)
            return bench
        }
        #expect(bench(.no).failures.last?.cause.serviceResult == "protocol")
        #expect(bench(.onAbnormal).service(app)?.phase == .autoRestart)
        #expect(bench(.onAbort).service(app) == nil)
        #expect(bench(.onFailure, prevent: [0]).service(app) == nil)
    }

    @Test("a program that cannot be executed has the status 203, for Restart= and its siblings as well")
    func notExecutable() {
        func start(_ change: @escaping (inout RestartRules) -> Void) -> Bench {
            var bench = Bench()
            bench.notExecutable = ["start app.service"]
            bench.start(
                Plans.service(app) {
                    $0.restart.delay = .seconds(100)
                    change(&$0.restart)
                })
            return bench
        }
        #expect(start { _ in }.failures.last?.cause.serviceResult == "exit-code")
        #expect(start { $0.policy = .onFailure }.service(app)?.phase == .autoRestart)
        #expect(start { ($0.policy, $0.prevent.codes) = (.always, [203]) }.service(app) == nil)
        #expect(start { $0.force.codes = [203] }.service(app)?.phase == .autoRestart)
        let success = start { $0.success.codes = [203] }
        #expect(success.failures.isEmpty && end(success) == "clean")
    }

    @Test("ExecCondition= that cannot be executed skips the service; with the prefix - it goes on")
    func conditionNotExecutable() {
        for (mark, isSkipped) in [(CommandCounts.MayFail.no, true), (.yes, false)] {
            var bench = Bench()
            bench.notExecutable = ["condition app.service"]
            bench.start(Plans.service(app) { $0.commands.condition = [mark] })
            #expect(end(bench) == (isSkipped ? "clean" : "clean serving"))
        }
    }

    @Test("RestartForceExitStatus= and RestartPreventExitStatus= look at the main process, whatever the result was")
    func statusSetsLookAtMain() {
        var pre = Bench()
        pre.endings = ["startPre app.service": .exited(7)]
        pre.start(Plans.service(app) { ($0.commands.startPre, $0.restart.force.codes) = ([.no], [7]) })
        #expect(pre.service(app) == nil && end(pre) == "startPre exit-code")

        var late = running { ($0.type, $0.restart.policy, $0.restart.prevent.codes) = (.notify, .always, [7]) }
        late.pass(.seconds(90))
        late.exit(app, .exited(7))
        #expect(late.service(app) == nil && end(late) == "readiness timeout")
    }

    @Test("a main process that ends cleanly while ExecStartPost= runs: up, and then ended; or it stays without it")
    func endsDuringStartPost() {
        for remains in [false, true] {
            var bench = Bench()
            bench.hanging = ["startPost app.service"]
            bench.start(
                Plans.service(app) {
                    ($0.commands.startPost, $0.commands.stop) = ([.no], [.no])
                    $0.lifecycle.remainsAfterExit = remains
                })
            bench.exit(app)
            #expect(bench.takeLog("stop") == [])
            bench.endControl("startPost app.service")
            #expect(bench.takeLog("stop") == (remains ? [] : ["stop app.service"]))
            #expect(end(bench) == (remains ? "clean serving" : "clean"))
        }
    }

    @Test("what has happened counts before what time does, however late it is told")
    func eventsBeforeDeadlines() throws {
        let bench = running { $0.type = .notify }
        let main = try #require(bench.main(app))
        let id = try #require(bench.instance(app))
        var engine = bench.engine
        let late = bench.now + .seconds(100)
        // The start timeout has elapsed when READY=1 is delivered, and another event precedes it.
        _ = engine.handle(.spawned(main), at: late)
        var ready = NotifyMessage()
        ready.ready = true
        _ = engine.handle(.notified(id, .process(main), ready), at: late)
        _ = engine.handle(.deadlineReached, at: late, due: bench.now + .seconds(90))
        #expect(engine.view(of: group)?.serving == 1)
        // A timeout that ends after the reported moment has not elapsed.
        var other = running { $0.type = .notify }
        other.pass(.seconds(1))
        var second = other.engine
        let effects = second.handle(.deadlineReached, at: late, due: other.now)
        #expect(effects.isEmpty)
    }
}
