import Testing

@testable import Engine

/// Time limits that ran while there was no supervisor (I7).
@Suite("Time limits over a pause between two supervisors")
struct GapTests {
    /// A time limit of ten seconds that has just begun, and the check whether it has elapsed.
    struct Limit: CustomTestStringConvertible, Sendable {
        let testDescription: String
        /// The remaining time after nine seconds and a pause of a minute.
        var left = Duration.seconds(1)
        let begin: @Sendable () -> Bench
        let hasStruck: @Sendable (Bench) -> Bool
    }

    private static let app = "app.service"

    private static func start(_ change: (inout ServiceSpec) -> Void) -> Bench {
        var bench = Bench()
        bench.hanging = [
            "condition app.service", "startPre app.service", "start app.service", "startPost app.service",
            "reload app.service", "stop app.service", "stopPost app.service",
        ]
        bench.probeAnswers[app] = .notReady("503")
        bench.searches[app] = .later
        bench.start(Plans.service(app) { change(&$0) })
        return bench
    }

    private static func starting(_ name: String, _ change: @escaping @Sendable (inout ServiceSpec) -> Void) -> Limit {
        Limit(testDescription: "TimeoutStartSec=, \(name)") {
            start {
                $0.startTimeout = .seconds(10)
                change(&$0)
            }
        } hasStruck: {
            $0.failures.contains { $0.step != .reload }
        }
    }

    private static func running(_ change: (inout ServiceSpec) -> Void, then act: (inout Bench) -> Void) -> Bench {
        var bench = start(change)
        act(&bench)
        _ = bench.takeLog()
        return bench
    }

    private static func message(_ change: (inout NotifyMessage) -> Void) -> NotifyMessage {
        var message = NotifyMessage()
        change(&message)
        return message
    }

    private static let starts: [Limit] = [
        starting("ExecCondition=") { $0.commands.condition = [.no] },
        starting("ExecStartPre=") { $0.commands.startPre = [.no] },
        starting("READY=1") { $0.type = .notify },
        starting("oneshot") { $0.type = .oneshot },
        starting("forking") { $0.type = .forking },
        starting("ReadyProbe=") { $0.hasProbe = true },
        starting("ExecStartPost=") { $0.commands.startPost = [.no] },
        Limit(testDescription: "TimeoutStartSec=, PIDFile=") {
            var bench = start {
                $0.type = .forking
                $0.lifecycle.hasPidFile = true
                $0.startTimeout = .seconds(10)
            }
            bench.endControl("start app.service")
            return bench
        } hasStruck: {
            !$0.failures.isEmpty
        },
    ]

    private static let reloads: [Limit] = [
        Limit(testDescription: "ExecReload=") {
            running({
                $0.startTimeout = .seconds(10)
                $0.commands.reload = [.no]
            }) { $0.command(.reload(GroupID(app))) }
        } hasStruck: {
            $0.results.last?.outcome == .failed
        },
        Limit(testDescription: "ReloadSignal=, not answered") {
            running({
                $0.startTimeout = .seconds(10)
                $0.type = .notifyReload
            }) {
                $0.ready(app)
                $0.command(.reload(GroupID(app)))
            }
        } hasStruck: {
            $0.results.last?.outcome == .failed
        },
        Limit(testDescription: "RELOADING=1") {
            running({ $0.startTimeout = .seconds(10) }) { $0.notify(app, message { $0.reloading = true }) }
        } hasStruck: {
            $0.service(app)?.phase == .running
        },
    ]

    private static let ends: [Limit] = [
        Limit(testDescription: "ExecStop=") {
            running({
                $0.stopTimeout = .seconds(10)
                $0.commands.stop = [.no]
            }) { $0.command(.stop(GroupID(app))) }
        } hasStruck: {
            $0.service(app)?.phase != .stopping || $0.log.contains { $0.hasPrefix("signal") }
        },
        Limit(testDescription: "TimeoutStopSec=") {
            running({ $0.stopTimeout = .seconds(10) }) { $0.command(.stop(GroupID(app))) }
        } hasStruck: {
            $0.log.contains("kill tree of app.service")
        },
        Limit(testDescription: "ExecStopPost=") {
            running({
                $0.stopTimeout = .seconds(10)
                $0.commands.stopPost = [.no]
            }) { $0.exit(app) }
        } hasStruck: {
            $0.log.contains("kill tree of app.service")
        },
        Limit(testDescription: "DrainTimeoutSec=") {
            var bench = Bench()
            bench.start(
                Plans.service(app, swaps: true) { $0.drain = .init(method: .signal(10), timeout: .seconds(10)) })
            bench.command(.stop(GroupID(app)))
            _ = bench.takeLog()
            return bench
        } hasStruck: {
            $0.log.contains { $0.hasPrefix("signal 15") }
        },
    ]

    private static let others: [Limit] = [
        Limit(testDescription: "WatchdogSec=", left: .seconds(10)) {
            running({
                $0.type = .notify
                $0.lifecycle.watchdog = .seconds(10)
            }) { $0.ready(app) }
        } hasStruck: {
            !$0.failures.isEmpty
        },
        Limit(testDescription: "WATCHDOG_USEC=", left: .seconds(10)) {
            running({ $0.type = .notify }) {
                $0.ready(app)
                $0.notify(app, message { $0.watchdogInterval = .seconds(10) })
            }
        } hasStruck: {
            !$0.failures.isEmpty
        },
        Limit(testDescription: "RuntimeMaxSec=") {
            running({ $0.lifecycle.runtimeMax = .seconds(10) }) { _ in }
        } hasStruck: {
            !$0.failures.isEmpty
        },
        Limit(testDescription: "RestartSec=", left: .zero) {
            running({
                $0.restart.policy = .always
                $0.restart.delay = .seconds(10)
            }) { $0.exit(app) }
        } hasStruck: {
            $0.log.contains("start app.service")
        },
        Limit(testDescription: "SoakSec=") {
            var bench = Bench()
            let plan = { @Sendable () -> Plan in
                var plan = Plans.service(app, swaps: true)
                plan.settings.soak = .seconds(10)
                return plan
            }
            bench.start(plan())
            bench.swap(plan())
            return bench
        } hasStruck: {
            $0.serving(app) == 2
        },
        Limit(testDescription: "ReadyTimeoutSec=") {
            var bench = Bench()
            let plan = { @Sendable () -> Plan in
                var plan = Plans.service(app, swaps: true) { $0.type = .notify }
                plan.settings.readyTimeout = .seconds(10)
                return plan
            }
            bench.start(plan())
            bench.ready(app)
            bench.swap(plan())
            return bench
        } hasStruck: {
            $0.results.last?.outcome == .rolledBack || $0.phase(app) == .rollBack
        },
    ]

    @Test(
        "a limit does not strike because nobody could listen, and strikes when its time is up",
        arguments: starts + reloads + ends + others)
    func limit(_ limit: Limit) throws {
        var bench = limit.begin()
        #expect(!limit.hasStruck(bench))
        bench.pass(.seconds(9))
        // The last event before the pause.
        bench.tell(.deadlineReached)
        try bench.pause(.seconds(60))
        #expect(limit.hasStruck(bench) == (limit.left == .zero))
        guard limit.left > .zero else { return }
        bench.pass(limit.left - .milliseconds(1))
        #expect(!limit.hasStruck(bench))
        bench.pass(.milliseconds(1))
        #expect(limit.hasStruck(bench))
    }

    @Test("several pauses in a row give no more than one whole limit after the last of them")
    func severalPauses() throws {
        for limit in Self.starts + Self.ends {
            var bench = limit.begin()
            for _ in 0..<5 { try bench.pause(.seconds(8)) }
            bench.pass(.milliseconds(9999))
            #expect(!limit.hasStruck(bench), "\(limit.testDescription)")
            bench.pass(.milliseconds(1))
            #expect(limit.hasStruck(bench), "\(limit.testDescription)")
        }
    }

    @Test("what is left of ReadyTimeoutSec= for the public tier does not shrink by a pause in the private one")
    func secondTier() throws {
        var bench = Bench.servingSite()
        bench.swap(Plans.site("v2"))
        bench.pass(.seconds(10))
        bench.tell(.deadlineReached)
        try bench.pause(.seconds(60))
        bench.ready("app@v2.service")
        bench.pass(.seconds(5))
        bench.pass(.milliseconds(19_999))
        #expect(bench.phase("site@.target") == .start)
        bench.pass(.milliseconds(1))
        // The proxy may have accepted connections, and drains by itself.
        #expect(bench.results.last?.outcome == .rolledBack)
    }

    @Test("a command of a socket keeps its time; a socket whose traffic nobody saw is not found idle")
    func sockets() {
        var machine = SocketActivation()
        let id = SocketID("app.socket")
        let service = GroupID("app.service")
        var spec = SocketSpec()
        spec.service = service
        spec.startPre = [.no]
        spec.timeout = .seconds(10)
        spec.idleStop = .seconds(10)
        var now = Instant(nanoseconds: 0)
        var effects = machine.handle(.start(id, spec, RequestID(number: 1)), at: now)
        now = now + .seconds(69)
        machine.passGap(.seconds(60), until: now)
        #expect(machine.nextDeadline == now + .seconds(1))
        for case .run(let token, _, _) in effects { effects = machine.handle(.commandEnded(token, nil), at: now) }
        for event in [SocketEvent.opened(id), .readable(id), .service(service, .active)] {
            _ = machine.handle(event, at: now)
        }
        now = now + .seconds(69)
        machine.passGap(.seconds(60), until: now)
        now = now + .seconds(1)
        effects = machine.handle(.deadlineReached, at: now)
        #expect(!effects.contains { if case .measure = $0 { true } else { false } })
        #expect(machine.nextDeadline == now + .seconds(10))
        now = now + .seconds(10)
        effects = machine.handle(.deadlineReached, at: now)
        #expect(effects.contains { if case .measure = $0 { true } else { false } })
    }
}
