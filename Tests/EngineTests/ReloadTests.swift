import Testing

@testable import Engine

/// `ExecReload=`, `ReloadSignal=` and `RELOADING=1`.
@Suite("Reloads")
struct ReloadTests {
    private let app = "app.service"

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
}
