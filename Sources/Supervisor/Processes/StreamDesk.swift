import Engine
import Glibc
import Linux
import Logging
import UnitFiles

/// Interface of the supervisor to the desk of standard streams.
protocol StreamsHost: EventHost {
    func resources(of generation: GenerationID) -> GenerationResources?
}

/// Standard input, output and error of a service, as systemd.exec(5) describes them.
final class StreamDesk {
    private unowned let host: any StreamsHost
    private let machine: any Machine
    private let logs: OutputDesk

    init(_ machine: any Machine, _ logs: OutputDesk, host: any StreamsHost) {
        self.machine = machine
        self.logs = logs
        self.host = host
    }

    /// Opens the three streams of a command. The default output is the unit's captured log, through a FIFO.
    /// - Parameter isConnected: whether the command may use the service's terminal.
    func open(
        for instance: RunningInstance, _ generation: GenerationResources, isConnected: Bool
    ) throws(SystemError) -> Launcher.Streams {
        let unit = instance.definition.unit
        var targets = outputTargets(of: instance)
        let input: OwnedDescriptor
        if unit.execution.standardInput.isTerminal, !isConnected {
            // A command that must not read from the terminal may write to it.
            if targets.output == .inherit { targets.output = .terminal }
            input = try OwnedDescriptor.null(O_RDONLY)
        } else {
            input = try openInput(unit, instance, generation)
        }
        let output = try openOutput(targets.output, 1, instance, generation, inherited: input)
        let error = try openOutput(targets.error, 2, instance, generation, inherited: output)
        return Launcher.Streams(input: input, output: output, error: error)
    }

    private func openInput(
        _ unit: ServiceUnit, _ instance: RunningInstance, _ generation: GenerationResources
    ) throws(SystemError) -> OwnedDescriptor {
        switch unit.execution.standardInput {
        case .null: try OwnedDescriptor.null(O_RDONLY)
        case .data: try OwnedDescriptor.inMemory(unit.execution.inputData, name: "input")
        // One description for both directions, also because a socket that is named here is connected to only once.
        case .file(let path) where unit.standardOutput == .file(path):
            try machine.serviceFiles.openBothWays(path)
        case .file(let path): try machine.serviceFiles.open(.file(path), stream: 0)
        case .socket: try socket(named: nil, instance, generation)
        case .descriptor(let name): try socket(named: name, instance, generation)
        case .terminal: try openTerminal(unit)
        }
    }

    private func openTerminal(_ unit: ServiceUnit) throws(SystemError) -> OwnedDescriptor {
        let terminal = try machine.serviceFiles.openTerminal(unit.terminal.path, O_RDWR)
        if let user = unit.execution.user, let account = try? machine.accounts.user(user) {
            try machine.serviceFiles.give(terminal, unit.terminal.path, to: account.uid)
        }
        return terminal
    }

    private func openOutput(
        _ target: StandardOutput, _ stream: Int32, _ instance: RunningInstance, _ generation: GenerationResources,
        inherited: borrowing OwnedDescriptor
    ) throws(SystemError) -> OwnedDescriptor {
        switch target {
        case .null: try OwnedDescriptor.null(O_WRONLY)
        case .file(let path) where instance.definition.unit.sharesFile(path):
            try inherited.duplicate()
        case .file(let path): try machine.serviceFiles.open(.file(path), stream: stream)
        case .append(let path): try machine.serviceFiles.open(.append(path), stream: stream)
        case .truncate(let path): try machine.serviceFiles.open(.truncate(path), stream: stream)
        case .socket: try socket(named: nil, instance, generation)
        case .descriptor(let name): try socket(named: name, instance, generation)
        case .log, .journal: try openPipe(of: instance, stream).openForService()
        case .inherit: try inherited.duplicate()
        case .terminal: try machine.serviceFiles.openTerminal(instance.definition.unit.terminal.path, O_WRONLY)
        }
    }

    /// Opens a captured stream, if necessary.
    func openPipe(of instance: RunningInstance, _ stream: Int32) throws(SystemError) -> any MachineLogPipe {
        let targets = outputTargets(of: instance)
        return try logs.openPipe(
            of: instance, stream, toJournal: (stream == 2 ? targets.error : targets.output) == .journal)
    }

    /// Applies `TTYReset=`, `TTYVHangup=` and the like, before and after a run.
    func prepareTerminal(of unit: ServiceUnit) {
        guard unit.usesTerminal else { return }
        var preparation = Terminal.Preparation()
        preparation.hangsUp = unit.terminal.isHungUp
        preparation.resets = unit.terminal.isReset
        preparation.deallocates = unit.terminal.isDeallocated
        (preparation.rows, preparation.columns) = (unit.terminal.rows, unit.terminal.columns)
        do throws(SystemError) {
            try machine.serviceFiles.prepareTerminal(unit.terminal.path, preparation)
        } catch {
            // If the terminal is needed, opening it reports the error again and fails.
            host.log(.warning, about: "\(unit.name)", "\(unit.name): \(error)")
        }
    }

    /// Targets of standard output and error. Error goes to the same target as output; in the log it is a separate
    /// stream, so that its lines can be distinguished.
    private func outputTargets(of instance: RunningInstance) -> (output: StandardOutput, error: StandardOutput) {
        let unit = instance.definition.unit
        var output = unit.standardOutput
        if output == .inherit {
            switch unit.execution.standardInput {
            // As in systemd 252, in spite of its manual page.
            case .null: output = .log
            // Input from memory cannot be written to.
            case .data: output = .null
            // Output into an input FIFO would come back as input.
            case .socket, .descriptor:
                if unit.explicitStandardOutput == nil, inputFIFO(of: instance) != nil { output = .log }
            case .file, .terminal: break
            }
        }
        let isCaptured = output == .log || output == .journal
        return (output, isCaptured && unit.standardError == .inherit ? output : unit.standardError)
    }

    // MARK: - Sockets

    private func socket(
        named name: String?, _ instance: RunningInstance, _ generation: GenerationResources
    ) throws(SystemError) -> OwnedDescriptor {
        if let connection = instance.connection, name == nil || name == AcceptedConnection.descriptorName {
            return try connection.descriptor.duplicate()
        }
        guard let held = heldSocket(named: name, instance, generation) else {
            throw SystemError("pass socket", name, .noSuchFileOrDirectory)
        }
        return try held.endpoint.duplicate()
    }

    /// The held FIFO that is the instance's standard input.
    func inputFIFO(of instance: RunningInstance) -> HeldSocket? {
        let name: String?
        switch instance.definition.unit.execution.standardInput {
        case .socket: name = nil
        case .descriptor(let wanted): name = wanted
        case .null, .data, .file, .terminal: return nil
        }
        guard instance.connection == nil, let generation = host.resources(of: instance.generation),
            let held = heldSocket(named: name, instance, generation),
            case .file(.fifo) = held.endpoint.target
        else { return nil }
        return held
    }

    /// The socket or FIFO that `StandardInput=socket` or `fd:NAME` means.
    private func heldSocket(
        named name: String?, _ instance: RunningInstance, _ generation: GenerationResources
    ) -> HeldSocket? {
        let units = instance.definition.sockets.filter { name == nil || $0.fileDescriptorName == name }
        return units.lazy.flatMap { generation.sockets[$0.name.description] ?? [] }.first
    }
}

extension ServiceUnit {
    /// Whether standard input and output are both this file.
    fileprivate func sharesFile(_ path: String) -> Bool {
        execution.standardInput == .file(path) && standardOutput == .file(path)
    }
}

extension StandardInput {
    var isTerminal: Bool { if case .terminal = self { true } else { false } }
}
