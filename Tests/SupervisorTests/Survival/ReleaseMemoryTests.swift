import Engine
import Linux
import SystemPackage
import Testing

@testable import Supervisor

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
