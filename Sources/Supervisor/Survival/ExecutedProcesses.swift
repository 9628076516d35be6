import Linux

/// Finds the process that was executed for a command among the processes of a service, by their environment.
struct ExecutedProcesses {
    let processes: any ProcessesPort

    private func facts(_ pids: [Int32]) -> [ProcessFacts] {
        pids.compactMap { processes.facts(of: $0) }.filter { !$0.isDead }
    }

    /// Value of `$SYSTEMD_EXEC_PID`; nil for a process of another run, or without that variable.
    private func executedPid(_ pid: Int32, of invocation: String) -> String? {
        guard processes.environmentVariable("INVOCATION_ID", of: pid) == invocation else { return nil }
        return processes.environmentVariable("SYSTEMD_EXEC_PID", of: pid)
    }

    /// `$INVOCATION_ID` of the first process that has one.
    func invocation(of pids: [Int32]) -> String? {
        pids.lazy.compactMap { processes.environmentVariable("INVOCATION_ID", of: $0) }.first
    }

    /// Main process of a service: the one that was executed for it; else the only process whose parent is not among the
    /// members.
    /// - Parameter isForking: the service's main process is a descendant of the executed one.
    func main(of invocation: String, among members: [Int32], isForking: Bool) -> Int32? {
        let facts = facts(members)
        let executed = facts.filter { executedPid($0.pid, of: invocation) == "\($0.pid)" }
        // The oldest one: commands beside it (ExecReload=) were started later.
        if !isForking, let first = executed.min(by: { $0.startTime < $1.startTime }) { return first.pid }
        let tops = facts.filter { !members.contains($0.parent) }
        return tops.count == 1 ? tops.first?.pid : nil
    }

    /// Process that was executed for a command of which there is no record: its environment names it, or no fact
    /// excludes it.
    /// - Parameter lastWrite: seconds since the last record of the killed supervisor; nil if that is unknown.
    func unrecorded(of invocation: String, among pids: [Int32], lastWrite: Double?) -> Int32? {
        var named: [ProcessFacts] = []
        var possible: [ProcessFacts] = []
        for facts in facts(pids) {
            if let executed = executedPid(facts.pid, of: invocation) {
                // A descendant has the pid of an ancestor there.
                if executed == "\(facts.pid)" { named.append(facts) }
            } else if facts.session == facts.pid, let age = processes.age(of: facts), let lastWrite,
                Self.isFromLastMoment(age, lastWrite)
            {
                // Programs may overwrite their environment. Each command that the supervisor starts leads a session.
                possible.append(facts)
            }
        }
        // The newest: those before it were earlier commands of the same run.
        return named.max { $0.startTime < $1.startTime }?.pid ?? possible.min { $0.startTime < $1.startTime }?.pid
    }

    /// Whether a process of that age (seconds) was started right after the last record of the killed supervisor.
    private static func isFromLastMoment(_ age: Double, _ lastWrite: Double) -> Bool {
        // Start times are in hundredths of a second.
        age <= lastWrite + 0.03 && age >= lastWrite - 1
    }
}
