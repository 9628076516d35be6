import Engine
import Glibc
import Linux
import UnitFiles
import Vocabulary

/// Starts, signals and watches the processes and process trees of instances.
extension Supervisor {
    func spawn(_ token: Token, _ id: InstanceID, _ kind: ServiceCommand) {
        guard instances[id]?.definition.unread == nil else {
            let text = "its unit file, as it was when it was started, cannot be read by this version of holdfastd"
            return handle(.spawnFailed(token, text, status: nil))
        }
        // Commands that end a service may use the reserve of descriptors.
        guard kind.beginsRun else { return start(token, id, kind) }
        FileLimit.bounded(by: .services) { start(token, id, kind) }
    }

    private func start(_ token: Token, _ id: InstanceID, _ kind: ServiceCommand) {
        guard let instance = instances[id], let generation = generations[instance.generation],
            let command = Launcher.command(kind, of: instance.definition.unit)
        else { return handle(.spawnFailed(token, "its definition is gone", status: nil)) }
        do throws(Launcher.LaunchError) {
            let end = engine.serviceEnd(of: id)
            let main = mainProcess(of: id)?.pid
            if instance.tree == nil {
                // Directories of an earlier run of this instance: systemd removes them as soon as that run has ended.
                if kind.beginsRun, instance.definition.unit.execution.runtimeDirectoryPreserve == .no {
                    removeRuntimeDirectories(of: instance)
                }
                if kind.beginsRun {
                    prepareStore(instance)
                    try makeCredentials(of: instance)
                }
                try makeTree(instance, renew: kind.beginsRun)
            }
            if case .stop = kind { instance.tree?.recordMembers() }
            let files = kind.isMain ? try launcher.openFiles(of: instance.definition.unit) : []
            // The plan has only the numbers of the files.
            defer { withExtendedLifetime(files) {} }
            let launch = try launcher.plan(
                command, as: kind, for: instance, in: generation,
                .init(
                    mainPid: main, end: end, openFiles: files,
                    spared: sparedFiles(instance.definition.unit.execution)))
            if kind.isMain { setNonBlocking(instance, generation) }
            if kind.talks { prepareTerminal(of: instance.definition.unit) }
            try run(launch, token, instance, generation, talks: kind.talks)
            instance.isShort = false
            handle(.spawned(token))
        } catch {
            if error.isUnfinished { return proceedLater(token, instance, kind, error) }
            if error.isTransient, engine.mayPostpone(kind, of: id) { return postpone(token, instance, kind, error) }
            handle(.spawnFailed(token, error.text, status: error.status))
        }
    }

    /// Applies `NonBlocking=`. Sockets that generations share never block: processes race for each connection, and
    /// accept(2) would hang in the one that lost. But programs that read their standard input expect it to block.
    private func setNonBlocking(_ instance: RunningInstance, _ generation: GenerationResources) {
        let isSwapped = engine.isSwapUnit(instance.definition.group)
        let wanted = instance.definition.unit.nonBlocking
        let input = inputFIFO(of: instance)
        do throws(SystemError) {
            try instance.connection?.descriptor.setNonBlocking(wanted)
            for unit in instance.definition.sockets {
                for held in generation.sockets[unit.name.description] ?? [] {
                    let isInput = held === input
                    // Another service that has the socket may race for connections, although this one does not.
                    try held.endpoint.setNonBlocking(
                        wanted || isSwapped && !isInput || held.sharers.mustNotBlock)
                }
            }
        } catch {
            log(.warning, about: instance.name, "\(instance.name): NonBlocking=: \(error)")
        }
    }

    private func makeTree(_ instance: RunningInstance, renew: Bool) throws(Launcher.LaunchError) {
        if renew || instance.invocation.isEmpty {
            (instance.invocation, instance.remarks) = (Self.randomID(), [])
            logDesk.startRemarks(of: instance.definition.unit.name)
        }
        do throws(SystemError) {
            instance.run = RunningTree(try trees.make(name: instance.treeName, cookie: instance.invocation))
            instance.mark = instance.tree?.cgroupName ?? instance.invocation
            instanceOfMark[instance.mark] = instance.id
            noteSharer(instance)
            journal.record(instance)
        } catch {
            throw Launcher.LaunchError(text: "\(error)", isTransient: error.isTransient)
        }
    }

    /// 128 random bits in hexadecimal.
    static func randomID() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<2).map { _ in
            let digits = String(UInt64.random(in: 0 ... .max, using: &generator), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    /// Starts a process of an instance; its end becomes the event `exited` of `token`.
    /// - Parameter isKept: whether a successor takes the process over.
    func run(
        _ prepared: Launcher.Launch, _ token: Token, _ instance: RunningInstance, _ generation: GenerationResources,
        talks: Bool = false, isKept: Bool = true
    ) throws(Launcher.LaunchError) {
        var plan = prepared.plan
        remark(instance, prepared.remarks)
        let streams: Launcher.Streams
        do throws(SystemError) {
            streams = try openStreams(for: instance, generation, talks: talks)
        } catch {
            throw Launcher.LaunchError(text: "\(error)", status: 209, isTransient: error.isTransient)
        }
        if talks, case .terminal(let claim) = instance.definition.unit.execution.standardInput {
            plan.terminal = streams.input.raw
            plan.takesTerminal = claim == .force
        }
        let process = try launch(plan, streams, token, instance)
        enter(process)
        journal.record(process)
    }

    /// Registers a process: from now on the tree counts as empty only after its end is reported.
    func enter(_ process: RunningProcess) {
        processes[process.token] = process
        tokenOfPid[process.pid] = process.token
        instances[process.instance]?.run?.watch.began(process.token)
    }

    private func launch(
        _ plan: SpawnPlan, _ streams: consuming Launcher.Streams, _ token: Token, _ instance: RunningInstance
    ) throws(Launcher.LaunchError) -> RunningProcess {
        var plan = plan
        // A socket for standard input is already in the plan.
        if plan.standardInput < 0 { plan.standardInput = streams.input.raw }
        plan.standardOutput = streams.output.raw
        plan.standardError = streams.error.raw
        instance.tree?.enter(&plan)
        let child: Child
        do throws(SpawnError) {
            child = try children.spawn(plan)
        } catch {
            throw Launcher.LaunchError(
                text: "\(error)", status: error.step.exitStatus, isTransient: error.isTransient)
        }
        let pid = child.pid
        remark(instance, Self.remarks(on: child.eased))
        instance.tree?.started(main: pid)
        let process = RunningProcess(token: token, instance: instance.id, handle: child.takeHandle())
        do throws(SystemError) {
            try watch(process)
        } catch {
            // Without a watch its end would never be known, so the process is killed.
            try? process.send(.kill)
            children.abandon(pid: pid)
            throw Launcher.LaunchError(text: "\(error)", isTransient: error.isTransient)
        }
        return process
    }

    /// Watches a process; its end becomes the event `exited` of its token.
    func watch(_ process: RunningProcess) throws(SystemError) {
        let token = process.token
        if let failure = process.watch(children, ended(token)) { throw failure }
    }

    private func ended(_ token: Token) -> (ExitStatus) -> Void {
        { [unowned self] status in exited(token, status) }
    }

    private func exited(_ token: Token, _ status: ExitStatus) {
        // `READY=1` sent just before the end still counts, also behind a flood of other messages.
        notifySocket?.receiveWaiting()
        let owner = processes[token]?.instance
        if let process = processes.removeValue(forKey: token) {
            tokenOfPid[process.pid] = nil
            if let instance = instances[process.instance] {
                if engine.mainProcess(of: instance.id) == token {
                    keepEvidence(instance)
                    lookAtSockets(of: instance)
                }
            }
        }
        if let probe = probes.removeValue(forKey: token) {
            probe.exited(status)
        } else {
            handle(.exited(token, status))
        }
        if let owner, let instance = instances[owner], let run = instance.run {
            follow(run.watch.ended(token), run, instance)
        }
    }

    func keepEvidence(_ instance: RunningInstance) {
        reports.keepEvidence(instance.definition.group, instance.name, instance.lastLines())
    }

    func signalProcess(_ token: Token, _ signal: Signal) {
        guard let process = processes[token] else { return giveUpSpawn(token) }
        instances[process.instance]?.tree?.recordMembers()
        try? process.send(signal)
    }

    func signalTree(_ id: InstanceID, _ signal: Signal) {
        giveUpSpawn(of: id)
        guard let run = instances[id]?.run else { return }
        let outside = processesOutside(run)
        // A stopped process would handle the signal only after a SIGCONT (systemd.kill(5)).
        for signal in signal == .terminate || signal == .hangUp ? [signal, .continue] : [signal] {
            run.tree.signalAll(signal)
            for process in outside { try? process.send(signal) }
        }
    }

    func killTree(_ id: InstanceID) {
        giveUpSpawn(of: id)
        guard let run = instances[id]?.run else { return }
        let outside = processesOutside(run)
        run.tree.killAll()
        for process in outside { try? process.send(.kill) }
    }

    /// Watched processes that have left their control group (as container runtimes do): they belong to the service all
    /// the same, and only these signals reach them.
    private func processesOutside(_ run: RunningTree) -> [RunningProcess] {
        run.watch.processes.sorted { $0.number < $1.number }.compactMap { processes[$0] }.filter {
            !run.tree.contains($0.pid)
        }
    }

    func watchTree(_ token: Token, _ id: InstanceID) {
        guard let instance = instances[id], let run = instance.run else { return handle(.treeEmpty(token)) }
        run.tree.recordMembers()
        follow(run.watch.wait(token), run, instance)
    }

    func unwatchTree(_ token: Token, _ id: InstanceID) {
        guard let instance = instances[id], let run = instance.run else { return }
        follow(run.watch.giveUp(token), run, instance)
    }

    private func follow(_ step: TreeWatch.Step, _ run: RunningTree, _ instance: RunningInstance) {
        switch step {
        case .nothing: break
        case .look: follow(run.watch.looked(isEmpty: run.tree.isEmpty), run, instance)
        case .arm: arm(run, instance)
        case .disarm: run.disarm()
        case .answer(let tokens): endTree(run, instance, tokens)
        }
    }

    private func arm(_ run: RunningTree, _ instance: RunningInstance) {
        let reported = treeReported(instance.id, ObjectIdentifier(run))
        guard let error = run.arm(eventLoop, reported) else { return }
        // Without a watch (no descriptors left) no event reports an empty tree: it is checked once a second.
        if !run.isLookedAt {
            log(
                .error, about: instance.name,
                "\(instance.name): watching its processes: \(error); they are looked at once a second")
        }
        run.look(eventLoop, reported)
    }

    private func treeReported(_ id: InstanceID, _ tree: ObjectIdentifier) -> () -> Void {
        { [unowned self] in
            // A report on the tree of another run is ignored.
            guard let instance = instances[id], let run = instance.run, ObjectIdentifier(run) == tree else { return }
            follow(run.watch.reported(), run, instance)
        }
    }

    private func endTree(_ run: RunningTree, _ instance: RunningInstance, _ tokens: [Token]) {
        if let error = run.end() { logger.debug("\(instance.name): \(error)") }
        instance.run = nil
        dropSharer(instance)
        prepareTerminal(of: instance.definition.unit)
        instanceOfMark[instance.mark] = nil
        journal.put(.running(instance.id), SavedInstance(instance))
        for token in tokens { handle(.treeEmpty(token)) }
    }
}

extension ServiceCommand {
    /// A command of `ExecStart=`.
    var isMain: Bool { if case .start = self { true } else { false } }

    /// Whether the command is connected to the service's terminal, if it has one; the others run beside one that is.
    fileprivate var talks: Bool {
        switch self {
        case .condition, .startPre, .start, .stopPost: true
        case .startPost, .reload, .stop: false
        }
    }
}
