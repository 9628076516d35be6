import Engine
import Glibc
import Linux
import UnitFiles
import Vocabulary

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
extension Supervisor {
    func runSocketCommand(_ token: SocketToken, _ id: SocketID, _ kind: SocketCommand) {
        guard let unit = socketUnits[id]?.unit, let command = unit.activation.command(kind) else {
            return handleSocket(.commandEnded(token, "its definition is gone"))
        }
        do throws(LaunchError) {
            socketCommands[token] = try start(command, of: unit, token)
        } catch {
            handleSocket(.commandEnded(token, error.text))
        }
    }

    private func start(
        _ command: ExecCommand, of unit: SocketUnit, _ token: SocketToken
    ) throws(LaunchError) -> RunningSocketCommand {
        let name = unit.name.description
        let invocation = Launcher.makeInvocationID()
        let launch = try launcher.plan(command, of: unit, invocation: invocation)
        remark(SocketID(name), launch.remarks)
        do throws(SystemError) {
            let tree = try machine.trees.make(
                name: RunningSocketCommand.treeName(name, token), cookie: invocation)
            do throws(SystemError) {
                return try run(launch.plan, name, invocation, tree, token)
            } catch {
                tree.end()
                throw error
            }
        } catch {
            throw LaunchError(text: "\(error)")
        }
    }

    private func run(
        _ plan: SpawnPlan, _ unit: String, _ invocation: String, _ tree: any MachineTree, _ token: SocketToken
    ) throws(SystemError) -> RunningSocketCommand {
        var plan = plan
        let input = try OwnedDescriptor.null()
        let output = try socketOutput(of: unit, token)
        do throws(SystemError) {
            let writing = try output.openForService()
            plan.standardInput = input.raw
            plan.standardOutput = writing.raw
            plan.standardError = writing.raw
            let child = try startChild(plan, in: tree, token)
            remark(SocketID(unit), Launcher.remarks(on: child.eased))
            return RunningSocketCommand(
                unit: unit, invocation: invocation, child: child, tree: tree, output: output)
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
                socketCommandEnded(token, end.status)
            }
        } catch {
            throw error.cause
        }
    }

    func socketOutput(of unit: String, _ token: SocketToken) throws(SystemError) -> any MachineLogPipe {
        try logs.openPipe(ofSocket: unit, command: token.number, socketUnits[SocketID(unit)]?.unit.execution)
    }

    func socketCommandEnded(_ token: SocketToken, _ status: ExitStatus) {
        socketCommands.removeValue(forKey: token)?.end()
        if status == .unknown { return handleSocket(.commandLost(token)) }
        handleSocket(.commandEnded(token, status.isSuccess ? nil : "\(status)"))
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
