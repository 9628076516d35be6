/// The end of generations: in reverse order of `After=`, each tier only when the one before it is gone (I4). A
/// generation counts as gone only when nothing of it is left (I3).
extension Engine {
    /// Asks the next leaving instances to go, and forgets those that are gone; true when all are.
    mutating func retireLeavingInstances(_ id: GroupID) -> Bool {
        let isRestarting = groups[id]?.operation?.restarts ?? false
        retire(id, isRestarting: isRestarting) { $0.operation?.leaving ?? [] }
        return groups[id]?.operation?.leaving.isEmpty ?? true
    }

    /// Asks the next instances of a set to go, and forgets those that are gone, which removes them from the set.
    mutating func retire(_ id: GroupID, isRestarting: Bool, _ set: (Group) -> Set<InstanceID>) {
        let generationOf = generationByInstance(id)
        var moved = true
        while moved {
            moved = false
            let leaving = (groups[id].map(set) ?? []).sorted().compactMap { instances[$0] }
            for instance in leaving where instance.isGone {
                forget(instance)
                moved = true
            }
            let alive = leaving.filter { !$0.isGone }
            for instance in alive where instance.mandate != .leaving {
                guard
                    !alive.contains(where: {
                        generationOf[$0.id] == generationOf[instance.id] && $0.uses(instance)
                    })
                else { continue }
                let isForced = isForced(instance)
                with(instance.id) {
                    $0.isRestarting = isRestarting
                    $0.retire(&$1)
                    if isForced { $0.endNow(&$1) }
                }
                moved = true
            }
            // Members of different releases may name each other in a circle: then one of them has to begin.
            if !moved, !alive.contains(where: { $0.mandate == .leaving }), let last = alive.last {
                with(last.id) { $0.retire(&$1) }
                moved = true
            }
        }
    }

    /// The generation each instance belongs to. Members use members of their own generation; one that was carried over
    /// belongs to the newer generation.
    func generationByInstance(_ id: GroupID) -> [InstanceID: Int] {
        var found: [InstanceID: Int] = [:]
        for generation in groups[id]?.generations.values.map({ $0 }) ?? [] {
            for instance in generation.instances.values { found[instance] = generation.number }
        }
        return found
    }

    mutating func forget(_ instance: Instance) {
        let id = instance.group
        recordEnd(of: instance)
        instances[instance.id] = nil
        if groups[id]?.generations[instance.birth.number]?.plan.isSwapUnit == false {
            groups[id]?.starts[instance.spec.member] = instance.recentStarts.isEmpty ? nil : instance.recentStarts
        }
        deadlines.set(.instance(instance.id), nil)
        deadlines.set(.probe(instance.id), nil)
        deadlines.set(.watchdog(instance.id), nil)
        deadlines.set(.runtime(instance.id), nil)
        for token in instance.openTokens { owners[token] = nil }
        groups[id]?.operation?.leaving.remove(instance.id)
        leaveDrain(instance)
        var emptied = [instance.birth]
        for number in groups[id]?.generations.keys.sorted() ?? [] {
            if groups[id]?.generations[number]?.instances[instance.spec.member] == instance.id {
                groups[id]?.generations[number]?.instances[instance.spec.member] = nil
                if number != instance.birth.number { emptied.append(GenerationID(group: id, number: number)) }
            }
        }
        groups[id]?.generations[instance.birth.number]?.born &-= 1
        context.emit(.forgetInstance(instance.id))
        for generation in emptied { releaseIfEmpty(generation) }
        reportEndedDrains(id)
    }

    /// Records the end of an instance that was asked to leave: its failure counts, and its `OnFailure=` or `OnSuccess=`
    /// units are started. (An instance that is rolled back never served.)
    private mutating func recordEnd(of instance: Instance) {
        let id = instance.group
        guard instance.mandate == .leaving, let group = groups[id] else { return }
        let isStopped = group.operation?.kind == .stop
        if let draining = group.drains.first(where: { $0.leaving.contains(instance.id) }) {
            guard !draining.isRejected else { return }
        } else {
            switch group.operation?.phase {
            case .draining, .stoppingOld, .stopping: break
            case nil, .waiting, .preparing, .starting, .soaking, .holding, .rollingBack, .reloading: return
            }
        }
        if let failure = instance.finalFailure, group.operation?.leaving.contains(instance.id) == true {
            groups[id]?.operation?.uncleanEnds.append(failure)
        }
        guard let cause = instance.startCause else { return }
        switch cause {
        case .success:
            // An instance that makes way for its successor has not ended for good.
            guard isStopped else { return }
        case .failure, .upheld: break
        }
        trigger(instance.spec.triggers.units(cause), cause)
    }

    /// Removes a generation of which nothing is left, unless it is about to start.
    mutating func releaseIfEmpty(_ generation: GenerationID) {
        let id = generation.group
        guard let found = groups[id]?.generations[generation.number], found.born <= 0 else { return }
        // Members that were started in an older generation may remain.
        guard found.instances.isEmpty else { return }
        groups[id]?.generations[generation.number] = nil
        if groups[id]?.serving == generation.number { groups[id]?.serving = nil }
        if !unansweredPreparations.contains(generation) { context.emit(.releaseGeneration(generation)) }
    }

    // MARK: - Stop

    /// True if other groups that are being stopped need this group until they are gone.
    func mustOutliveOthers(_ id: GroupID) -> Bool {
        groups.values.contains { isOutlived($0, by: id) }
    }

    /// Groups that are being stopped and must be gone before this group is asked to leave.
    func outlived(by id: GroupID) -> [GroupID] {
        groups.values.filter { isOutlived($0, by: id) }.map(\.id).sorted()
    }

    private func isOutlived(_ other: Group, by id: GroupID) -> Bool {
        other.id != id && stopsBefore(other, id) && !reaches(id, other.id)
    }

    private func stopsBefore(_ other: Group, _ id: GroupID) -> Bool {
        guard let operation = other.operation, !operation.oldHasLeft else { return false }
        return operation.outlivedBy.contains(id)
    }

    /// True if `id` in turn must stop before `goal`. That is a cycle, in which no group waits.
    private func reaches(_ id: GroupID, _ goal: GroupID) -> Bool {
        var seen: Set<GroupID> = []
        var queue = [id]
        while let next = queue.popLast() {
            if next == goal { return true }
            guard seen.insert(next).inserted, let operation = groups[next]?.operation else { continue }
            queue.append(contentsOf: operation.outlivedBy)
        }
        return false
    }

    mutating func finishStop(_ id: GroupID) {
        for number in groups[id]?.generations.keys.sorted() ?? [] {
            releaseIfEmpty(GenerationID(group: id, number: number))
        }
        groups[id]?.serving = nil
        groups[id]?.since = context.now
        // As under systemd, a group whose stop was unclean is failed.
        let failure = groups[id]?.operation?.uncleanEnds.first
        groups[id]?.lastFailure = failure
        finish(id, .completed)
    }

    /// Ends an operation because a stop replaces it. Its requests receive the outcome `aborted` or, after its cutover,
    /// `lost`.
    mutating func endReplacedOperation(_ group: inout Group) {
        guard let operation = group.operation else { return }
        recordAbandonedPreparation(group.id, operation)
        group.operation = nil
        waitingToStart.remove(group.id)
        let isAfterCutover = operation.phase == .draining && !operation.isRestoring
        let text = isAfterCutover ? "stopped while the old generation drained" : "stopped by another request"
        let step = isAfterCutover ? Failure.Step.run : .start
        let stopped = Failure(unit: group.id.name, step: step, cause: .text(text))
        // The serving generation is being stopped as well.
        let result = FinishedOperation(
            kind: operation.kind, outcome: isAfterCutover ? .lost : .aborted, from: operation.from, to: operation.to,
            serving: nil, failure: operation.failure ?? stopped, skippedBy: nil, uncleanEnds: operation.uncleanEnds,
            durations: operation.durations)
        context.emit(.report(.finished(group.id, result, operation.requests)))
    }

    // MARK: - Ends of operations and generations

    mutating func finish(_ id: GroupID, _ outcome: FinishedOperation.Outcome) {
        guard var group = groups[id], let operation = group.operation else { return }
        group.operation = nil
        var durations = operation.durations
        durations.append(
            PhaseDuration(phase: PhaseName(operation), duration: context.now - operation.phaseSince))
        // A rollback only appears in the history; a group that serves has no failure to show.
        if let failure = operation.failure, operation.kind != .reload, outcome != .rolledBack, outcome != .aborted {
            group.lastFailure = failure
        }
        let serving = group.serving.flatMap { group.generations[$0]?.summary }
        var result = FinishedOperation(
            kind: operation.kind, outcome: outcome, from: operation.from, to: operation.to, serving: serving,
            failure: operation.failure, skippedBy: outcome == .completed ? conditionSkipping(operation) : nil,
            uncleanEnds: operation.uncleanEnds, durations: durations)
        result.draining = group.drains.map(\.generation)
        switch outcome {
        case .completed: recordEndedServices(of: operation, in: &result)
        case .rolledBack, .aborted: result.ended = endedMembers(of: group)
        case .failed, .lost: break
        }
        groups[id] = group
        deadlines.set(.group(id), nil)
        context.emit(.report(.finished(id, result, operation.requests)))
        if outcome == .failed, operation.isStart, let relations = operation.plan?.relations {
            trigger(relations.triggers.onFailure, .failure(unit: id.name, nil))
        }
        if outcome == .failed, groups[id]?.isActive == false, operation.hasBegun, let plan = operation.plan {
            propagateEnd(of: id, plan.relations)
        }
        relationsMayHaveChanged(id)
        touch(id)
        // Wakes the groups that wait to start after this group or to stop after it.
        for other in waitingToStart.sorted() { touch(other) }
        for other in operation.outlivedBy.sorted() { touch(other) }
    }

    /// Services of the serving generation that have ended: "still serves" is reported only with their names.
    private func endedMembers(of group: Group) -> [String] {
        let serving = group.serving.flatMap { group.generations[$0]?.instances.values.sorted() } ?? []
        return serving.compactMap { instances[$0] }.filter { $0.isGone && !$0.isDone }.map(\.spec.unit)
    }

    /// Records which of the new services have ended: "started" and "serves" are reported only of services that run at
    /// this moment.
    private func recordEndedServices(of operation: Operation, in result: inout FinishedOperation) {
        let brought = newInstances(operation)
        guard !brought.isEmpty, result.skippedBy == nil else { return }
        result.isOver = brought.allSatisfy(\.isGone)
        if !result.isOver { result.ended = brought.filter { $0.isGone && !$0.isDone }.map(\.spec.unit) }
    }

    /// Ends a generation, outside any operation, once every service of it has ended.
    mutating func endIdleGeneration(_ id: GroupID) {
        guard let serving = groups[id]?.serving, let generation = groups[id]?.generations[serving] else { return }
        if generation.plan.isTarget { return }
        let members = generation.instances.values.sorted().compactMap { instances[$0] }
        guard members.allSatisfy(\.isGone) else {
            if let failure = members.lazy.compactMap(\.failure).first { groups[id]?.lastFailure = failure }
            return
        }
        // The result of each member's last run counts, not earlier failures.
        let failure = members.lazy.compactMap(\.finalFailure).first
        groups[id]?.lastFailure = failure
        groups[id]?.isDone = members.allSatisfy(\.isDone)
        groups[id]?.skippedBy = Self.conditionSkipping(members)
        groups[id]?.since = context.now
        for member in members { forget(member) }
        releaseIfEmpty(GenerationID(group: id, number: serving))
        groups[id]?.serving = nil
        let triggers = generation.plan.relations.triggers
        if failure != nil {
            trigger(triggers.onFailure, .failure(unit: id.name, nil))
        } else {
            trigger(triggers.onSuccess, .success(unit: id.name, nil))
        }
        propagateEnd(of: id, generation.plan.relations)
        relationsMayHaveChanged(id)
    }
}
