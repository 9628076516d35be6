import Engine
import Linux
import Logging
import StateCoding
import SystemPackage
import Testing

@testable import Supervisor

@Suite("What an earlier supervisor has left")
struct PredecessorTests {
    private let path = "/run/holdfast/journal"
    private let world = World()
    private let log = LogLines()

    init() throws { try world.disk.makeDirectory("/run/holdfast") }

    private func makePredecessor(inherited: Int32? = nil) throws -> (Predecessor, SimulatedMachine) {
        let machine = world.boot()
        return (try Predecessor(machine, logger: log.logger, journal: path, inherited: inherited), machine)
    }

    /// Writes a journal like that of a supervisor without units.
    private func writeJournal(boot: String? = "the first boot", format: Int = SavedState.format) {
        let journal = Journal(path: path, records: world.boot().records)
        journal.put(.head, head(boot: boot, format: format))
        journal.putCore(Engine().core)
        journal.flush()
    }

    private func head(boot: String?, format: Int = SavedState.format) -> SavedHead {
        SavedHead(
            format: format, version: "0.0.9", startedAt: 7, fileLimitSoft: 1, fileLimitHard: 2, limits: nil, boot: boot,
            takenAt: nil)
    }

    @Test("Without a journal there is no state; the journal of an earlier boot is none")
    func noState() throws {
        var (predecessor, _) = try makePredecessor()
        #expect(try predecessor.takeState() == nil)
        writeJournal(boot: "another boot")
        (predecessor, _) = try makePredecessor()
        #expect(try predecessor.takeState() == nil)
        #expect(predecessor.problem == nil)
    }

    @Test("The journal of a killed supervisor is its state; one that lacks records says so")
    func killed() throws {
        writeJournal()
        let (predecessor, _) = try makePredecessor()
        let state = try #require(try predecessor.takeState())
        #expect(state.head.startedAt == 7 && state.isStale != true)
        #expect(log.lines.contains { $0.contains("an earlier supervisor process was killed") })
        world.disk.node(path)?.mode = 0o400
        let (next, _) = try makePredecessor()
        #expect(try next.takeState()?.isStale == true)
        #expect(log.lines.contains("the journal lacks the latest changes: the file system was full"))
    }

    @Test("A journal that cannot be read is put aside, told of, and never read again")
    func unreadable() throws {
        try world.disk.write(path, "no journal at all")
        let (predecessor, _) = try makePredecessor()
        #expect(try predecessor.takeState() == nil)
        #expect(predecessor.problem?.contains("it has no beginning") == true)
        #expect(world.disk.text(path + ".bad") == "no journal at all")
        #expect(world.disk.node(path) == nil)
        #expect(world.manager.notifications == ["STATUS=An earlier supervisor's journal was put aside: \(path).bad"])
    }

    @Test("The journal of a newer format is put aside with the version that wrote it")
    func newerFormat() throws {
        writeJournal(format: SavedState.format + 1)
        let (predecessor, _) = try makePredecessor()
        #expect(try predecessor.takeState() == nil)
        #expect(predecessor.problem?.contains("by holdfastd 0.0.9") == true)
    }

    @Test(
        "A shortage is not the journal's fault: it stays for the next attempt",
        arguments: ["stat", "read"], [Errno.tooManyOpenFiles, .noMemory])
    func shortage(call: String, errno: Errno) throws {
        writeJournal()
        world.verdict = { name, _ in name == call ? .fail(errno) : .succeed }
        let (predecessor, _) = try makePredecessor()
        #expect(throws: SystemError.self) { try predecessor.takeState() }
        world.verdict = { _, _ in .succeed }
        #expect(try makePredecessor().0.takeState() != nil)
    }

    @Test("A journal whose readers crash three times in a row is put aside; kill -9 in between does not count")
    func faults() throws {
        writeJournal()
        for _ in 0..<JournalFaults.limit {
            // One in between is killed.
            #expect(try makePredecessor().0.takeState() != nil)
            world.killSupervisor()
            let (predecessor, machine) = try makePredecessor()
            #expect(try predecessor.takeState() != nil)
            predecessor.startResuming()
            try machine.simulatedRecords.writeFaultNote(.abort)
            world.killSupervisor()
        }
        let (last, _) = try makePredecessor()
        #expect(try last.takeState() == nil)
        #expect(
            last.problem?.hasSuffix(
                "3 supervisor processes in a row died of it, the last of them by SIGABRT while it resumed from the journal"
            ) == true)
    }

    @Test("The watch for faults ends, and its notes go, once the events that followed have been handled")
    func endOfWatch() throws {
        writeJournal()
        let (first, machine) = try makePredecessor()
        _ = try first.takeState()
        try machine.simulatedRecords.writeFaultNote(.abort)
        let (second, later) = try makePredecessor()
        _ = try second.takeState()
        try second.endWatchLater()
        #expect(world.disk.node(path + ".fault-1", follows: false) != nil)
        #expect(world.run(for: 1_000_000_000) == .quiet)
        #expect(world.disk.node(path + ".fault-1", follows: false) == nil)
        #expect(later.simulatedRecords.watch == nil)
    }

    @Test("Descriptors of systemd's store that no record names are dropped there, too")
    func stored() throws {
        let descriptor = try OwnedDescriptor.null()
        for name in ["holdfast-notify", "something"] { world.manager.store(descriptor.raw, name) }
        writeJournal()
        let (predecessor, _) = try makePredecessor()
        let state = try #require(try predecessor.takeState())
        #expect(state.own.notifySocket != nil)
        predecessor.dropStored()
        #expect(world.manager.names == ["holdfast-notify"])
        // The descriptor of the notify socket is still open, for the desk that takes it.
        #expect(world.handover.untaken == [state.own.notifySocket].compactMap(\.self))
    }

    @Test("State that an earlier program handed over comes before any journal, and is given out once")
    func inherited() throws {
        writeJournal()
        let machine = world.boot()
        var state = try #require(try makePredecessor().0.takeState())
        state.head.startedAt = 99
        let file = try StateFile.write(state, machine.handover)
        _ = machine.handover.execute(
            "/usr/sbin/holdfastd", arguments: [], environment: [StateFile.variable: "\(file.raw)"],
            keeping: [file.raw])
        let (predecessor, _) = try makePredecessor(inherited: world.handover.state)
        #expect(predecessor.inherited?.head.startedAt == 99)
        #expect(try predecessor.takeState()?.head.startedAt == 99)
        #expect(predecessor.inherited == nil)
    }
}
