import Engine
import Linux
import Logging
import Vocabulary

/// Interface of the supervisor to the desk of processes.
protocol ProcessesHost: EventHost {
    /// The process that the engine takes for the main one; it may have ended.
    func mainToken(of instance: InstanceID) -> Token?
    /// Records a process for a successor.
    func record(_ process: RunningProcess)
    /// A process has ended, and its end is not reported yet: messages that it sent before still count.
    func willReportEnd()
    /// The main process has ended; its end is not reported yet.
    func didEndMain(of instance: RunningInstance)
    /// No process of the instance's run is left.
    func didEndTree(of instance: RunningInstance)
    /// Gives up a postponed start.
    func giveUpStart(of instance: InstanceID)
}

/// Processes and process trees of instances: watches and signals them, and finds out to whom a process belongs.
final class ProcessDesk {
    private unowned let host: any ProcessesHost
    private let machine: any Machine
    private let instances: Instances
    private var processesByToken: [Token: RunningProcess] = [:]
    /// All watched processes; a cancelled probe may still run when its token has another process.
    private var processesByPid: [Int32: RunningProcess] = [:]

    init(_ machine: any Machine, _ instances: Instances, host: any ProcessesHost) {
        self.machine = machine
        self.instances = instances
        self.host = host
    }

    subscript(token: Token) -> RunningProcess? { processesByToken[token] }

    /// All processes in no particular order.
    var values: some Collection<RunningProcess> { processesByToken.values }

    func process(of pid: Int32) -> RunningProcess? { processesByPid[pid] }

    /// The main process, if it lives. The engine alone knows which one it is: a second record could differ.
    func main(of id: InstanceID) -> RunningProcess? { host.mainToken(of: id).flatMap { processesByToken[$0] } }

    // MARK: - Start and end

    /// Starts a process of an instance in its tree; its end becomes the event `exited` of `token`, or is passed to
    /// `ended` instead.
    /// - Parameter nanoseconds: time after which the process is killed.
    func start(
        _ plan: SpawnPlan, as token: Token, of instance: RunningInstance, within nanoseconds: Int64? = nil,
        ended: ((ChildProcess.End) -> Void)? = nil
    ) throws(StartError) -> RunningProcess {
        let child = try ChildProcess.start(plan, in: instance.tree, within: nanoseconds, on: machine) {
            [unowned self] end in
            didEnd(token, end, ended)
        }
        let process = RunningProcess(token: token, instance: instance.id, child: child, isKept: ended == nil)
        add(process)
        if process.isKept { host.record(process) }
        return process
    }

    /// Takes over a process that runs already.
    func take(_ process: any MachineProcess, as token: Token, of instance: InstanceID) throws(SystemError) {
        let child = ChildProcess(process)
        try child.watch { [unowned self] end in didEnd(token, end, nil) }
        add(RunningProcess(token: token, instance: instance, child: child))
    }

    /// Registers a process: from now on the tree counts as empty only after its end is reported.
    private func add(_ process: RunningProcess) {
        processesByToken[process.token] = process
        processesByPid[process.pid] = process
        instances[process.instance]?.run?.watch.began(process.token)
    }

    private func didEnd(_ token: Token, _ end: ChildProcess.End, _ ended: ((ChildProcess.End) -> Void)?) {
        // `READY=1` sent just before the end still counts, also behind a flood of other messages.
        host.willReportEnd()
        let process = processesByPid.removeValue(forKey: end.pid)
        if let process {
            if processesByToken[token] === process { processesByToken[token] = nil }
            if let instance = instances[process.instance], host.mainToken(of: instance.id) == token {
                host.didEndMain(of: instance)
            }
        }
        if let ended { ended(end) } else { host.handle(.exited(token, end.status)) }
        if let owner = process?.instance, let instance = instances[owner], let run = instance.run {
            follow(run.watch.ended(token), run, instance)
        }
    }

    // MARK: - Signals

    /// Sends a signal to one process; false if there is none.
    func signal(_ token: Token, _ signal: Signal) -> Bool {
        guard let process = processesByToken[token] else { return false }
        instances[process.instance]?.tree?.recordMembers()
        try? process.send(signal)
        return true
    }

    func signalTree(of id: InstanceID, _ signal: Signal) {
        host.giveUpStart(of: id)
        guard let run = instances[id]?.run else { return }
        let outside = processesOutside(run)
        // A stopped process would handle the signal only after a SIGCONT (systemd.kill(5)).
        for signal in signal == .terminate || signal == .hangUp ? [signal, .continue] : [signal] {
            run.tree.signalAll(signal)
            for process in outside { try? process.send(signal) }
        }
    }

    func killTree(of id: InstanceID) {
        host.giveUpStart(of: id)
        guard let run = instances[id]?.run else { return }
        let outside = processesOutside(run)
        run.tree.killAll()
        for process in outside { try? process.send(.kill) }
    }

    /// Watched processes that have left their control group (as container runtimes do): they belong to the service all
    /// the same, and only these signals reach them.
    private func processesOutside(_ run: RunningTree) -> [RunningProcess] {
        run.watch.processes.sorted { $0.number < $1.number }.compactMap { processesByToken[$0] }.filter {
            !run.tree.contains($0.pid)
        }
    }

    // MARK: - Trees

    func watchTree(_ token: Token, of id: InstanceID) {
        guard let instance = instances[id], let run = instance.run else { return host.handle(.treeEmpty(token)) }
        run.tree.recordMembers()
        follow(run.watch.wait(token), run, instance)
    }

    func unwatchTree(_ token: Token, of id: InstanceID) {
        guard let instance = instances[id], let run = instance.run else { return }
        follow(run.watch.giveUp(token), run, instance)
    }

    private func follow(_ step: TreeWatch.Step, _ run: RunningTree, _ instance: RunningInstance) {
        switch step {
        case .nothing: break
        case .look: follow(run.watch.looked(isEmpty: run.tree.isEmpty), run, instance)
        case .arm: arm(run, instance)
        case .disarm: run.disarm()
        case .answer(let tokens): endRun(run, instance, tokens)
        }
    }

    private func arm(_ run: RunningTree, _ instance: RunningInstance) {
        let id = instance.id
        let error = run.arm { [unowned self, unowned run] in
            // A report on the tree of another run is ignored.
            guard let instance = instances[id], instance.run === run else { return }
            follow(run.watch.reported(), run, instance)
        }
        guard let error else { return }
        host.log(
            .error, about: instance.name,
            "\(instance.name): cannot watch its processes: \(error); checking them once a second")
    }

    private func endRun(_ run: RunningTree, _ instance: RunningInstance, _ tokens: [Token]) {
        do throws(SystemError) {
            try run.remove()
        } catch {
            host.log(.debug, about: instance.name, "\(instance.name): \(error)")
        }
        instances.endRun(of: instance)
        host.didEndTree(of: instance)
        for token in tokens { host.handle(.treeEmpty(token)) }
    }

    // MARK: - Owners

    /// The instance that a process belongs to. The process may be dead by now: then its pid is still known (it is reaped
    /// after its exit was dispatched), or its /proc entry shows its session.
    func owner(of pid: Int32) -> (instance: InstanceID, sender: Event.Sender)? {
        if let process = processesByPid[pid] { return (process.instance, .process(process.token)) }
        if let facts = machine.processes.facts(of: pid) {
            for candidate in [facts.session, facts.processGroup] + machine.processes.ancestors(of: pid) {
                if let process = processesByPid[candidate] { return (process.instance, .other) }
            }
        }
        // A process that began a session of its own: one check, whatever the number of services, because unprivileged
        // processes can cause such checks as often as they like.
        return ownerByMark(of: pid).map { ($0, .other) }
    }

    /// Finds the instance by the process's cgroup, or on hosts without cgroups by its `INVOCATION_ID`, which other
    /// processes cannot guess.
    private func ownerByMark(of pid: Int32) -> InstanceID? {
        guard machine.trees.usesCgroups else {
            guard let mark = machine.processes.environmentVariable("INVOCATION_ID", of: pid) else { return nil }
            return instances.id(markedBy: mark)
        }
        guard var path = machine.processes.controlGroup(of: pid)?[...] else { return nil }
        while let slash = path.lastIndex(of: "/") {
            if let id = instances.id(markedBy: String(path)) { return id }
            path = path[..<slash]
        }
        return nil
    }

    /// A living process of a service, by the pid that the service has sent or written.
    ///
    /// The process is opened before it is examined, and is known to be unreaped after that: so the examined process is
    /// the opened one, and not another service's process that got the pid in between and would be signalled instead.
    ///
    /// - Returns: nil if there is no such process.
    func member(_ pid: Int32, of instance: RunningInstance) throws(SystemError) -> (any MachineProcess)? {
        // Trees that are not control groups can overlap, where services have the same user.
        if let known = processesByPid[pid], known.instance != instance.id { return nil }
        let process: any MachineProcess
        do throws(SystemError) {
            process = try machine.processes.open(pid)
        } catch {
            guard !error.isTransient else { throw error }
            return nil
        }
        guard instance.tree?.contains(pid) == true,
            // A dead process is in its cgroup until it is reaped: it would be found, and its end be reported twice.
            let facts = machine.processes.facts(of: pid), !facts.isDead, process.isThere
        else { return nil }
        return process
    }

    /// `process 12 (name)`
    func describe(_ pid: Int32) -> String {
        "process \(pid)" + (machine.processes.commandName(of: pid).map { " (\($0))" } ?? "")
    }
}
