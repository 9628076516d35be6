import Testing
import Vocabulary

@testable import Engine

/// Watchdogs, time limits and their consequences (systemd.service(5)); limits of starts (systemd.unit(5)).
@Suite("Limits of services")
struct LimitTests {
    private let app = "app.service"

    private func running(_ change: @escaping (inout ServiceSpec) -> Void = { _ in }) -> Bench {
        var bench = Bench()
        bench.start(Plans.service(app, change))
        if bench.service(app)?.phase == .starting { bench.ready(app) }
        _ = bench.takeLog()
        return bench
    }

    private func watched(
        _ interval: Duration? = .seconds(5), _ change: @escaping (inout ServiceSpec) -> Void = { _ in }
    )
        -> Bench
    {
        running {
            $0.type = .notify
            $0.lifecycle.watchdog = interval
            change(&$0)
        }
    }

    private func message(_ change: (inout NotifyMessage) -> Void) -> NotifyMessage {
        var message = NotifyMessage()
        change(&message)
        return message
    }

    // MARK: - Watchdog

    @Test(
        "a watchdog that is fed in time does nothing; one that is not sends its signal, and SIGKILL after TimeoutAbortSec="
    )
    func watchdog() {
        var bench = watched { $0.lifecycle.abortTimeout = .seconds(7) }
        for _ in 0..<10 {
            bench.pass(.milliseconds(4999))
            bench.notify(app, message { $0.watchdog = .keepAlive })
        }
        #expect(bench.takeLog("signal") == [])
        bench.pass(.milliseconds(4999))
        #expect(bench.service(app)?.phase == .running)
        bench.pass(.milliseconds(1))
        #expect(bench.takeLog("signal", "kill") == ["signal 6 tree of app.service"])
        #expect(bench.failures.last?.cause == .watchdog(.seconds(5)))
        bench.pass(.milliseconds(6999))
        #expect(bench.takeLog("kill") == [])
        bench.pass(.milliseconds(1))
        #expect(bench.takeLog("kill") == ["kill tree of app.service"])
        #expect(bench.serving(app) == nil)
    }

    @Test("a watchdog's end runs no ExecStop=, but ExecStopPost=, and Restart= counts it as one of the watchdog")
    func watchdogRestarts() {
        var bench = watched {
            $0.commands.stop = [.no]
            $0.commands.stopPost = [.no]
            $0.restart.policy = .onWatchdog
            $0.restart.delay = .zero
        }
        bench.pass(.seconds(5))
        bench.exit(app, .signalled(6, coreDumped: true))
        #expect(
            bench.takeLog("st", "signal") == [
                "signal 6 tree of app.service", "stopPost app.service", "start app.service",
            ])
        // Only a running service is watched.
        bench.pass(.seconds(60))
        #expect(bench.service(app)?.phase == .starting)
    }

    @Test("WATCHDOG_USEC= changes the interval from now on, also of a service without WatchdogSec=; 0 ends the watch")
    func watchdogInterval() {
        for interval in [Duration.seconds(5), nil] {
            var bench = watched(interval)
            bench.pass(.seconds(4))
            bench.notify(app, message { $0.watchdogInterval = .seconds(20) })
            bench.pass(.milliseconds(19_999))
            #expect(bench.takeLog("signal") == [])
            bench.notify(app, message { $0.watchdog = .keepAlive })
            bench.pass(.seconds(20))
            #expect(bench.takeLog("signal") == ["signal 6 tree of app.service"])
            #expect(bench.failures.last?.cause == .watchdog(.seconds(20)))
        }
        var off = watched()
        off.notify(app, message { $0.watchdogInterval = .zero })
        off.pass(.seconds(1000))
        #expect(off.service(app)?.phase == .running)
    }

    @Test("WATCHDOG=trigger bites at once; the next run has the unit's own interval again")
    func watchdogTrigger() {
        var bench = watched {
            $0.lifecycle.watchdogSignal = 3
            $0.restart.policy = .always
            $0.restart.delay = .zero
        }
        bench.notify(app, message { $0.watchdogInterval = .seconds(100) })
        bench.notify(app, message { $0.watchdog = .trigger })
        #expect(bench.takeLog("signal") == ["signal 3 tree of app.service"])
        bench.exit(app, .signalled(3, coreDumped: false))
        bench.ready(app)
        bench.pass(.seconds(5))
        #expect(bench.takeLog("signal") == ["signal 3 tree of app.service"])
    }

    // MARK: - Time limits

    @Test("RuntimeMaxSec= stops what is up for so long, with ExecStop=, and it is a failure by time-out")
    func runtimeMax() {
        var bench = running {
            $0.lifecycle.runtimeMax = .seconds(100)
            $0.commands.stop = [.no]
            $0.restart.policy = .onAbnormal
            $0.restart.delay = .zero
        }
        bench.pass(.milliseconds(99_999))
        #expect(bench.takeLog() == [])
        bench.pass(.milliseconds(1))
        #expect(bench.takeLog("stop ", "signal") == ["stop app.service", "signal 15 tree of app.service"])
        bench.exit(app, .signalled(15, coreDumped: false))
        #expect(bench.failures.last?.cause == .timedOut(.seconds(100)))
        #expect(bench.takeLog("start ") == ["start app.service"])
        // The next run has its whole time again.
        bench.pass(.milliseconds(99_999))
        #expect(bench.service(app)?.phase == .running)
    }

    /// The first step of ending a service after its time limit; afterwards it is killed, in every mode.
    static let modes: [(mode: TimeoutFailureMode, first: String)] = [
        (.terminate, "signal 15 tree of app.service"), (.abort, "signal 6 tree of app.service"),
        (.kill, "kill tree of app.service"),
    ]

    @Test("TimeoutStartFailureMode= says how a start that takes too long is ended, of every type", arguments: modes)
    func startFailureMode(_ row: (mode: TimeoutFailureMode, first: String)) {
        for type in ServiceSpec.StartType.allCases where type != .simple {
            var bench = Bench()
            bench.hanging = ["start app.service"]
            bench.start(
                Plans.service(app) {
                    $0.type = type
                    $0.lifecycle.startFailureMode = row.mode
                    $0.lifecycle.abortTimeout = .seconds(3)
                    $0.stopTimeout = .seconds(8)
                })
            bench.pass(.seconds(90))
            #expect(bench.takeLog("signal", "kill") == [row.first], "\(type)")
            switch row.mode {
            case .terminate: bench.pass(.seconds(8))
            case .abort: bench.pass(.seconds(3))
            case .kill: break
            }
            #expect(bench.takeLog("kill") == (row.mode == .kill ? [] : ["kill tree of app.service"]), "\(type)")
            #expect(bench.results.last?.outcome == .failed && bench.failures.last?.cause == .timedOut(.seconds(90)))
        }
    }

    @Test("TimeoutStartFailureMode= counts for ExecStartPre= and ExecStartPost=, too", arguments: modes)
    func startCommandsFailureMode(_ row: (mode: TimeoutFailureMode, first: String)) {
        for command in ["startPre", "startPost"] {
            var bench = Bench()
            bench.hanging = ["\(command) app.service"]
            bench.start(
                Plans.service(app) {
                    $0.commands.startPre = [.no]
                    $0.commands.startPost = [.no]
                    $0.lifecycle.startFailureMode = row.mode
                })
            bench.pass(.seconds(90))
            #expect(bench.takeLog("signal", "kill") == [row.first], "\(command)")
        }
    }

    @Test("TimeoutStopFailureMode= says how an ExecStop= and a process that take too long are ended", arguments: modes)
    func stopFailureMode(_ row: (mode: TimeoutFailureMode, first: String)) {
        var hanging = Bench()
        hanging.hanging = ["stop app.service"]
        let plan = Plans.service(app) {
            $0.commands.stop = [.no]
            $0.lifecycle.stopFailureMode = row.mode
            $0.lifecycle.abortTimeout = .seconds(3)
        }
        hanging.start(plan)
        hanging.command(.stop(GroupID(app)))
        hanging.pass(.seconds(90))
        #expect(hanging.takeLog("signal", "kill") == [row.first])

        // ExecStop= ends, and the process stays.
        var deaf = Bench()
        deaf.start(plan)
        deaf.command(.stop(GroupID(app)))
        #expect(deaf.takeLog("signal", "kill") == ["signal 15 tree of app.service"])
        deaf.pass(.seconds(90))
        let second = row.mode == .abort ? "signal 6 tree of app.service" : "kill tree of app.service"
        #expect(deaf.takeLog("signal", "kill") == [second])
        deaf.pass(.seconds(3))
        #expect(deaf.takeLog("signal", "kill") == (row.mode == .abort ? ["kill tree of app.service"] : []))
        #expect(deaf.results.last?.outcome == .completed)
    }

    @Test("RestartKillSignal= is the signal of a restart, KillSignal= that of a stop")
    func restartKillSignal() {
        let plan = Plans.service(app) { $0.lifecycle.restartKillSignal = 12 }
        var bench = Bench()
        bench.start(plan)
        bench.swap(plan, kind: .restart)
        #expect(bench.takeLog("signal") == ["signal 12 tree of app.service"])
        bench.exit(app)
        bench.command(.stop(GroupID(app)))
        #expect(bench.takeLog("signal") == ["signal 15 tree of app.service"])
    }

    // MARK: - Reload and start commands that fail

    @Test("an ExecReload= that fails fails the reload, runs no further one, and leaves the service as it was")
    func reloadFails() {
        var bench = running { $0.commands.reload = [.yes, .no, .no] }
        bench.endings = ["reload app.service": .exited(4)]
        bench.command(.reload(GroupID(app)))
        #expect(
            bench.takeLog("reload ") == [
                "reload app.service", "reload app.service", "reload of app.service failed for 1",
            ])
        #expect(bench.service(app)?.phase == .running)
        bench.endings = [:]
        bench.command(.reload(GroupID(app)))
        #expect(bench.results.last?.outcome == .completed)
        var hanging = running { $0.commands.reload = [.no] }
        hanging.hanging = ["reload app.service"]
        hanging.command(.reload(GroupID(app)))
        hanging.pass(.seconds(90))
        #expect(hanging.takeLog("signal") == ["signal 9 reload app.service"])
        #expect(hanging.service(app)?.phase == .running && hanging.results.last?.outcome == .failed)
    }

    @Test("an ExecStartPre= that fails ends the start: nothing after it runs but ExecStopPost=")
    func startPreFails() {
        for status in [Ended.exited(1), .signalled(15, coreDumped: false)] {
            var bench = Bench()
            bench.endings = ["startPre app.service": status]
            bench.start(
                Plans.service(app) {
                    $0.commands.startPre = [.no, .no]
                    $0.commands.startPost = [.no]
                    $0.commands.stop = [.no]
                    $0.commands.stopPost = [.no]
                })
            #expect(
                bench.takeLog("st") == [
                    "startPre app.service", "stopPost app.service", "start of app.service failed for 1",
                ])
            #expect(bench.failures.map(\.cause) == [.exited(status)] && bench.failures.first?.step == .startPre)
        }
    }

    // MARK: - Start limits

    @Test("starts that an operator asks for count in StartLimitBurst=, and reset-failed forgets them")
    func manualStarts() {
        var bench = Bench()
        let plan = Plans.service(app)
        for _ in 0..<5 {
            bench.start(plan)
            bench.command(.stop(GroupID(app)))
            bench.exit(app, .signalled(15, coreDumped: false))
            bench.pass(.seconds(1))
        }
        #expect(bench.failures.isEmpty)
        bench.start(plan)
        #expect(bench.failures.last?.cause == .startLimit(5, .seconds(10)) && bench.view(app)?.lastFailure != nil)
        bench.command(.resetFailed(GroupID(app)))
        #expect(bench.view(app)?.lastFailure == nil)
        _ = bench.takeLog()
        bench.start(plan)
        #expect(bench.takeLog("start ") == ["start app.service", "start of app.service completed for 1"])
    }

    @Test("starts that are long past do not count, and what a swap unit is deployed does not either")
    func startsThatDoNotCount() {
        var bench = Bench()
        for _ in 0..<12 {
            bench.start(Plans.service(app))
            bench.command(.stop(GroupID(app)))
            bench.exit(app, .signalled(15, coreDumped: false))
            bench.pass(.seconds(2))
        }
        #expect(bench.failures.isEmpty)
        var swapped = Bench()
        swapped.start(Plans.service(swaps: true))
        for _ in 0..<12 {
            swapped.swap(Plans.service(swaps: true))
            swapped.pass(.milliseconds(1000))
            swapped.exit(app, generation: swapped.serving(app).map { $0 - 1 })
        }
        #expect(swapped.failures.isEmpty && swapped.serving(app) == 13)
    }

    @Test("reset-failed of what runs forgets how often it was restarted, and nothing else")
    func resetOfRunning() {
        var bench = running {
            $0.restart.policy = .always
            $0.restart.delay = .zero
        }
        for _ in 0..<4 { bench.exit(app) }
        #expect(bench.service(app)?.restarts == 4)
        bench.command(.resetFailed(GroupID(app)))
        #expect(bench.service(app)?.restarts == 0 && bench.service(app)?.phase == .running)
        for _ in 0..<4 { bench.exit(app) }
        #expect(bench.service(app)?.phase == .running)
    }
}
