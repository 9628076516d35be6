import Linux
import SystemPackage
import Testing

@testable import Supervisor

@Suite struct WorldTests {
    let second: Int64 = 1_000_000_000

    @Test("Sources are dispatched by priority, timers not before their time")
    func order() throws {
        let world = World()
        let machine = world.boot()
        var seen: [String] = []
        let timer = try machine.loop.makeTimer { seen.append("timer") }
        timer.arm(after: second)
        _ = try machine.loop.callLater(priority: .idle) { seen.append("idle") }
        _ = try machine.loop.callLater(priority: .jobs) { seen.append("job") }
        world.schedule(after: second) { machine.simulatedLoop.post(.childExits) { seen.append("exit") } }
        #expect(world.run(for: second / 2) == .quiet)
        #expect(seen == ["job", "idle"])
        #expect(world.run(for: second) == .quiet)
        #expect(seen == ["job", "idle", "exit", "timer"])
    }

    @Test("A call that crashes has no effect, nor has any later one of that supervisor, and nothing is called back")
    func crash() throws {
        let world = World()
        let machine = world.boot()
        world.verdict = { call, _ in call == "second" ? .crash : .succeed }
        var effects: [String] = []
        _ = try machine.loop.callLater {
            for call in ["first", "second", "third"] where (try? world.step(machine, call)) != nil {
                effects.append(call)
            }
        }
        _ = try machine.loop.callLater(priority: .idle) { effects.append("called back") }
        #expect(world.run(for: second) == .crashed)
        #expect(effects == ["first"])
        #expect(world.calls == 2)
    }

    @Test("An injected error reaches the caller with its call")
    func failure() {
        let world = World()
        let machine = world.boot()
        world.verdict = { _, number in number == 1 ? .fail(.noSpace) : .succeed }
        #expect(throws: SystemError("write", "/x", .noSpace)) { try world.step(machine, "write", "/x") }
        #expect(throws: Never.self) { try world.step(machine, "write", "/x") }
    }
}
