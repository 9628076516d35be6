/// The phases of an operation. `advance` inspects the state of a group and takes the steps that its instances allow;
/// events only change instances and touch the group.
extension Engine {
    mutating func advance(_ id: GroupID) {
        advanceDrains(id)
        guard let operation = groups[id]?.operation else { return endIdleGeneration(id) }
        switch operation.phase {
        case .waiting: advanceWaiting(id, operation)
        case .preparing: break
        case .starting(let tier): advanceStarting(id, operation, tier)
        case .soaking: if let failure = cutoverObstacle(operation) { rollBack(id, failure) }
        case .holding:
            if let failure = cutoverObstacle(operation) {
                rollBack(id, failure)
            } else if !operation.hold {
                cutOver(id)
            }
        case .draining: endAtCutover(id, operation)
        case .stoppingOld:
            if operation.oldHasLeft {
                startNewAfterOld(id, operation)
            } else if !mustOutliveOthers(id), retireLeavingInstances(id), !mustWaitForDrains(id, operation) {
                finishStoppingOld(id, operation)
            }
        case .rollingBack: if retireLeavingInstances(id) || leaveRejectedDraining(id) { finishRollback(id) }
        case .stopping:
            if !mustOutliveOthers(id), retireLeavingInstances(id) { finishStop(id) }
        case .reloading: advanceReloading(id)
        }
    }

    mutating func enter(_ phase: Operation.Phase, _ id: GroupID) {
        guard var operation = groups[id]?.operation else { return }
        let spent = PhaseDuration(phase: PhaseName(operation), duration: context.now - operation.phaseSince)
        operation.durations.append(spent)
        operation.phase = phase
        operation.phaseSince = context.now
        groups[id]?.operation = operation
        deadlines.set(.group(id), nil)
        context.emit(.report(.phase(id, generation: operation.new, PhaseName(operation))))
        touch(id)
    }

    // MARK: - Waiting and preparing

    private mutating func advanceWaiting(_ id: GroupID, _ operation: Operation) {
        guard let plan = operation.plan else { return }
        // A plain service that is stopped first waits after its stop: the groups that it starts after can leave only
        // once it has stopped.
        if operation.stopsOldFirst, !plan.isSwapUnit { return prepare(id, plan) }
        if let obstacle = obstacle(to: plan) { return wait(id, operation, obstacle) }
        prepare(id, plan)
    }

    mutating func prepare(_ id: GroupID, _ plan: Plan) {
        guard var group = groups[id] else { return }
        group.lastNumber &+= 1
        let number = group.lastNumber
        var generation = Generation(
            number: number, release: plan.release, plan: plan, role: .starting, startedAt: context.now)
        // A partial swap leaves the rest of the group at its release, and that release names the whole group.
        if !plan.isWhole, let old = group.serving.flatMap({ group.generations[$0] }) {
            generation.release = old.release
            generation.plan.after.formUnion(old.plan.after)
            generation.plan.requires.formUnion(old.plan.requires)
            generation.plan.relations.add(old.plan.relations)
        }
        recordRelations(generation.plan)
        group.generations[number] = generation
        group.operation?.new = number
        // An operator asks about the generation that was tried, not about the one that was restored in its place.
        if group.operation?.isRestoring != true { group.operation?.to = generation.summary }
        group.operation?.readyTimeLeft = plan.settings.readyTimeout
        groups[id] = group
        waitingToStart.remove(id)
        enter(.preparing, id)
        unansweredPreparations.insert(GenerationID(group: id, number: number))
        context.emit(.prepare(GenerationID(group: id, number: number), plan))
    }

    mutating func handlePrepared(_ generation: GenerationID) {
        let id = generation.group
        guard unansweredPreparations.remove(generation) != nil else { return }
        abandonedPreparations.remove(generation)
        guard let operation = groups[id]?.operation, operation.phase == .preparing, operation.new == generation.number
        else { return releaseLatePreparation(generation) }
        divideServingInstances(id)
        if operation.stopsOldFirst, !operation.isRestoring {
            stopOld(id)
        } else {
            startNew(id)
        }
    }

    /// Releases a generation that was prepared too late: a stop or an abort came in between.
    private mutating func releaseLatePreparation(_ generation: GenerationID) {
        groups[generation.group]?.generations[generation.number] = nil
        context.emit(.releaseGeneration(generation))
        touch(generation.group)
    }

    mutating func handlePrepareFailure(_ generation: GenerationID, _ failure: Failure) {
        guard unansweredPreparations.remove(generation) != nil else { return }
        abandonedPreparations.remove(generation)
        guard let operation = groups[generation.group]?.operation, operation.phase == .preparing,
            operation.new == generation.number
        else { return releaseLatePreparation(generation) }
        rollBack(generation.group, failure)
    }

    /// Divides the serving instances into those that the new generation replaces and those that it carries over.
    private mutating func divideServingInstances(_ id: GroupID) {
        guard var operation = groups[id]?.operation, let plan = operation.plan else { return }
        let old = servingGeneration(id)
        let moved = Set(plan.services.map(\.member))
        for (member, instance) in old?.instances ?? [:] {
            if plan.isWhole || moved.contains(member) {
                operation.leaving.insert(instance)
                if let old = instances[instance], old.spec.acceptsShared, !old.isGone {
                    operation.acceptedBefore.insert(member)
                }
            } else {
                operation.carried.insert(instance)
            }
        }
        groups[id]?.operation = operation
    }

    // MARK: - Strategy queue

    private mutating func stopOld(_ id: GroupID) {
        let plan = planOfLeaving(id)
        groups[id]?.operation?.restorePlan = plan
        let serving = groups[id]?.serving
        if let serving { groups[id]?.generations[serving]?.role = .draining }
        enter(.stoppingOld, id)
        // They began to drain under another strategy.
        guard let operation = groups[id]?.operation, mustWaitForDrains(id, operation) else { return }
        for draining in groups[id]?.drains ?? [] { endDrain(id, draining.generation.number, .queue) }
    }

    /// True if draining generations must be gone before the new one starts: `Strategy=queue` is for services that must
    /// never run twice, and a plain service has one generation at a time. (`restart --hard` of another swap unit stops
    /// only the serving generation.)
    private func mustWaitForDrains(_ id: GroupID, _ operation: Operation) -> Bool {
        guard let plan = operation.plan, plan.settings.strategy == .queue || !plan.isSwapUnit else { return false }
        return groups[id]?.drains.isEmpty == false
    }

    private mutating func finishStoppingOld(_ id: GroupID, _ operation: Operation) {
        groups[id]?.operation?.oldHasLeft = true
        for other in operation.outlivedBy.sorted() { touch(other) }
        startNewAfterOld(id, operation)
    }

    private mutating func startNewAfterOld(_ id: GroupID, _ operation: Operation) {
        // Connections wait for a swap unit, so it starts as soon as it can.
        if let plan = operation.plan, !plan.isSwapUnit, let obstacle = obstacle(to: plan) {
            return wait(id, operation, obstacle)
        }
        waitingToStart.remove(id)
        startNew(id)
    }

    private func servingGeneration(_ id: GroupID) -> Generation? {
        guard let group = groups[id], let serving = group.serving else { return nil }
        return group.generations[serving]
    }

    /// A plan that would bring the leaving instances back, as they were defined.
    private func planOfLeaving(_ id: GroupID) -> Plan? {
        guard let operation = groups[id]?.operation, let old = servingGeneration(id) else { return nil }
        var plan = old.plan
        plan.release = old.release
        plan.isWhole = (operation.plan?.isWhole ?? true) && !old.lacksMembers
        plan.services = operation.leaving.sorted().compactMap { instances[$0]?.spec }
        return plan.services.isEmpty ? nil : plan
    }

    // MARK: - Starting

    private mutating func startNew(_ id: GroupID) {
        guard var group = groups[id], var operation = group.operation, let plan = operation.plan,
            let number = operation.new
        else { return }
        let birth = GenerationID(group: id, number: number)
        let mandate: Instance.Mandate = operation.protects ? .onTrial : .serving
        for spec in plan.services {
            var instance = Instance(
                id: context.newInstance(), birth: birth, spec: spec, mandate: mandate, at: context.now)
            if !plan.isSwapUnit { instance.recentStarts = group.starts[spec.member] ?? [] }
            instances[instance.id] = instance
            group.generations[number]?.instances[spec.member] = instance.id
            group.generations[number]?.born &+= 1
            context.emit(.createInstance(instance.id, birth, spec))
        }
        operation.publicTier = publicTier(of: group.generations[number])
        group.operation = operation
        groups[id] = group
        let isAllPublic = operation.publicTier.count == plan.services.count
        enterStarting(isAllPublic ? .public : .private, id)
    }

    private mutating func enterStarting(_ tier: Operation.Tier, _ id: GroupID) {
        enter(.starting(tier), id)
        let limit = groups[id]?.operation?.readyTimeLeft
        deadlines.set(.group(id), limit.map { context.now + $0 })
    }

    /// The instances that accept on shared sockets, and all that start after one that does.
    private func publicTier(of generation: Generation?) -> Set<InstanceID> {
        let members = (generation?.instances.values).map { $0.compactMap { instances[$0] } } ?? []
        var units = Set(members.filter(\.spec.acceptsShared).map(\.spec.unit))
        var grew = true
        while grew {
            grew = false
            for member in members where !units.contains(member.spec.unit) {
                guard !member.spec.startsAfter.isDisjoint(with: units) else { continue }
                units.insert(member.spec.unit)
                grew = true
            }
        }
        return Set(members.filter { units.contains($0.spec.unit) }.map(\.id))
    }

    private mutating func advanceStarting(_ id: GroupID, _ operation: Operation, _ tier: Operation.Tier) {
        if let failure = cutoverObstacle(operation) { return rollBack(id, failure) }
        guard let new = operation.new, let generation = groups[id]?.generations[new] else { return }
        let all = generation.instances.values.sorted()
        let unready = Set(all.compactMap { instances[$0] }.filter { !$0.isReady }.map(\.spec.unit))
        let inTier = all.filter { tier == .public || !operation.publicTier.contains($0) }
        for instance in inTier {
            guard let waiting = instances[instance], case .waiting = waiting.state,
                waiting.spec.startsAfter.isDisjoint(with: unready)
            else { continue }
            with(instance) { $0.beginRun(&$1) }
        }
        if inTier.allSatisfy({ instances[$0]?.isReady ?? false }) { continueAfterReadiness(id, operation, tier) }
        if restartsAfterFailedStart(operation) { finishFailedStart(id) }
    }

    /// True if a plain service failed to start and `Restart=` keeps trying: the failure answers the request.
    private func restartsAfterFailedStart(_ operation: Operation) -> Bool {
        guard let plan = operation.plan, !plan.isSwapUnit, let new = operation.new else { return false }
        let members = groups[plan.group]?.generations[new]?.instances.values.compactMap { instances[$0] } ?? []
        // Also true between two runs without a pause (RestartSec=0), where the state `restartWait` is never visible.
        return members.contains { $0.restarts > 0 && $0.failure != nil && !$0.isReady && !$0.isGone }
    }

    private mutating func finishFailedStart(_ id: GroupID) {
        guard let operation = groups[id]?.operation, let new = operation.new else { return }
        let failure = firstFailure(of: operation)
        groups[id]?.operation?.failure = failure
        takeOver(id, new, operation)
        finish(id, .failed)
    }

    /// Continues when all services of a tier are ready: with the soak, if there is a generation to protect, else with
    /// the next tier.
    private mutating func continueAfterReadiness(_ id: GroupID, _ operation: Operation, _ tier: Operation.Tier) {
        // Both tiers share ReadyTimeoutSec=, whether they soak or not.
        let left = operation.readyTimeLeft.map { max(.zero, $0 - (context.now - operation.phaseSince)) }
        groups[id]?.operation?.readyTimeLeft = left
        guard operation.protects, let soak = operation.plan?.settings.soak, soak > .zero else {
            return continueAfterSoak(id, operation, tier)
        }
        enter(.soaking(tier), id)
        deadlines.set(.group(id), context.now + soak)
    }

    private mutating func continueAfterSoak(_ id: GroupID, _ operation: Operation, _ tier: Operation.Tier) {
        if let failure = cutoverObstacle(operation) { return rollBack(id, failure) }
        if tier == .private, !operation.publicTier.isEmpty { return enterStarting(.public, id) }
        guard operation.hold else { return cutOver(id) }
        if let new = operation.new { groups[id]?.generations[new]?.role = .held }
        enter(.holding, id)
    }

    mutating func groupDeadlineReached(_ id: GroupID) {
        guard let operation = groups[id]?.operation else { return }
        switch operation.phase {
        case .soaking(let tier): continueAfterSoak(id, operation, tier)
        case .starting: rollBack(id, readyTimeoutFailure(id, operation))
        case .waiting, .preparing, .holding, .draining, .stoppingOld, .rollingBack, .stopping, .reloading: break
        }
    }

    // MARK: - Cutover

    private mutating func cutOver(_ id: GroupID) {
        guard var group = groups[id], let operation = group.operation, let new = operation.new else { return }
        if operation.isRestoring || operation.kind == .start || operation.kind == .restart {
            // A generation that failed is no target for a rollback, and a restart is not a deploy: `rollback` still
            // returns to the generation before the last deploy.
        } else if let replaced = operation.oldHasLeft ? operation.restorePlan : planOfLeaving(id) {
            group.previous = replaced
        }
        group.lastFailure = nil
        groups[id] = group
        let old = group.serving
        context.emit(.report(.phase(id, generation: new, .cutOver)))
        takeOver(id, new, operation)
        for instance in newInstances(operation) {
            with(instance.id) {
                $0.mandate = .serving
                $0.stopProbe(&$1)
            }
        }
        // The old generation is asked to leave before the operation is reported as done.
        if let old { beginDraining(id, of: old) }
        finish(id, operation.isRestoring ? .rolledBack : .completed)
    }

    /// Makes the new generation the serving one, together with the members that were not replaced.
    private mutating func takeOver(_ id: GroupID, _ new: Int, _ operation: Operation) {
        guard var group = groups[id] else { return }
        let lacked = group.serving.map { group.generations[$0]?.lacksMembers ?? false } ?? true
        group.generations[new]?.lacksMembers = lacked && operation.plan?.isWhole == false
        if let old = group.serving, old != new {
            group.generations[old]?.role = .draining
            for (member, instance) in group.generations[old]?.instances ?? [:]
            where operation.carried.contains(instance) {
                group.generations[old]?.instances[member] = nil
                group.generations[new]?.instances[member] = instance
            }
        }
        group.serving = new
        group.generations[new]?.role = .serving
        group.since = context.now
        groups[id] = group
        let release = group.generations[new]?.release
        context.emit(.recordServing(GenerationID(group: id, number: new), release: release))
    }

    /// Ends an operation that an earlier version has left in its drain. The result describes this moment, so the new
    /// generation is checked again now. (There is no automatic way back: the generation that served before is leaving,
    /// and a new one that died is nothing to return from unasked.)
    private mutating func endAtCutover(_ id: GroupID, _ operation: Operation) {
        let generationOf = generationByInstance(id)
        if let old = operation.leaving.lazy.compactMap({ generationOf[$0] }).first { beginDraining(id, of: old) }
        guard let loss = failureAfterCutover(id) else {
            return finish(id, operation.isRestoring ? .rolledBack : .completed)
        }
        if groups[id]?.operation?.failure == nil { groups[id]?.operation?.failure = loss }
        finish(id, operation.isRestoring ? .failed : .lost)
    }

    // MARK: - Reload

    private mutating func advanceReloading(_ id: GroupID) {
        // A reload that a service began by itself is not part of this operation.
        let reloaded = groups[id]?.operation?.reloaded.sorted() ?? []
        let asked = reloaded.compactMap { instances[$0] }
        guard !asked.contains(where: { ServicePhase($0.state) == .reloading }) else { return }
        let failure = reloaded.compactMap { reloadFailure(of: $0, id) }.first
        groups[id]?.operation?.failure = failure
        finish(id, failure == nil ? .completed : .failed)
    }

    /// The failure of a service's reload that has ended; nil if the service was reloaded and is up.
    private func reloadFailure(of instance: InstanceID, _ id: GroupID) -> Failure? {
        guard let member = instances[instance] else {
            return Failure(unit: id.name, step: .reload, cause: .text("the service exited during the reload"))
        }
        if let failure = member.reloadFailure ?? member.failure { return failure }
        return member.isUp ? nil : member.failed(.reload, .text("the service exited during the reload"))
    }
}

extension Operation {
    /// True if there is a serving generation that must not be affected before cutover.
    var protects: Bool { from != nil && plan?.isSwapUnit == true && !isRestoring && kind != .start }
}

extension Plan {
    /// The unit to name in a failure when no single service is the cause.
    var unitName: String {
        guard services.count == 1, let only = services.first else { return group.name }
        return only.unit
    }
}
