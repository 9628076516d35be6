import Vocabulary

/// Generations that drain beside the serving one. An operation ends at its cutover; the generation that it replaced
/// then leaves by itself, tier by tier (I4), while the next operation may begin.
extension Engine {
    // MARK: - Beginning

    /// Lets the instances that leave in the group's operation drain, and asks the first tier of them at once.
    mutating func beginDraining(_ id: GroupID, of number: Int) {
        guard let operation = groups[id]?.operation, let new = operation.new else { return }
        // A member that had failed and was started again has left already.
        for instance in operation.leaving.sorted().compactMap({ instances[$0] }) where instance.isGone {
            forget(instance)
        }
        guard let leaving = groups[id]?.operation?.leaving, !leaving.isEmpty,
            let generation = groups[id]?.generations[number]
        else { return }
        groups[id]?.operation?.leaving = []
        groups[id]?.generations[number]?.role = .draining
        groups[id]?.drains.append(
            Draining(
                generation: generation.summary, operation: operation.to?.number ?? new, kind: operation.kind,
                leaving: leaving, since: context.now))
        advanceDrains(id)
        limitDrains(id)
    }

    /// Ends the oldest draining generations by force where more than `MaxDraining=` drain. One that still does not
    /// leave is killed at the next cutover, so that their number stays bounded, however often a group is swapped.
    private mutating func limitDrains(_ id: GroupID) {
        guard let group = groups[id] else { return }
        let settings = group.serving.flatMap { group.generations[$0]?.plan.settings }
        let limit = settings?.drainLimit ?? SwapSettings.usualDrainLimit
        for draining in group.drains.prefix(max(0, group.drains.count - limit)) {
            endDrain(id, draining.generation.number, .limit(limit))
        }
    }

    // MARK: - Course

    /// Asks the next tier of every draining generation to leave, and forgets the instances that are gone.
    mutating func advanceDrains(_ id: GroupID) {
        guard let drains = groups[id]?.drains, !drains.isEmpty else { return }
        for draining in drains {
            retire(id, isRestarting: false) { group in
                group.drains.first { $0.generation.number == draining.generation.number }?.leaving ?? []
            }
        }
    }

    /// Sends the kill signal to a draining generation, or SIGKILL where it was sent already. Services of later tiers
    /// follow in their order.
    mutating func endDrain(_ id: GroupID, _ number: Int, _ force: DrainForce) {
        guard let index = groups[id]?.drains.firstIndex(where: { $0.generation.number == number }),
            let draining = groups[id]?.drains[index]
        else { return }
        if draining.force == nil {
            groups[id]?.drains[index].force = force
            context.emit(.report(.drainForced(id, draining.generation, force)))
        }
        for instance in draining.leaving.sorted() where instances[instance]?.mandate == .leaving {
            with(instance) { $0.endNow(&$1) }
        }
        touch(id)
    }

    /// True if the instance belongs to a draining generation that was not left to finish its work.
    func isForced(_ instance: Instance) -> Bool {
        groups[instance.group]?.drains.contains { $0.leaving.contains(instance.id) && $0.isEnded } ?? false
    }

    /// Counts the connections that the kill signal has cut.
    mutating func recordCut(_ instance: InstanceID, connections: Int) {
        guard let id = instances[instance]?.group,
            let index = groups[id]?.drains.firstIndex(where: { $0.leaving.contains(instance) })
        else { return }
        let known = groups[id]?.drains[index].connectionsCut ?? 0
        groups[id]?.drains[index].connectionsCut = known + connections
    }

    // MARK: - End

    /// Removes an instance that is gone from the draining generation it belongs to.
    mutating func leaveDrain(_ instance: Instance) {
        let id = instance.group
        guard let index = groups[id]?.drains.firstIndex(where: { $0.leaving.contains(instance.id) }) else { return }
        groups[id]?.drains[index].leaving.remove(instance.id)
        if instance.hasExceededDrain, groups[id]?.drains[index].force == nil {
            groups[id]?.drains[index].force = .timeout
        }
        if instance.mandate == .leaving, let failure = instance.finalFailure {
            groups[id]?.drains[index].uncleanEnds.append(failure)
        }
    }

    /// Reports the draining generations of which nothing is left.
    mutating func reportEndedDrains(_ id: GroupID) {
        guard let ended = groups[id]?.drains.filter(\.leaving.isEmpty), !ended.isEmpty else { return }
        groups[id]?.drains.removeAll(where: \.leaving.isEmpty)
        for draining in ended {
            let waiting = Set(groups[id]?.drains.flatMap(\.requests) ?? [])
            let result = DrainResult(
                generation: draining.generation, operation: draining.operation, kind: draining.kind,
                duration: context.now - draining.since, force: draining.force,
                connectionsCut: draining.connectionsCut, uncleanEnds: draining.uncleanEnds,
                loss: lossAfter(draining, id))
            context.emit(.report(.drained(id, result, draining.requests.filter { !waiting.contains($0) })))
        }
    }

    /// The failure of the generation that replaced a draining one, if it is the latest and no longer serves.
    private func lossAfter(_ draining: Draining, _ id: GroupID) -> Failure? {
        guard !draining.isRejected, let group = groups[id], group.operation == nil, !isShuttingDown,
            (group.serving ?? group.lastNumber) == draining.operation
        else { return nil }
        if group.serving == nil, let failure = group.lastFailure { return failure }
        return failureAfterCutover(id)
    }

    // MARK: - Requests

    mutating func drain(_ id: GroupID, _ drain: DrainRequest, _ request: RequestID) {
        let chosen = groups[id]?.drains.filter(drain.concerns) ?? []
        // Services that leave in an operation are waited for by that operation.
        let others = drain.generations != nil ? [] : leavingInOperation(id)
        guard !chosen.isEmpty || !others.isEmpty else { return refuse(request, .nothingDrains(id)) }
        for draining in chosen {
            guard let index = groups[id]?.drains.firstIndex(where: { $0.generation == draining.generation }) else {
                continue
            }
            groups[id]?.drains[index].requests.append(request)
        }
        if chosen.isEmpty { groups[id]?.operation?.requests.append(request) }
        guard drain.isNow else { return }
        for draining in chosen { endDrain(id, draining.generation.number, .request) }
        for instance in others { with(instance) { $0.endNow(&$1) } }
    }

    func leavingInOperation(_ id: GroupID) -> [InstanceID] {
        guard let group = groups[id], group.operation != nil else { return [] }
        let draining = group.drains.reduce(into: Set<InstanceID>()) { $0.formUnion($1.leaving) }
        return instances.values.filter {
            $0.group == id && $0.mandate == .leaving && !$0.isGone && !draining.contains($0.id)
        }.map(\.id).sorted()
    }

    /// Draining generations, the oldest first.
    public func drains(of id: GroupID) -> [DrainView] {
        (groups[id]?.drains ?? []).map {
            DrainView(generation: $0.generation, since: $0.since, force: $0.force)
        }
    }
}

extension Draining {
    /// True if the kill signal is sent to each of its services when it is their turn. After `DrainTimeoutSec=` it is
    /// not: every tier has the whole time.
    var isEnded: Bool {
        switch force {
        case .limit, .request, .queue: true
        case .timeout, nil: false
        }
    }
}
