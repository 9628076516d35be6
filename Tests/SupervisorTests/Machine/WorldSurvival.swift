import Linux

@testable import Supervisor

extension World {
    /// A call that has a part of its effect when the supervisor crashes in it: `partly` gets the share of the effect
    /// that happens (`crashShare`).
    func step(
        _ machine: SimulatedMachine, _ call: String, _ subject: String, _ partly: (_ share: Double) -> Void
    ) throws(SystemError) {
        let wasAlive = !machine.isDead
        do throws(SystemError) {
            try step(machine, call, subject)
        } catch {
            if wasAlive, machine.isDead, crashShare > 0 { partly(crashShare) }
            throw error
        }
    }
}

/// Descriptors that one program has left open for the next one, under the numbers that they had there.
final class WorldHandover {
    private final class Kept {
        let descriptor: OwnedDescriptor
        init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
    }

    /// Identifier of the host's present boot.
    var bootID: String? = "the first boot"
    private var kept: [Int32: Kept] = [:]
    /// How often one program has replaced another in the supervisor's process.
    private(set) var replacements = 0
    /// Number of the descriptor with the state, after a re-execution.
    private(set) var state: Int32?

    /// Keeps what a program leaves for the next one, after a re-execution.
    func replace(by descriptors: [Int32], state: Int32?) throws(SystemError) {
        var fresh: [Int32: Kept] = [:]
        for number in descriptors { fresh[number] = Kept(try Self.duplicate(number)) }
        (kept, self.state) = (fresh, state)
        replacements += 1
    }

    /// Keeps a duplicate of a descriptor under a number.
    func keep(_ number: Int32, as name: Int32) throws(SystemError) { kept[name] = Kept(try Self.duplicate(number)) }

    /// Gives out a descriptor. EBADF: none was kept under that number.
    func take(_ number: Int32) throws(SystemError) -> OwnedDescriptor {
        guard let held = kept.removeValue(forKey: number) else {
            throw SystemError("inherit descriptor", "\(number)", .badFileDescriptor)
        }
        return try held.descriptor.duplicate()
    }

    /// Closes everything, as the death of a process does.
    func clear() { (kept, state) = ([:], nil) }

    /// Numbers of the descriptors that nothing has taken yet.
    var untaken: [Int32] { kept.keys.sorted() }

    static func duplicate(_ number: Int32) throws(SystemError) -> OwnedDescriptor {
        let owner = OwnedDescriptor(owning: number)
        let copy: OwnedDescriptor
        do throws(SystemError) {
            copy = try owner.duplicate()
        } catch {
            _ = owner.release()
            throw error
        }
        _ = owner.release()
        return copy
    }
}

/// The service manager of the world, and its descriptor store.
final class WorldManager {
    /// Whether the manager is systemd, with a descriptor store.
    var hasStore = true
    /// Notifications in the order in which they were sent.
    var notifications: [String] = []
    private var stored: [String: Stored] = [:]
    /// Numbers for descriptors that are handed over. No real descriptor has such a number.
    private var lastNumber: Int32 = 1 << 30

    private final class Stored {
        let descriptor: OwnedDescriptor
        init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
    }

    var names: [String] { stored.keys.sorted() }

    func store(_ number: Int32, _ name: String) {
        // A name may be stored twice; the first one counts (`ManagerStore.take`).
        guard hasStore, stored[name] == nil, let copy = try? WorldHandover.duplicate(number) else { return }
        stored[name] = Stored(copy)
    }

    func remove(_ name: String) { stored[name] = nil }

    /// Hands duplicates of all stored descriptors to a new process.
    func takeStored(into handover: WorldHandover) -> [String: Int32] {
        var numbers: [String: Int32] = [:]
        for name in names {
            guard let held = stored[name] else { continue }
            lastNumber += 1
            try? handover.keep(held.descriptor.raw, as: lastNumber)
            numbers[name] = lastNumber
        }
        return numbers
    }
}
