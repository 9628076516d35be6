import Engine
import Glibc
import Linux
import UnitFiles

/// Commands that a killed supervisor had decided on and had written no process of: it started them in its last moment, or not
/// at all. A process that is there is taken over. Nothing is killed to make room: beside a command that was not started, the
/// tree may hold a daemon whose main process is not known, or what a oneshot service has left behind.
extension Supervisor {
    /// Adds what runs to `found`; `Engine.recovery` starts the others.
    func takeUnrecorded(_ found: inout Found) {
        for command in engine.unrecordedCommands(found) {
            guard let instance = instances[command.instance], let tree = instance.tree else { continue }
            let recorded = Set(processes.values.filter { $0.instance == command.instance }.map(\.pid))
            let strangers = tree.members().filter { !recorded.contains($0) }
            guard !strangers.isEmpty else { continue }
            if let pid = process(of: instance, among: strangers), take(pid, for: command, instance) {
                found.processes.insert(command.token)
            } else if command.command.leavesProcesses(instance.definition.unit.type) {
                // It was started and has ended, how is not known; it must not run beside what it has left.
                found.processes.insert(command.token)
            }
        }
    }

    /// The process that was executed for the command: it names itself, or nothing speaks against it.
    private func process(of instance: RunningInstance, among pids: [Int32]) -> Int32? {
        var named: [ProcessFacts] = []
        var possible: [ProcessFacts] = []
        for pid in pids {
            guard let facts = ProcessFacts.read(pid), !facts.isDead else { continue }
            let isOfThisRun = ProcessFacts.environmentVariable("INVOCATION_ID", of: pid) == instance.invocation
            let executed = ProcessFacts.environmentVariable("SYSTEMD_EXEC_PID", of: pid)
            if isOfThisRun, let executed {
                // A descendant has the number of an ancestor there.
                if executed == "\(pid)" { named.append(facts) }
            } else if facts.session == pid, let age = facts.age, isFromLastMoment(age) {
                // Programs may write over their environment. What we start leads a session.
                possible.append(facts)
            }
        }
        // The newest: those before it were commands of the same run.
        return named.max { $0.startTime < $1.startTime }?.pid ?? possible.min { $0.startTime < $1.startTime }?.pid
    }

    /// A process that old was started right after the last thing that the killed supervisor wrote.
    private func isFromLastMoment(_ age: Double) -> Bool {
        guard let lastWrite = lastJournalWrite.map({ Double(EventLoop.now - $0) / 1e9 }) else { return false }
        // Start times are told in hundredths of a second.
        return age <= lastWrite + 0.03 && age >= lastWrite - 1
    }

    private func take(_ pid: Int32, for command: UnrecordedCommand, _ instance: RunningInstance) -> Bool {
        do throws(SystemError) {
            let process = RunningProcess(
                token: command.token, instance: command.instance, handle: try ProcessHandle(pid: pid))
            try watch(process)
            enter(process)
            journal(process)
            logger.info("\(instance.name): process \(pid) was started in the last moment of the killed supervisor")
            return true
        } catch {
            logger.error("\(instance.name): process \(pid): \(error)")
            return false
        }
    }
}

extension ServiceCommand {
    /// It is the start of a service, of which processes are left that are not its own: it has been executed.
    fileprivate func leavesProcesses(_ type: ServiceType) -> Bool {
        guard isMain else { return false }
        // Commands of a oneshot service are run one after the other, beside what those before have left.
        return type != .oneshot
    }
}
