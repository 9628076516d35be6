import Glibc
import Testing

@testable import Supervisor

@Suite struct WholeSimulationTests {
    /// `HOLDFAST_SEED=N swift test --filter WholeSimulationTests` repeats one life and tells it.
    private static var seed: UInt64? { getenv("HOLDFAST_SEED").flatMap { UInt64(String(cString: $0)) } }
    private static var count: UInt64 { getenv("HOLDFAST_SEEDS").flatMap { UInt64(String(cString: $0)) } ?? 20 }

    @Test("In any life of the whole supervisor the invariants hold, every request is answered, and nothing is left")
    func lives() {
        for seed in Self.seed.map({ [$0] }) ?? Array(0..<Self.count) {
            let life = WholeSimulation(seed: seed)
            life.run(steps: 60)
            guard !life.violations.isEmpty || Self.seed != nil else { continue }
            let story = life.story.suffix(60).joined(separator: "\n")
            let log = life.host.log.lines.suffix(60).joined(separator: "\n")
            if Self.seed != nil { print(story, log, separator: "\n---\n") }
            #expect(life.violations.isEmpty, "HOLDFAST_SEED=\(seed): \(life.violations)\n\(story)\n--- log\n\(log)")
            return
        }
    }
}
