import Engine
import Glibc
import Linux
import UnitFiles
import Vocabulary

/// Resources made for a command of a socket unit before its process, released after it or after a failed start.
final class SocketCommandParts {
    let tree: ProcessTree
    private(set) var output: LogPipe?
    private let trees: ProcessTrees
    private let loop: EventLoop

    init(tree: ProcessTree, trees: ProcessTrees, loop: EventLoop) {
        self.tree = tree
        self.trees = trees
        self.loop = loop
    }

    func captures(_ output: LogPipe) -> LogPipe {
        self.output = output
        return output
    }

    /// Ends all processes that the command has started.
    func end() {
        trees.end(tree, loop)
        output?.close()
        output = nil
    }
}

/// A running command of a socket unit: its process, and all processes that it has started.
final class RunningSocketCommand {
    let unit: String
    let invocation: String
    private let handle: ProcessHandle
    private let parts: SocketCommandParts
    private var source: ChildExitSource?

    init(unit: String, invocation: String, handle: consuming ProcessHandle, parts: SocketCommandParts) {
        self.unit = unit
        self.invocation = invocation
        startTime = ProcessFacts.startTime(of: handle.pid) ?? 0
        self.handle = handle
        self.parts = parts
    }

    /// Name of the process tree, the same in every supervisor process that has it.
    static func treeName(_ unit: String, _ token: SocketToken) -> String { "\(unit)#\(token.number)" }

    var pid: Int32 { handle.pid }
    /// Start time; with the pid it identifies the process also to another supervisor process.
    let startTime: UInt64
    /// The pidfd.
    var descriptor: Int32 { handle.descriptor.raw }

    /// Watches the process for its exit; returns the error if that fails.
    func watch(_ children: Children, _ exited: @escaping (ExitStatus) -> Void) -> SystemError? {
        do throws(SystemError) {
            source = try children.watch(handle, exited)
            return nil
        } catch {
            return error
        }
    }

    func signal(_ signal: Signal) {
        if signal == .kill { return parts.tree.killAll() }
        parts.tree.signalAll(signal)
        // A stopped process would handle the signal only after a SIGCONT (systemd.kill(5)).
        if signal == .terminate { parts.tree.signalAll(.continue) }
    }

    func end() { parts.end() }
}

/// `ExecStartPre=`, `ExecStartPost=`, `ExecStopPre=`, `ExecStopPost=` of socket units.
extension Supervisor {
    func runSocketCommand(_ token: SocketToken, _ id: SocketID, _ kind: SocketCommand) {
        guard let unit = socketUnits[id]?.unit, let command = unit.activation.command(kind) else {
            return handleSocket(.commandEnded(token, "its definition is gone"))
        }
        do throws(Launcher.LaunchError) {
            let running = try start(command, of: unit, token)
            socketCommands[token] = running
        } catch {
            handleSocket(.commandEnded(token, error.text))
        }
    }

    private func start(
        _ command: ExecCommand, of unit: SocketUnit, _ token: SocketToken
    ) throws(Launcher.LaunchError) -> RunningSocketCommand {
        let invocation = Self.randomID()
        let launch = try launcher.plan(command, of: unit, invocation: invocation)
        remark(SocketID(unit.name.description), launch.remarks)
        do throws(SystemError) {
            let name = unit.name.description
            let tree = try trees.make(name: RunningSocketCommand.treeName(name, token), cookie: invocation)
            let parts = SocketCommandParts(tree: tree, trees: trees, loop: eventLoop)
            do throws(SystemError) {
                return try spawn(launch.plan, name, invocation, parts, token)
            } catch {
                parts.end()
                throw error
            }
        } catch {
            throw Launcher.LaunchError(text: "\(error)")
        }
    }

    private func spawn(
        _ plan: SpawnPlan, _ unit: String, _ invocation: String, _ parts: SocketCommandParts, _ token: SocketToken
    ) throws(SystemError) -> RunningSocketCommand {
        var plan = plan
        let input = try OwnedDescriptor.null()
        let output = try parts.captures(try socketLog(unit, token)).openForService()
        plan.standardInput = input.raw
        plan.standardOutput = output.raw
        plan.standardError = output.raw
        parts.tree.enter(&plan)
        let child: Child
        do throws(SpawnError) {
            child = try children.spawn(plan)
        } catch {
            throw error.cause
        }
        let pid = child.pid
        remark(SocketID(unit), Self.remarks(on: child.eased))
        parts.tree.started(main: pid)
        let running = RunningSocketCommand(
            unit: unit, invocation: invocation, handle: child.takeHandle(), parts: parts)
        if let failure = running.watch(children, socketCommandEnded(token)) {
            children.abandon(pid: pid)
            throw failure
        }
        return running
    }

    func socketLog(_ unit: String, _ token: SocketToken) throws(SystemError) -> LogPipe {
        guard let logs else { throw SystemError("capture output of", unit, .badFileDescriptor) }
        let owner = outputOwner(socketUnits[SocketID(unit)]?.unit.execution)
        return try LogPipe(
            path: "\(configuration.runtimeDirectory)/output/socket-\(token.number).out", owner: owner,
            origin: LogOrigin(unit: unit, generation: nil, stream: .out),
            log: logs.log(of: unit, policy: LogPolicy(), onTrouble: troubleTeller(unit)), capture: logs)
    }

    func socketCommandEnded(_ token: SocketToken) -> (ExitStatus) -> Void {
        { [unowned self] status in
            socketCommands.removeValue(forKey: token)?.end()
            if status == .unknown { return handleSocket(.commandLost(token)) }
            handleSocket(.commandEnded(token, status.isSuccess ? nil : "\(status)"))
        }
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
