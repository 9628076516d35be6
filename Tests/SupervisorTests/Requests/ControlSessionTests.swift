import ControlProtocol
import Linux
import Testing

@testable import Supervisor

/// A supervisor of nothing but control sessions: notes the calls, and answers as the test says.
final class ControlBench: ControlHost {
    let world = World()
    private(set) var machine: SimulatedMachine
    private(set) var sessions: ControlSessions!
    let path = "/run/holdfast/io.holdfast"
    var calls: [(id: ControlSessions.CallID, call: Call, peer: Peer)] = []
    var left: [ControlSessions.CallID] = []
    var drained: [ControlSessions.CallID] = []
    var answer: (ControlSessions.CallID, Call) -> Reply? = { _, _ in Reply() }

    init() throws {
        machine = world.boot()
        sessions = ControlSessions(self, machine.clients, machine.loop)
        try sessions.listen(at: path, mode: 0o666, group: nil)
    }

    func isOperator(_ peer: Peer) -> Bool { isOwner(peer) || peer.gid == 500 }
    func isOwner(_ peer: Peer) -> Bool { peer.uid == 0 }
    let descriptorLimit = "LimitNOFILE=1024"
    func handleCall(_ id: ControlSessions.CallID, _ call: Call, _ peer: Peer) {
        calls.append((id, call, peer))
        if let reply = answer(id, call) { sessions.reply(id, reply) }
    }
    func callerLeft(_ call: ControlSessions.CallID) { left.append(call) }
    func callerHasRead(_ call: ControlSessions.CallID) { drained.append(call) }

    func client(uid: UInt32 = 0, gid: UInt32 = 0) throws -> WorldClient {
        try #require(world.clients.connect(to: path, as: Peer(pid: 7, uid: uid, gid: gid, groups: [])))
    }

    func run() { #expect(world.run(for: 1_000_000_000) == .quiet) }

    /// Replaces the program of the supervisor's process, which keeps the connections of awaited calls.
    func reexecute() throws {
        var saved = SavedPeople()
        saved.sessions = sessions.saved(Set(calls.map(\.id)))
        saved.lastCall = sessions.lastCall
        let listening = try #require(sessions.listening)
        _ = machine.handover.execute(
            "holdfastd", arguments: [], environment: [:], keeping: saved.sessions.map(\.descriptor) + [listening])
        machine = world.boot()
        sessions = ControlSessions(self, machine.clients, machine.loop)
        try sessions.resume(at: path, listening: listening, saved)
    }
}

@Suite("Control sessions on the simulated machine")
struct ControlSessionTests {
    @Test("Calls of one client are answered in order, one at a time; what follows waits for the reply")
    func inOrder() throws {
        let bench = try ControlBench()
        bench.answer = { _, _ in nil }
        let client = try bench.client()
        for name in ["a", "b", "c"] { client.call(.stop(name: name)) }
        bench.run()
        #expect(bench.calls.count == 1)
        for number in 1...3 {
            bench.sessions.reply(bench.calls[number - 1].id, Reply(ListReply(units: [])))
            bench.run()
            #expect(client.replies.count == number && bench.calls.count == min(3, number + 1))
        }
        #expect(try bench.calls.map { try Request($0.call) } == [.stop(name: "a"), .stop(name: "b"), .stop(name: "c")])
    }

    @Test("A thousand calls in one packet do not delay another client's")
    func fairness() throws {
        let bench = try ControlBench()
        let (greedy, other) = (try bench.client(), try bench.client())
        for _ in 0..<1000 { greedy.call(.describe) }
        other.call(.sockets)
        #expect(bench.world.run(for: 1_000_000) { !other.replies.isEmpty } == .reached)
        #expect(greedy.replies.count < 10)
        bench.run()
        #expect(greedy.replies.count == 1000)
    }

    @Test("Progress goes to a caller that takes several replies, and to no other; no reply to a one-way call")
    func more() throws {
        let bench = try ControlBench()
        bench.answer = { _, _ in nil }
        let (stream, single, silent) = (try bench.client(), try bench.client(), try bench.client())
        stream.call(.stop(name: "a"), more: true)
        single.call(.stop(name: "a"))
        silent.send(Request.stop(name: "a").call(oneway: true).encoded())
        bench.run()
        #expect(bench.calls.map { bench.sessions.wantsMore($0.id) } == [true, false, false])
        for call in bench.calls {
            bench.sessions.reply(call.id, Reply(parameters: .empty, continues: true))
            bench.sessions.reply(call.id, Reply(parameters: .empty))
        }
        #expect(stream.replies.map(\.continues) == [true, false])
        #expect(single.replies.map(\.continues) == [false])
        #expect(silent.replies == [] && silent.isConnected)
    }

    @Test("A client that disconnects during its call is reported once; its late reply goes nowhere")
    func disconnects() throws {
        let bench = try ControlBench()
        bench.answer = { _, _ in nil }
        let client = try bench.client()
        client.call(.stop(name: "a"))
        bench.run()
        client.disconnect()
        bench.run()
        #expect(bench.left == bench.calls.map(\.id))
        bench.sessions.reply(bench.calls[0].id, Reply())
        #expect(client.replies == [] && bench.sessions.unread(bench.calls[0].id) == 0)
    }

    @Test(
        "A client that speaks no Varlink is disconnected, after it has read the earlier answers",
        arguments: ["GET / HTTP/1.1\r\n\r\n", "\0", "{\"method\":7}\0", "[]\0", "{\"method\":\"a.B\"\0"])
    func foreign(text: String) throws {
        let bench = try ControlBench()
        let client = try bench.client()
        client.call(.describe)
        bench.run()
        client.send(Array(text.utf8))
        bench.run()
        #expect(client.replies.count == 1 && !client.isConnected)
        #expect(bench.calls.count == 1)
    }

    @Test("A request without an end is refused at its bound")
    func endless() throws {
        let bench = try ControlBench()
        let client = try bench.client()
        client.send([UInt8](repeating: UInt8(ascii: "{"), count: MessageLimit.request + 2))
        bench.run()
        #expect(!client.isConnected && bench.calls.isEmpty)
    }

    @Test("A client that does not read costs a bounded queue, and is told nothing more once it asks on")
    func slowReader() throws {
        let bench = try ControlBench()
        let text = String(repeating: "x", count: 300_000)
        bench.answer = { _, _ in Reply(CatReply(files: [UnitText(path: "/a", text: text)])) }
        let client = try bench.client()
        client.isReading = false
        for _ in 0..<50 { client.call(.cat(name: "a")) }
        bench.run()
        #expect(!client.isConnected)
        #expect(bench.calls.count < 10)
    }

    @Test("A client that reads late gets all, and the supervisor is told when it has")
    func lateReader() throws {
        let bench = try ControlBench()
        bench.answer = { _, _ in nil }
        let client = try bench.client()
        client.isReading = false
        client.call(.events(names: nil), more: true)
        bench.run()
        let id = bench.calls[0].id
        for _ in 0..<10 {
            bench.sessions.reply(
                id,
                Reply(
                    CatReply(files: [UnitText(path: "/a", text: String(repeating: "x", count: 50_000))]),
                    continues: true))
        }
        #expect(bench.sessions.unread(id) > 200_000 && bench.drained.isEmpty)
        client.isReading = true
        bench.run()
        #expect(bench.sessions.unread(id) == 0 && bench.drained == [id] && client.replies.count == 10)
    }

    @Test("Users who are no owners have a bound on connections, each and together; owners have none but the whole")
    func bounds() throws {
        let bench = try ControlBench()
        func connect(_ count: Int, uid: UInt32) throws -> Int {
            let clients = try (0..<count).map { _ in try bench.client(uid: uid) }
            bench.run()
            return clients.count { $0.isConnected }
        }
        #expect(try connect(100, uid: 1000) == ControlSessions.connectionsOfOneUser)
        #expect(try connect(40, uid: 1001) == ControlSessions.connectionsOfOneUser)
        var others = 2 * ControlSessions.connectionsOfOneUser
        for uid in 1002..<1100 { others += try connect(32, uid: UInt32(uid)) }
        #expect(others == ControlSessions.connectionsOfOthers)
        #expect(try connect(1000, uid: 0) == ControlSessions.connectionLimit - others)
    }

    @Test("Calls of operators are handled before those of other users that arrived earlier")
    func priority() throws {
        let bench = try ControlBench()
        let (reader, member) = (try bench.client(uid: 1000, gid: 4), try bench.client(uid: 1001, gid: 500))
        bench.run()
        reader.call(.describe)
        member.call(.sockets)
        bench.run()
        #expect(bench.calls.map(\.peer.uid) == [1001, 1000])
    }

    @Test(
        "A re-execution keeps the connections: a call is answered by the new program, a half request is read to its end"
    )
    func reexecution() throws {
        let bench = try ControlBench()
        bench.answer = { _, _ in nil }
        let (waiting, half) = (try bench.client(), try bench.client())
        waiting.call(.stop(name: "a"), more: true)
        let message = Request.describe.call().encoded()
        half.send(Array(message.prefix(9)))
        bench.run()
        try bench.reexecute()
        #expect(waiting.isConnected && half.isConnected)
        bench.sessions.reply(bench.calls[0].id, Reply())
        half.send(Array(message.dropFirst(9)))
        bench.run()
        #expect(waiting.replies.count == 1)
        #expect(bench.calls.last?.call.method == Request.describe.method.name)
        #expect(bench.calls.map(\.id.number) == [1, 2], "no number is given twice")
        _ = try bench.client().call(.sockets)
        bench.run()
        #expect(bench.calls.count == 3)
    }

    @Test("A crash at any call of the seam ends the connections; nothing of the dead process reaches a client")
    func crash() throws {
        for number in 1...12 {
            let bench = try ControlBench()
            let before = bench.world.calls
            bench.world.verdict = { _, call in call == before + number ? .crash : .succeed }
            let client = try bench.client()
            client.call(.describe)
            client.call(.sockets)
            let pause = bench.world.run(for: 1_000_000_000)
            #expect(client.isConnected == (pause == .quiet), "call \(number)")
            #expect(client.replies.count <= 2)
        }
    }
}
