/// Whether a new generation may be cut over to, and what to blame if not.
extension Engine {
    func newInstances(_ operation: Operation) -> [Instance] {
        guard let plan = operation.plan, let new = operation.new else { return [] }
        let ids = groups[plan.group]?.generations[new]?.instances.values.sorted() ?? []
        return ids.compactMap { instances[$0] }
    }

    func firstFailure(of operation: Operation) -> Failure? {
        newInstances(operation).lazy.compactMap(\.failure).first
    }

    /// Why the new generation cannot be cut over to, if it cannot.
    func trialFailure(_ operation: Operation) -> Failure? {
        for instance in newInstances(operation) {
            if instance.mandate == .onTrial, let failure = instance.failure { return failure }
            switch instance.state {
            case .inactive(.failed(let failure)): return failure
            case .inactive(.clean(let status)):
                return instance.failed(.readiness, status.map { .exited($0) } ?? .text("it was stopped"))
            case .waiting, .condition, .startPre, .starting, .probing, .startPost, .running, .reloading, .draining,
                .stopping, .terminating, .killing, .stopPost, .sweeping, .restartWait:
                continue
            case .inactive(.skipped):
                guard instance.mandate == .onTrial, operation.acceptedBefore.contains(instance.spec.member) else {
                    continue
                }
                let text = "its ExecCondition= skips it here, and it is to replace one that accepts connections"
                return instance.failed(.condition, .text(text))
            }
        }
        return nil
    }

    /// What to blame when `ReadyTimeoutSec=` is over.
    func readyTimeoutFailure(_ operation: Operation) -> Failure {
        let members = newInstances(operation)
        let limit = operation.plan?.settings.readyTimeout ?? .zero
        if let failure = members.lazy.compactMap(\.failure).first { return failure }
        let culprit = members.first { !$0.isReady && $0.state != .waiting } ?? members.first { !$0.isReady }
        guard let culprit else {
            return Failure(unit: operation.plan?.unitName ?? "", step: .readiness, cause: .timedOut(limit))
        }
        let answer = culprit.lastProbeAnswer.map { Failure.Cause.probe($0) }
        return culprit.failed(.readiness, answer ?? .timedOut(limit))
    }
}
