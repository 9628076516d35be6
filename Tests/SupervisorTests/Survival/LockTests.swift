import Linux
import SystemPackage
import Testing

@testable import Supervisor

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
