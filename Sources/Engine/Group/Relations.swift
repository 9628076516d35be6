/// Relations of a plan's units to other units that matter beyond the start (systemd.unit(5)).
public struct Relations: Sendable, Equatable, Codable, DefaultInitializable {
    /// A unit that is kept up as long as this group is.
    public struct Upheld: Sendable, Hashable, Codable {
        public var group: GroupID
        /// Full name of the unit to start.
        public var unit: String
        public init(group: GroupID, unit: String) {
            self.group = group
            self.unit = unit
        }
    }

    /// `Conflicts=` of either side: a group of these that is being stopped must be gone before this group starts.
    public var conflicts: Set<GroupID> = []
    /// `BindsTo=`: when one of these ends for any reason, this group is stopped.
    public var bindsTo: Set<GroupID> = []
    /// `PartOf=`: when one of these is stopped by a request, this group is stopped.
    public var stopsWith: Set<GroupID> = []
    /// `StopPropagatedFrom=`: when one of these is stopped or ends by itself, this group is stopped.
    @Added public var endsWith: Set<GroupID> = []
    /// `PropagatesStopTo=`: these are stopped when this group is stopped or ends by itself. For a target, also its
    /// parts; a target never ends by itself.
    public var stopsOthers: Set<GroupID> = []
    /// `ReloadPropagatedFrom=`: this group is reloaded when one of these is.
    public var reloadsWith: Set<GroupID> = []
    /// `Before=`: these wait for this group while it starts.
    public var before: Set<GroupID> = []
    public var upholds: Set<Upheld> = []
    /// Groups that this one wants, requires, binds to or upholds: a group with `StopWhenUnneeded=` stays up for it.
    public var needs: Set<GroupID> = []
    public var stopsWhenUnneeded = false
    /// `OnFailure=` and `OnSuccess=` of the target that contains the services; those of a service are in its
    /// `ServiceSpec`.
    public var triggers = Triggers()

    public init() {}
}

/// `OnFailure=` and `OnSuccess=`: full names of units that are started when a unit has ended for good.
public struct Triggers: Sendable, Equatable, Codable, DefaultInitializable {
    public var onFailure: [String] = []
    public var onSuccess: [String] = []
    public init() {}
}

/// The reason for a start that was not requested by an operator.
public enum StartCause: Sendable, Equatable {
    /// `OnFailure=` of this unit, with the end of its run; nil for a target, and where nothing was started.
    case failure(unit: String, ServiceEnd?)
    /// `OnSuccess=` of this unit.
    case success(unit: String, ServiceEnd?)
    /// `Upholds=` of this group.
    case upheld(by: GroupID)
}

/// The reason for a stop that was not requested by an operator.
public enum StopCause: Sendable, Equatable {
    /// `BindsTo=` a group that has ended.
    case lost(GroupID)
    /// `PropagatesStopTo=` of a group that has ended, or `StopPropagatedFrom=` that group.
    case propagated(from: GroupID)
    /// `StopWhenUnneeded=`
    case unneeded
}

/// Count of the starts of an upheld group in the interval that began at `since`.
struct Upholding: Sendable, Codable {
    var since: Instant
    var count: Int
    /// A start was requested and has not begun since; it counts as refused if it does not begin before the next
    /// attempt.
    @Added var isAwaited: Bool = false
    /// Number of refused starts in a row.
    @Added var refusals: Int = 0

    /// The pause after a refused start (masked, no unit file, a conflict, a resource used up): no event reports the end
    /// of the cause.
    var pause: Duration { .seconds(1 << min(refusals, 6)) }

    /// The same limit as systemd's own on such starts.
    static let interval = Duration.seconds(10)
    static let burst = 16
}

/// Relations between groups that are up. Checked when everything else has settled, because the end of one group and the
/// start of another may belong together.
extension Engine {
    /// Records the relations of a group that has a new plan.
    mutating func recordRelations(_ plan: Plan) {
        let relations = plan.relations
        if relations != Relations() || !plan.requires.isEmpty { groupsWithRelations.insert(plan.group) }
        let isKept = !relations.bindsTo.isEmpty || !relations.upholds.isEmpty || relations.stopsWhenUnneeded
        if isKept { maintainedGroups.insert(plan.group) }
    }

    /// Requests a check of the relations, after the group has come up or gone.
    mutating func relationsMayHaveChanged(_ id: GroupID? = nil) {
        if let id, groups[id]?.isActive != true {
            groupsWithRelations.remove(id)
            maintainedGroups.remove(id)
        }
        if !maintainedGroups.isEmpty { relationsChanged = true }
    }

    /// Checks the relations until none causes an action. Every round stops a group or counts against a limit, so this
    /// ends.
    mutating func maintainRelations() {
        while relationsChanged {
            relationsChanged = false
            for id in maintainedGroups.sorted() { maintainRelations(of: id) }
            advanceTouchedGroups()
        }
    }

    private mutating func maintainRelations(of id: GroupID) {
        guard let group = groups[id], group.isActive else { return }
        guard !isShuttingDown, group.operation?.kind != .stop, !group.generations.isEmpty else { return }
        let relations = group.relations
        if let lost = relations.bindsTo.sorted().first(where: { !isUp($0) }) { return end(id, .lost(lost)) }
        guard group.serving != nil else { return }
        if relations.stopsWhenUnneeded, group.operation == nil, !isNeeded(id) { return end(id, .unneeded) }
        for upheld in relations.upholds.sorted(by: { $0.unit < $1.unit }) where !isComingOrUp(upheld.group) {
            guard mayUphold(upheld.group) else { continue }
            context.emit(.startUnits([upheld.unit], .upheld(by: id)))
        }
    }

    /// Stops the groups that stop together with a group that has ended by itself. systemd does so for these two
    /// relations and `BindsTo=` (UNIT_ATOM_RETROACTIVE_STOP_ON_STOP of its dependency table), but not for `PartOf=` and
    /// `Requires=`, which follow requests only.
    ///
    /// - Parameter relations: the relations of the plan by which the group ran.
    mutating func propagateEnd(of id: GroupID, _ relations: Relations) {
        guard !isShuttingDown else { return }
        let naming = groupsWithRelations.filter { groups[$0]?.relations.endsWith.contains(id) == true }
        for other in relations.stopsOthers.union(naming).sorted() where other != id {
            guard let group = groups[other], !group.generations.isEmpty, group.operation?.kind != .stop else {
                continue
            }
            end(other, .propagated(from: id))
        }
    }

    private mutating func end(_ id: GroupID, _ cause: StopCause) {
        context.emit(.report(.stopping(id, cause)))
        stopWithDependents(id, nil)
    }

    private func isUp(_ id: GroupID) -> Bool {
        groups[id].map { $0.isActive && !$0.isOnlyDraining && $0.operation?.kind != .stop } ?? false
    }

    private func isComingOrUp(_ id: GroupID) -> Bool {
        groups[id].map { $0.isActive && !$0.isOnlyDraining } ?? false
    }

    private func isNeeded(_ id: GroupID) -> Bool {
        groupsWithRelations.contains { other in
            other != id && isUp(other) && groups[other]?.relations.needs.contains(id) == true
        }
    }

    /// Limits the starts of an upheld group, so that a group that cannot stay up is not started in a loop.
    private mutating func mayUphold(_ id: GroupID) -> Bool {
        var past = upheld[id] ?? Upholding(since: context.now, count: 0)
        if past.isAwaited, let next = deadlines.deadline(of: .upheld(id)), next > context.now { return false }
        if context.now - past.since >= Upholding.interval { (past.since, past.count) = (context.now, 0) }
        guard past.count < Upholding.burst else {
            deadlines.set(.upheld(id), past.since + Upholding.interval)
            return false
        }
        past.count &+= 1
        past.refusals = past.isAwaited ? past.refusals &+ 1 : 0
        past.isAwaited = true
        upheld[id] = past
        deadlines.set(.upheld(id), context.now + past.pause)
        return true
    }

    /// Records that a start of an upheld group has begun, whatever requested it.
    mutating func recordStart(ofUpheld id: GroupID) {
        guard upheld[id]?.isAwaited == true else { return }
        upheld[id]?.isAwaited = false
        upheld[id]?.refusals = 0
        deadlines.set(.upheld(id), nil)
    }

    /// Starts the `OnFailure=` units of services whose start failed before any of them was executed.
    mutating func triggerFailure(_ plan: Plan) {
        for spec in plan.services { trigger(spec.triggers.onFailure, .failure(unit: spec.unit, nil)) }
    }

    mutating func trigger(_ units: [String], _ cause: StartCause) {
        guard !units.isEmpty, !isShuttingDown else { return }
        context.emit(.startUnits(units, cause))
    }
}

extension Group {
    /// The relations of the plan that serves and of the plan that is being started.
    var relations: Relations {
        var all = serving.flatMap { generations[$0]?.plan.relations } ?? Relations()
        if let coming = operation?.plan?.relations { all.add(coming) }
        return all
    }
}

extension Relations {
    mutating func add(_ other: Relations) {
        conflicts.formUnion(other.conflicts)
        bindsTo.formUnion(other.bindsTo)
        stopsWith.formUnion(other.stopsWith)
        endsWith.formUnion(other.endsWith)
        stopsOthers.formUnion(other.stopsOthers)
        reloadsWith.formUnion(other.reloadsWith)
        before.formUnion(other.before)
        upholds.formUnion(other.upholds)
        needs.formUnion(other.needs)
        stopsWhenUnneeded = stopsWhenUnneeded || other.stopsWhenUnneeded
    }
}

extension Triggers {
    func units(_ cause: StartCause) -> [String] {
        switch cause {
        case .failure: onFailure
        case .success: onSuccess
        case .upheld: []
        }
    }
}

extension Instance {
    /// The cause by which this instance starts units, once it has ended for good; nil before that, and if a condition
    /// skipped it before it began.
    var startCause: StartCause? {
        guard case .inactive(let result) = state else { return nil }
        let end = ServiceEnd(result: result, main: mainStatus)
        switch result {
        case .failed: return .failure(unit: spec.unit, end)
        case .clean: return .success(unit: spec.unit, end)
        // Skipped by `ExecCondition=`, a run has ended; skipped by `Condition…=`, no run has begun that could end.
        case .skipped: return hasBegun ? .success(unit: spec.unit, end) : nil
        }
    }
}
