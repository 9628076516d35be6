/// What a process finds that takes over the state of one that was killed: less than is written may have been done, because what
/// is decided is written first and done then.
public struct Found: Sendable {
    /// Generations whose sockets and directory are there.
    public var generations: Set<GenerationID> = []
    /// Instances of which something is there.
    public var instances: Set<InstanceID> = []
    /// Processes that were executed; whether they live still is told by the event `exited`.
    public var processes: Set<Token> = []
    public init() {}

    /// An answer that waits to be told: what it answers has been done, also if nothing of it is left.
    public mutating func note(_ event: Event) {
        switch event {
        case .prepared(let generation), .prepareFailed(let generation, _): generations.insert(generation)
        case .spawned(let token), .spawnFailed(let token, _, _), .exited(let token, _): processes.insert(token)
        default: break
        }
    }
}

/// A command that was to be started, and of which nobody has written down that it was.
public struct UnrecordedCommand: Sendable, Equatable {
    public var token: Token
    public var instance: InstanceID
    public var command: ServiceCommand
}

extension Engine {
    /// What happened of which nobody was told: to be told after the effects of `recovery`. What became of processes is for the
    /// caller to find out.
    public func missedEvents(_ found: Found) -> [Event] {
        preparing.sorted { ($0.group, $0.number) < ($1.group, $1.number) }.compactMap { id in
            if found.generations.contains(id) { return .prepared(id) }
            guard groups[id.group]?.generations[id.number] == nil else { return nil }
            // Nobody wants it any more, and nothing of it is left; the answer is waited for all the same.
            let cause = Failure.Cause.text("the supervisor was killed")
            return .prepareFailed(id, Failure(unit: id.group.name, step: .prepare, cause: cause))
        }
    }

    /// Processes whose end somebody waits for.
    public var awaitedProcesses: [Token] {
        instances.values.sorted { $0.id < $1.id }.flatMap { instance in
            [instance.mainProcess, instance.controlProcess].compactMap(\.self).filter(instance.openTokens.contains)
        }
    }

    /// Commands whose start is awaited and whose processes are not among those found: started in the last moment of the killed
    /// supervisor, or not at all.
    public func unrecordedCommands(_ found: Found) -> [UnrecordedCommand] {
        instances.values.sorted { $0.id < $1.id }.flatMap { instance in
            instance.commands.filter { token, _ in
                instance.openTokens.contains(token) && !found.processes.contains(token)
            }.map { UnrecordedCommand(token: $0, instance: instance.id, command: $1) }
        }
    }

    /// What must be done, or done again, so that everything that this engine waits for will be answered.
    public mutating func recovery(_ found: Found) -> [Effect] {
        var effects: [Effect] = []
        // The supervisor draws tokens for main processes that it found (`newToken`) and writes them down with the process;
        // the engine as it was written may know nothing of it yet, and must not hand the same out again (I6).
        for token in found.processes { context.reserve(token) }
        for id in preparing.sorted(by: { ($0.group, $0.number) < ($1.group, $1.number) })
        where !found.generations.contains(id) {
            if let plan = groups[id.group]?.generations[id.number]?.plan { effects.append(.prepare(id, plan)) }
        }
        let instances = instances.values.sorted { $0.id < $1.id }
        for instance in instances where !found.instances.contains(instance.id) {
            effects.append(.createInstance(instance.id, instance.birth, instance.spec))
        }
        for instance in instances {
            if case .checking(let token) = instance.state, instance.openTokens.contains(token) {
                effects.append(.checkConditions(token, instance.id))
            }
        }
        for command in unrecordedCommands(found) {
            effects.append(.spawn(command.token, command.instance, command.command))
        }
        for id in found.instances.subtracting(self.instances.keys).sorted() { effects.append(.forgetInstance(id)) }
        let known = Set(
            groups.values.flatMap { group in group.generations.keys.map { GenerationID(group: group.id, number: $0) } })
        for id in found.generations.subtracting(known).sorted(by: { ($0.group, $0.number) < ($1.group, $1.number) }) {
            effects.append(.releaseGeneration(id))
        }
        // Signals are written down by themselves; that SIGKILL is sent twice does no harm.
        for instance in instances {
            switch instance.state {
            case .killing, .sweeping: effects.append(.killTree(instance.id))
            // Without a main process that could take the kill signal, the others were to be killed at once.
            case .terminating(_, let ending)
            where !instance.stopsItself && ending.processes.isEmpty
                && [.mixed, .process].contains(instance.spec.killMode):
                effects.append(.killTree(instance.id))
            default: break
            }
        }
        return effects + outstanding
    }
}

extension Instance {
    /// The commands whose start its state waits for. (A main process that is up has been written down.)
    fileprivate var commands: [(Token, ServiceCommand)] {
        switch state {
        case .waiting, .checking, .awaitingMain, .probing, .running, .exited, .reloadSignalled, .reloadAnnounced,
            .draining, .terminating, .killing, .sweeping, .restartWait, .inactive:
            []
        case .condition(let index, let token): [(token, .condition(index))]
        case .startPre(let index, let token): [(token, .startPre(index))]
        case .starting(let main): [(main, .start(0))]
        case .oneshot(let index, let main): [(main, .start(index))]
        case .forking(let control): [(control, .start(0))]
        case .startPost(let index, let control, _): [(control, .startPost(index))]
        case .reloading(let index, let control, _): [(control, .reload(index))]
        case .stopping(let index, let control, _): [(control, .stop(index))]
        case .stopPost(let index, let control, _): [(control, .stopPost(index))]
        }
    }
}
