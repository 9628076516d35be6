import Engine
import Linux
import StateCoding
import SystemPackage
import Testing

@testable import Supervisor

@Suite("The journal's file on a simulated disk")
struct JournalFileTests {
    private let path = "/run/holdfast/journal"

    private func makeWorld() throws -> World {
        let world = World()
        try world.disk.makeDirectory("/run/holdfast")
        return world
    }

    /// Values in the file, by key.
    private func contents(_ world: World) throws -> [String: Int] {
        let records = try world.boot().records.read(path).records
        return try records.mapValues { try StateDecoder.decode(Int.self, from: $0) }
    }

    @Test(
        "Records of earlier writes outlive a crash; of the write that crashed the first ones are there, or all, or none",
        arguments: [(0.0, 0), (0.5, 2), (1.0, 4)])
    func crashInWrite(share: Double, count: Int) throws {
        let world = try makeWorld()
        let journal = Journal(path: path, records: world.boot().records)
        journal.put(.unit(1), 10)
        journal.flush()
        world.crashShare = share
        world.verdict = { call, _ in call == "write" ? .crash : .succeed }
        for number in 2...5 { journal.put(.unit(number), 10 * number) }
        journal.flush()
        // The dead process goes on for a moment: nothing of it reaches the disk.
        journal.put(.unit(9), 90)
        journal.flush()
        journal.rewrite { journal.put(.unit(9), 90) }
        world.verdict = { _, _ in .succeed }
        let expected = ["u1": 10].merging((2..<2 + count).map { ("u\($0)", 10 * $0) }) { $1 }
        #expect(try contents(world) == expected)
    }

    @Test("A crash in a rewrite leaves the old file or the new one, whole", arguments: [0.0, 0.5, 1.0])
    func crashInRewrite(share: Double) throws {
        let world = try makeWorld()
        let journal = Journal(path: path, records: world.boot().records)
        for number in 1...3 { journal.put(.unit(number), number) }
        journal.flush()
        world.crashShare = share
        world.verdict = { call, _ in call == "replace" ? .crash : .succeed }
        journal.rewrite { journal.put(.unit(7), 7) }
        world.verdict = { _, _ in .succeed }
        #expect(try contents(world) == (share == 1 ? ["u7": 7] : ["u1": 1, "u2": 2, "u3": 3]))
    }

    @Test("Within the room that was reserved the journal is written on a full disk")
    func reservedRoom() throws {
        let world = try makeWorld()
        world.disk.capacity = 1 << 20
        let journal = Journal(path: path, records: world.boot().records)
        journal.put(.unit(1), 1)
        journal.flush()
        journal.keepRoom()
        #expect(journal.problem == nil)
        world.disk.capacity = world.disk.used
        for number in 2...500 {
            journal.put(.unit(number), number)
            journal.flush()
        }
        #expect(!journal.isBehind)
        #expect(try contents(world).count == 500)
    }

    @Test("Without room nothing new is promised, and the problem is gone with the first room")
    func noRoom() throws {
        let world = try makeWorld()
        world.disk.capacity = Journal.operationRoom / 2
        let journal = Journal(path: path, records: world.boot().records)
        journal.put(.unit(1), 1)
        journal.flush()
        journal.keepRoom()
        #expect(journal.problem?.contains("No space left on device") == true)
        #expect(!journal.isBehind, "what was written is whole")
        world.disk.capacity = 1 << 20
        journal.keepRoom()
        #expect(journal.problem == nil)
    }

    @Test(
        "A journal that cannot be written is marked stale, collects nothing, and is whole again after a rewrite",
        arguments: [Errno.noSpace, .ioError, .tooManyOpenFiles])
    func fallsBehind(errno: Errno) throws {
        let world = try makeWorld()
        let machine = world.boot()
        let journal = Journal(path: path, records: machine.records)
        journal.put(.unit(1), 1)
        journal.flush()
        var reports = 0
        journal.fellBehind = { reports += 1 }
        world.verdict = { call, _ in call == "write" || call == "replace" ? .fail(errno) : .succeed }
        for number in 2...4 {
            journal.put(.unit(number), number)
            journal.flush()
        }
        #expect(journal.isBehind && reports == 1)
        #expect(machine.records.isStale(path))
        journal.rewrite { journal.put(.unit(5), 5) }
        #expect(journal.isBehind, "the disk is still bad")
        world.verdict = { _, _ in .succeed }
        journal.rewrite { for number in 1...4 { journal.put(.unit(number), number) } }
        #expect(!journal.isBehind && journal.problem == nil)
        #expect(!machine.records.isStale(path))
        #expect(try contents(world) == ["u1": 1, "u2": 2, "u3": 3, "u4": 4])
    }

    @Test("A rewrite that fails leaves a complete file as it is: it is continued")
    func rewriteFails() throws {
        let world = try makeWorld()
        let journal = Journal(path: path, records: world.boot().records)
        journal.put(.unit(1), 1)
        journal.flush()
        world.verdict = { call, _ in call == "replace" ? .fail(.noSpace) : .succeed }
        journal.rewrite { journal.put(.unit(1), 1) }
        #expect(!journal.isBehind)
        world.verdict = { _, _ in .succeed }
        journal.put(.unit(2), 2)
        journal.flush()
        #expect(try contents(world) == ["u1": 1, "u2": 2])
    }
}

@Suite("Faults of supervisors that continue from a journal")
struct JournalFaultTests {
    private let journal = "/run/holdfast/journal"

    @Test("Each fault leaves a note with its stage; kill -9 leaves none; success removes them")
    func notes() throws {
        let world = World()
        try world.disk.makeDirectory("/run/holdfast")
        for number in 0..<JournalFaults.limit {
            let machine = world.boot()
            let faults = JournalFaults(journal: journal, records: machine.records)
            #expect(faults.startWatch().count == number)
            faults.enter(.takingOver)
            try machine.simulatedRecords.writeFaultNote(.abort)
            world.killSupervisor()
            // Another one in between is killed: that is no evidence.
            _ = JournalFaults(journal: journal, records: world.boot().records).startWatch()
            world.killSupervisor()
        }
        let machine = world.boot()
        let faults = JournalFaults(journal: journal, records: machine.records)
        let notes = faults.startWatch()
        #expect(notes.count == JournalFaults.limit)
        #expect(notes.map(JournalFaults.text).allSatisfy { $0 == "SIGABRT while it took over what the journal names" })
        faults.succeed()
        #expect(faults.startWatch().isEmpty)
    }
}
