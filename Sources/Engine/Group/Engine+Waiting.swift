/// Obstacles to the start of a plan: groups that it starts after, conflicts with, or needs.
extension Engine {
    enum Obstacle {
        case waiting
        case failed(Failure)
    }

    /// The obstacle to starting a plan now, if any.
    func obstacle(to plan: Plan) -> Obstacle? {
        let id = plan.group
        // Groups that wait for each other would wait for ever, so then none of them waits. Called again for every unit
        // of a large target that has started, so nothing is sorted or copied here.
        let isWaitedFor = { (other: GroupID) in other != id && isStarting(other) && !waits(other, for: id) }
        if plan.after.contains(where: isWaitedFor) || plan.requires.contains(where: isWaitedFor) { return .waiting }
        if plan.relations.conflicts.contains(where: { groups[$0]?.operation?.kind == .stop && $0 != id }) {
            return .waiting
        }
        // `BindsTo=` is stricter than `Requires=`: the other unit "strictly has to be in active state"
        // (systemd.unit(5)), not skipped, and not done.
        for bound in plan.relations.bindsTo.sorted() where bound != id && !isRunning(bound) && !isStarting(bound) {
            let cause = Failure.Cause.text("\(bound) is not running (BindsTo=)")
            return .failed(Failure(unit: plan.unitName, step: .dependency, cause: cause))
        }
        for required in plan.requires.sorted()
        where !isRunning(required) && !isStarting(required) && groups[required]?.isDone != true {
            let cause = Failure.Cause.text("\(required) is not running (Requires=)")
            return .failed(Failure(unit: plan.unitName, step: .dependency, cause: cause))
        }
        return nil
    }

    mutating func wait(_ id: GroupID, _ operation: Operation, _ obstacle: Obstacle) {
        switch obstacle {
        case .waiting:
            waitingToStart.insert(id)
            guard !operation.hasReportedWait else { return }
            groups[id]?.operation?.hasReportedWait = true
            context.emit(.report(.phase(id, generation: nil, .waiting)))
        case .failed(let failure):
            // The previous plan lacks the same group, so it cannot be restored.
            groups[id]?.operation?.restorePlan = nil
            if let plan = operation.plan { triggerFailure(plan) }
            rollBack(id, failure)
        }
    }

    /// Groups that an operation waits for before it can continue; for display.
    func obstacles(to id: GroupID) -> [GroupID] {
        guard let operation = groups[id]?.operation else { return [] }
        if operation.kind == .stop { return outlived(by: id) }
        guard operation.waitsForOthers, let plan = operation.plan else { return [] }
        let starting = plan.after.union(plan.requires).filter { $0 != id && isStarting($0) && !waits($0, for: id) }
        let leaving = plan.relations.conflicts.filter { $0 != id && groups[$0]?.operation?.kind == .stop }
        return starting.union(leaving).sorted()
    }

    private func isRunning(_ id: GroupID) -> Bool {
        groups[id].map { $0.serving != nil && $0.operation?.kind != .stop } ?? false
    }

    private func isStarting(_ id: GroupID) -> Bool {
        groups[id]?.operation?.isStart ?? false
    }

    private func waits(_ id: GroupID, for other: GroupID) -> Bool {
        var seen: Set<GroupID> = []
        var queue = [id]
        while let next = queue.popLast() {
            if next == other { return true }
            guard seen.insert(next).inserted, let operation = groups[next]?.operation else { continue }
            guard operation.waitsForOthers, let plan = operation.plan else { continue }
            queue.append(contentsOf: plan.after.union(plan.requires).filter { isStarting($0) })
        }
        return false
    }
}
