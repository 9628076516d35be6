import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Old generations drain by themselves, whatever is begun meanwhile.
    @Suite struct Drains {
        /// A connection that its generation has accepted, with half a request: it keeps that generation alive.
        private func held(_ world: World) throws -> RawConnection {
            let connection = try RawConnection(port: world.port)
            try connection.send("GET / HTTP/1.1\r\n")
            try eventually("the connection to be accepted") { try connection.isAccepted(by: world) }
            return connection
        }

        private func draining(_ world: World) throws -> [Int] {
            try world.generations("web").filter { $0.role == .draining }.map(\.number).sorted()
        }

        @Test(
            "A long connection and DrainTimeoutSec=1h: a swap ends at cutover, a second one and a rollback begin at once"
        )
        func longConnection() throws {
            try withWorld {
                try $0.web(swap: "DrainTimeoutSec=1h")
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                let first = try held(world)
                let swap = try world.run("swap", "--wait", "cutover", "web@v2")
                #expect(swap.outcome == .completed && swap.status == 0, "\(swap.output)\(swap.errors)")
                #expect(swap.result?.draining == [GenerationReference(generation: 1, release: "v1")])
                let status = try #require(world.status("web").first)
                #expect(status.state == .running && status.servingGeneration == 2)
                let (serving, old) = (status.generations.first, status.generations.last)
                #expect(serving?.role == .serving && serving?.deadline == nil && serving?.phase == nil)
                #expect(old?.role == .draining && old?.connections == 1 && old?.deadline ?? 0 > 3500)
                #expect(try world.history().first?.drained == nil)
                // v2 keeps one, too.
                let second = try held(world)
                #expect(try world.run("swap", "--wait", "cutover", "web@v3").outcome == .completed)
                #expect(try draining(world) == [1, 2])
                let back = try world.run("rollback", "--wait", "cutover", "web")
                #expect(back.outcome == .completed && back.result?.release == "v2", "\(back.output)\(back.errors)")
                #expect(back.result?.notes.contains { $0.contains("v2 still drains as generation 2") } == true)
                #expect(try draining(world) == [1, 2])
                let wrong = try world.run("drain", "web@v9")
                #expect(
                    wrong.output.contains(
                        "release v9 of web@.service does not drain; draining: generation 1 (v1), generation 2 (v2)"))
                let drain = try world.begin("drain", "web@v1")
                try drain.waitFor("the connection that is left") { $0.connectionsLeft == 1 }
                try first.send("Host: x\r\n\r\n")
                #expect(try first.readAnswer().hasSuffix("v1"))
                let drained = try drain.end()
                #expect(drained.result?.drained?.map(\.generation) == [1] && drained.status == 0, "\(drained.output)")
                #expect(try draining(world) == [2])
                let cut = try world.run("drain", "--now", "web@v2").result?.drained?.first
                #expect(cut?.generation == 2 && cut?.forced == .request && cut?.connectionsCut == 1)
                withExtendedLifetime(second) {}
                let entries = try world.history()
                #expect(
                    entries.first { $0.to?.generation == 2 }?.drained.map { $0.forced == nil && $0.generation == 1 }
                        == true)
                #expect(entries.first { $0.to?.generation == 3 }?.drained?.connectionsCut == 1)
                #expect(entries.count == 4, "the end of a drain is no entry of its own")
            }
        }

        @Test(
            "Ten swaps in a row with a hundred held connections: at most MaxDraining= old generations, no request lost")
        func tenSwaps() throws {
            try withWorld {
                try $0.web(
                    swap: "DrainTimeoutSec=1h\nMaxDraining=3\nSoakSec=0\nDrainSignal=SIGTERM",
                    service: "KillSignal=SIGKILL")
            } then: { world in
                #expect(try world.run("swap", "web@v0").outcome == .started)
                var connections: [RawConnection] = []
                try underLoad(world, until: "v10") { loads in
                    for load in loads { try load.waitForAnswer("v0") }
                    for round in 1...10 {
                        for _ in 1...10 {
                            let connection = try RawConnection(port: world.port)
                            try connection.send("GET / HTTP/1.1\r\n")
                            connections.append(connection)
                        }
                        try eventually("the connections to be accepted") {
                            try connections.last?.isAccepted(by: world) == true
                        }
                        let swap = try world.run("swap", "--wait", "cutover", "web@v\(round)")
                        #expect(swap.outcome == .completed && swap.status == 0, "\(swap.output)\(swap.errors)")
                        try eventually("no more than MaxDraining=") { try draining(world).count <= 3 }
                    }
                }
                #expect(try draining(world) == [8, 9, 10])
                withExtendedLifetime(connections) {}
                let forced = try world.history().compactMap(\.drained)
                #expect(forced.count == 7 && forced.allSatisfy { $0.forced == .limit && ($0.connectionsCut ?? 0) > 0 })
                let why = try world.control("why", "web")
                #expect(why.outputText.contains("connections left"), "\(why.outputText)")
            }
        }

        @Test("kill -9 of the supervisor while three generations drain: adopted, drained, and the history is complete")
        func killedWhileDraining() throws {
            try withWorld {
                try $0.web(swap: "DrainTimeoutSec=1h")
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                var connections: [RawConnection] = []
                for release in ["v2", "v3", "v4"] {
                    connections.append(try held(world))
                    #expect(try world.run("swap", "--wait", "cutover", "web@\(release)").outcome == .completed)
                }
                let drain = try world.begin("drain", "web")
                try drain.waitFor("progress") { $0.phase == .drain }
                try world.crash()
                // One ends unobserved.
                try connections[0].send("Host: x\r\n\r\n")
                #expect(try connections[0].readAnswer().hasSuffix("v1"))
                try world.startAgain()
                #expect(try draining(world).filter { $0 != 1 } == [2, 3])
                for (index, connection) in connections.enumerated().dropFirst() {
                    try connection.send("Host: x\r\n\r\n")
                    #expect(try connection.readAnswer().hasSuffix("v\(index + 1)"))
                }
                let end = try drain.end()
                #expect(end.status == 0 && end.result?.drained?.count == 3, "\(end.output)\(end.errors)")
                #expect(try draining(world) == [])
                let entries = try world.history()
                #expect(entries.compactMap(\.drained).map(\.generation).sorted() == [1, 2, 3])
                #expect(entries.map(\.outcome) == [.completed, .completed, .completed, .started])
                #expect(try world.run("swap", "web@v5").outcome == .completed)
            }
        }

        @Test("A held generation that is aborted drains by itself: the next swap begins at once")
        func rejected() throws {
            try withWorld {
                try $0.web(swap: "DrainTimeoutSec=1h")
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                #expect(try world.run("swap", "--hold", "web@v2").status == 0)
                // Both accept: some of these are generation 2's.
                var connections: [RawConnection] = []
                try eventually("a connection of generation 2") {
                    connections.append(try held(world))
                    return try world.generations("web").first { $0.number == 2 }?.connections ?? 0 > 0
                }
                #expect(try world.run("abort", "--wait", "cutover", "web").outcome == .aborted)
                #expect(try draining(world) == [2])
                #expect(try world.run("swap", "--wait", "cutover", "web@v3").outcome == .completed)
                #expect(try world.control("drain", "--now", "web").end() == 0)
                #expect(try draining(world) == [])
                let aborted = try world.history().first { $0.outcome == .aborted }
                #expect(aborted?.drained?.generation == 2 && aborted?.drained?.forced == .request)
                withExtendedLifetime(connections) {}
            }
        }
    }
}
