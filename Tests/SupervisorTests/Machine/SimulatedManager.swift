import Linux

@testable import Supervisor

/// The service manager as one supervisor sees it.
final class SimulatedManager: ManagerPort {
    private unowned let machine: SimulatedMachine
    private var world: World { machine.world }

    init(machine: SimulatedMachine) { self.machine = machine }

    func takeStored() -> [String: Int32] {
        // systemd passes them to a process that it starts, not to the next program of that process.
        guard world.handover.state == nil, world.permits(machine, "take stored descriptors") else { return [:] }
        return world.manager.takeStored(into: world.handover)
    }

    func store(_ descriptor: Int32, name: String) {
        if world.permits(machine, "store descriptor", name) { world.manager.store(descriptor, name) }
    }

    func removeStored(_ name: String) {
        if world.permits(machine, "remove stored descriptor", name) { world.manager.remove(name) }
    }

    func notify(_ state: String) {
        if world.permits(machine, "notify manager") { world.manager.notifications.append(state) }
    }
}
