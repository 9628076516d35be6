/// Facts about single groups and instances, for the code that carries out effects.
extension Engine {
    /// How the run that is ending ended, for the commands that run after it (`$SERVICE_RESULT`); nil while it has not
    /// ended.
    public func serviceEnd(of id: InstanceID) -> ServiceEnd? {
        guard let instance = instances[id], let result = instance.result else { return nil }
        return ServiceEnd(result: result, main: instance.mainStatus)
    }

    /// True if the group is swapped, rather than stopped and started.
    public func isSwapUnit(_ id: GroupID) -> Bool {
        guard let group = groups[id] else { return false }
        let serving = group.serving.flatMap { group.generations[$0]?.plan }
        return (serving ?? group.operation?.plan)?.isSwapUnit ?? false
    }

    /// The plan of a generation.
    public func plan(of id: GenerationID) -> Plan? { groups[id.group]?.generations[id.number]?.plan }

    public var instanceIDs: [InstanceID] { instances.keys.sorted() }

    /// The main process, if the instance has one.
    public func mainProcess(of id: InstanceID) -> Token? { instances[id]?.mainProcess }

    /// The command beside the main process, if one runs.
    public func controlProcess(of id: InstanceID) -> Token? { instances[id]?.controlProcess }

    /// True if the execution of a command may wait for the end of a shortage: at an automatic restart, which would count
    /// as a failed start and use up `StartLimitBurst=`. In an operation the failure is the client's answer.
    public func mayPostpone(_ command: ServiceCommand, of id: InstanceID) -> Bool {
        guard command.beginsRun, let group = instances[id]?.group else { return false }
        return groups[group]?.operation == nil
    }

    /// The newest request that is still to be answered.
    public var lastRequest: UInt64 { awaitedRequests.map(\.number).max() ?? 0 }

    /// Requests that are still to be answered.
    public var awaitedRequests: Set<RequestID> {
        let drains = groups.values.flatMap { $0.drains.flatMap(\.requests) }
        return Set(groups.values.flatMap { $0.operation?.requests ?? [] } + drains + shutdownRequests)
    }

    /// True if everything has been stopped and the requests were answered. A process that finds this took over from a
    /// supervisor that was killed before it exited.
    public var hasShutDown: Bool { isShuttingDown && shutdownRequests.isEmpty }

    /// Forgets a group that is gone and will not be asked about: for example the instance of a connection that has
    /// ended.
    ///
    /// - Returns: false if the group is still needed: it is active, or a waiting group requires it.
    @discardableResult
    public mutating func discard(_ id: GroupID) -> Bool {
        guard groups[id]?.isActive == false else { return false }
        let isAwaited = waitingToStart.contains { groups[$0]?.operation?.plan?.requires.contains(id) == true }
        guard !isAwaited else { return false }
        groups[id] = nil
        upheld[id] = nil
        deadlines.set(.group(id), nil)
        deadlines.set(.upheld(id), nil)
        return true
    }

    /// Groups of which nothing runs, in the order in which they ended, and whether they failed.
    public var inactiveGroups: [(id: GroupID, hasFailed: Bool)] {
        groups.values.filter { !$0.isActive }.sorted { ($0.since, $0.id) < ($1.since, $1.id) }
            .map { ($0.id, $0.lastFailure != nil) }
    }

    /// True if a generation of the group exists or an operation is under way.
    public func isActive(_ id: GroupID) -> Bool { groups[id]?.isActive ?? false }

    /// True if nothing of the group serves or is about to, and old generations of it drain.
    public func isOnlyDraining(_ id: GroupID) -> Bool { groups[id]?.isOnlyDraining ?? false }

    /// The group's state, for transactions.
    public func unitActivity(of id: GroupID) -> UnitActivity {
        guard let group = groups[id], group.isActive else { return .inactive }
        if group.operation?.kind == .stop || group.isOnlyDraining { return .deactivating }
        return group.serving == nil ? .activating : .active
    }

    /// Active groups that have relations to others beyond their order.
    public var relatedGroups: [GroupID] {
        groupsWithRelations.sorted()
    }

    /// True if the group is a target without services of its own.
    public func isTarget(_ id: GroupID) -> Bool {
        guard let group = groups[id] else { return false }
        return (group.serving.flatMap { group.generations[$0]?.plan } ?? group.operation?.plan)?.isTarget ?? false
    }

    /// The release that serves.
    public func servingRelease(of id: GroupID) -> String? {
        guard let group = groups[id], let serving = group.serving else { return nil }
        return group.generations[serving]?.release
    }
}

extension Instance {
    /// The result of the run that is ending or has ended.
    fileprivate var result: ServiceResult? {
        switch state {
        case .stopping(_, _, let ending), .terminating(_, let ending), .killing(_, let ending),
            .stopPost(_, _, let ending), .sweeping(_, let ending):
            ending.result
        case .restartWait(let result), .inactive(let result): result
        case .waiting, .checking, .condition, .startPre, .starting, .oneshot, .forking, .awaitingMain, .probing,
            .startPost, .running, .exited, .reloading, .reloadSignalled, .reloadAnnounced, .draining:
            nil
        }
    }
}
