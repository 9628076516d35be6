import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Clients of the control socket that are slow, silent or many: each costs bounded memory, and delays no other
    /// client.
    @Suite struct Clients {
        private func memory(_ world: World) throws -> Int {
            try #require(ProcessEntry(world.daemon.pid)?.anonymousMemory)
        }

        @Test(
            "Who watches events and never reads loses some, with a mark that says how many; others get every one, and answers"
        )
        func deafSubscribers() throws {
            try withWorld {
                try $0.unit("rest.service", "[Service]\nExecStart=/bin/sleep infinity\n")
            } then: { world in
                let deaf = try (1...8).map { _ in try Varlink(world) }
                let reader = try Varlink(world)
                for client in deaf + [reader] {
                    try client.send("Events", more: true)
                }
                #expect(try reader.read(EventsReply.self).event.kind == .begin)
                let before = try memory(world)
                let asker = try Varlink(world)
                // More than the kernel and the supervisor buffer for a client that does not read. One event after the
                // other, because a client that reads slower than events occur misses some as well.
                var size = 0
                while size < 1 << 20 {
                    try asker.send("Update")
                    _ = try asker.readText()
                    let text = try reader.readText()
                    #expect(text.contains(#""kind":"files""#), "\(text)")
                    size += text.utf8.count
                }
                try asker.send("Status")
                #expect(try asker.readText().contains("rest.service"))
                #expect(try memory(world) - before < 8 * 300 + 2048, "kilobytes")
                // A silent client reads again: first its buffered events, then the number of lost ones.
                var kinds: [EventKind] = []
                var lost = 0
                while kinds.count < 4 || lost == 0 {
                    let event = try deaf[0].read(EventsReply.self).event
                    kinds.append(event.kind)
                    lost += event.count ?? 0
                    if event.kind == .lost { break }
                    // The count is sent with the next event that is not lost.
                    if kinds.count % 500 == 0 {
                        try asker.send("Update")
                        _ = try asker.readText()
                    }
                }
                #expect(kinds.first == .begin && kinds.last == .lost && lost > 100, "\(lost) of \(kinds.count)")
            }
        }

        @Test("Half a message may stay half for ever: over a re-exec, too; its other half is understood")
        func halfMessages() throws {
            try withWorld {
                try $0.unit("rest.service", "[Service]\nExecStart=/bin/sleep infinity\n")
            } then: { world in
                let call = Varlink.call("Status", #"{"names":["rest"]}"#)
                let silent = try (1...100).map { _ in try Varlink(world) }
                for (index, client) in silent.enumerated() {
                    try client.connection.send(Array(call.prefix(index % call.count)))
                }
                #expect(try world.run("start", "rest").outcome == .started)
                #expect(try world.control("daemon-reexec").end() == 0)
                try world.awaitReady()
                for (index, client) in silent.enumerated() where index % 3 == 0 {
                    try client.connection.send(Array(call.dropFirst(index % call.count)))
                    #expect(try client.read(StatusReply.self).units.first?.state == .running)
                }
            }
        }

        @Test("Who asks on and on without reading the answers is cut off; others are answered meanwhile")
        func floods() throws {
            try withWorld {
                try $0.unit("rest.service", "[Service]\nExecStart=/bin/sleep infinity\n")
            } then: { world in
                #expect(try world.run("start", "rest").outcome == .started)
                // Its answer has about 25 kB.
                let question =
                    #"{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"io.holdfast.Manager"}}"#
                let questions = Array(repeating: Array(question.utf8) + [0], count: 100).flatMap { $0 }
                let before = try memory(world)
                let asker = try Varlink(world)
                for _ in 1...3 {
                    let floods = try (1...5).map { _ in try Varlink(world) }
                    var open = Set(floods.indices)
                    while let index = open.first {
                        // The connection is full for now, or closed: the poll distinguishes the two.
                        _ = floods[index].connection.sendWithoutWaiting(questions)
                        if floods[index].connection.isClosedByPeer { open.remove(index) }
                        try asker.send("Status", #"{"names":["rest"]}"#)
                        #expect(try asker.read(StatusReply.self).units.first?.state == .running)
                    }
                }
                #expect(try memory(world) - before < 4096, "kilobytes")
            }
        }

        @Test("Two hundred connections at once, all with a question: each is answered")
        func crowd() throws {
            try withWorld {
                try $0.unit("rest.service", "[Service]\nExecStart=/bin/sleep infinity\n")
            } then: { world in
                #expect(try world.run("start", "rest").outcome == .started)
                let before = try memory(world)
                for _ in 1...3 {
                    let clients = try (1...200).map { _ in try Varlink(world) }
                    for client in clients { try client.send("Status") }
                    for client in clients.reversed() {
                        #expect(try client.read(StatusReply.self).units.first?.state == .running)
                    }
                }
                #expect(try memory(world) - before < 4096, "kilobytes")
            }
        }
    }
}
