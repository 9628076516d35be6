/// Decisions on whether a new generation may be cut over to, and the failure to report if not.
extension Engine {
    func newInstances(_ operation: Operation) -> [Instance] {
        guard let plan = operation.plan, let new = operation.new else { return [] }
        let ids = groups[plan.group]?.generations[new]?.instances.values.sorted() ?? []
        return ids.compactMap { instances[$0] }
    }

    /// The condition that skipped all services that an operation started; nil if one of them was not skipped.
    func conditionSkipping(_ operation: Operation) -> String? { Self.conditionSkipping(newInstances(operation)) }

    static func conditionSkipping(_ members: [Instance]) -> String? {
        members.allSatisfy { $0.state == .inactive(.skipped) } ? members.first?.skippedBy : nil
    }

    func firstFailure(of operation: Operation) -> Failure? {
        newInstances(operation).lazy.compactMap(\.failure).first
    }

    /// The reason why the new generation cannot be cut over to; nil if there is none.
    func cutoverObstacle(_ operation: Operation) -> Failure? {
        for instance in newInstances(operation) {
            if instance.mandate == .onTrial, let failure = instance.failure { return failure }
            if let failure = acceptorLoss(instance, operation) { return failure }
            switch instance.state {
            case .inactive(.failed(let failure)): return failure
            case .inactive(.clean) where instance.isReady: continue
            case .inactive(.clean(let status)):
                return instance.failed(.readiness, status.map { .exited($0) } ?? .text("the service was stopped"))
            case .waiting, .checking, .condition, .startPre, .starting, .oneshot, .forking, .awaitingMain, .probing,
                .startPost, .running, .exited, .reloading, .reloadSignalled, .reloadAnnounced, .draining, .stopping,
                .terminating, .killing, .stopPost, .sweeping, .restartWait:
                continue
            case .inactive(.skipped): continue
            }
        }
        return nil
    }

    /// The failure of an instance that replaces an acceptor and does not stay (I1).
    private func acceptorLoss(_ instance: Instance, _ operation: Operation) -> Failure? {
        guard instance.mandate == .onTrial, operation.acceptedBefore.contains(instance.spec.member) else { return nil }
        let replaces = "but it replaces a service that accepts connections"
        if case .inactive(.skipped) = instance.state {
            return instance.failed(.condition, .text("skipped by its conditions, \(replaces)"))
        }
        if case .exited = instance.state {
            return instance.failed(.readiness, .text("exited (RemainAfterExit=), \(replaces)"))
        }
        guard instance.spec.type == .oneshot else { return nil }
        return instance.failed(.start, .text("Type=oneshot services exit, \(replaces)"))
    }

    /// The failure to report when `ReadyTimeoutSec=` has expired.
    func readyTimeoutFailure(_ id: GroupID, _ operation: Operation) -> Failure {
        let members = newInstances(operation)
        let limit = operation.plan?.settings.readyTimeout ?? .zero
        if let failure = members.lazy.compactMap(\.failure).first { return failure }
        let unready = members.first { !$0.isReady && $0.state != .waiting } ?? members.first { !$0.isReady }
        guard let unready else {
            return Failure(unit: operation.plan?.unitName ?? id.name, step: .readiness, cause: .timedOut(limit))
        }
        let answer = unready.lastProbeAnswer.map { Failure.Cause.probe($0) }
        var failure = unready.failed(.readiness, answer ?? .timedOut(limit))
        failure.awaited = awaited(by: unready)
        return failure
    }

    /// The loss in the serving generation: a service of it that should be there has ended or does not come up again.
    func failureAfterCutover(_ id: GroupID, isOld: Bool = false) -> Failure? {
        guard let group = groups[id], let serving = group.serving, let generation = group.generations[serving] else {
            let text = isOld ? "the old generation exited during the swap" : "exited after the start"
            return Failure(unit: id.name, step: .run, cause: .text(text))
        }
        let all = generation.instances.values.sorted().compactMap { instances[$0] }
        // Instances that were carried over are not part of the swap.
        let members = isOld ? all : all.filter { $0.birth.number == serving }
        // For the old generation, the only question is whether it still serves: an earlier failure of a part of it is
        // not news. A part that was skipped or is done does not serve in place of one that has failed, nor does a
        // backend in place of its proxy.
        let acceptors = members.filter(\.spec.acceptsShared)
        let servants = acceptors.isEmpty ? members : acceptors
        if isOld, servants.contains(where: \.isUp) || members.allSatisfy(\.isDone) { return nil }
        // A service that waits for its restart after a clean end has no failure, and does not serve at this moment
        // either. A worker without a shared socket may end and come back as its work requires.
        let lost = members.filter {
            $0.isGone && !$0.isDone || (isOld || $0.failure != nil || $0.spec.acceptsShared) && !$0.isReady
        }
        guard let missing = lost.first(where: { $0.failure != nil }) ?? lost.first else { return nil }
        return missing.failure
            ?? missing.failed(.run, missing.mainStatus.map { .exited($0) } ?? .text("the service exited"))
    }
}
