/// The actual state of the machine, as a process finds it that takes over from a killed one. Decisions are written
/// first and carried out then, so less than is written may have been done.
public struct SurvivingState: Sendable {
    /// Generations whose sockets and directory exist.
    public var generations: Set<GenerationID> = []
    /// Instances of which anything is left on the machine.
    public var instances: Set<InstanceID> = []
    /// Processes that were executed; the event `exited` reports those that have ended.
    public var processes: Set<Token> = []
    public init() {}

    /// Notes an event that is still to be handled: the effect it answers was carried out, even if nothing of it is
    /// left.
    public mutating func note(_ event: Event) {
        switch event {
        case .prepared(let generation), .prepareFailed(let generation, _): generations.insert(generation)
        case .spawned(let token), .spawnFailed(let token, _, _), .exited(let token, _): processes.insert(token)
        default: break
        }
    }
}

/// A command that was to be started, without a record that it was.
public struct UnrecordedCommand: Sendable, Equatable {
    public var token: Token
    public var instance: InstanceID
    public var command: ServiceCommand
}

extension Engine {
    /// Events that were lost, to be handled after the effects of `recovery`. The caller finds out itself which
    /// processes have ended.
    public func missedEvents(_ found: SurvivingState) -> [Event] {
        unansweredPreparations.sorted { ($0.group, $0.number) < ($1.group, $1.number) }.compactMap { id in
            if found.generations.contains(id) { return .prepared(id) }
            guard groups[id.group]?.generations[id.number] == nil else { return nil }
            // The generation is no longer needed and nothing of it is left, but the engine still waits for the answer.
            let cause = Failure.Cause.text("the supervisor was killed")
            return .prepareFailed(id, Failure(unit: id.group.name, step: .prepare, cause: cause))
        }
    }

    /// Processes whose end the engine waits for.
    public var awaitedProcesses: [Token] {
        instances.values.sorted { $0.id < $1.id }.flatMap { instance in
            [instance.mainProcess, instance.controlProcess].compactMap(\.self).filter(instance.openTokens.contains)
        }
    }

    /// Commands whose start is awaited and whose processes were not found: started in the last moment of the killed
    /// supervisor, or not at all.
    public func unrecordedCommands(_ found: SurvivingState) -> [UnrecordedCommand] {
        instances.values.sorted { $0.id < $1.id }.flatMap { instance in
            instance.commands.filter { token, _ in
                instance.openTokens.contains(token) && !found.processes.contains(token)
            }.map { UnrecordedCommand(token: $0, instance: instance.id, command: $1) }
        }
    }

    /// Effects that must be carried out, or carried out again, so that everything the engine waits for will be
    /// answered.
    public mutating func recovery(_ found: SurvivingState) -> [Effect] {
        var effects: [Effect] = []
        // The supervisor draws tokens for main processes that it found (`newToken`) and writes them down with the
        // process; the engine's own record may be older, and the engine must not hand out the same tokens again (I6).
        for token in found.processes { context.reserve(token) }
        for id in unansweredPreparations.sorted(by: { ($0.group, $0.number) < ($1.group, $1.number) })
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
        // Signals are written down separately; a second SIGKILL does no harm.
        for instance in instances {
            switch instance.state {
            case .killing, .sweeping: effects.append(.killTree(instance.id))
            // Without a main process that could receive the kill signal, the other processes were to be killed at once.
            case .terminating(_, let ending)
            where !instance.isStoppingByItself && ending.processes.isEmpty
                && [.mixed, .process].contains(instance.spec.killMode):
                effects.append(.killTree(instance.id))
            default: break
            }
        }
        return effects + outstandingEffects
    }
}

extension Instance {
    /// The commands whose start the state waits for. (A main process that is up has been written down.)
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
