/// A copy of a group's state for `status` and similar commands, made on request.
public struct GroupView: Sendable, Equatable {
    public var id: GroupID
    public var serving: Int?
    public var lastNumber: Int
    public var generations: [GenerationView]
    public var operation: OperationView?
    /// Generations that drain by themselves, the oldest first.
    public var drains: [DrainView]
    public var lastFailure: Failure?
    /// The condition that skipped the last start of all its services.
    public var skippedBy: String?
    public var canRollBack: Bool
    public var since: Instant
}

public struct OperationView: Sendable, Equatable {
    public var kind: OperationKind
    public var phase: PhaseName
    public var startedAt: Instant
    public var phaseSince: Instant
    /// The time at which the phase ends by itself, if it does.
    public var deadline: Instant?
    public var new: Int?
    /// Groups that the operation waits for before it can continue.
    public var obstacles: [GroupID]
}

public struct GenerationView: Sendable, Equatable {
    public enum Role: String, Sendable { case starting, held, serving, draining, rollingBack, stopping }
    public var number: Int
    public var release: String?
    public var role: Role
    public var startedAt: Instant
    public var services: [ServiceView]
}

public struct ServiceView: Sendable, Equatable {
    public var instance: InstanceID
    public var spec: ServiceSpec
    /// The generation the service was started in; older than the one it belongs to if it was carried over.
    public var birth: Int
    public var phase: ServicePhase
    public var isReady: Bool
    public var since: Instant
    public var deadline: Instant?
    public var mainProcess: Token?
    public var restarts: Int
    public var statusText: String?
    public var failure: Failure?
    /// The condition that skipped the service's start.
    public var skippedBy: String?
    public var lastProbeAnswer: String?
    public var awaited: Awaited?
}

extension Engine {
    public var groupIDs: [GroupID] { groups.keys.sorted() }

    /// The number of groups, without sorting them.
    public var groupCount: Int { groups.count }

    public func view(of id: GroupID) -> GroupView? {
        guard let group = groups[id] else { return nil }
        let operation = group.operation.map {
            OperationView(
                kind: $0.kind, phase: PhaseName($0), startedAt: $0.startedAt, phaseSince: $0.phaseSince,
                deadline: deadlines.deadline(of: .group(id)), new: $0.new, obstacles: obstacles(to: id))
        }
        return GroupView(
            id: id, serving: group.serving, lastNumber: group.lastNumber,
            generations: group.generations.values.sorted { $0.number < $1.number }.map(view(of:)),
            operation: operation, drains: drains(of: id), lastFailure: group.lastFailure, skippedBy: group.skippedBy,
            canRollBack: group.previous != nil,
            since: group.since)
    }

    private func view(of generation: Generation) -> GenerationView {
        GenerationView(
            number: generation.number, release: generation.release, role: .init(generation.role),
            startedAt: generation.startedAt,
            services: generation.instances.values.sorted().compactMap { instances[$0] }.map { instance in
                ServiceView(
                    instance: instance.id, spec: instance.spec, birth: instance.birth.number,
                    phase: ServicePhase(instance.state), isReady: instance.isReady, since: instance.since,
                    deadline: instance.deadline, mainProcess: instance.mainProcess, restarts: instance.restarts,
                    statusText: instance.statusText,
                    failure: instance.failure ?? (instance.isUp ? instance.reloadFailure : nil),
                    skippedBy: instance.skippedBy, lastProbeAnswer: instance.lastProbeAnswer,
                    awaited: awaited(by: instance))
            })
    }

    /// Definitions of all specs that the engine still holds, to start, to serve or to roll back to.
    public var definitionsInUse: Set<UInt64> {
        var used = Set(instances.values.map(\.spec.definition))
        for group in groups.values {
            let plans = [group.previous, group.operation?.plan, group.operation?.restorePlan]
            for plan in plans { used.formUnion(plan?.services.map(\.definition) ?? []) }
            for generation in group.generations.values { used.formUnion(generation.plan.services.map(\.definition)) }
        }
        return used
    }

    /// The plan that `rollback` would start, if there is one.
    public func previousPlan(of id: GroupID) -> Plan? { groups[id]?.previous }
}

extension GenerationView.Role {
    init(_ role: Generation.Role) {
        self =
            switch role {
            case .starting: .starting
            case .held: .held
            case .serving: .serving
            case .draining: .draining
            case .rollingBack: .rollingBack
            case .stopping: .stopping
            }
    }
}
