import Engine
import Linux
import Logging
import UnitFiles
import Vocabulary

/// Commands that a killed supervisor had decided on without recording a process: it started them in its last moment, or
/// not at all. An existing process is taken over. No process is killed to make room: beside a command that was not
/// started, the tree may hold a daemon whose main process is not known, or processes that a oneshot service has left.
struct UnrecordedCommands {
    let machine: any Machine
    let instances: Instances
    let processes: ProcessDesk
    let journal: JournalDesk
    let logger: Logger
    /// Time of the killed supervisor's last write to its journal, on the loop's clock.
    let lastWrite: Int64?

    /// Takes over the processes of `commands`.
    /// - Returns: the commands that were started; `Engine.recovery` starts the others.
    func takeProcesses(of commands: [UnrecordedCommand]) -> [Token] {
        commands.compactMap { command in
            guard let instance = instances[command.instance], let tree = instance.tree else { return nil }
            let recorded = Set(processes.values.filter { $0.instance == command.instance }.map(\.pid))
            let unknown = tree.members().filter { !recorded.contains($0) }
            guard !unknown.isEmpty else { return nil }
            let pid = ExecutedProcesses(processes: machine.processes).unrecorded(
                of: instance.invocation, among: unknown,
                lastWrite: lastWrite.map { Double(machine.loop.now - $0) / 1e9 })
            if let pid, take(pid, for: command, instance) { return command.token }
            // The command was started and has ended with unknown status; it must not run beside the processes that it
            // has left.
            return command.command.leavesProcesses(instance.definition.unit.type) ? command.token : nil
        }
    }

    private func take(_ pid: Int32, for command: UnrecordedCommand, _ instance: RunningInstance) -> Bool {
        do throws(SystemError) {
            try processes.take(try machine.processes.open(pid), as: command.token, of: command.instance)
            if let process = processes[command.token] { journal.record(process) }
            logger.info("\(instance.name): adopted process \(pid), started just before the supervisor was killed")
            return true
        } catch {
            logger.error("\(instance.name): process \(pid): \(error)")
            return false
        }
    }
}

extension ServiceCommand {
    /// Whether remaining processes prove that this command, the start of a service, was executed.
    fileprivate func leavesProcesses(_ type: ServiceType) -> Bool {
        guard isMain else { return false }
        // Commands of a oneshot service are run one after the other, beside the processes that earlier ones have left.
        return type != .oneshot
    }
}
