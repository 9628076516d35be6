import Glibc
import Logging
import Testing

@testable import Linux
@testable import Supervisor

@Suite struct LeakTests {
    @Test("A supervisor that is gone has closed everything, and its memory is free", arguments: 0..<4)
    func leaks(_ stage: Int) throws {
        weak var supervisor: Supervisor?
        let w = World()
        weak var machine: SimulatedMachine?
        do {
            let m = w.boot()
            machine = m
            let s = try Supervisor(
                machine: m, configuration: SimulatedHost.configuration, environment: [:], limits: [],
                program: "/usr/sbin/holdfastd", arguments: ["holdfastd"], inherited: nil,
                logger: LogLines().logger)
            supervisor = s
            if stage > 0 { try s.start() }
            if stage > 1 { _ = w.run(for: 1_000_000_000) }
            if stage > 2 {
                w.clients.connect(to: SimulatedHost.configuration.controlSocket, as: SimulatedHost.root)?.call(
                    .status(names: nil))
                _ = w.run(for: 1_000_000_000)
            }
            w.killSupervisor()
        }
        #expect(supervisor == nil, "the supervisor")
        #expect(machine == nil, "its machine")
        withExtendedLifetime(w) {}
    }
}
