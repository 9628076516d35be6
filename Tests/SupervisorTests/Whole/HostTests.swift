import ControlProtocol
import SystemPackage
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

    @Test(
        "A shortage at any call of a takeover loses nothing: it is tried again",
        arguments: [
            Errno.tooManyOpenFiles, .noMemory,
        ])
    func shortTakeover(_ shortage: Errno) throws {
        for call in 1...100 {
            let host = SimulatedHost(units: [
                "app.service": Self.app + "\n[Service]\nSockets=http.socket\n",
                "http.socket": "[Socket]\nListenStream=0.0.0.0:80\n",
            ])
            host.world.processes.programs["/bin/app"] = { $0.notify("READY=1") }
            host.start()
            #expect(host.result(of: .start(name: "app", hold: false))?.outcome == .started)
            let pid = try #require(host.world.processes.running("/bin/app").first?.pid)
            host.kill()
            let first = host.world.calls
            host.world.verdict = { _, number in number == first + call ? .fail(shortage) : .succeed }
            host.run(5)
            host.world.verdict = { _, _ in .succeed }
            #expect(host.world.processes.running("/bin/app").map(\.pid) == [pid], "call \(call)")
            #expect(host.world.sockets.isBound(WholeSimulation.address), "call \(call)")
            let service = host.status().flatMap(\.generations).flatMap(\.services).first { $0.unit == "app.service" }
            #expect(service?.mainPid == Int(pid) && service?.state == .running, "call \(call): \(host.log.lines)")
            #expect(host.result(of: .stop(name: "app"))?.outcome == .stopped, "call \(call)")
            #expect(host.world.processes.running.isEmpty, "call \(call)")
        }
    }
}
