import Testing

@testable import Engine

/// The choice of the main process: `Type=forking`, `PIDFile=`, `GuessMainPID=` and `MAINPID=` (systemd.service(5),
/// sd_notify(3)).
@Suite("Main processes")
struct ForkingTests {
    private let app = "app.service"

    @Test("forking: up when what was executed has ended and the daemon is known; its end is the service's")
    func forking() {
        var bench = Bench.started(.forking)
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
        #expect(gone.failures.last?.cause == .protocolError("all processes exited"))
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
        var bench = Bench.started(.forking) { $0.lifecycle.hasPidFile = true }
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
        var bench = Bench.started(type) { $0.lifecycle.hasPidFile = true }
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
        var bench = Bench.started(.notify) { $0.lifecycle.hasPidFile = true }
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
}
