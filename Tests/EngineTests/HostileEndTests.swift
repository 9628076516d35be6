import Testing

@testable import Engine

/// The effects that a hostile service can cause by the way it ends, and by an exit status that it withholds.
@Suite("A service that makes the worst of its end")
struct HostileEndTests {
    private let app = "app.service"
    private let group = GroupID("app.service")

    @Test("a command whose end nobody sees, because a tracer withholds it, is not executed again without end")
    func withheldEnds() {
        for kind in ["condition", "startPre", "startPost"] {
            var bench = Bench()
            bench.endings = ["\(kind) app.service": .unknown]
            bench.start(
                Plans.service(app) { spec in
                    spec.startTimeout = nil
                    switch kind {
                    case "condition": spec.commands.condition = [.no]
                    case "startPre": spec.commands.startPre = [.no]
                    default: spec.commands.startPost = [.no]
                    }
                })
            if bench.main(app) != nil { bench.exit(app) }
            #expect(bench.takeLog(kind).count == 4)
            #expect(bench.results.last?.outcome == .failed)
        }
        var reloaded = Bench()
        reloaded.endings = ["reload app.service": .unknown]
        reloaded.start(Plans.service(app) { ($0.startTimeout, $0.commands.reload) = (nil, [.no]) })
        for _ in 0..<2 {
            _ = reloaded.takeLog()
            reloaded.command(.reload(group))
            #expect(reloaded.takeLog("reload app").count == 4)
            #expect(reloaded.results.last?.outcome == .failed)
            #expect(reloaded.service(app)?.phase == .running)
        }
    }

    @Test("a main process that ended with 7 did so also if it is stopped before its PID file was asked for a successor")
    func endBeforeTheSearch() throws {
        var bench = Bench()
        bench.start(Plans.service(app) { $0.lifecycle.hasPidFile = true })
        let main = try #require(bench.main(app))
        var engine = bench.engine
        _ = engine.handle(.exited(main, .exited(7)), at: bench.now)
        let effects = engine.handle(.command(.stop(group), RequestID(number: 99)), at: bench.now)
        let watch = effects.compactMap { if case .watchTree(let token, _) = $0 { token } else { nil } }.last
        let end = engine.handle(.treeEmpty(try #require(watch)), at: bench.now)
        let results = end.compactMap { effect in
            if case .report(.finished(_, let result, _)) = effect { result } else { nil }
        }
        #expect(results.first?.uncleanEnds.first?.cause == .exited(.exited(7)))
        #expect(engine.view(of: group)?.lastFailure?.cause == .exited(.exited(7)))
    }

    @Test("NotifyAccess=all: one that has handed over by MAINPID= may speak still")
    func formerMain() throws {
        var bench = Bench()
        bench.start(Plans.service(app) { ($0.type, $0.notifyAccess) = (.notify, .all) })
        let (instance, former) = (try #require(bench.instance(app)), try #require(bench.main(app)))
        _ = bench.namesMain(app)
        var message = NotifyMessage()
        message.ready = true
        bench.tell(.notified(instance, .process(former), message))
        #expect(bench.service(app)?.phase == .running)
    }

    @Test("RemainAfterExit=: neither WatchdogSec= nor RuntimeMaxSec= ends what has no process any more")
    func nothingToWatch() {
        var bench = Bench()
        bench.start(
            Plans.service(app) { spec in
                spec.lifecycle.remainsAfterExit = true
                spec.lifecycle.watchdog = .seconds(5)
                spec.lifecycle.runtimeMax = .seconds(5)
            })
        bench.exit(app)
        bench.pass(.seconds(60))
        #expect(bench.service(app)?.phase == .exited)
    }

    @Test("the watchdog counts during ExecStartPost=, and WATCHDOG=trigger before the service is up")
    func earlyWatchdog() {
        var bench = Bench()
        bench.hanging = ["startPost app.service"]
        bench.start(
            Plans.service(app) { ($0.lifecycle.watchdog, $0.commands.startPost) = (.seconds(5), [.no]) })
        bench.pass(.seconds(5))
        #expect(bench.takeLog("signal") == ["signal 6 tree of app.service"])

        var early = Bench()
        early.start(Plans.service(app) { $0.type = .notify })
        var message = NotifyMessage()
        message.watchdog = .trigger
        early.notify(app, message)
        #expect(early.takeLog("signal") == ["signal 6 tree of app.service"])
        early.exit(app, .signalled(6, coreDumped: false))
        #expect(early.view(app)?.lastFailure?.cause.serviceResult == "watchdog")
    }
}
