import Engine
import Linux
import Logging
import UnitFiles
import Vocabulary

/// Interface of the socket units to the desk of socket units' commands.
protocol SocketCommandsHost: AnyObject {
    func handle(_ event: SocketEvent)
    func log(_ level: Logger.Level, _ subject: String, _ text: String)
    /// Records requirements that a command of the unit does without.
    func addRemarks(_ remarks: [String], to id: SocketID)
    /// Opens the captured output of a command.
    func openOutput(
        of unit: String, command: UInt64, _ execution: ExecutionSettings?
    ) throws(SystemError) -> any MachineLogPipe
}

/// A running command of a socket unit: its process, and all processes that it has started.
final class RunningSocketCommand {
    let unit: String
    let invocation: String
    let child: ChildProcess
    private let tree: any MachineTree
    private let output: any MachineLogPipe

    init(
        unit: String, invocation: String, child: ChildProcess, tree: any MachineTree, output: any MachineLogPipe
    ) {
        self.unit = unit
        self.invocation = invocation
        self.child = child
        self.tree = tree
        self.output = output
    }

    /// Name of the process tree, the same in every supervisor process that has it.
    static func treeName(_ unit: String, _ token: SocketToken) -> String { "\(unit)#\(token.number)" }

    func signal(_ signal: Signal) {
        if signal == .kill { return tree.killAll() }
        tree.signalAll(signal)
        // A stopped process would handle the signal only after a SIGCONT (systemd.kill(5)).
        if signal == .terminate { tree.signalAll(.continue) }
    }

    /// Ends all processes that the command has started.
    func end() {
        tree.end()
        output.close()
    }
}

/// `ExecStartPre=`, `ExecStartPost=`, `ExecStopPre=`, `ExecStopPost=` of socket units.
final class SocketCommands {
    private let machine: any Machine
    private let launcher: Launcher
    private unowned let host: any SocketCommandsHost
    private var running: [SocketToken: RunningSocketCommand] = [:]

    init(_ machine: any Machine, _ launcher: Launcher, host: any SocketCommandsHost) {
        self.host = host
        self.machine = machine
        self.launcher = launcher
    }

    subscript(token: SocketToken) -> RunningSocketCommand? { running[token] }

    /// Names of the process trees of all running commands.
    var treeNames: [String] { running.map { RunningSocketCommand.treeName($1.unit, $0) } }

    /// Starts a command; its end becomes the event `commandEnded`.
    func start(_ token: SocketToken, _ unit: SocketUnit, _ kind: SocketCommand) {
        guard let command = unit.activation.command(kind) else {
            host.handle(.commandEnded(token, "its definition is gone"))
            return
        }
        do throws(LaunchError) {
            running[token] = try start(command, of: unit, token)
        } catch {
            host.handle(.commandEnded(token, error.text))
        }
    }

    private func start(
        _ command: ExecCommand, of unit: SocketUnit, _ token: SocketToken
    ) throws(LaunchError) -> RunningSocketCommand {
        let name = unit.name.description
        let invocation = Launcher.makeInvocationID()
        let launch = try launcher.plan(command, of: unit, invocation: invocation)
        host.addRemarks(launch.remarks, to: SocketID(name))
        do throws(SystemError) {
            let tree = try machine.trees.make(
                name: RunningSocketCommand.treeName(name, token), cookie: invocation)
            do throws(SystemError) {
                return try run(launch.plan, unit, invocation, tree, token)
            } catch {
                tree.end()
                throw error
            }
        } catch {
            throw LaunchError(text: "\(error)")
        }
    }

    private func run(
        _ plan: SpawnPlan, _ unit: SocketUnit, _ invocation: String, _ tree: any MachineTree, _ token: SocketToken
    ) throws(SystemError) -> RunningSocketCommand {
        var plan = plan
        let name = unit.name.description
        let input = try OwnedDescriptor.null()
        let output = try host.openOutput(of: name, command: token.number, unit.execution)
        do throws(SystemError) {
            let writing = try output.openForService()
            plan.standardInput = input.raw
            plan.standardOutput = writing.raw
            plan.standardError = writing.raw
            let child = try startChild(plan, in: tree, token)
            host.addRemarks(Launcher.remarks(on: child.eased), to: SocketID(name))
            return RunningSocketCommand(unit: name, invocation: invocation, child: child, tree: tree, output: output)
        } catch {
            output.close()
            throw error
        }
    }

    private func startChild(
        _ plan: SpawnPlan, in tree: any MachineTree, _ token: SocketToken
    ) throws(SystemError) -> ChildProcess {
        do throws(StartError) {
            return try ChildProcess.start(plan, in: tree, on: machine) { [unowned self] end in
                didEnd(token, end.status)
            }
        } catch {
            throw error.cause
        }
    }

    private func didEnd(_ token: SocketToken, _ status: ExitStatus) {
        running.removeValue(forKey: token)?.end()
        if status == .unknown {
            host.handle(.commandLost(token))
        } else {
            host.handle(.commandEnded(token, status.isSuccess ? nil : "\(status)"))
        }
    }

    func signal(_ token: SocketToken, _ signal: Signal) { running[token]?.signal(signal) }

    // MARK: - Survival

    var saved: [SavedActivation.Command] {
        running.sorted { $0.key.number < $1.key.number }.map { token, command in
            .init(
                token: token, unit: command.unit, invocation: command.invocation, pid: command.child.pid,
                descriptor: command.child.descriptor, startTime: command.child.startTime)
        }
    }

    /// Takes over a command that an earlier supervisor process has started.
    func restore(_ record: SavedActivation.Command, _ unit: SocketUnit?) {
        do throws(SystemError) {
            let process = try process(record)
            let tree = try machine.trees.adopt(
                name: RunningSocketCommand.treeName(record.unit, record.token), cookie: record.invocation, session: nil)
            let output = try host.openOutput(
                of: record.unit, command: record.token.number, unit?.execution)
            let child = ChildProcess(process)
            try child.watch { [unowned self] end in didEnd(record.token, end.status) }
            running[record.token] = RunningSocketCommand(
                unit: record.unit, invocation: record.invocation, child: child, tree: tree, output: output)
        } catch {
            // `SocketUnits.resume` reports its end.
            if error.errno != .noSuchProcess { host.log(.error, record.unit, "its command \(record.pid): \(error)") }
        }
    }

    private func process(_ record: SavedActivation.Command) throws(SystemError) -> any MachineProcess {
        if let raw = record.descriptor { return try machine.processes.inherit(record.pid, descriptor: raw) }
        guard let startTime = record.startTime else {
            throw SystemError("open process", "\(record.pid)", .noSuchProcess)
        }
        return try machine.processes.open(record.pid, startTime: startTime)
    }
}

extension SocketUnits: SocketCommandsHost {
    func run(_ token: SocketToken, _ id: SocketID, _ command: SocketCommand) {
        guard let unit = started[id]?.unit else { return handle(.commandEnded(token, "its definition is gone")) }
        commands.start(token, unit, command)
    }

    func openOutput(
        of unit: String, command: UInt64, _ execution: ExecutionSettings?
    ) throws(SystemError) -> any MachineLogPipe {
        try host.openOutput(of: unit, command: command, execution)
    }

    func log(_ level: Logger.Level, _ subject: String, _ text: String) {
        host.log(level, about: subject, "\(subject): \(text)")
    }
}

extension SocketActivationSettings {
    fileprivate func command(_ kind: SocketCommand) -> ExecCommand? {
        func at(_ list: [ExecCommand], _ index: Int) -> ExecCommand? {
            list.indices.contains(index) ? list[index] : nil
        }
        return switch kind {
        case .startPre(let index): at(execStartPre, index)
        case .startPost(let index): at(execStartPost, index)
        case .stopPre(let index): at(execStopPre, index)
        case .stopPost(let index): at(execStopPost, index)
        }
    }
}
