/// Single facts that whoever carries out effects must know.
extension Engine {
    /// How the run that is ending ended, for the commands that come after it (`$SERVICE_RESULT`); nil while nothing ends.
    public func end(of id: InstanceID) -> ServiceEnd? {
        guard let instance = instances[id], let result = instance.result else { return nil }
        return ServiceEnd(result: result, main: instance.mainStatus)
    }

    /// The group is swapped, rather than stopped and started.
    public func isSwapUnit(_ id: GroupID) -> Bool {
        guard let group = groups[id] else { return false }
        let serving = group.serving.flatMap { group.generations[$0]?.plan }
        return (serving ?? group.operation?.plan)?.isSwapUnit ?? false
    }

    /// What a generation was started from, or is to be.
    public func plan(of id: GenerationID) -> Plan? { groups[id.group]?.generations[id.number]?.plan }

    public var instanceIDs: [InstanceID] { instances.keys.sorted() }

    /// The main process, as far as the instance has one.
    public func mainProcess(of id: InstanceID) -> Token? { instances[id]?.mainProcess }

    /// The command beside the main process, if one runs.
    public func controlProcess(of id: InstanceID) -> Token? { instances[id]?.controlProcess }

    /// The newest request that an operation is to be answered to.
    public var lastRequest: UInt64 { awaitedRequests.map(\.number).max() ?? 0 }

    /// Requests whose end this engine will tell.
    public var awaitedRequests: Set<RequestID> {
        Set(groups.values.flatMap { $0.operation?.requests ?? [] } + shutdownRequests)
    }

    /// Everything has been stopped, and that was told: whoever told it has not lived to end.
    public var hasEnded: Bool { isShuttingDown && shutdownRequests.isEmpty }

    /// Everything is being stopped, or has been.
    public var isEnding: Bool { isShuttingDown }

    /// Forgets a group of which nothing is left and that nobody will ask about: the instance of a connection that has ended.
    /// - Returns: false if it is needed still: it exists, or something that waits requires what it has done.
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

    /// Groups of which nothing runs, those first that ended first, and whether they failed.
    public var inactiveGroups: [(id: GroupID, hasFailed: Bool)] {
        groups.values.filter { !$0.isActive }.sorted { ($0.since, $0.id) < ($1.since, $1.id) }
            .map { ($0.id, $0.lastFailure != nil) }
    }

    /// Something of the group exists or is about to.
    public func isActive(_ id: GroupID) -> Bool { groups[id]?.isActive ?? false }

    /// How far the group is, for transactions.
    public func unitActivity(of id: GroupID) -> UnitActivity {
        guard let group = groups[id], group.isActive else { return .inactive }
        if group.operation?.kind == .stop { return .deactivating }
        return group.serving == nil ? .activating : .active
    }

    /// Groups that are there and say something about others beyond their order.
    public var relatedGroups: [GroupID] {
        related.sorted()
    }

    /// The group is a target without services of its own.
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
    /// How the run that is ending ended.
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
