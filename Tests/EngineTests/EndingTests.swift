import Testing

@testable import Engine

/// What an end is: clean or failed, by which cause, and what follows from that (systemd.exec(5), tables 5 and 6).
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

    // MARK: - What is over does not count at the end

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
}
