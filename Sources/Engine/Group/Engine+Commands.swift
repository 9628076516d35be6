/// Commands of operators: each is refused, reported as unchanged, or begins an operation.
extension Engine {
    mutating func handle(_ command: Command, _ request: RequestID) {
        if isShuttingDown, !command.isAllowedDuringShutdown { return refuse(request, .shuttingDown) }
        switch command {
        case .start(let plan): start(plan, request)
        case .swap(let plan, let options): swap(plan, options, request)
        case .rollback(let id, let hold): rollBack(id, hold: hold, request)
        case .stop(let id): stop(id, request)
        case .promote(let id): promote(id, request)
        case .abort(let id): abort(id, request)
        case .reload(let id): reload(id, request)
        case .drain(let id, let choice): drain(id, choice, request)
        case .drainNow(let id): drain(id, DrainRequest(isNow: true), request)
        case .forget(let id): forget(id, request)
        case .resetFailed(let id): resetFailed(id, request)
        case .adopt(let adoption): adopt(adoption, request)
        case .shutDown: shutDown(request)
        }
    }

    mutating func refuse(_ request: RequestID, _ refusal: Refusal) {
        context.emit(.report(.refused(request, refusal)))
    }

    mutating func restore(_ id: GroupID, _ memory: GroupMemory) {
        let now = context.now
        groups[id, default: Group(id: id, at: now)].lastNumber = max(memory.lastNumber, groups[id]?.lastNumber ?? 0)
    }

    // MARK: - Start

    private mutating func start(_ plan: Plan, _ request: RequestID) {
        let id = plan.group
        if var operation = groups[id]?.operation {
            // A second `start` during a start waits for the same end.
            if operation.kind == .start, operation.isBeforeCutover, operation.plan?.release == plan.release {
                operation.requests.append(request)
                groups[id]?.operation = operation
                return
            }
            return refuse(request, .busy(id, operation.kind, PhaseName(operation)))
        }
        guard let group = groups[id], let serving = group.serving, let generation = group.generations[serving] else {
            return beginOperation(plan, SwapOptions(kind: .start), request)
        }
        // Services that run are not started again; members that are missing or have failed are.
        let missing = plan.services.filter { spec in
            generation.instances[spec.member].flatMap { instances[$0] }.map(\.isGone) ?? true
        }
        if !missing.isEmpty, plan.release == generation.release || !plan.isWhole || plan.release == nil {
            var part = plan
            part.services = missing
            part.isWhole = false
            return beginOperation(part, SwapOptions(kind: .start), request)
        }
        if plan.isWhole, plan.release != nil, plan.release != generation.release {
            return refuse(request, .otherReleaseServes(id, release: generation.release))
        }
        context.emit(.report(.unchanged(id, request)))
    }

    // MARK: - Swap

    private mutating func swap(_ plan: Plan, _ options: SwapOptions, _ request: RequestID) {
        let id = plan.group
        if let operation = groups[id]?.operation {
            return refuse(request, .busy(id, operation.kind, PhaseName(operation)))
        }
        let stopsOldFirst = options.stopFirst || plan.settings.strategy == .queue || !plan.isSwapUnit
        if groups[id]?.serving != nil {
            guard plan.isSwapUnit || options.kind == .restart else { return refuse(request, .notASwapUnit(id)) }
            guard !(options.hold && stopsOldFirst) else { return refuse(request, .holdNeedsOverlap(id)) }
        }
        beginOperation(plan, options, request)
    }

    private mutating func rollBack(_ id: GroupID, hold: Bool, _ request: RequestID) {
        guard let group = groups[id] else { return refuse(request, .nothingToRollBack(id)) }
        guard let previous = group.previous else { return refuse(request, .nothingToRollBack(id)) }
        swap(previous, SwapOptions(kind: .rollback, hold: hold), request)
    }

    /// Begins an operation that starts `plan`: beside the serving generation, or after that has left.
    private mutating func beginOperation(_ plan: Plan, _ options: SwapOptions, _ request: RequestID) {
        let id = plan.group
        recordStart(ofUpheld: id)
        var group = groups[id] ?? Group(id: id, at: context.now)
        var kind = options.kind
        if group.serving == nil, kind == .swap || kind == .restart { kind = .start }
        var operation = Operation(kind, .waiting, plan: plan, request: request, at: context.now)
        operation.hold = options.hold && group.serving != nil
        operation.from = group.serving.flatMap { group.generations[$0]?.summary }
        let hasOld = group.serving != nil || !group.drains.isEmpty
        operation.stopsOldFirst =
            hasOld && (options.stopFirst || plan.settings.strategy == .queue || !plan.isSwapUnit)
        // A swap unit keeps the serving generation until the groups it needs are up.
        if operation.stopsOldFirst, !plan.isSwapUnit { operation.outlivedBy = group.after.union(group.requires) }
        group.operation = operation
        (group.isDone, group.skippedBy) = (false, nil)
        groups[id] = group
        waitingToStart.insert(id)
        touch(id)
    }

    // MARK: - While a swap runs

    private mutating func promote(_ id: GroupID, _ request: RequestID) {
        guard var operation = groups[id]?.operation, operation.hold, operation.isBeforeCutover else {
            return refuse(request, .nothingToPromote(id))
        }
        operation.hold = false
        operation.requests.append(request)
        groups[id]?.operation = operation
        touch(id)
    }

    private mutating func abort(_ id: GroupID, _ request: RequestID) {
        guard var operation = groups[id]?.operation else { return refuse(request, .nothingToAbort(id, nil)) }
        guard operation.isBeforeCutover else {
            return refuse(request, .nothingToAbort(id, PhaseName(operation)))
        }
        operation.requests.append(request)
        operation.wasAborted = true
        groups[id]?.operation = operation
        rollBack(id, nil)
    }

    private mutating func reload(_ id: GroupID, _ request: RequestID) {
        guard let group = groups[id], let serving = group.serving, let generation = group.generations[serving] else {
            return refuse(request, .notRunning(id))
        }
        if let operation = group.operation {
            return refuse(request, .busy(id, operation.kind, PhaseName(operation)))
        }
        var reloaded: Set<InstanceID> = []
        for instance in generation.instances.values.sorted() {
            var begun = false
            with(instance) { begun = $0.reload(&$1) }
            if begun { reloaded.insert(instance) }
        }
        guard !reloaded.isEmpty else { return refuse(request, .noReload(id)) }
        groups[id]?.operation = Operation(.reload, .reloading, plan: nil, request: request, at: context.now)
        groups[id]?.operation?.reloaded = reloaded
        groups[id]?.operation?.from = generation.summary
        context.emit(.report(.phase(id, generation: serving, .reload)))
    }

    private mutating func forget(_ id: GroupID, _ request: RequestID) {
        if let group = groups[id], !group.isActive { groups[id]?.lastFailure = nil }
        context.emit(.report(.unchanged(id, request)))
    }

    private mutating func resetFailed(_ id: GroupID, _ request: RequestID) {
        groups[id]?.lastFailure = nil
        groups[id]?.starts = [:]
        let isIdle = groups[id]?.operation == nil
        for instance in instances.values.filter({ $0.group == id }).sorted(by: { $0.id < $1.id }) {
            with(instance.id) { instance, _ in instance.resetFailed(forgetsFailure: isIdle) }
        }
        context.emit(.report(.unchanged(id, request)))
    }

    // MARK: - Stop

    /// Stops the group and the groups that cannot run without it, dependents first. A stop replaces any other
    /// operation: it is never refused as "busy".
    private mutating func stop(_ id: GroupID, _ request: RequestID) {
        guard groups[id]?.isActive == true else { return context.emit(.report(.unchanged(id, request))) }
        stopWithDependents(id, request)
    }

    mutating func stopWithDependents(_ id: GroupID, _ request: RequestID?) {
        for dependent in dependents(of: id) where groups[dependent]?.isActive == true {
            beginStop(dependent, nil)
        }
        beginStop(id, request)
    }

    private mutating func beginStop(_ id: GroupID, _ request: RequestID?) {
        guard var group = groups[id] else { return }
        if group.operation?.kind == .stop {
            if let request { group.operation?.requests.append(request) }
            groups[id] = group
            return
        }
        let outlivedBy = group.after.union(group.requires)
        if group.operation != nil { endReplacedOperation(&group) }
        var operation = Operation(.stop, .stopping, plan: nil, request: request, at: context.now)
        operation.from = group.serving.flatMap { group.generations[$0]?.summary }
        operation.outlivedBy = outlivedBy
        operation.leaving = Set(instances.values.filter { $0.group == id }.map(\.id))
        group.operation = operation
        for number in group.generations.keys { group.generations[number]?.role = .stopping }
        groups[id] = group
        deadlines.set(.group(id), nil)
        context.emit(.report(.phase(id, generation: group.serving, .stop)))
        touch(id)
        // Operations that wait for a group that is being stopped may continue now.
        for other in waitingToStart.sorted() { touch(other) }
    }

    /// Groups that are stopped with this one, directly or indirectly: by `Requires=`, `BindsTo=`, `PartOf=`,
    /// `PropagatesStopTo=` and `StopPropagatedFrom=`.
    private func dependents(of id: GroupID) -> [GroupID] {
        var found: [GroupID] = []
        var queue = [id]
        while let next = queue.popLast() {
            let others = groups[next]?.relations.stopsOthers ?? []
            for group in groups.values where !found.contains(group.id) {
                let follows = group.requires.contains(next) || others.contains(group.id)
                let relations = group.relations
                guard follows || relations.stopsWith.contains(next) || relations.endsWith.contains(next) else {
                    continue
                }
                if group.id == id { continue }
                found.append(group.id)
                queue.append(group.id)
            }
        }
        return found.sorted()
    }

    private mutating func shutDown(_ request: RequestID) {
        shutdownRequests.append(request)
        guard !isShuttingDown else {
            // A second shutdown request ends draining instances at once.
            for group in groups.values.sorted(by: { $0.id < $1.id }) {
                for draining in group.drains { endDrain(group.id, draining.generation.number, .request) }
                for instance in leavingInOperation(group.id) { with(instance) { $0.endNow(&$1) } }
            }
            return
        }
        isShuttingDown = true
        for id in upheld.keys { deadlines.set(.upheld(id), nil) }
        upheld = [:]
        for id in groups.keys.sorted() where groups[id]?.isActive == true { beginStop(id, nil) }
    }

    mutating func finishShutdown() {
        guard isShuttingDown, !shutdownRequests.isEmpty, unansweredPreparations.isEmpty,
            !groups.values.contains(where: \.isActive)
        else { return }
        context.emit(.report(.shutDownComplete(shutdownRequests)))
        shutdownRequests = []
    }
}

extension Command {
    /// True for commands that are still allowed while everything is being stopped.
    fileprivate var isAllowedDuringShutdown: Bool {
        switch self {
        case .stop, .shutDown, .drain, .drainNow, .abort: true
        case .start, .swap, .rollback, .promote, .reload, .forget, .resetFailed, .adopt: false
        }
    }
}

extension Group {
    /// True if a generation of the group exists or an operation is under way.
    var isActive: Bool { operation != nil || serving != nil || !generations.isEmpty }

    /// True if nothing serves, and nothing happens but that generations drain.
    var isOnlyDraining: Bool { operation == nil && serving == nil && !drains.isEmpty }

    /// Groups it requires, by the plan that serves and the plan that is being started.
    var requires: Set<GroupID> {
        (serving.flatMap { generations[$0]?.plan.requires } ?? []).union(operation?.plan?.requires ?? [])
    }

    var after: Set<GroupID> {
        (serving.flatMap { generations[$0]?.plan.after } ?? []).union(operation?.plan?.after ?? [])
    }
}
