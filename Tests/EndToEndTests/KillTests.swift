import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Unexpected deaths of processes, at the worst moments.
    @Suite struct SuddenDeath {
        /// A moment of a swap, recognized by its progress.
        enum Moment: String, CaseIterable {
            case backendStarts, proxyStarts, soak, hold
        }

        @Test(
            "kill -9 of a process of the new generation rolls it back, in any phase, and nobody notices",
            arguments: Moment.allCases, ["app", "edge"])
        func newGenerationKilled(_ moment: Moment, _ victim: String) throws {
            // The proxy does not exist yet while the backend starts.
            if moment == .backendStarts, victim == "edge" { return }
            try withWorld { layout in
                try layout.site(swap: "SoakSec=2s\nReadyTimeoutSec=10s", edge: "ExecStartPre=/bin/sleep 0.5")
                try layout.release("v2", moment == .backendStarts ? "--ready-delay 5" : "")
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                if moment == .hold || moment == .proxyStarts {
                    try world.layout().write("units/site@.target.d/soak.conf", "[X-Swap]\nSoakSec=100ms\n")
                    #expect(try world.control("reread").end() == 0)
                }
                // Connections that a killed process had accepted die with it, at most one request per client. Before
                // the new proxy has the public socket no client can have sent it a request.
                let clients = 8
                let isPublic = moment == .hold || moment == .soak && victim == "edge"
                try underLoad(world, until: "v1", mayLose: isPublic ? clients : 0) { loads in
                    for load in loads { try load.waitForAnswer("v1") }
                    let swap =
                        try moment == .hold ? world.begin("swap", "--hold", "site@v2") : world.begin("swap", "site@v2")
                    switch moment {
                    case .backendStarts: try swap.waitFor("the start") { $0.service == "app@v2.service" }
                    case .proxyStarts: try swap.waitFor("the start") { $0.service == "edge@v2.service" }
                    case .soak:
                        if victim == "edge" {
                            // The second soak is the proxy's: it has traffic, new connections at least.
                            try loads[0].waitForAnswer("v2")
                        }
                        try swap.waitFor(.soak)
                    case .hold: #expect(try swap.end().status == 0)
                    }
                    let program = victim == "app" ? "holdfast-static" : moment == .proxyStarts ? "sleep" : "haproxy"
                    try eventually("a \(program) of generation 2") {
                        world.processes(generation: 2).contains { $0.name == program }
                    }
                    // The master of a HAProxy is the older process; its worker ends with it.
                    let pid = try #require(
                        world.processes(generation: 2).filter { $0.name == program }.map(\.pid).min())
                    kill(pid_t(pid), SIGKILL)
                    if moment == .hold {
                        try eventually("the roll-back") { try world.history().first?.outcome == .rolledBack }
                    } else {
                        let end = try swap.end()
                        #expect(end.outcome == .rolledBack)
                        #expect(end.status == 7)
                        #expect(end.reason?.exitStatus?.contains("KILL") == true, "\(end.output)")
                    }
                    // A proxy that was held may have connections, and drains by itself.
                    try eventually("the end of generation 2") { world.processes(generation: 2).isEmpty }
                    for load in loads { load.forgetAnswers() }
                }
            }
        }

        /// A swap from v1 to v2 that drains until the connection has its answer.
        private func drainingSwap(_ world: World) throws -> (Operation, RawConnection) {
            #expect(try world.run("swap", "site@v1").outcome == .started)
            let pending = try RawConnection(port: world.port)
            try pending.send("GET / HTTP/1.1\r\n")
            try eventually("the connection to be accepted") { try pending.isAccepted(by: world) }
            let swap = try world.begin("swap", "site@v2")
            try swap.waitFor("the proxy's drain") { $0.phase == .drain && $0.service == "edge@v1.service" }
            return (swap, pending)
        }

        @Test("kill -9 of the old generation while it drains only makes the swap end sooner")
        func oldGenerationKilled() throws {
            try withWorld {
                try $0.site()
            } then: { world in
                let (swap, pending) = try drainingSwap(world)
                for process in world.processes(generation: 1) { kill(pid_t(process.pid), SIGKILL) }
                let end = try swap.end()
                withExtendedLifetime(pending) {}
                #expect(end.outcome == .completed)
                #expect(end.status == 0)
                try underLoad(world) { loads in for load in loads { try load.waitForAnswer("v2") } }
            }
        }

        @Test("kill -9 of the new generation after the cutover: Restart= brings it back, the drain goes on")
        func newGenerationKilledWhileOldDrains() throws {
            try withWorld {
                try $0.site(app: "Restart=on-failure\nRestartSec=0")
            } then: { world in
                let (swap, pending) = try drainingSwap(world)
                let backend = try Watched(world.mainPid("app@v2.service"))
                backend.kill()
                try eventually("a new backend") { try world.mainPid("app@v2.service") != Int(backend.pid) }
                try pending.send("Host: x\r\n\r\n")
                #expect(try pending.readAnswer().hasSuffix("v1"))
                #expect(try swap.end().outcome == .completed)
                try underLoad(world) { loads in for load in loads { try load.waitForAnswer("v2") } }
            }
        }

        @Test("kill -9 of the serving backend: Restart= starts another on the same socket; who asks meanwhile waits")
        func servingBackendKilled() throws {
            try withWorld {
                try $0.web(service: "Restart=always\nRestartSec=0")
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                for round in 1...3 {
                    let old = try Watched(world.mainPid("web@v1.service"))
                    old.kill()
                    try old.awaitEnd()
                    let waiting = try RawConnection(port: world.port)
                    try waiting.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                    #expect(try waiting.readAnswer().hasSuffix("v1"))
                    let service = try world.generations("web").first?.services.first
                    #expect(service?.restarts == round)
                    #expect(service?.mainPid.map { pid_t($0) } != old.pid)
                }
                #expect(try world.generations("web").map(\.number) == [1], "a restart is no new generation")
            }
        }

        @Test("A service that keeps failing is started StartLimitBurst= times, and then has failed")
        func startLimit() throws {
            try withWorld { layout in
                try layout.unit(
                    "loop.service",
                    """
                    [Unit]
                    StartLimitIntervalSec=60s
                    StartLimitBurst=4
                    [Service]
                    ExecStart=/bin/sh -c 'echo run >> \(layout.path)/out/runs; exit 1'
                    Restart=always
                    RestartSec=10ms
                    """)
            } then: { world in
                _ = try world.run("start", "loop")
                _ = try world.daemon.waitFor("the end of patience") { _, log in
                    String(decoding: log, as: UTF8.self).contains("(StartLimitBurst=)") ? true : nil
                }
                let status = try world.status("loop").first
                #expect(status?.state == .failed)
                #expect(status?.reason?.contains("exited with status 1") == true, "\(status?.reason ?? "-")")
                #expect(world.contents("out/runs") == "run\nrun\nrun\nrun\n")
            }
        }
    }
}
