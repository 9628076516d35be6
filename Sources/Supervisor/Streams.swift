import Engine
import Linux
import UnitFiles

/// Standard input, output and error of a service, as systemd.exec(5) describes them.
extension Supervisor {
    /// Opens the three streams of a command. The default output is the unit's captured log, through a FIFO.
    func openStreams(
        for instance: RunningInstance, _ generation: GenerationResources
    ) throws(SystemError) -> Launcher.Streams {
        let unit = instance.definition.unit
        let input = try openInput(unit, instance, generation)
        let output = try openOutput(unit.standardOutput, 1, instance, generation, inherited: input)
        let error = try openOutput(unit.standardError, 2, instance, generation, inherited: output)
        return Launcher.Streams(input: input, output: output, error: error)
    }

    private func openInput(
        _ unit: ServiceUnit, _ instance: RunningInstance, _ generation: GenerationResources
    ) throws(SystemError) -> OwnedDescriptor {
        switch unit.execution.standardInput {
        case .null: try OwnedDescriptor.null()
        case .data: try OwnedDescriptor.inMemory(unit.execution.inputData, name: "input")
        case .file(let path): try OutputTarget.file(path).open(stream: 0)
        case .socket: try socket(named: nil, instance, generation)
        case .descriptor(let name): try socket(named: name, instance, generation)
        }
    }

    private func openOutput(
        _ target: StandardOutput, _ stream: Int32, _ instance: RunningInstance, _ generation: GenerationResources,
        inherited: borrowing OwnedDescriptor
    ) throws(SystemError) -> OwnedDescriptor {
        switch target {
        case .null: try OwnedDescriptor.null()
        case .file(let path): try OutputTarget.file(path).open(stream: stream)
        case .append(let path): try OutputTarget.append(path).open(stream: stream)
        case .truncate(let path): try OutputTarget.truncate(path).open(stream: stream)
        case .socket: try socket(named: nil, instance, generation)
        case .descriptor(let name): try socket(named: name, instance, generation)
        case .journal: try openLog(instance, stream)
        // Standard output without a target of its own goes where input does only if that is a socket or file; else to
        // the log. Standard error goes where output goes.
        case .inherit:
            stream == 2 || instance.definition.unit.execution.standardInput != .null
                ? try inherited.duplicate() : try openLog(instance, stream)
        }
    }

    private func socket(
        named name: String?, _ instance: RunningInstance, _ generation: GenerationResources
    ) throws(SystemError) -> OwnedDescriptor {
        if let connection = instance.connection, name == nil || name == AcceptedConnection.descriptorName {
            return try connection.descriptor.duplicate()
        }
        let units = instance.definition.sockets.filter { name == nil || $0.fileDescriptorName == name }
        guard let held = units.lazy.flatMap({ generation.sockets[$0.name.description] ?? [] }).first else {
            throw SystemError("pass socket", name, .noSuchFileOrDirectory)
        }
        return try held.endpoint.duplicate()
    }

    private func openLog(_ instance: RunningInstance, _ stream: Int32) throws(SystemError) -> OwnedDescriptor {
        try logPipe(instance, stream).openForService()
    }

    /// The captured stream, opened if it is not; a FIFO that an earlier supervisor process made is taken.
    func logPipe(_ instance: RunningInstance, _ stream: Int32) throws(SystemError) -> LogPipe {
        if let pipe = stream == 2 ? instance.errorOutput : instance.output { return pipe }
        let directory = configuration.runtimeDirectory + "/output"
        let label = "\(instance.name)#\(instance.generation.number)"
        // Unique by its number; the rest is for people, and a unit's name may be as long as a file's.
        let path = "\(directory)/\(instance.id.number)-\(label.prefix(200)).\(stream == 2 ? "err" : "out")"
        let pipe = try LogPipe(
            path: path, label: label, stream: stream == 2 ? .err : .out, file: logFile(instance.logName), loop: loop)
        if stream == 2 { instance.errorOutput = pipe } else { instance.output = pipe }
        return pipe
    }

    /// One file for all generations of a unit, so that one of them rotates it.
    func logFile(_ unit: String) -> LogFile {
        if let file = logFiles[unit] { return file }
        let file = LogFile(path: "\(configuration.logDirectory)/\(unit).log")
        file.failed = { [unowned self] error in logger.warning("\(unit): its output is lost: \(error)") }
        logFiles[unit] = file
        return file
    }
}
