import Engine
import Glibc
import Linux
import UnitFiles

/// Commands that a killed supervisor had decided on without recording a process: it started them in its last moment, or
/// not at all. An existing process is taken over. No process is killed to make room: beside a command that was not
/// started, the tree may hold a daemon whose main process is not known, or processes that a oneshot service has left.
extension Supervisor {
    /// Adds the commands that run to `found`; `Engine.recovery` starts the others.
    func takeUnrecorded(_ found: inout SurvivingState) {
        for command in engine.unrecordedCommands(found) {
            guard let instance = instances[command.instance], let tree = instance.tree else { continue }
            let recorded = Set(processes.values.filter { $0.instance == command.instance }.map(\.pid))
            let strangers = tree.members().filter { !recorded.contains($0) }
            guard !strangers.isEmpty else { continue }
            if let pid = process(of: instance, among: strangers), take(pid, for: command, instance) {
                found.processes.insert(command.token)
            } else if command.command.leavesProcesses(instance.definition.unit.type) {
                // The command was started and has ended with unknown status; it must not run beside the processes that
                // it has left.
                found.processes.insert(command.token)
            }
        }
    }

    /// The process that was executed for the command: its environment names it, or no fact excludes it.
    private func process(of instance: RunningInstance, among pids: [Int32]) -> Int32? {
        var named: [ProcessFacts] = []
        var possible: [ProcessFacts] = []
        for pid in pids {
            guard let facts = machine.processes.facts(of: pid), !facts.isDead else { continue }
            let isOfThisRun = machine.processes.environmentVariable("INVOCATION_ID", of: pid) == instance.invocation
            let executed = machine.processes.environmentVariable("SYSTEMD_EXEC_PID", of: pid)
            if isOfThisRun, let executed {
                // A descendant has the pid of an ancestor there.
                if executed == "\(pid)" { named.append(facts) }
            } else if facts.session == pid, let age = facts.age, isFromLastMoment(age) {
                // Programs may overwrite their environment. Each command that the supervisor starts leads a session.
                possible.append(facts)
            }
        }
        // The newest: those before it were earlier commands of the same run.
        return named.max { $0.startTime < $1.startTime }?.pid ?? possible.min { $0.startTime < $1.startTime }?.pid
    }

    /// Whether a process of that age (seconds) was started right after the last record of the killed supervisor.
    private func isFromLastMoment(_ age: Double) -> Bool {
        guard let lastWrite = predecessor.lastWrite.map({ Double(loop.now - $0) / 1e9 }) else { return false }
        // Start times are in hundredths of a second.
        return age <= lastWrite + 0.03 && age >= lastWrite - 1
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
