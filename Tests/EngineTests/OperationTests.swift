import Testing

@testable import Engine

@Suite("Operators")
struct OperationTests {
    private let site = "site@.target"

    // MARK: - Hold

    @Test("with hold both generations serve until promote")
    func holdAndPromote() {
        var bench = Bench.servingSite()
        bench.swapReady("v2", hold: true)
        bench.pass(.seconds(3600))
        #expect(bench.phase(site) == .hold)
        #expect(bench.takeLog("signal") == [])
        bench.command(.promote(Plans.site))
        #expect(
            bench.takeLog("signal", "serving", "swap") == [
                "serving 2", "signal 10 edge@v1.service", "swap of site@.target completed for 2",
            ])
    }

    @Test("abort takes the new generation away, proxy first, and leaves the old one alone")
    func abort() {
        var bench = Bench.servingSite()
        bench.swapReady("v2", hold: true)
        _ = bench.takeLog()
        bench.command(.abort(Plans.site))
        bench.exit("edge@v2.service")
        bench.exit("app@v2.service")
        #expect(
            bench.takeLog("signal 1") == [
                "signal 10 edge@v2.service", "signal 15 tree of edge@v2.service", "signal 15 app@v2.service",
                "signal 15 tree of app@v2.service",
            ])
        #expect(bench.results.last?.outcome == .aborted)
        #expect(bench.serving(site) == 1)
    }

    @Test("after cutover there is nothing to abort")
    func abortTooLate() {
        var bench = Bench.servingSite()
        bench.swapReady("v2")
        bench.command(.abort(Plans.site))
        #expect(bench.refusals == [.nothingToAbort(Plans.site, nil)])
    }

    @Test("a crash while held rolls back")
    func crashWhileHeld() {
        var bench = Bench.servingSite()
        bench.swapReady("v2", hold: true)
        bench.exit("edge@v2.service", .exited(1))
        bench.exit("app@v2.service")
        #expect(bench.results.last?.outcome == .rolledBack)
    }

    @Test("an abort while sockets are being opened releases them once, when they are")
    func abortWhilePreparing() {
        var bench = Bench.servingSite()
        bench.unprepared = [Plans.site]
        bench.swap(Plans.site("v2"))
        bench.command(.abort(Plans.site))
        #expect(bench.results.last?.outcome == .aborted)
        #expect(bench.takeLog("release") == [])
        bench.tell(.prepared(GenerationID(group: Plans.site, number: 2)))
        bench.tell(.prepared(GenerationID(group: Plans.site, number: 2)))
        #expect(bench.takeLog("release") == ["release 2"])
    }

    // MARK: - Rollback

    @Test("rollback swaps back to what the last swap replaced, and twice is there again")
    func rollbackToggles() {
        var bench = Bench.servingSite("v1")
        bench.command(.rollback(Plans.site, hold: false))
        #expect(bench.refusals == [.nothingToRollBack(Plans.site)])
        bench.swapReady("v2")
        bench.exit("edge@v1.service")
        bench.exit("app@v1.service")
        for (target, old) in [("v1", "v2"), ("v2", "v1")] {
            bench.command(.rollback(Plans.site, hold: false))
            bench.ready("app@\(target).service")
            bench.pass(.seconds(5))
            bench.ready("edge@\(target).service")
            bench.pass(.seconds(5))
            bench.exit("edge@\(old).service")
            bench.exit("app@\(old).service")
            #expect(bench.results.last?.kind == .rollback)
            #expect(bench.results.last?.outcome == .completed)
            #expect(bench.results.last?.serving?.release == target)
        }
        #expect(bench.serving(site) == 4)
    }

    @Test("starting a failed member again does not change what rollback goes back to")
    func startKeepsPrevious() {
        var bench = Bench.servingSite("v1")
        bench.swapReady("v2")
        bench.exit("edge@v1.service")
        bench.exit("app@v1.service")
        bench.exit("edge@v2.service", .exited(1))
        bench.start(Plans.site("v2"))
        bench.ready("edge@v2.service")
        #expect(bench.results.last?.outcome == .completed)
        #expect(bench.engine.previousPlan(of: Plans.site)?.release == "v1")
    }

    // MARK: - Strategy queue

    private var queued: Plan { Plans.service(swaps: true, strategy: .queue) }

    @Test("with the strategy queue the old one is gone before the new one starts")
    func queue() {
        var bench = Bench()
        bench.start(queued)
        _ = bench.takeLog()
        bench.swap(queued)
        #expect(bench.takeLog("signal", "start") == ["signal 15 app.service"])
        bench.exit("app.service", generation: 1)
        #expect(bench.takeLog("gone", "start") == ["gone app.service", "start app.service"])
        bench.pass(.seconds(1))
        #expect(bench.results.last?.outcome == .completed)
        #expect(bench.serving("app.service") == 2)
    }

    @Test("with the strategy queue a new one that fails brings the old one back")
    func queueRestores() {
        var bench = Bench()
        bench.start(queued)
        bench.swap(queued)
        bench.exit("app.service", generation: 1)
        _ = bench.takeLog()
        bench.exit("app.service", generation: 2, .exited(1))
        #expect(bench.takeLog("start", "release", "serving") == ["release 2", "start app.service", "serving 3"])
        let result = bench.results.last
        #expect(result?.outcome == .rolledBack)
        #expect(result?.failure?.cause == .exited(.exited(1)))
        // The attempted generation, and the one that serves now.
        #expect(result?.to?.number == 2)
        #expect(result?.serving?.number == 3)
    }

    @Test("restart --hard stops first, whatever the strategy")
    func hardRestart() {
        var bench = Bench()
        bench.start(Plans.service(swaps: true))
        _ = bench.takeLog()
        bench.swap(Plans.service(swaps: true), stopFirst: true, kind: .restart)
        #expect(bench.takeLog("signal", "start") == ["signal 15 app.service"])
        bench.swap(Plans.service(swaps: true), hold: true, stopFirst: true)
        #expect(bench.refusals == [.busy(GroupID("app.service"), .restart, .stopOld)])
    }

    // MARK: - One at a time

    @Test("a swap during a swap is refused")
    func swapDuringSwap() {
        var bench = Bench.servingSite()
        bench.swap(Plans.site("v2"))
        bench.swap(Plans.site("v3"))
        #expect(bench.refusals == [.busy(Plans.site, .swap, .start)])
    }

    @Test("a stop during a swap ends both generations, and the swap is told that it was aborted")
    func stopDuringSwap() {
        var bench = Bench.servingSite()
        bench.swapReady("v2", hold: true)
        bench.command(.stop(Plans.site))
        #expect(bench.results.last?.outcome == .aborted)
        for unit in ["edge@v1.service", "edge@v2.service", "app@v1.service", "app@v2.service"] { bench.exit(unit) }
        #expect(bench.results.last?.kind == .stop)
        #expect(bench.results.last?.outcome == .completed)
        #expect(bench.view(site)?.generations.isEmpty == true)
    }

    @Test("start of what runs changes nothing, start of another release is refused")
    func startOfWhatRuns() {
        var bench = Bench.servingSite()
        bench.start(Plans.site("v1"))
        #expect(bench.unchanged == 1)
        bench.start(Plans.site("v2"))
        #expect(bench.refusals == [.otherReleaseServes(Plans.site, release: "v1")])
    }

    @Test("two starts of one release have one end, a start of another one meanwhile is refused")
    func startsJoin() {
        var bench = Bench()
        bench.start(Plans.site("v1"))
        bench.start(Plans.site("v1"))
        bench.start(Plans.site("v2"))
        bench.ready("app@v1.service")
        bench.ready("edge@v1.service")
        #expect(bench.takeLog("start of") == ["start of site@.target completed for 2"])
        #expect(bench.refusals == [.busy(Plans.site, .start, .start)])
    }

    // MARK: - Reload

    @Test("reload runs ExecReload= and ends with its verdict, each time anew")
    func reload() {
        var bench = Bench()
        bench.start(Plans.service { $0.commands.reload = [.no] })
        bench.endings = ["reload app.service": .exited(1)]
        bench.command(.reload(GroupID("app.service")))
        #expect(bench.results.last?.outcome == .failed)
        #expect(bench.results.last?.failure?.step == .reload)
        #expect(bench.service("app.service")?.phase == .running)
        bench.endings = [:]
        bench.command(.reload(GroupID("app.service")))
        #expect(bench.results.last?.outcome == .completed)
    }

    @Test("a service without ExecReload= says so")
    func noReload() {
        var bench = Bench()
        bench.start(Plans.service())
        bench.command(.reload(GroupID("app.service")))
        #expect(bench.refusals == [.noReload(GroupID("app.service"))])
    }

    // MARK: - Between groups

    @Test("a group starts after those that it is to start after, whether they succeed or not")
    func after() {
        var bench = Bench()
        bench.start(Plans.service("db.service") { $0.type = .notify })
        bench.start(Plans.service("app.service", after: ["db.service"]))
        #expect(bench.takeLog("start ") == ["start db.service"])
        bench.exit("db.service", .exited(1))
        #expect(bench.takeLog("start app") == ["start app.service"])
    }

    @Test("a group whose requirement failed does not start, and says why")
    func failedRequirement() {
        var bench = Bench()
        bench.start(Plans.service("db.service") { $0.type = .notify })
        bench.start(Plans.service("app.service", requires: ["db.service"]))
        bench.exit("db.service", .exited(1))
        #expect(bench.results.last?.outcome == .failed)
        #expect(bench.results.last?.failure?.step == .dependency)
        #expect(bench.serving("app.service") == nil)
    }

    @Test("groups that wait for each other in a circle start all the same")
    func cycle() {
        var bench = Bench()
        bench.unprepared = [GroupID("c.service")]
        bench.start(Plans.service("c.service"))
        bench.start(Plans.service("a.service", after: ["b.service", "c.service"], requires: ["b.service"]))
        bench.start(Plans.service("b.service", after: ["a.service"], requires: ["a.service"]))
        bench.tell(.prepared(GenerationID(group: GroupID("c.service"), number: 1)))
        #expect(bench.serving("a.service") == 1)
        #expect(bench.serving("b.service") == 1)
    }

    @Test("a stop takes along what requires it, dependents first")
    func stopOrder() {
        var bench = Bench()
        bench.start(Plans.service("db.service"))
        bench.start(Plans.service("app.service", requires: ["db.service"]))
        _ = bench.takeLog()
        bench.command(.stop(GroupID("db.service")))
        #expect(bench.takeLog("signal") == ["signal 15 tree of app.service"])
        bench.exit("app.service")
        #expect(bench.takeLog("signal") == ["signal 15 tree of db.service"])
        bench.exit("db.service")
        #expect(bench.results.last?.outcome == .completed)
        bench.start(Plans.service("app.service", requires: ["db.service"]))
        #expect(bench.results.last?.failure?.step == .dependency)
    }

    @Test("shutdown stops everything in reverse order, starts nothing any more, and is answered when nothing is left")
    func shutDown() {
        var bench = Bench()
        bench.start(Plans.service("db.service") { $0.restart.policy = .always })
        bench.start(Plans.service("app.service", after: ["db.service"]))
        _ = bench.takeLog()
        bench.command(.shutDown)
        bench.start(Plans.service("other.service"))
        #expect(bench.refusals == [.shuttingDown])
        #expect(bench.takeLog("signal", "start") == ["signal 15 tree of app.service"])
        bench.exit("app.service")
        #expect(bench.shutDownAnswers == 0)
        bench.exit("db.service")
        #expect(bench.shutDownAnswers == 1)
        #expect(bench.engine.nextDeadline == nil)
        #expect(bench.takeLog("start ") == [])
    }

    @Test("a plain service restarts by stopping first")
    func plainRestart() {
        var bench = Bench()
        bench.start(Plans.service())
        _ = bench.takeLog()
        bench.swap(Plans.service())
        #expect(bench.refusals == [.notASwapUnit(GroupID("app.service"))])
        bench.swap(Plans.service(), kind: .restart)
        #expect(bench.takeLog("signal", "start") == ["signal 15 tree of app.service"])
        bench.exit("app.service")
        #expect(bench.takeLog("start", "restart") == ["start app.service", "restart of app.service completed for 1"])
    }
}
