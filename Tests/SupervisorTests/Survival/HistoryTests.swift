import ControlProtocol
import Engine
import Linux
import SystemPackage
import Testing
import UnitFiles

@testable import Supervisor

@Suite("The history")
struct HistoryTests {
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

    @Test("The end of a drain is written into the entry of its operation, and read again in its place")
    func drained() throws {
        let world = try makeWorld()
        let history = open(world)
        var swap = entry(1)
        swap.to = GenerationReference(generation: 2)
        try history.append(swap)
        try history.append(entry(2))
        let found = try #require(history.entry(of: "app-1.service", to: 2))
        let end = DrainEnd(generation: 1, seconds: 3, forced: .timeout, connectionsCut: 4)
        try history.append(found.with(end))
        #expect(history.entry(of: "app-1.service", to: 2) == nil, "it has ended")
        let again = open(world)
        for one in [history, again] {
            #expect(one.entries.map(\.number) == [1, 2] && one.entries.first?.drained == end)
            #expect(one.entries.first?.durations.drain == 3)
            #expect(one.contains(swap) && one.contains(swap.with(end)), "a successor does not write them again")
        }
        try again.append(entry(3))
        #expect(open(world).entries.map(\.number) == [1, 2, 3])
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
