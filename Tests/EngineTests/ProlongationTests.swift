import Testing

@testable import Engine

/// `EXTEND_TIMEOUT_USEC=` (sd_notify(3)) in each state, and its limit: a service cannot keep an operator waiting
/// without end.
@Suite("What a service asks for beyond its time limits")
struct ProlongationTests {
    private let app = "app.service"
    private let group = GroupID("app.service")

    private static func asking(_ time: Duration) -> NotifyMessage {
        var message = NotifyMessage()
        message.extendTimeout = time
        return message
    }

    /// A state to bring a service into, with time limits of 10 s.
    struct Row: Sendable, CustomTestStringConvertible {
        let name: String
        var change: @Sendable (inout ServiceSpec) -> Void = { _ in }
        /// A command that does not end.
        var hanging = ""
        var bring: @Sendable (inout Bench) -> Void = { _ in }
        /// Whether the limit is also prolonged for a service with `[X-Swap]`.
        var isProlongedInSwapUnit = true
        var testDescription: String { name }
    }

    private static let unit = "app.service"
    private static let rows = [
        Row(name: "ExecCondition=", change: { $0.commands.condition = [.no] }, hanging: "condition app.service"),
        Row(name: "ExecStartPre=", change: { $0.commands.startPre = [.no] }, hanging: "startPre app.service"),
        Row(name: "READY=1", change: { $0.type = .notify }),
        Row(name: "Type=oneshot", change: { $0.type = .oneshot }, hanging: "start app.service"),
        Row(name: "Type=forking", change: { $0.type = .forking }, hanging: "start app.service"),
        Row(name: "ExecStartPost=", change: { $0.commands.startPost = [.no] }, hanging: "startPost app.service"),
        Row(name: "RuntimeMaxSec=", change: { $0.lifecycle.runtimeMax = .seconds(10) }),
        Row(name: "WatchdogSec=", change: { $0.lifecycle.watchdog = .seconds(10) }),
        Row(
            name: "ExecReload=", change: { $0.commands.reload = [.no] }, hanging: "reload app.service",
            bring: { $0.command(.reload(GroupID(unit))) }, isProlongedInSwapUnit: false),
        Row(
            name: "RELOADING=1",
            bring: { bench in
                var message = NotifyMessage()
                message.reloading = true
                bench.notify(unit, message)
            }, isProlongedInSwapUnit: false),
        Row(
            name: "ExecStop=", change: { $0.commands.stop = [.no] }, hanging: "stop app.service",
            bring: { $0.command(.stop(GroupID(unit))) }, isProlongedInSwapUnit: false),
        Row(name: "the kill signal", bring: { $0.command(.stop(GroupID(unit))) }, isProlongedInSwapUnit: false),
        Row(
            name: "STOPPING=1",
            bring: { bench in
                var message = NotifyMessage()
                message.stopping = true
                bench.notify(unit, message)
            }),
        Row(
            name: "ExecStopPost=", change: { $0.commands.stopPost = [.no] }, hanging: "stopPost app.service",
            bring: { bench in
                bench.command(.stop(GroupID(unit)))
                bench.exit(unit)
            }, isProlongedInSwapUnit: false),
    ]

    private func brought(_ row: Row, swaps: Bool) -> Bench {
        var bench = Bench()
        bench.hanging = [row.hanging]
        bench.start(
            Plans.service(app, swaps: swaps) { spec in
                (spec.startTimeout, spec.stopTimeout) = (.seconds(10), .seconds(10))
                if swaps { spec.drain = .init(method: .signal(15), timeout: .seconds(10)) }
                spec.notifyAccess = .all
                row.change(&spec)
            })
        row.bring(&bench)
        return bench
    }

    private func state(_ bench: Bench) -> String {
        "\(bench.service(app)?.phase, default: "gone") \(bench.view(app)?.lastFailure?.cause.serviceResult ?? "")"
    }

    @Test("it prolongs what limits the state that the service is in, and no longer than asked for", arguments: rows)
    func prolongs(row: Row) throws {
        var bench = brought(row, swaps: false)
        let before = state(bench)
        let instance = try #require(bench.instance(app))
        bench.tell(.notified(instance, .other, Self.asking(.milliseconds(1))))
        bench.tell(.notified(instance, .other, Self.asking(.seconds(20))))
        _ = bench.takeLog()
        bench.pass(.seconds(19))
        #expect(state(bench) == before && bench.takeLog("signal", "kill").isEmpty)
        bench.pass(.seconds(2))
        #expect(state(bench) != before || !bench.takeLog("signal", "kill").isEmpty)
    }

    @Test(
        "no drain, and no reload of a swap unit, is prolonged: an operator would wait for it",
        arguments: rows.filter { !$0.isProlongedInSwapUnit })
    func isBounded(row: Row) throws {
        var bench = brought(row, swaps: true)
        let instance = try #require(bench.instance(app))
        let before = state(bench)
        bench.tell(.notified(instance, .other, Self.asking(.seconds(1_000_000))))
        _ = bench.takeLog()
        bench.pass(.seconds(10))
        #expect(state(bench) != before || !bench.takeLog("signal", "kill").isEmpty)
    }

    @Test("what it asked for on a way out of its own ends when a swap replaces it, or its trial fails")
    func endsWithTheSwap() throws {
        var bench = Bench.servingSite()
        var message = Self.asking(.seconds(1_000_000))
        message.stopping = true
        bench.notify("edge@v1.service", message)
        bench.swapReady("v2")
        bench.pass(.seconds(90))
        #expect(bench.takeLog("kill").contains("kill tree of edge@v1.service"))

        bench = Bench.servingSite()
        bench.swap(Plans.site("v2"))
        bench.pass(.seconds(29))
        bench.notify("app@v2.service", Self.asking(.seconds(1_000_000)))
        bench.pass(.seconds(1))
        #expect(bench.phase("site@.target") == .rollBack)
        bench.notify("app@v2.service", Self.asking(.seconds(1_000_000)))
        bench.pass(.seconds(90))
        #expect(bench.results.last?.outcome == .rolledBack)
    }

    @Test("RuntimeMaxSec= and the watchdog together are prolonged, and a drain is not, however often it is asked for")
    func severalLimits() {
        let extend = Self.asking(.seconds(20))
        var limited = Bench()
        limited.start(
            Plans.service(app) { ($0.lifecycle.runtimeMax, $0.lifecycle.watchdog) = (.seconds(5), .seconds(6)) })
        limited.notify(app, extend)
        limited.pass(.seconds(19))
        #expect(limited.service(app)?.phase == .running)
        limited.pass(.seconds(2))
        #expect(limited.service(app)?.phase != .running)

        var bench = Bench.servingSite()
        bench.swapReady("v2")
        for _ in 0..<7 {
            bench.notify("edge@v1.service", extend)
            bench.pass(.seconds(10))
        }
        #expect(bench.service("edge@v1.service")?.phase == .stopping)
        bench.notify("edge@v1.service", extend)
        bench.pass(.seconds(90))
        #expect(bench.takeLog("kill tree").contains("kill tree of edge@v1.service"))
    }

    @Test("SIGKILL is not put off, and is sent again also with TimeoutStopSec=infinity")
    func killIsRepeated() throws {
        var bench = Bench()
        bench.start(Plans.service(app) { ($0.stopTimeout, $0.notifyAccess) = (nil, .all) })
        bench.command(.stop(group))
        let instance = try #require(bench.instance(app))
        // No process ends from here on.
        var engine = bench.engine
        var kills = 0
        for effect in engine.handle(
            .command(.drain(group, DrainRequest(isNow: true)), RequestID(number: 99)), at: bench.now)
        {
            if case .killTree = effect { kills += 1 }
        }
        for second in 0..<100 {
            let now = bench.now + .seconds(second)
            let asking = Event.notified(instance, .other, Self.asking(.seconds(1_000_000)))
            for effect in engine.handle(asking, at: now) + engine.handle(.deadlineReached, at: now) {
                if case .killTree = effect { kills += 1 }
            }
        }
        #expect(kills == 2)
    }

    @Test("a service that reloads by its own word, again and again, keeps no reload and no swap from ending")
    func ownReloads() {
        var bench = Bench()
        bench.start(
            Plans.service(app, swaps: true) { spec in
                spec.type = .notify
                spec.commands.reload = [.no]
            })
        bench.ready(app)
        bench.pass(.seconds(1))
        #expect(bench.view(app)?.operation == nil)
        var message = Self.asking(.seconds(1_000_000))
        message.reloading = true
        bench.command(.reload(group))
        #expect(bench.results.last?.kind == .reload)
        bench.notify(app, message)
        bench.pass(.seconds(90))
        #expect(bench.service(app)?.phase == .running)
    }
}
