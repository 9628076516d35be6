import ControlProtocol
import Engine
import Glibc
import Linux
import UnitFiles

/// Effects of the engine, carried out. What fails here becomes an event like everything else.
extension Supervisor {
    func perform(_ effect: Effect) {
        switch effect {
        case .prepare(let generation, let plan): prepare(generation, plan)
        case .createInstance(let id, let generation, let spec): createInstance(id, generation, spec)
        case .spawn(let token, let instance, let command): spawn(token, instance, command)
        case .signal(let token, let signal): signalProcess(token, signal)
        case .signalTree(let instance, let signal): signalTree(instance, signal)
        case .killTree(let instance): instances[instance]?.tree?.killAll()
        case .watchTree(let token, let instance): watchTree(token, instance)
        case .probe(let token, let instance): startProbe(token, instance)
        case .cancelProbe(let token): probes.removeValue(forKey: token)?.cancel()
        case .checkConditions(let token, let instance): checkConditions(token, instance)
        case .seekMain(let token, let instance): seekMain(token, instance)
        case .cancelSearch(let token): pidFiles.forget(token)
        case .forgetInstance(let instance): forget(instance)
        case .releaseGeneration(let generation): release(generation)
        case .recordServing(let generation, let release): recordServing(generation, release)
        case .startUnits(let units, let cause): startUnits(units, cause)
        case .report(let report):
            if case .finished(let group, _, _) = report { dropStores(of: group) }
            tell(report)
        }
    }

    // MARK: - Generations

    /// Opens what the generation needs before any of its processes exists. All or nothing.
    private func prepare(_ id: GenerationID, _ plan: Plan) {
        if plan.isTarget { return handle(.prepared(id)) }
        if plan.isSwapUnit {
            do throws(SystemError) {
                try memory.begin(id)
            } catch {
                logger.error("\(id): remembering its number: \(error)")
            }
        }
        do throws(PreparationError) {
            let resources = try resources(for: id, plan)
            generations[id] = resources
            render(plan.services.compactMap { definitions[$0.definition] }, resources)
        } catch {
            handle(.prepareFailed(id, Failure(unit: error.unit, step: .prepare, cause: .text(error.text))))
        }
    }

    /// The templates of a generation are rendered, or cannot be.
    func rendered(_ id: GenerationID, _ failure: PreparationError?) {
        guard let failure else {
            if let resources = generations[id] { journal(resources) }
            return handle(.prepared(id))
        }
        release(id)
        handle(.prepareFailed(id, Failure(unit: failure.unit, step: .prepare, cause: .text(failure.text))))
    }

    private func resources(for id: GenerationID, _ plan: Plan) throws(PreparationError) -> GenerationResources {
        guard let held = sockets else { throw PreparationError(unit: plan.group.name, text: "shutting down") }
        let parts = plan.services.compactMap { definitions[$0.definition] }
        let owned = Set(parts.flatMap(\.sockets).map(\.name))
        // What is carried over keeps its sockets, and those that move may have them as upstream.
        let serving = engine.view(of: id.group)?.serving.flatMap {
            generations[GenerationID(group: id.group, number: $0)]
        }
        var found = plan.isWhole ? [:] : serving?.sockets ?? [:]
        let network = try makeNetwork(parts, plan, serving)
        var reserved = plan.isWhole ? [:] : serving?.reservations ?? [:]
        var opened: [(SocketUnit, [HeldSocket])] = []
        var seen: Set<UnitName> = []
        for unit in parts.flatMap(\.needed) where seen.insert(unit.name).inserted {
            let name = unit.name.description
            switch (unit.pass, unit.scope) {
            case (.address, _):
                if owned.contains(unit.name) || reserved[name] == nil {
                    reserved[name] = try held.reserve(unit, for: id, in: network)
                }
            case (.descriptor, .shared):
                let list = try held.opened(unit)
                opened.append((unit, list))
                found[name] = list
            case (.descriptor, .generation):
                if owned.contains(unit.name) || found[name] == nil {
                    found[name] = try held.open(unit, for: id, in: network)
                }
            }
        }
        let taken = try pausedSockets(opened)
        let directory = try makeDirectory(id, parts)
        for (unit, list) in opened { held.keep(list, for: unit) }
        for socket in taken { handleSocket(.taken(socket)) }
        held.restorePaths([])
        let resources = GenerationResources(id: id, release: plan.release, directory: directory, sockets: found)
        resources.reservations = reserved
        resources.network = network
        return resources
    }

    /// With `X-GenerationNetwork=private` the generation's own; who replaces only some of a generation joins the others.
    private func makeNetwork(
        _ parts: [Definition], _ plan: Plan, _ serving: GenerationResources?
    ) throws(PreparationError) -> NetworkNamespace? {
        guard parts.contains(where: { $0.network == .private }) else { return nil }
        if !plan.isWhole, let present = serving?.network { return present }
        do throws(SystemError) {
            return try NetworkNamespace()
        } catch {
            throw PreparationError(unit: plan.group.name, text: "X-GenerationNetwork=private: \(error)")
        }
    }

    /// Those that are paused: a process that gets one accepts from it, unless the kernel holds new connections back.
    private func pausedSockets(_ opened: [(SocketUnit, [HeldSocket])]) throws(PreparationError) -> [SocketID] {
        var taken: [SocketID] = []
        for (unit, list) in opened {
            let id = SocketID(unit.name.description)
            guard activation.isPaused(id) else { continue }
            guard list.allSatisfy({ $0.endpoint.connected?.canHoldBack == true }) else {
                throw PreparationError(unit: id.name, text: "it is paused; holdfastctl resume \(id) first")
            }
            taken.append(id)
        }
        return taken
    }

    /// `$GENERATION_DIRECTORY`: writable by the user of the services if they all have the same one, else by root only.
    private func makeDirectory(_ id: GenerationID, _ parts: [Definition]) throws(PreparationError) -> String {
        let group = UnitNameEscaping.escape(id.group.name)
        let path = "\(configuration.runtimeDirectory)/generations/\(group)/\(id.number)"
        do throws(SystemError) {
            try FileTree.makeDirectory(path)
        } catch {
            throw PreparationError(unit: id.group.name, text: "\(error)")
        }
        let users = Set(parts.map(\.unit.execution.user))
        if users.count == 1, let name = users.first ?? nil, let user = try? Accounts.user(name) {
            chown(path, user.uid, user.gid)
        }
        return path
    }

    private func release(_ id: GenerationID) {
        guard let resources = generations.removeValue(forKey: id) else { return }
        journal.end(.generation(id))
        do throws(SystemError) {
            try FileTree.remove(resources.directory)
        } catch {
            logger.warning("\(id): removing its directory: \(error)")
        }
    }

    private func recordServing(_ id: GenerationID, _ release: String?) {
        // A plain service has neither release nor rollback: nothing to remember.
        guard engine.isSwapUnit(id.group) else { return }
        do throws(SystemError) {
            let replaced = engine.previousPlan(of: id.group)?.services.compactMap { definitions[$0.definition] } ?? []
            let previous = replaced.first.map { first in
                ReleaseMemory.Previous(
                    unit: (first.target?.name ?? first.unit.name).description,
                    members: replaced.map(\.unit.name.description))
            }
            // With those that were carried over, or the release would lack members; what was replaced counts last.
            let members = instances.values.filter { $0.definition.group == id.group }.map(\.definition)
            try memory.record(
                id, release: release, previous: previous,
                files: DefinitionFiles.of((members + replaced).flatMap(\.units)))
        } catch {
            logger.error("\(id): remembering that it serves: \(error)")
        }
    }

    // MARK: - Instances

    private func createInstance(_ id: InstanceID, _ generation: GenerationID, _ spec: ServiceSpec) {
        guard let definition = definitions[spec.definition] else { return }
        let instance = RunningInstance(
            id: id, generation: generation, definition: definition, connection: connections[generation.group])
        instance.triggeredBy = triggers[generation.group] ?? [:]
        instances[id] = instance
        journal.put(.running(id), SavedInstance(instance))
    }

    private func forget(_ id: InstanceID) {
        guard let instance = instances.removeValue(forKey: id) else { return }
        journal.end(.running(id))
        instanceOfMark[instance.mark] = nil
        keepStore(of: instance)
        if requests.has(instance.definition.group) {
            evidence[instance.definition.group, default: [:]][instance.name] = instance.lastLines()
        }
        instance.close()
        removeRuntimeDirectories(of: instance)
        removeCredentials(of: instance)
        if !instances.values.contains(where: { $0.logName == instance.logName }) { logs?.forget(instance.logName) }
        sockets?.restorePaths(generations[instance.generation]?.own ?? [])
    }

    /// Generations share a runtime directory: it goes with the last of them.
    private func removeRuntimeDirectories(of instance: RunningInstance) {
        let execution = instance.definition.unit.execution
        guard execution.directories[.runtime]?.entries.isEmpty == false, execution.runtimeDirectoryPreserve != .yes
        else { return }
        let used = instances.values.filter { $0 !== instance }.reduce(into: Set<String>()) { used, other in
            used.formUnion(launcher.runtimeDirectories(of: other.definition.unit.execution))
        }
        do throws(SystemError) {
            try launcher.removeRuntimeDirectories(of: execution, exceptThose: used)
        } catch {
            logger.warning("\(instance.name): removing RuntimeDirectory=: \(error)")
        }
    }

    // MARK: - Processes

    private func spawn(_ token: Token, _ id: InstanceID, _ kind: ServiceCommand) {
        guard let instance = instances[id], let generation = generations[instance.generation],
            let command = Launcher.command(kind, of: instance.definition.unit)
        else { return handle(.spawnFailed(token, "its definition is gone")) }
        do throws(Launcher.LaunchError) {
            let result = engine.result(of: id)
            let main = instance.mainProcess.flatMap { processes[$0]?.pid }
            if instance.tree == nil {
                // Of an earlier run of this instance: systemd removes them as soon as that one has ended.
                if kind.beginsRun, instance.definition.unit.execution.runtimeDirectoryPreserve == .no {
                    removeRuntimeDirectories(of: instance)
                }
                if kind.beginsRun {
                    instance.mainStatus = nil
                    prepareStore(instance)
                    try launcher.makeCredentials(of: instance.definition.unit)
                }
                try makeTree(instance, renew: kind.beginsRun)
            }
            if case .stop = kind { instance.tree?.noteMembers() }
            let files = kind.isMain ? try launcher.openFiles(of: instance.definition.unit) : []
            // The plan has only their numbers.
            defer { withExtendedLifetime(files) {} }
            let plan = try launcher.plan(
                command, as: kind, for: instance, in: generation,
                .init(mainPid: main, mainStatus: instance.mainStatus, result: result, openFiles: files))
            if kind.isMain { setNonBlocking(instance, generation) }
            if kind.talks { prepareTerminal(of: instance.definition.unit) }
            try run(plan, token, instance, generation, talks: kind.talks)
            // What a forking service executes is not its main process: that is what it leaves behind.
            if kind.isMain, instance.definition.unit.type != .forking { instance.mainProcess = token }
            handle(.spawned(token))
        } catch {
            handle(.spawnFailed(token, error.text))
        }
    }

    /// `NonBlocking=`. Sockets that generations share never block: processes race for each connection, and accept(2) would hang
    /// in the one that lost. But programs that read their standard input expect it to wait.
    private func setNonBlocking(_ instance: RunningInstance, _ generation: GenerationResources) {
        let isSwapped = engine.isSwapUnit(instance.definition.group)
        let wanted = instance.definition.unit.nonBlocking
        let input = inputFIFO(of: instance)
        do throws(SystemError) {
            try instance.connection?.descriptor.setNonBlocking(wanted)
            for unit in instance.definition.sockets {
                for held in generation.sockets[unit.name.description] ?? [] {
                    let isInput = held === input
                    try held.endpoint.setNonBlocking(wanted || isSwapped && !isInput)
                }
            }
        } catch {
            logger.warning("\(instance.name): NonBlocking=: \(error)")
        }
    }

    private func makeTree(_ instance: RunningInstance, renew: Bool) throws(Launcher.LaunchError) {
        if renew || instance.invocation.isEmpty { instance.invocation = Self.randomID() }
        do throws(SystemError) {
            instance.tree = try trees.make(name: instance.treeName, cookie: instance.invocation)
            instance.mark = instance.tree?.cgroupName ?? instance.invocation
            instanceOfMark[instance.mark] = instance.id
            journal(instance)
        } catch {
            throw Launcher.LaunchError(text: "\(error)")
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
    func run(
        _ plan: SpawnPlan, _ token: Token, _ instance: RunningInstance, _ generation: GenerationResources,
        talks: Bool = false
    ) throws(Launcher.LaunchError) {
        let process: RunningProcess
        do throws(SystemError) {
            let streams = try openStreams(for: instance, generation, talks: talks)
            var plan = plan
            if talks, case .terminal(let claim) = instance.definition.unit.execution.standardInput {
                plan.terminal = streams.input.raw
                plan.takesTerminal = claim == .force
            }
            process = try launch(plan, streams, token, instance)
        } catch {
            throw Launcher.LaunchError(text: "\(error)")
        }
        processes[token] = process
        tokenOfPid[process.pid] = token
        journal(process)
    }

    private func launch(
        _ plan: SpawnPlan, _ streams: consuming Launcher.Streams, _ token: Token, _ instance: RunningInstance
    ) throws(SystemError) -> RunningProcess {
        var plan = plan
        // A socket that is handed over as standard input is in the plan already.
        if plan.standardInput < 0 { plan.standardInput = streams.input.raw }
        plan.standardOutput = streams.output.raw
        plan.standardError = streams.error.raw
        plan.cgroup = instance.tree?.spawnCgroup ?? -1
        let child: Child
        do throws(SpawnError) {
            child = try children.spawn(plan)
        } catch {
            throw error.cause
        }
        let pid = child.pid
        instance.tree?.started(main: pid)
        let process = RunningProcess(token: token, instance: instance.id, handle: child.takeHandle())
        do throws(SystemError) {
            try watch(process)
        } catch {
            // Without a watch its end would never be known: better no process than that.
            try? process.send(SIGKILL)
            children.abandon(pid: pid)
            throw error
        }
        return process
    }

    /// Its end becomes the event `exited` of its token.
    func watch(_ process: RunningProcess) throws(SystemError) {
        let token = process.token
        if let failure = process.watch(children, ended(token)) { throw failure }
    }

    private func ended(_ token: Token) -> (Linux.ExitStatus) -> Void {
        { [unowned self] status in exited(token, status) }
    }

    private func exited(_ token: Token, _ status: Linux.ExitStatus) {
        let owner = processes[token]?.instance
        if let process = processes.removeValue(forKey: token) {
            journal.end(.process(token))
            tokenOfPid[process.pid] = nil
            if let instance = instances[process.instance] {
                if instance.mainProcess == token {
                    instance.mainProcess = nil
                    instance.mainStatus = status
                    keepEvidence(instance)
                }
            }
        }
        if let probe = probes.removeValue(forKey: token) {
            probe.exited(status)
        } else {
            handle(.exited(token, status.engine))
        }
        if let owner, let empty = instances[owner]?.emptyTree {
            instances[owner]?.emptyTree = nil
            treeIsEmpty(empty, owner)
        }
    }

    func keepEvidence(_ instance: RunningInstance) {
        evidence[instance.definition.group, default: [:]][instance.name] = instance.lastLines()
    }

    private func signalProcess(_ token: Token, _ signal: Int32) {
        guard let process = processes[token] else { return }
        instances[process.instance]?.tree?.noteMembers()
        try? process.send(signal)
    }

    private func signalTree(_ id: InstanceID, _ signal: Int32) {
        guard let tree = instances[id]?.tree else { return }
        tree.signalAll(Linux.Signal(rawValue: signal))
        // A stopped process would take the signal only when somebody continues it (systemd.kill(5)).
        if signal == SIGTERM || signal == SIGHUP { tree.signalAll(.continue) }
    }

    private func watchTree(_ token: Token, _ id: InstanceID) {
        guard let instance = instances[id], let tree = instance.tree else { return handle(.treeEmpty(token)) }
        if tree.isEmpty { return treeIsEmpty(token, id) }
        do throws(SystemError) {
            try tree.whenEmpty(loop: loop) { [unowned self] in treeIsEmpty(token, id) }
        } catch {
            logger.error("\(instance.name): watching its processes: \(error)")
            lookLater(token, instance)
        }
    }

    /// Without a watch (no descriptors left) nobody would say that the tree is empty: looked at once a second.
    private func lookLater(_ token: Token, _ instance: RunningInstance) {
        let id = instance.id
        instance.treeTimer = try? loop.addTimer { [unowned self] in watchTree(token, id) }
        instance.treeTimer?.arm(after: 1_000_000_000)
    }

    private func treeIsEmpty(_ token: Token, _ id: InstanceID) {
        guard let instance = instances[id] else { return }
        // A tree that could not be watched on says so by this, too.
        if let tree = instance.tree, !tree.isEmpty { return lookLater(token, instance) }
        instance.treeTimer = nil
        // A zombie is in no tree: how it ended is told first, because `ExecStopPost=` is told that.
        if processes.values.contains(where: { $0.instance == id }) {
            instance.emptyTree = token
            return
        }
        do throws(SystemError) {
            try instance.tree?.remove()
        } catch {
            logger.debug("\(instance.name): \(error)")
        }
        instance.tree = nil
        prepareTerminal(of: instance.definition.unit)
        instanceOfMark[instance.mark] = nil
        journal.put(.running(id), SavedInstance(instance))
        handle(.treeEmpty(token))
    }
}

extension ServiceCommand {
    /// A command of `ExecStart=`.
    var isMain: Bool { if case .start = self { true } else { false } }

    /// A command that is connected to the service's terminal, if it has one; the others run beside one that is.
    fileprivate var talks: Bool {
        switch self {
        case .condition, .startPre, .start, .stopPost: true
        case .startPost, .reload, .stop: false
        }
    }

    /// A command that may be the first of a run.
    fileprivate var beginsRun: Bool {
        switch self {
        case .condition, .startPre, .start: true
        case .startPost, .reload, .stop, .stopPost: false
        }
    }
}
