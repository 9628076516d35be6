import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Third-party programs, and many stacks beside each other.
    @Suite struct Recipes {
        private static let runner = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("units/recipes/run").path

        @Test(
            "A recipe is swapped under load and loses nothing (all of them: make recipes)",
            arguments: [
                "haproxy-db", "unix-backend", "nginx", "nginx-behind-haproxy", "gunicorn", "node", "php-fpm", "udp",
                "websocket",
            ])
        func recipe(_ name: String) throws {
            let run = try Program.run(
                Self.runner, ["--bin", World.binaries, "--swaps", name == "websocket" ? "1" : "2", name])
            // 77: the program is not installed here (packaging/setup recipes).
            let status = try run.end()
            #expect(status == 0 || status == 77, "\(run.errorText.suffix(3000))")
        }

        @Test(
            "20 stacks on one host, swaps at random, load on all: nothing is lost, and a swap of one never touches another"
        )
        func stacks() throws {
            let names = (1...20).map { "stack\($0)" }
            let ports = try names.map { _ in try freePort() }
            try withWorld { layout in
                for (name, port) in zip(names, ports) {
                    try layout.unit(
                        "\(name).socket", "[Socket]\nListenStream=127.0.0.1:\(port)\nFileDescriptorName=http\n")
                    try layout.unit(
                        "\(name).service",
                        """
                        [Service]
                        Type=notify
                        Environment=SWIFT_BACKTRACE=enable=no
                        ExecStart=\(layout.server) --body \(name)
                        [X-Swap]
                        SoakSec=50ms
                        """)
                }
            } then: { world in
                for name in names { #expect(try world.run("start", name).outcome == .started) }
                let loads = try ports.enumerated().map { index, port in
                    try Load(
                        "http://127.0.0.1:\(port)/", index.isMultiple(of: 2) ? .newConnections : .keepAlive, clients: 1,
                        rate: 20)
                }
                for (name, load) in zip(names, loads) { try load.waitForAnswer(name) }
                var generator = Seeded(state: 20)
                var swaps: [String: Int] = [:]
                for _ in 1...15 {
                    // Two at once: operations of different stacks do not wait for each other.
                    let chosen = names.shuffled(using: &generator).prefix(2)
                    let before = try pids(world)
                    let operations = try chosen.map { try world.begin("swap", $0) }
                    for operation in operations { #expect(try operation.end().outcome == .completed) }
                    let after = try pids(world)
                    for name in names {
                        #expect((before[name] == after[name]) == !chosen.contains(name), "\(name) while \(chosen)")
                    }
                    for name in chosen { swaps[name, default: 0] += 1 }
                }
                for (name, load) in zip(names, loads) {
                    let tally = try load.end()
                    #expect(tally.lost == 0 && tally.ok > 0, "\(name): \(tally.losses) of \(tally.requests)")
                    #expect(Set(tally.bodies.keys) == [name])
                    #expect(try world.generations(name).map(\.number) == [1 + swaps[name, default: 0]])
                }
            }
        }

        /// The main process of every service.
        private func pids(_ world: World) throws -> [String: Int] {
            let services = try world.status().flatMap(\.generations).flatMap(\.services)
            return Dictionary(
                services.compactMap { service in
                    service.mainPid.map { (String(service.unit.dropLast(".service".count)), $0) }
                }
            ) { $1 }
        }
    }
}

/// A generator of the same numbers in every run.
private struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state
    }
}
