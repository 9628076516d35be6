import Linux

@testable import Supervisor

/// Handover between the programs of a simulated process.
final class SimulatedHandover: HandoverPort {
    private unowned let machine: SimulatedMachine
    private var world: World { machine.world }

    var bootID: String? { world.handover.bootID }

    init(machine: SimulatedMachine) { self.machine = machine }

    func inherit(_ number: Int32) throws(SystemError) -> OwnedDescriptor {
        // fcntl(2) needs nothing that could be short.
        guard world.permits(machine, "inherit descriptor", "\(number)") else {
            throw SystemError("inherit descriptor", "\(number)", .ioError)
        }
        return try world.handover.take(number)
    }

    func makeMemoryFile(_ bytes: [UInt8], name: String) throws(SystemError) -> OwnedDescriptor {
        try world.step(machine, "make file in memory", name)
        return try OwnedDescriptor.inMemory(bytes, name: name)
    }

    func contents(of file: borrowing OwnedDescriptor, limit: Int) throws(SystemError) -> [UInt8] {
        try world.step(machine, "read state")
        return try LinuxHandover().contents(of: file, limit: limit)
    }

    func execute(
        _ program: String, arguments: [String], environment: [String: String], keeping descriptors: [Int32]
    ) -> SystemError {
        do throws(SystemError) {
            try world.step(machine, "execute", program)
            let state = environment[StateFile.variable].flatMap { Int32($0) }
            try world.handover.replace(by: descriptors, state: state)
        } catch {
            return error
        }
        // The program ends here: nothing that it does from now on has an effect.
        machine.die()
        return SystemError("execute", program, .ioError)
    }
}
