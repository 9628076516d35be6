import StateCoding
import Testing

@testable import Engine

extension Simulation {
    /// Re-executes the supervisor: only the encoded state of the engine is left.
    mutating func reexecute() {
        do {
            engine = try Self.reread(engine)
        } catch {
            fail("I7", "the engine cannot be read again: \(error)")
        }
    }

    static func reread(_ engine: Engine) throws -> Engine {
        try StateDecoder.decode(Engine.self, from: StateEncoder.encode(engine))
    }
}

@Suite("The engine outlives the process that it is in")
struct SurvivalTests {
    @Test("a re-exec at any point changes nothing: the same schedule with and without ends alike (I7)")
    func reexecChangesNothing() {
        for seed in UInt64(0)..<100 {
            var simulation = Simulation(seed: seed, logging: true)
            simulation.run()
            var other = Simulation(seed: seed, logging: true)
            other.reexecsAfterEvents = true
            other.run()
            #expect(other.violation == nil, "seed \(seed): \(other.violation.map(\.description) ?? "")")
            guard simulation.log != other.log else { continue }
            let index = zip(simulation.log ?? [], other.log ?? []).enumerated().first { $1.0 != $1.1 }?.offset ?? 0
            let before = simulation.log?[max(0, index - 5)...min(index, (simulation.log?.count ?? 1) - 1)] ?? []
            let line = other.log?.indices.contains(index) == true ? other.log?[index] ?? "" : "the end"
            Issue.record("seed \(seed): after\n\(before.joined(separator: "\n"))\nit differs: \(line)")
            return
        }
    }

    /// `HOLDFAST_SEEDS=a..b` runs another range.
    @Test(
        "killed between any two effects, and taken over from what was written: the invariants hold, and everything ends (I7)"
    )
    func crashes() async {
        let seeds = SimulationTests.seeds(default: 0..<3000)
        var kinds: [String: UInt64] = [:]
        var ends: [String: Int] = [:]
        for seed in seeds {
            var simulation = Simulation(seed: seed)
            simulation.crashes = 4
            simulation.run()
            ends.merge(simulation.coverage.ends) { $0 + $1 }
            guard let violation = simulation.violation, kinds[violation.kind] == nil else { continue }
            kinds[violation.kind] = seed
            var again = Simulation(seed: seed, logging: true)
            again.crashes = 4
            again.run()
            let lines = (again.log ?? []).suffix(150).joined(separator: "\n")
            Issue.record("seed \(seed): \(violation)\n\(lines)")
            if kinds.count > 3 { break }
        }
        if seeds.count >= 1000 {
            #expect(ends["crash", default: 0] > seeds.count)
            for end in ["start completed", "swap completed", "swap rolledBack", "stop completed"] {
                #expect(ends[end, default: 0] > 0, "never seen: \(end)")
            }
        }
    }

    @Test("what an older version did not write has its default")
    func addedPropertiesHaveDefaults() throws {
        struct Newer: Codable, Equatable {
            var name: String
            @Added var paused: Set<String> = []
            @Added var count = 0
            var limit: Int?
        }
        let older = try StateEncoder.encode(["name": "http"])
        #expect(try StateDecoder.decode(Newer.self, from: older) == Newer(name: "http"))
        let full = Newer(name: "http", paused: ["a"], count: 3, limit: 4)
        #expect(try StateDecoder.decode(Newer.self, from: StateEncoder.encode(full)) == full)
    }
}
