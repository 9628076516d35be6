import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    @Suite struct Leaks {
        /// Resources that could grow.
        private struct Size {
            var descriptors: [Int: String]
            var processes: Int
            var files: [String]
            var memory: Int

            init(_ world: World) throws {
                // The last command's connection may end a moment after the command.
                try eventually("nobody is connected to the control socket") {
                    let sockets = try String(contentsOfFile: "/proc/net/unix", encoding: .utf8)
                    return sockets.split(separator: "\n").count { $0.hasSuffix(" " + world.controlSocket) } == 1
                }
                // Directories of the last generation are removed in the pauses of the loop.
                try eventually("the trash to be emptied") {
                    ProcessEntry(world.daemon.pid)?.descriptors.values.contains { $0.contains("/trash") } == false
                }
                let daemon = try #require(ProcessEntry(world.daemon.pid))
                descriptors = daemon.descriptors
                processes = world.processes().count
                files = world.filesBelow(world.path + "/run")
                memory = try #require(daemon.anonymousMemory)
            }
        }

        @Test("50 swaps in a row: no descriptor, process, file or memory more in the supervisor, no request lost")
        func fiftySwaps() throws {
            try withWorld { layout in
                try layout.site(swap: "SoakSec=20ms")
                try layout.release("v3", "--exit-at-start 1")
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                let load = try Load(world.url, .newConnections, clients: 2, rate: 100)
                let keepAlive = try Load(world.url, .keepAlive, clients: 2, rate: 100)
                var early: Size?
                for round in 2...51 {
                    // Roll-backs must leave nothing behind, either.
                    if round.isMultiple(of: 10) { #expect(try world.run("swap", "site@v3").outcome == .rolledBack) }
                    let swap = try world.run("swap", round.isMultiple(of: 2) ? "site@v2" : "site@v1")
                    #expect(swap.outcome == .completed, "swap \(round): \(swap.output)")
                    if round == 11 { early = try Size(world) }
                }
                let before = try #require(early)
                let after = try Size(world)
                #expect(
                    after.descriptors.count == before.descriptors.count, "\(before.descriptors)\n\(after.descriptors)")
                #expect(after.processes == before.processes)
                #expect(after.files.count == before.files.count, "\(before.files)\n\(after.files)")
                // Anonymous memory counts pages, and varies with the allocator's arenas. One kept generation would be
                // about 20 kB, 40 of them 800 kB.
                #expect(
                    after.memory - before.memory < 400,
                    "\(before.memory) kB after 10 swaps, \(after.memory) kB after 50")
                for load in [load, keepAlive] {
                    let tally = try load.end()
                    #expect(tally.lost == 0, "\(tally.losses)")
                }
            }
        }
    }
}
