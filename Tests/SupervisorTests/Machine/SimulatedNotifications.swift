@testable import Linux
@testable import Supervisor

/// One supervisor's view of the notify socket of the world.
final class SimulatedNotifications: NotificationsPort {
    private unowned let machine: SimulatedMachine
    private var world: World { machine.world }

    init(machine: SimulatedMachine) { self.machine = machine }

    func open(
        _ path: String, _ received: @escaping (NotifySocket.Datagram) -> Void
    ) throws(SystemError) -> any MachineNotifySocket {
        try world.step(machine, "bind notify socket", path)
        // Messages to an earlier socket are lost with it.
        world.processes.datagrams = []
        return SimulatedNotifySocket(try OwnedDescriptor.null(), machine, received)
    }

    func inherit(
        _ path: String, descriptor: Int32, _ received: @escaping (NotifySocket.Datagram) -> Void
    ) throws(SystemError) -> any MachineNotifySocket {
        SimulatedNotifySocket(try machine.handover.inherit(descriptor), machine, received)
    }
}

private final class SimulatedNotifySocket: MachineNotifySocket {
    private let token: WorldDescriptor
    private unowned let machine: SimulatedMachine
    private let received: (NotifySocket.Datagram) -> Void
    private var isOpen = true

    init(
        _ descriptor: consuming OwnedDescriptor, _ machine: SimulatedMachine,
        _ received: @escaping (NotifySocket.Datagram) -> Void
    ) {
        token = WorldDescriptor(descriptor)
        (self.machine, self.received) = (machine, received)
        machine.world.processes.onDatagram = { [weak self] in self?.post() }
        for _ in machine.world.processes.datagrams { post() }
    }

    var raw: Int32 { token.raw }

    private func post() {
        machine.simulatedLoop.post(.notifyMessages) { [weak self] in self?.receiveOne() }
    }

    private func receiveOne() {
        guard isOpen, machine.world.permits(machine, "receive notification") else { return }
        let processes = machine.world.processes
        if !processes.datagrams.isEmpty { received(processes.datagrams.removeFirst()) }
    }

    func receiveWaiting() {
        for _ in 0..<1000 {
            guard isOpen, !machine.isDead, !machine.world.processes.datagrams.isEmpty else { return }
            receiveOne()
        }
    }

    func remove() {
        guard machine.world.permits(machine, "remove notify socket") else { return }
        isOpen = false
        machine.world.processes.onDatagram = nil
    }
}
