import StateCoding
import Testing
import Vocabulary

@testable import Engine

/// Generations that drain beside the serving one, whatever operations follow.
@Suite("Drains beside operations")
struct DrainingTests {
    private let site = "site@.target"

    private func numbers(_ bench: Bench) -> [Int] { bench.engine.drains(of: Plans.site).map(\.generation.number) }

    private func drain(_ generations: Set<Int>? = nil, isNow: Bool = false) -> Command {
        .drain(Plans.site, DrainRequest(generations: generations, isNow: isNow))
    }

    @Test("a swap ends at its cutover; the next swap and a rollback begin while both old generations drain")
    func operationsFollow() {
        var bench = Bench.servingSite()
        bench.swapReady("v2")
        #expect(bench.results.last?.outcome == .completed && bench.results.last?.draining.map(\.number) == [1])
        #expect(bench.results.last?.durations.contains { $0.phase == .drain } == false)
        bench.swapReady("v3")
        #expect(bench.results.last?.to?.release == "v3" && numbers(bench) == [1, 2])
        bench.command(.rollback(Plans.site, hold: false))
        for unit in ["app@v2.service", "edge@v2.service"] {
            bench.ready(unit, generation: 4)
            bench.pass(.seconds(5))
        }
        #expect(bench.refusals == [] && bench.serving(site) == 4 && numbers(bench) == [1, 2, 3])
        #expect(bench.results.last?.kind == .rollback && bench.results.last?.to?.release == "v2")
        #expect(bench.results.last?.draining.filter { $0.release == "v2" }.map(\.number) == [2], "it is started anew")
    }

    @Test("each generation keeps the order of its tiers and its own deadlines")
    func ownTiersAndDeadlines() {
        var bench = Bench.servingSite()
        bench.swapReady("v2")
        bench.pass(.seconds(30))
        bench.swapReady("v3")
        _ = bench.takeLog()
        bench.exit("edge@v2.service")
        #expect(bench.takeLog("signal 15 app") == ["signal 15 app@v2.service"], "edge@v1 does not keep it")
        bench.pass(.seconds(20))
        #expect(bench.takeLog("signal") == ["signal 15 tree of edge@v1.service"])
        bench.exit("edge@v1.service")
        #expect(bench.takeLog("signal 15 app") == ["signal 15 app@v1.service"], "its time begins now")
        bench.exit("app@v2.service")
        bench.exit("app@v1.service")
        #expect(bench.drained.map(\.generation.number) == [2, 1])
        #expect(bench.drained.map(\.force) == [nil, .timeout])
    }

    @Test("more than MaxDraining= end the oldest, and after that SIGKILL does")
    func limit() {
        var bench = Bench.servingSite()
        bench.openConnections = ["edge@v1.service": 7]
        for release in ["v2", "v3", "v4", "v5"] { bench.swapReady(release) }
        #expect(numbers(bench) == [1, 2, 3, 4])
        _ = bench.takeLog()
        bench.swapReady("v6")
        #expect(
            bench.takeLog("force", "cut", "signal 15 tree") == [
                "force 1 limit(4)", "cut edge@v1.service", "signal 15 tree of edge@v1.service",
            ])
        #expect(
            bench.results.last?.outcome == .completed && bench.results.last?.draining.map(\.number) == [1, 2, 3, 4, 5])
        // What is left of it is killed at the next cutover, together with the kill signal for the next one.
        bench.swapReady("v7")
        #expect(bench.takeLog("force", "kill tree") == ["kill tree of edge@v1.service", "force 2 limit(4)"])
        for unit in ["app@v1.service", "edge@v2.service", "app@v2.service"] { bench.exit(unit) }
        #expect(bench.drained.map(\.force) == [.limit(4), .limit(4)])
        #expect(bench.drained.first?.connectionsCut == 7 && bench.drained.last?.connectionsCut == nil)
        #expect(numbers(bench) == [3, 4, 5, 6])
    }

    @Test("MaxDraining= of the new generation counts")
    func ownLimit() {
        var bench = Bench.servingSite()
        bench.swapReady("v2")
        var plan = Plans.site("v3")
        plan.settings.maxDraining = 1
        bench.swap(plan)
        for unit in ["app@v3.service", "edge@v3.service"] {
            bench.ready(unit)
            bench.pass(.seconds(5))
        }
        #expect(bench.takeLog("force") == ["force 1 limit(1)"])
    }

    @Test("requests wait for one generation, or for all; a drain that is not there is refused")
    func requests() {
        var bench = Bench.servingSite()
        bench.swapReady("v2")
        bench.swapReady("v3")
        bench.command(drain([2]))
        bench.command(drain())
        bench.command(drain([3]))
        #expect(bench.refusals == [.nothingDrains(Plans.site)])
        _ = bench.takeLog()
        for unit in ["edge@v2.service", "app@v2.service", "edge@v1.service", "app@v1.service"] { bench.exit(unit) }
        #expect(
            bench.takeLog("site@.target generation") == [
                "site@.target generation 2 drained for 1", "site@.target generation 1 drained for 1",
            ])
        bench.command(drain())
        #expect(bench.refusals.count == 2)
    }

    @Test("drain --now of one generation leaves the others alone")
    func oneNow() {
        var bench = Bench.servingSite()
        bench.swapReady("v2")
        bench.swapReady("v3")
        _ = bench.takeLog()
        bench.command(drain([2], isNow: true))
        #expect(bench.takeLog("signal") == ["signal 15 tree of edge@v2.service"])
        bench.exit("edge@v2.service")
        #expect(
            bench.takeLog("signal 15 app", "signal 15 tree of app") == [
                "signal 15 app@v2.service", "signal 15 tree of app@v2.service",
            ])
        bench.exit("app@v2.service")
        #expect(bench.drained.map(\.generation.number) == [2] && numbers(bench) == [1])
    }

    @Test("a rejected generation that has accepted connections drains beside the next swap")
    func rejected() {
        var bench = Bench.servingSite()
        bench.swapReady("v2", hold: true)
        bench.command(.abort(Plans.site))
        #expect(bench.results.last?.outcome == .aborted && bench.results.last?.serving?.number == 1)
        #expect(numbers(bench) == [2])
        bench.swapReady("v3")
        #expect(bench.serving(site) == 3 && numbers(bench) == [2, 1])
        for unit in ["edge@v2.service", "app@v2.service"] { bench.exit(unit) }
        #expect(bench.drained.map(\.generation.number) == [2] && bench.drained.first?.operation == 2)
    }

    @Test("a backend that crashes in a drain comes back for the proxy that uses it")
    func crashInDrain() {
        var bench = Bench()
        var plan = Plans.site("v1")
        plan.services[0].restart.policy = .always
        bench.start(plan)
        for unit in ["app@v1.service", "edge@v1.service"] { bench.ready(unit) }
        bench.swapReady("v2")
        _ = bench.takeLog()
        bench.exit("app@v1.service", .exited(1))
        bench.pass(.seconds(1))
        #expect(bench.takeLog("signal 15 app", "start") == ["start app@v1.service"])
        bench.ready("app@v1.service")
        bench.exit("edge@v1.service")
        #expect(bench.takeLog("signal 15 app") == ["signal 15 app@v1.service"])
    }

    @Test("a stop ends with everything that drains; a start is possible while only old generations drain")
    func stopAndStart() {
        var bench = Bench.servingSite()
        bench.swapReady("v2")
        bench.command(.stop(Plans.site))
        for unit in ["edge@v2.service", "app@v2.service"] { bench.exit(unit) }
        #expect(bench.results.last?.kind != .stop, "generation 1 lives")
        for unit in ["edge@v1.service", "app@v1.service"] { bench.exit(unit) }
        #expect(bench.results.last?.kind == .stop && bench.results.last?.outcome == .completed)
        #expect(bench.drained.map(\.generation.number) == [1])
        var lonely = Bench.servingSite()
        lonely.swapReady("v2")
        for unit in ["edge@v2.service", "app@v2.service"] { lonely.exit(unit, .exited(0)) }
        #expect(lonely.serving(site) == nil && lonely.engine.unitActivity(of: Plans.site) == .deactivating)
        lonely.start(Plans.site("v3"))
        for unit in ["app@v3.service", "edge@v3.service"] { lonely.ready(unit) }
        #expect(lonely.serving(site) == 3 && numbers(lonely) == [1])
    }

    @Test("the end of a drain tells whether what replaced it was lost meanwhile")
    func loss() {
        var bench = Bench.servingSite()
        bench.swapReady("v2")
        bench.exit("app@v2.service", .exited(3))
        for unit in ["edge@v1.service", "app@v1.service"] { bench.exit(unit) }
        #expect(bench.drained.last?.loss?.unit == "app@v2.service")
    }

    @Test("Strategy=queue waits for what drains: nothing runs beside the new generation")
    func queue() {
        var bench = Bench.servingSite()
        bench.swapReady("v2")
        var plan = Plans.site("v3")
        plan.settings.strategy = .queue
        bench.swap(plan)
        #expect(bench.takeLog("force") == ["force 1 queue"])
        for unit in ["edge@v2.service", "app@v2.service"] { bench.exit(unit) }
        #expect(bench.takeLog("start app@v3.service") == [])
        for unit in ["edge@v1.service", "app@v1.service"] { bench.exit(unit) }
        #expect(bench.takeLog("start app@v3.service") == ["start app@v3.service"])
    }

    @Test("drains outlive the supervisor with their requests; an operation that an older one left in its drain ends")
    func survival() throws {
        var bench = Bench.servingSite()
        bench.swapReady("v2")
        bench.command(drain())
        bench.swapReady("v3")
        let engine = try Self.taken(over: bench.engine)
        #expect(engine.drains(of: Plans.site).map(\.generation.number) == [1, 2])
        #expect(engine.awaitedRequests == bench.engine.awaitedRequests && engine.awaitedRequests.count == 1)
        // As an earlier version has left it.
        var old = bench.engine
        var operation = Operation(
            .swap, .draining, plan: Plans.site("v3"), request: RequestID(number: 77), at: bench.now)
        operation.new = 3
        operation.leaving = old.groups[Plans.site]?.drains[1].leaving ?? []
        old.groups[Plans.site]?.drains.removeLast()
        old.groups[Plans.site]?.operation = operation
        var taken = try Self.taken(over: old)
        let effects = taken.handle(.command(.promote(Plans.site), RequestID(number: 78)), at: bench.now)
        let ended = effects.contains { effect in
            if case .report(.finished(_, let result, [RequestID(number: 77)])) = effect {
                result.outcome == .completed
            } else {
                false
            }
        }
        #expect(ended)
        #expect(taken.drains(of: Plans.site).map(\.generation.number) == [1, 2])
    }

    private static func taken(over engine: Engine) throws -> Engine {
        func again<Value: Codable>(_ value: Value) throws -> Value {
            try StateDecoder.decode(Value.self, from: StateEncoder.encode(value))
        }
        return Engine(
            try again(engine.core), try engine.groupIDs.compactMap { try engine.record(of: $0).map(again) },
            try engine.instanceIDs.compactMap { try engine.record(of: $0).map(again) })
    }
}
