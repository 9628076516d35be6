import ControlProtocol
import Testing

@testable import Supervisor

@Suite struct HostTests {
    static let app = """
        [Service]
        Type=notify
        ExecStart=/bin/app
        [X-Swap]
        DrainTimeoutSec=10s
        """

    @Test("A service is started, swapped and stopped; at the shutdown nothing is left")
    func whole() throws {
        let host = SimulatedHost(units: ["app.service": Self.app])
        host.world.processes.programs["/bin/app"] = { process in
            process.world.schedule(after: 20_000_000) { process.notify("READY=1") }
        }
        #expect(host.start())
        #expect(host.result(of: .start(name: "app", hold: false))?.outcome == .started)
        #expect(host.status().map(\.state) == [.running])
        #expect(host.result(of: .swap(name: "app", hold: false))?.outcome == .completed)
        #expect(host.world.processes.running("/bin/app").count == 1)
        #expect(host.result(of: .stop(name: "app"))?.outcome == .stopped)
        #expect(host.world.processes.running.isEmpty)
        _ = host.ask(.shutdown)
        #expect(host.isShutDown, "\(host.log.lines)")
        #expect(host.world.processes.trees.isEmpty)
    }

    @Test("A supervisor that is killed in the middle of a swap is succeeded, and the swap ends")
    func killed() throws {
        let host = SimulatedHost(units: ["app.service": Self.app])
        host.world.processes.programs["/bin/app"] = { process in
            process.world.schedule(after: 500_000_000) { process.notify("READY=1") }
        }
        #expect(host.start())
        #expect(host.result(of: .start(name: "app", hold: false))?.outcome == .started)
        _ = host.call(.swap(name: "app", hold: false))
        host.run(0.2)
        host.kill()
        host.run(60)
        #expect(host.world.processes.running("/bin/app").count == 1)
        #expect(host.status().first?.servingGeneration == 2, "\(host.log.lines)")
    }
}
