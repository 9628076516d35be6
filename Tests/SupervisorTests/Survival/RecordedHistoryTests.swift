import ControlProtocol
import Engine
import Linux
import SystemPackage
import Testing
import UnitFiles

@testable import Supervisor

@Suite("The history on a simulated disk")
struct RecordedHistoryTests {
    private let path = "/var/lib/holdfast/history.jsonl"

    private func makeWorld() throws -> World {
        let world = World()
        try world.disk.makeDirectory("/var/lib/holdfast")
        return world
    }

    private func entry(_ number: Int) -> HistoryEntry {
        HistoryEntry(
            number: 0, unit: "app-\(number).service", kind: .start, at: "2026-01-01T00:00:00Z", outcome: .started)
    }

    private func open(_ world: World) -> History { History(path: path, files: world.boot().files) }

    private func units(_ history: History) -> [String] { history.entries.map(\.unit) }

    @Test(
        "A line that a crash cut short costs no other entry, neither before nor after it", arguments: [0.1, 0.5, 0.99])
    func crash(share: Double) throws {
        let world = try makeWorld()
        let history = open(world)
        try history.append(entry(1))
        world.crashShare = share
        world.verdict = { call, _ in call == "write" ? .crash : .succeed }
        try? history.append(entry(2))
        world.verdict = { _, _ in .succeed }
        let next = open(world)
        #expect(units(next) == ["app-1.service"])
        try next.append(entry(3))
        #expect(units(open(world)) == ["app-1.service", "app-3.service"])
    }

    @Test("A disk that was full for a while costs the entries of that time only")
    func fullDisk() throws {
        let world = try makeWorld()
        let history = open(world)
        try history.append(entry(1))
        world.verdict = { call, _ in call == "write" ? .fail(.noSpace) : .succeed }
        #expect(throws: SystemError.self) { try history.append(entry(2)) }
        world.verdict = { _, _ in .succeed }
        try history.append(entry(3))
        #expect(units(history) == ["app-1.service", "app-2.service", "app-3.service"], "memory has all")
        let again = open(world)
        #expect(units(again) == ["app-1.service", "app-3.service"])
        #expect(again.entries.map(\.number) == [1, 3], "no number is given twice")
    }

    @Test("After a failed open the entries are synced again; after an error of the disk they are not")
    func sync() throws {
        let world = try makeWorld()
        let history = open(world)
        for (errno, isAskedAgain) in [(Errno.tooManyOpenFiles, true), (.ioError, false)] {
            try history.append(entry(1))
            var syncs = 0
            world.verdict = { call, _ in
                guard call == "sync" else { return .succeed }
                syncs += 1
                return syncs == 1 ? .fail(errno) : .succeed
            }
            #expect(throws: SystemError.self) { try history.sync() }
            try history.sync()
            #expect(syncs == (isAskedAgain ? 2 : 1))
            world.verdict = { _, _ in .succeed }
        }
    }
}

@Suite("The memory of releases on a simulated disk")
struct ReleaseMemoryTests {
    private let directory = "/var/lib/holdfast/releases"
    private let group = GroupID("site@.target")

    private func open(_ world: World) -> ReleaseMemory {
        ReleaseMemory(directory: directory, files: world.boot().files)
    }

    private func record(_ memory: ReleaseMemory, _ number: Int) throws {
        let id = GenerationID(group: group, number: number)
        try memory.recordNumber(of: id)
        try memory.recordServing(
            id, release: "v\(number)",
            previous: .init(unit: "site@v\(number - 1).target", members: ["app@v\(number - 1).service"]),
            texts: ["app@.service": "of v\(number - 1)", "app@.service.d/x.conf": "of v\(number - 1)"])
    }

    @Test("A crash at any call leaves the earlier release or the new one, and no number is given twice")
    func crashes() throws {
        var crash = 1
        while true {
            let world = World()
            let first = open(world)
            try record(first, 1)
            let memory = open(world)
            let start = world.calls
            world.verdict = { _, number in number == start + crash ? .crash : .succeed }
            let isDone = (try? record(memory, 2)) != nil
            world.verdict = { _, _ in .succeed }
            let next = open(world)
            let release = next.release(of: group)
            #expect(release == "v1" || release == "v2", "crash \(crash)")
            #expect(next.previous(of: group)?.unit == (release == "v1" ? "site@v0.target" : "site@v1.target"))
            // The files of a rollback are those of one release, or there are none.
            let texts = Set(
                ["app@.service", "app@.service.d/x.conf"].map {
                    world.disk.text(next.definitions(of: group) + "/" + $0)
                })
            #expect(texts.count == 1, "crash \(crash): \(texts)")
            #expect(next.all().first?.1.lastNumber ?? 0 >= (release == "v2" ? 2 : 1))
            // The next attempt succeeds, whatever the crash has left.
            try record(next, 3)
            #expect(open(world).release(of: group) == "v3")
            if isDone { break }
            crash += 1
        }
        #expect(crash > 10)
    }

    @Test("A full disk is an error, and the record of before stays")
    func fullDisk() throws {
        let world = World()
        let memory = open(world)
        try record(memory, 1)
        world.verdict = { call, _ in call == "write" ? .fail(.noSpace) : .succeed }
        #expect(throws: SystemError.self) { try record(memory, 2) }
        world.verdict = { _, _ in .succeed }
        #expect(open(world).release(of: group) == "v1")
    }

    @Test("A damaged record and a number out of range are passed over")
    func damage() throws {
        let world = World()
        try world.disk.write(directory + "/a.json", "{")
        try world.disk.write(directory + "/b.json", #"{"unit":"b.target","lastGeneration":9223372036854775807}"#)
        try world.disk.write(directory + "/c.json", #"{"unit":"c.target","lastGeneration":4}"#)
        #expect(open(world).all().map(\.0) == [GroupID("c.target")])
    }
}

@Suite("Locks of directories on a simulated disk")
struct LockTests {
    @Test("A lock keeps others out until its holder dies")
    func lock() throws {
        let world = World()
        try world.disk.makeDirectory("/run/holdfast")
        let first = world.boot()
        let lock = try first.files.lock("/run/holdfast/lock")
        let second = SimulatedMachine(world: world)
        #expect(throws: SystemError("lock", "/run/holdfast/lock", .wouldBlock)) {
            try second.files.lock("/run/holdfast/lock")
        }
        // A re-execution hands it to the successor.
        _ = first.handover.execute("/x", arguments: [], environment: [:], keeping: [lock.raw])
        let third = world.boot()
        let inherited = third.files.inheritLock(try third.handover.inherit(lock.raw))
        #expect(throws: SystemError.self) { try second.files.lock("/run/holdfast/lock") }
        withExtendedLifetime(inherited) { world.killSupervisor() }
        #expect(throws: Never.self) { try second.files.lock("/run/holdfast/lock") }
    }
}
