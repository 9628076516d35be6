import ControlProtocol
import Engine
import Linux
import Logging
import StateCoding
import SystemPackage
import Testing
import UnitFiles

@testable import Supervisor

@Suite("The journal's desk")
struct JournalDeskTests {
    private let world = World()
    private let bench: JournalBench

    init() throws {
        try world.disk.makeDirectory("/run/holdfast")
        bench = JournalBench(world)
        try bench.desk.start()
    }

    private func records() throws -> [String: [UInt8]] { try world.boot().records.read(bench.path).records }

    private func value<T: Decodable>(_ key: String, _ type: T.Type) throws -> T? {
        try records()[key].map { try StateDecoder.decode(type, from: $0) }
    }

    /// Signals that a successor would send.
    private func unsent() throws -> [SavedSignal] {
        UnsentSignals.left(try value("t", [SavedSignal].self), sent: try value("ts", Int.self)) ?? []
    }

    @Test("Signals are recorded before the first is sent, and each is crossed off after it was sent")
    func signals() throws {
        let effects: [Effect] = [.signal(Token(number: 1), .terminate), .signalTree(InstanceID(number: 2), .kill)]
        bench.desk.record(before: effects)
        #expect(try unsent() == effects.compactMap(SavedSignal.init))
        bench.desk.recordSent(effects[0])
        #expect(try unsent() == [.tree(InstanceID(number: 2), .kill)])
        bench.desk.recordSent(effects[1])
        #expect(try unsent() == [])
        #expect(bench.desk.nextUnsentSignal == nil)
    }

    @Test("The end of a process is recorded together with the engine's reaction, not before it")
    func endOfProcess() throws {
        bench.desk.put(
            .process(Token(number: 3)),
            SavedProcess(token: Token(number: 3), instance: InstanceID(number: 1), pid: 9, startTime: 4))
        bench.desk.flush()
        bench.desk.recordEnd(.exited(Token(number: 3), .exited(0)))
        #expect(try records()["p3"] != nil)
        bench.desk.record(before: [])
        #expect(try records()["p3"] == nil)
    }

    @Test("On a full disk nothing is begun, what runs is told of once, and the first room is noticed within a second")
    func fullDisk() throws {
        world.disk.capacity = 1 << 10
        bench.desk.watchRoom()
        bench.desk.watchRoom()
        #expect(bench.lines.filter { $0.contains("there is no more room for the journal") }.count == 1)
        let start = try #require(Method.all.first { $0.effect == .begins })
        let stop = try #require(Method.all.first { $0.name.hasSuffix(".Stop") })
        #expect(throws: ControlError.self) { try bench.desk.refuseWithoutRoom(start) }
        #expect(throws: Never.self) { try bench.desk.refuseWithoutRoom(stop) }
        world.disk.capacity = 1 << 30
        #expect(world.run(for: 2_000_000_000) == .quiet)
        #expect(bench.desk.trouble == nil)
        #expect(throws: Never.self) { try bench.desk.refuseWithoutRoom(start) }
        #expect(bench.lines.last == "the journal is written again: a crash would be survived")
    }

    @Test("A write that fails has the journal rewritten from the present state as soon as there is room")
    func rewrite() throws {
        bench.desk.rewrite()
        world.verdict = { call, _ in call == "write" || call == "replace" ? .fail(.noSpace) : .succeed }
        bench.desk.put(.unit(7), 7)
        bench.desk.flush()
        #expect(bench.desk.isBehind && bench.desk.trouble?.contains("would not survive a crash") == true)
        world.verdict = { _, _ in .succeed }
        #expect(world.run(for: 2_000_000_000) == .quiet)
        #expect(!bench.desk.isBehind && bench.desk.trouble == nil)
        #expect(try value("a", SavedHead.self)?.version == "bench")
    }
}

/// A supervisor without units.
private final class JournalBench: JournalHost {
    var engine = Engine()
    let path: String
    private(set) var lines: [String] = []
    private(set) var desk: JournalDesk!

    init(_ world: World) {
        path = JournalDesk.path(in: "/run/holdfast")
        desk = JournalDesk(self, world.boot(), runtimeDirectory: "/run/holdfast")
    }

    func savedState() -> SavedState {
        SavedState(
            head: SavedHead(
                format: SavedState.format, version: "bench", startedAt: 0, fileLimitSoft: 0, fileLimitHard: 0),
            engine: engine, backlog: [], lastDefinition: 0, units: [:], definitions: [], sockets: [:], shared: [:],
            generations: [], instances: [], processes: [], own: SavedOwn(), people: SavedPeople())
    }

    func savedActivation() -> SavedActivation {
        SavedActivation(machine: SocketActivation(), started: [], commands: [], connections: [])
    }

    var recordedSockets: [HeldSocket] { [] }
    var knownDefinitions: [Definition] { [] }
    var startedSocketUnits: [SocketUnit] { [] }
    func recordEnds(_ effects: [Effect]) {}
    func recordRequestChanges() {}
    func recordAllRequests() {}
    func logJournal(_ level: Logger.Level, _ text: String) { lines.append(text) }
}
