import Testing

@testable import Engine

/// The event that a late service waits for.
@Suite("What is awaited")
struct AwaitedTests {
    private let app = "app.service"

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
}
