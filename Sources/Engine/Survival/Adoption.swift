import Vocabulary

/// Running services that no engine knows, because an earlier supervisor left no record of them. An operator has asked
/// to continue with them.
public struct Adoption: Sendable, Codable {
    public struct Service: Sendable, Codable {
        public var spec: ServiceSpec
        public var instance: InstanceID
        /// The main process; nil if it is unknown or the service has none.
        public var main: Token?
        /// A oneshot service that has ended.
        public var isOver: Bool

        public init(spec: ServiceSpec, instance: InstanceID, main: Token?, isOver: Bool) {
            self.spec = spec
            self.instance = instance
            self.main = main
            self.isOver = isOver
        }
    }

    public var plan: Plan
    public var number: Int
    public var services: [Service]

    public init(plan: Plan, number: Int, services: [Service]) {
        self.plan = plan
        self.number = number
        self.services = services
    }
}

extension Engine {
    /// Draws an unused number, for an instance that is to be adopted.
    public mutating func newInstanceID() -> InstanceID { context.newInstance() }

    /// Reserves numbers of an earlier life that are still in use, in names of control groups, FIFOs and directories.
    /// New instances and generations get other numbers; otherwise they would meet, and one day end, processes that are
    /// not their own.
    public mutating func reserve(instances: [InstanceID], generations: [GenerationID], at now: Instant) {
        context.now = max(context.now, now)
        for instance in instances { context.reserve(instance) }
        for generation in generations { restore(generation.group, GroupMemory(lastNumber: generation.number)) }
    }

    /// Notes the end of the last unknown process of a group that is not up: it is stopped since then.
    public mutating func recordEndOfUnknownProcesses(_ group: GroupID, at now: Instant) {
        guard groups[group]?.serving == nil, groups[group]?.operation == nil else { return }
        groups[group]?.since = now
    }

    /// Forgets the state of a group whose record is older than its running processes: the processes it names no longer
    /// exist, and others do. No conclusion is drawn from the record.
    public mutating func forgetOutdatedState(of group: GroupID) {
        for (id, instance) in instances where instance.group == group {
            for token in instance.openTokens { owners[token] = nil }
            for owner in [Deadlines.Owner.instance(id), .probe(id), .watchdog(id), .runtime(id)] {
                deadlines.set(owner, nil)
            }
            instances[id] = nil
        }
        deadlines.set(.group(group), nil)
        deadlines.set(.upheld(group), nil)
        upheld[group] = nil
        for generation in unansweredPreparations where generation.group == group {
            unansweredPreparations.remove(generation)
        }
        for generation in abandonedPreparations where generation.group == group {
            abandonedPreparations.remove(generation)
        }
        waitingToStart.remove(group)
        let last = groups[group]?.lastNumber ?? 0
        groups[group] = nil
        restore(group, GroupMemory(lastNumber: last))
        relationsMayHaveChanged(group)
    }

    mutating func adopt(_ adoption: Adoption, _ request: RequestID) {
        let id = adoption.plan.group
        if let operation = groups[id]?.operation {
            return refuse(request, .busy(id, operation.kind, PhaseName(operation)))
        }
        guard groups[id]?.serving == nil else { return context.emit(.report(.unchanged(id, request))) }
        var group = groups[id] ?? Group(id: id, at: context.now)
        group.lastNumber = max(group.lastNumber, adoption.number)
        var generation = Generation(
            number: adoption.number, release: adoption.plan.release, plan: adoption.plan, role: .serving,
            startedAt: context.now)
        let birth = GenerationID(group: id, number: adoption.number)
        for service in adoption.services {
            var instance = Instance(
                id: service.instance, birth: birth, spec: service.spec, mandate: .serving, at: context.now)
            instance.hasBegun = true
            instance.hasStarted = true
            if let main = service.main {
                instance.openTokens.insert(main)
                owners[main] = service.instance
            }
            instances[service.instance] = instance
            generation.instances[service.spec.member] = service.instance
            generation.born += 1
        }
        recordRelations(adoption.plan)
        group.generations[adoption.number] = generation
        group.serving = adoption.number
        group.lastFailure = nil
        group.since = context.now
        groups[id] = group
        for service in adoption.services { with(service.instance) { $0.continueAdopted(service, &$1) } }
        context.emit(.recordServing(birth, release: adoption.plan.release))
        let result = FinishedOperation(
            kind: .start, outcome: .completed, from: nil, to: generation.summary, serving: generation.summary,
            failure: nil,
            uncleanEnds: [], durations: [])
        context.emit(.report(.finished(id, result, [request])))
        relationsMayHaveChanged(id)
        touch(id)
    }
}

extension Instance {
    fileprivate mutating func continueAdopted(_ service: Adoption.Service, _ context: inout Context) {
        guard !service.isOver else {
            let isUp = spec.lifecycle.remainsAfterExit
            return enter(isUp ? .exited(.unknown) : .inactive(.clean(.unknown)), &context)
        }
        enter(.running(main: service.main), &context)
        runtimeDeadline = spec.lifecycle.runtimeMax.map { context.now + $0 }
        feedWatchdog(context.now)
        guard service.main == nil else { return }
        watchWholeTree(&context)
    }
}

/// The way to end processes that belong to no instance: the kill signal, then SIGKILL after the time-out. No other
/// setting of the unit applies: `ExecStop=` needs a main process, and the main process is unknown.
public struct UnknownTreeEnding: Sendable, Equatable {
    public enum Step: Sendable, Equatable {
        case signal(Signal)
        case kill
    }

    private let signal: Signal
    private let timeout: Duration?
    private let sendsFinalKill: Bool
    public private(set) var deadline: Instant?

    /// - Parameters:
    ///   - timeout: `TimeoutStopSec=`; nil is no limit.
    ///   - sendsFinalKill: `SendSIGKILL=`
    public init(signal: Signal = .terminate, timeout: Duration? = .seconds(90), sendsFinalKill: Bool = true) {
        self.signal = signal
        self.timeout = timeout
        self.sendsFinalKill = sendsFinalKill
    }

    public mutating func firstStep(at now: Instant) -> Step {
        deadline = sendsFinalKill ? timeout.map { now + $0 } : nil
        return .signal(signal)
    }

    /// Returns SIGKILL once the time-out has expired. After SIGKILL there is only waiting.
    public mutating func nextStep(at now: Instant) -> Step? {
        guard let deadline, now >= deadline else { return nil }
        self.deadline = nil
        return .kill
    }
}
