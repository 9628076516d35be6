import Testing

@testable import Engine

#if canImport(Glibc)
    import Glibc
#endif

@Suite("Random schedules against a fake kernel")
struct SimulationTests {
    /// The seeds to run; `HOLDFAST_SEEDS=a..b` selects another range.
    static func seeds(default usual: Range<UInt64> = 0..<20_000) -> Range<UInt64> {
        guard let text = getenv("HOLDFAST_SEEDS").map({ String(cString: $0) }) else { return usual }
        let ends = text.split(separator: ".", omittingEmptySubsequences: true).compactMap { UInt64($0) }
        guard ends.count == 2, ends[0] < ends[1] else { return usual }
        return ends[0]..<ends[1]
    }

    @Test("the invariants hold at every instant, and everything ends")
    func invariantsHold() async {
        let seeds = Self.seeds()
        let verdict = await Self.run(seeds, lanes: 2)
        for (kind, failure) in verdict.failures.sorted(by: { $0.key < $1.key }) {
            Issue.record(Comment(rawValue: "\(failure.count) schedules: \(kind)\n" + Self.explain(failure.seed)))
        }
        if verdict.failures.isEmpty, seeds.count >= 20_000 {
            // A simulation that never reaches an end proves nothing.
            for end in Self.mustBeSeen { #expect(verdict.coverage.ends[end, default: 0] > 0, "never seen: \(end)") }
        }
        if getenv("HOLDFAST_COVERAGE") != nil {
            for (end, count) in verdict.coverage.ends.sorted(by: { $0.key < $1.key }) { print(count, end) }
            print(verdict.coverage.events, "events in", seeds.count, "schedules")
        }
    }

    private static let mustBeSeen = [
        "start completed", "start failed", "start aborted", "swap completed", "swap rolledBack", "swap aborted",
        "rollback completed", "rollback rolledBack", "restart completed", "restart rolledBack", "stop completed",
        "reload completed", "reload failed", "phase hold", "phase soak", "phase stopOld", "phase restore",
        "drained by itself", "drained timeout", "drained limit", "drained request", "drained rejected", "3 draining",
    ]

    private struct Failing: Sendable {
        var seed: UInt64
        var events: Int
        var count = 1

        mutating func merge(_ other: Failing) {
            if other.events < events { (seed, events) = (other.seed, other.events) }
            count += other.count
        }
    }

    private struct Verdict: Sendable {
        /// The shortest failing schedule, by kind of failure.
        var failures: [String: Failing] = [:]
        var coverage = Simulation.Coverage()

        mutating func note(_ kind: String, _ failure: Failing) {
            failures[kind]?.merge(failure)
            if failures[kind] == nil { failures[kind] = failure }
        }
    }

    private static func run(_ seeds: Range<UInt64>, lanes: UInt64) async -> Verdict {
        await withTaskGroup(of: Verdict.self) { group in
            for lane in 0..<lanes {
                group.addTask {
                    var verdict = Verdict()
                    var seed = seeds.lowerBound + lane
                    // After a failure the run continues a little, for shorter and for other failures.
                    var left = UInt64.max
                    while seed < seeds.upperBound, left > 0 {
                        var simulation = Simulation(seed: seed)
                        simulation.run()
                        verdict.coverage.merge(simulation.coverage)
                        if let violation = simulation.violation {
                            if verdict.failures.isEmpty { left = 1000 }
                            verdict.note(violation.kind, Failing(seed: seed, events: simulation.events))
                        }
                        seed += lanes
                        left -= 1
                    }
                    return verdict
                }
            }
            return await group.reduce(into: Verdict()) { whole, part in
                whole.coverage.merge(part.coverage)
                for (kind, failure) in part.failures { whole.note(kind, failure) }
            }
        }
    }

    /// Runs the schedule again and returns its log.
    private static func explain(_ seed: UInt64) -> String {
        var simulation = Simulation(seed: seed, logging: true)
        simulation.run()
        let verdict = simulation.violation.map(\.description) ?? "no violation when run again"
        let log = simulation.log ?? []
        let shown = log.count <= 500 ? log : log.prefix(400) + ["..."] + log.suffix(100)
        let lines = shown.joined(separator: "\n")
        return "seed \(seed): \(verdict)\n\(lines)\n(HOLDFAST_SEEDS=\(seed)..\(seed + 1) runs this one)"
    }
}
