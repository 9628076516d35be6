import Vocabulary

@testable import Engine

/// Checks of the whole state, after every event and at the end.
extension Simulation {
    mutating func check() {
        if engine.owners.count > kernel.openTokens.count { fail("leak", "tokens have owners that nobody will name") }
        for id in engine.groupIDs {
            guard let view = engine.view(of: id) else { continue }
            checkView(view)
            checkBonds(id)
        }
        for id in kernel.instances where engine.instances[id] == nil {
            fail("I3", "instance \(id.number) exists and the engine does not know it")
        }
        checkWatches()
    }

    /// Every kernel request of the engine ends when the engine drops its token: it would act in a later life.
    private mutating func checkWatches() {
        for id in kernel.instances {
            for token in kernel.trees[id]?.watches ?? [] where engine.owners[token] != id {
                fail("I6", "a tree watch outlives its token")
            }
        }
        for token in kernel.searches.keys where engine.owners[token] == nil {
            fail("I6", "a search for a main process outlives its token")
        }
    }

    /// `BindsTo=`: no service stays without a service to which it is bound.
    private mutating func checkBonds(_ id: GroupID) {
        guard !engine.isShuttingDown, !isRecovering, let group = engine.groups[id], group.serving != nil,
            group.operation == nil
        else { return }
        for other in group.relations.bindsTo where engine.groups[other]?.isActive != true {
            fail("bond", "\(id) runs while \(other), which it is bound to, does not")
        }
    }

    /// `Conflicts=`: a group that is stopped for another is gone before the other begins. A group that stops its own
    /// predecessor first begins after the predecessor has gone, all others at their preparation.
    mutating func checkConflicts(_ id: GroupID, atPrepare: Bool) {
        // Recovery repeats earlier steps.
        guard !isRecovering, let operation = engine.groups[id]?.operation, let plan = operation.plan,
            !operation.isRestoring,
            !(plan.isSwapUnit && operation.stopsOldFirst), operation.stopsOldFirst != atPrepare
        else { return }
        for other in plan.relations.conflicts {
            guard let stop = engine.groups[other]?.operation, stop.kind == .stop else { continue }
            // A stop that came after the begin, in the same event, does not concern it.
            let wasThere = stop.startedAt < operation.phaseSince || stop.startedAt == operation.startedAt
            if wasThere { fail("conflict", "\(id) starts while \(other) is being stopped") }
        }
    }

    private mutating func checkView(_ view: GroupView) {
        // I2: beside those that drain, at most two generations have processes; carried members count for their present
        // generation.
        let draining = Set(view.drains.map(\.generation.number))
        let withProcesses = view.generations.filter { generation in
            !draining.contains(generation.number) && generation.services.contains { !kernel.isEmpty($0.instance) }
        }
        checkLimit(view)
        if withProcesses.count > 2 { fail("I2", "\(withProcesses.count) generations of \(view.id) live") }
        if view.operation == nil, withProcesses.count > 1 {
            fail("I2", "two generations of \(view.id) and no operation")
        }
        if view.operation == nil, view.serving == nil, !withProcesses.isEmpty {
            fail("I5", "\(view.id) is shown as not running, and has processes")
        }
        for generation in view.generations {
            for service in generation.services where service.phase == .running || service.phase == .reloading {
                guard let tree = kernel.trees[service.instance] else { continue }
                // A main process that has ended may have a successor, which is being searched for.
                let isSought = engine.instances[service.instance]?.endedMain != nil
                let main = isSought ? nil : service.mainProcess.flatMap { kernel.processes[$0] }
                guard main.map({ $0.isAlive || !$0.exitIsTold }) ?? kernel.isAlive(tree) else {
                    fail("I5", "\(service.spec.unit) is shown as running, and is not")
                    continue
                }
            }
        }
    }

    /// I2: no more than `MaxDraining=` generations finish their work; the others have been sent the kill signal.
    private mutating func checkLimit(_ view: GroupView) {
        guard let group = engine.groups[view.id] else { return }
        if Set(view.drains.map(\.generation.number)).count != view.drains.count { fail("I2", "one drains twice") }
        let free = group.drains.filter { !$0.isEnded }
        if free.count > SwapSettings.usualDrainLimit { fail("I2", "\(free.count) generations of \(view.id) drain") }
        coverage.ends["\(min(view.drains.count, 5)) draining", default: 0] += 1
    }

    // MARK: - Checks at the end

    mutating func checkNothingIsLeft() {
        guard violation == nil else { return }
        if !hasCrashed, let open = answers.firstIndex(where: { $0 != 1 }) {
            let count = answers[open]
            fail("answers", "request \(open) was answered \(count) times")
        }
        if !kernel.living.isEmpty || kernel.instances.contains(where: { !kernel.isEmpty($0) }) {
            fail("end", "processes are left")
        }
        if !kernel.instances.isEmpty || !engine.instances.isEmpty { fail("end", "instances are left") }
        if !kernel.generations.isEmpty {
            let left = kernel.generations.keys.map(\.number)
            fail("end", "generations \(left) are not released")
        }
        if engine.groups.values.contains(where: {
            !$0.generations.isEmpty || $0.serving != nil || $0.operation != nil || !$0.drains.isEmpty
        }) {
            fail("end", "the engine still has generations or operations")
        }
        if !engine.owners.isEmpty {
            let left = engine.owners.count
            fail("end", "\(left) tokens have an owner still")
        }
        if engine.nextDeadline != nil { fail("end", "a deadline is left") }
        if !engine.waitingToStart.isEmpty { fail("end", "a group waits still") }
    }
}
