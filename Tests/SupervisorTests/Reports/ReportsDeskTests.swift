import ControlProtocol
import Linux
import Testing

@testable import Engine
@testable import Supervisor

@Suite("Reports on the simulated machine")
struct ReportsDeskTests {
    private let site = GroupID("site@.target")

    /// A client that waits for a swap of the site.
    private func waiting(_ bench: RequestsBench) throws -> (client: WorldClient, id: RequestID) {
        var id: RequestID?
        bench.handler = { _, call, peer in
            id = bench.requests.make(call: call, group: self.site, kind: .swap, peer: peer, notes: ["a note"])
            return nil
        }
        let client = try bench.client()
        client.call(.swap(name: "site@v2", hold: false), more: true)
        bench.run()
        return (client, try #require(id))
    }

    private func result(_ outcome: FinishedOperation.Outcome, failure: Failure? = nil) -> FinishedOperation {
        FinishedOperation(
            kind: .swap, outcome: outcome, from: GenerationSummary(number: 1, release: "v1"),
            to: GenerationSummary(number: 2, release: "v2"), serving: GenerationSummary(number: 1, release: "v1"),
            failure: failure, uncleanEnds: [], durations: [])
    }

    private func progress(_ client: WorldClient) throws -> [Progress] {
        try client.replies.compactMap { try $0.parameters.decode(OperationReply.self).progress }
    }

    @Test("A swap's steps go to the client that follows it, to the log and to subscribers; its end into the history")
    func swap() throws {
        let bench = try RequestsBench()
        let (client, id) = try waiting(bench)
        for phase in [PhaseName.prepare, .start, .soak, .cutOver] {
            bench.reports.handle(.phase(site, generation: 2, phase))
        }
        bench.reports.handle(.finished(site, result(.completed), [id]))
        bench.run()
        #expect(try progress(client).map(\.phase) == [.prepare, .start, .soak, .cutOver, .record])
        #expect(try progress(client).allSatisfy { $0.unit == "site@v2.target" && $0.generation == 2 })
        let last = try #require(try client.replies.last?.parameters.decode(OperationReply.self).result)
        #expect(last.outcome == .completed && last.unit == "site@v2.target" && last.notes == ["a note"])
        let entry = try #require(bench.history.entries.first)
        #expect(entry.outcome == .completed && entry.who == Actor(uid: 0, user: "root") && entry.to?.release == "v2")
        #expect(bench.log.contains("info: site@.target generation 2: soaking"))
        #expect(bench.log.last == "info: site@.target: swap to generation 2 (v2): completed")
    }

    @Test("The end of a drain goes into its operation's history entry, to whoever waits for it, and into the log")
    func drained() throws {
        let bench = try RequestsBench()
        let (deployer, swap) = try waiting(bench)
        bench.reports.handle(.finished(site, result(.completed), [swap]))
        let (client, id) = try waiting(bench)
        bench.requests[id]?.awaitedDrains = [1]
        bench.reports.handle(.phase(site, generation: 3, .start))
        let end = DrainResult(
            generation: GenerationSummary(number: 1, release: "v1"), operation: 2, kind: .swap,
            duration: .seconds(60), force: .timeout, connectionsCut: 3, uncleanEnds: [], loss: nil)
        bench.reports.recordEnds([.report(.drained(site, end, [id]))])
        bench.reports.handle(.drained(site, end, [id]))
        bench.run()
        #expect(try progress(client).isEmpty, "another operation does not concern it")
        #expect(deployer.replies.count > 0)
        let answer = try #require(try client.replies.last?.parameters.decode(OperationReply.self).result)
        #expect(answer.outcome == .completed && answer.drained?.map(\.connectionsCut) == [3])
        #expect(bench.history.entries.count == 1 && bench.history.entries.first?.drained?.forced == .timeout)
        #expect(bench.log.contains { $0.hasPrefix("warning: site@.target: generation 1 (v1) drained in ") })
    }

    @Test("A roll-back is reported with its failure, and the generation that serves on")
    func rolledBack() throws {
        let bench = try RequestsBench()
        let (client, id) = try waiting(bench)
        let failure = Failure(unit: "app@v2.service", step: .readiness, cause: .probe("503"))
        bench.reports.keepEvidence(site, "app@v2.service", ["loading", "no database"])
        bench.reports.handle(.finished(site, result(.rolledBack, failure: failure), [id]))
        bench.run()
        let end = try #require(try client.replies.last?.parameters.decode(OperationReply.self).result)
        #expect(end.outcome == .rolledBack && end.fromGeneration == 1)
        let expected = FailureReport(
            unit: "app@v2.service", phase: .verify, message: "cannot start app@v2.service: its probe failed: 503",
            probeAnswer: "503", lastLines: ["loading", "no database"])
        #expect(end.reason == expected)
        #expect(bench.history.entries.first?.reason == expected.message)
    }

    @Test("A refusal is the client's error; one that belongs to no client is a line in the log")
    func refusals() throws {
        let bench = try RequestsBench()
        let (client, id) = try waiting(bench)
        bench.reports.handle(.refused(id, .busy(site, .swap, .soak)))
        bench.run()
        #expect(
            client.replies.first?.failure == .busy(unit: "site@.target", operation: "swap", detail: "soaking"))
        let own = bench.requests.make(group: site)
        bench.reports.handle(.refused(own, .notRunning(site)))
        #expect(bench.log.last == "warning: site@.target: site@.target is not running")
    }

    @Test("A unit that is in the wanted state already is unchanged; those who wait for any end get it, too")
    func unchanged() throws {
        let bench = try RequestsBench()
        let (client, id) = try waiting(bench)
        bench.reports.handle(.unchanged(site, id))
        bench.run()
        #expect(try client.replies.last?.parameters.decode(OperationReply.self).result?.outcome == .unchanged)
        #expect(bench.history.entries.isEmpty)
        let (other, waits) = try waiting(bench)
        bench.requests[waits]?.waitsForAnyEnd = true
        bench.reports.handle(.finished(site, result(.completed), []))
        bench.run()
        #expect(try other.replies.last?.parameters.decode(OperationReply.self).result?.outcome == .completed)
    }

    @Test("Failures of operations that traffic starts are recorded some times an hour, their successes never")
    func traffic() throws {
        let bench = try RequestsBench()
        let failure = Failure(unit: "app@v2.service", step: .start, cause: .exited(.exited(1)))
        for number in 0..<100 {
            let id = bench.requests.make(group: site, kind: .start)
            bench.requests[id]?.isOfTraffic = true
            let isFailure = number % 2 == 0
            bench.reports.handle(
                .finished(site, result(isFailure ? .failed : .completed, failure: isFailure ? failure : nil), [id]))
        }
        #expect(bench.history.entries.count == 32)
        #expect(bench.history.entries.allSatisfy { $0.outcome == .failed })
    }

    @Test("The end of a request is in the journal with the engine's decision: a successor gives the answer")
    func recordedEnd() throws {
        let bench = try RequestsBench()
        let name = RequestIdentity("0123456789abcdef-swap")!
        var id: RequestID?
        bench.handler = { _, call, peer in
            id = bench.requests.make(call: call, group: self.site, kind: .swap, peer: peer)
            return nil
        }
        _ = try bench.ask(.swap(name: "site@v2", hold: false), as: name)
        bench.reports.recordEnds([.report(.finished(site, result(.completed), [try #require(id)]))])
        bench.requests.recordChanges()
        bench.journal.flush()
        // The supervisor dies before it carries the effects out.
        try bench.restart()
        let reply = try #require(try bench.ask(.outcome(of: name)).first?.outcome)
        #expect(try reply.parameters.decode(OperationReply.self).result?.outcome == .completed)
        #expect(bench.journal.records["y"] != nil, "the history of it is recorded, too")
    }

    @Test("A shutdown is answered when the last socket unit has stopped, with what runs unaccounted for")
    func shutdown() throws {
        let bench = try RequestsBench()
        bench.handler = { _, call, peer in
            bench.hasActiveSocketUnits = true
            bench.reports.handle(.shutDownComplete([bench.requests.make(call: call, peer: peer)]))
            return nil
        }
        let client = try bench.client()
        client.call(.shutdown)
        bench.run()
        #expect(client.replies == [] && !bench.isOver)
        bench.hasActiveSocketUnits = false
        bench.reports.finishShutdown()
        bench.run()
        #expect(bench.isOver)
        let reply = try #require(try client.replies.first?.parameters.decode(ShutdownReply.self))
        #expect(reply == ShutdownReply(stopped: [], unknown: ["lost.service"]))
    }

    @Test("Subscribers get events of their units; one that does not read loses some, and is told how many")
    func events() throws {
        let bench = try RequestsBench()
        bench.handler = { request, call, _ throws(ControlError) in
            if case .events(let names) = request { try bench.subscriptions.subscribe(names ?? [], call) }
            return nil
        }
        let (all, some, slow) = (try bench.client(), try bench.client(), try bench.client())
        all.call(.events(names: nil), more: true)
        some.call(.events(names: ["other.service"]), more: true)
        slow.call(.events(names: nil), more: true)
        bench.run()
        slow.isReading = false
        for _ in 0..<10_000 { bench.reports.handle(.phase(site, generation: 2, .soak)) }
        bench.run()
        func kinds(_ client: WorldClient) throws -> [EventKind] {
            try client.replies.map { try $0.parameters.decode(EventsReply.self).event.kind }
        }
        #expect(try kinds(some) == [.begin])
        let seen = try kinds(all)
        #expect(seen.first == .begin && seen.count { $0 == .phase } == 10_000)
        slow.isReading = true
        bench.run()
        bench.reports.handle(.phase(site, generation: 2, .cutOver))
        bench.run()
        let told = try slow.replies.map { try $0.parameters.decode(EventsReply.self).event }
        let lost = told.compactMap { $0.kind == .lost ? $0.count : nil }
        let read = told.count { $0.kind == .phase || $0.kind == .unit }
        #expect(lost.count == 1 && told.last?.phase == .cutOver)
        #expect(read + (lost.first ?? 0) == 10_002, "each event was read, or counted: also the one on the unit's state")
    }
}
