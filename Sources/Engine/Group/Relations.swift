/// What the units of a plan say about other units, as far as it counts beyond the start (systemd.unit(5)).
public struct Relations: Sendable, Equatable, Codable, Blank {
    /// A unit that is to be up as long as this group is.
    public struct Upheld: Sendable, Hashable, Codable {
        public var group: GroupID
        /// Full name, to start it by.
        public var unit: String
        public init(group: GroupID, unit: String) {
            self.group = group
            self.unit = unit
        }
    }

    /// `Conflicts=`, whichever of the two says so: what is being stopped of these is gone before this group starts.
    public var conflicts: Set<GroupID> = []
    /// `BindsTo=`: when one of these ends, however, this group is stopped.
    public var bindsTo: Set<GroupID> = []
    /// `PartOf=`: when one of these is stopped by a request, this group is.
    public var stopsWith: Set<GroupID> = []
    /// `StopPropagatedFrom=`: when one of these is stopped or ends by itself, this group is stopped.
    @Added public var endsWith: Set<GroupID> = []
    /// `PropagatesStopTo=`: these are stopped when this group is stopped or ends by itself. (Of a target its parts; it never ends
    /// by itself.)
    public var stopsOthers: Set<GroupID> = []
    /// `ReloadPropagatedFrom=`: it is reloaded when one of these is.
    public var reloadsWith: Set<GroupID> = []
    /// `Before=`: these wait for it while it starts.
    public var before: Set<GroupID> = []
    public var upholds: Set<Upheld> = []
    /// Groups that it wants, requires, binds to or upholds: what is there only while it is needed stays for it.
    public var needs: Set<GroupID> = []
    public var stopsWhenUnneeded = false
    /// `OnFailure=` and `OnSuccess=` of the target whose services these are; those of a service are with the service.
    public var triggers = Triggers()

    public init() {}
}

/// `OnFailure=` and `OnSuccess=`: full names of units that are started when a unit has ended for good.
public struct Triggers: Sendable, Equatable, Codable, Blank {
    public var onFailure: [String] = []
    public var onSuccess: [String] = []
    public init() {}
}

/// Why units are started that nobody has asked for.
public enum StartCause: Sendable, Equatable {
    /// `OnFailure=` of this unit, and how it has ended; nil of a target, and where nothing was started.
    case failure(unit: String, ServiceEnd?)
    /// `OnSuccess=` of this unit.
    case success(unit: String, ServiceEnd?)
    /// `Upholds=` of this group.
    case upheld(by: GroupID)
}

/// Why a group is stopped that nobody has asked to be.
public enum StopCause: Sendable, Equatable {
    /// `BindsTo=` of what has ended.
    case lost(GroupID)
    /// `PropagatesStopTo=` of what has ended, or `StopPropagatedFrom=`.
    case propagated(from: GroupID)
    /// `StopWhenUnneeded=`
    case unneeded
}

/// How often an upheld group has been started in the interval that began then.
struct Upholding: Sendable, Codable {
    var since: Instant
    var count: Int
    /// It was asked for, and no start of it has begun since: refused, unless that comes still.
    @Added var isAwaited: Bool = false
    /// How often in a row.
    @Added var refusals: Int = 0

    /// The pause after a start that was refused (masked, no unit file, a conflict, out of something): nothing tells when that is over.
    var pause: Duration { .seconds(1 << min(refusals, 6)) }

    /// As systemd's own limit on such starts.
    static let interval = Duration.seconds(10)
    static let burst = 16
}

/// What holds between groups while they are up. Looked at when everything else has settled, because the end of one group and
/// the start of another may belong together.
extension Engine {
    /// A group has a plan now.
    mutating func noteRelations(_ plan: Plan) {
        let relations = plan.relations
        if relations != Relations() || !plan.requires.isEmpty { related.insert(plan.group) }
        let isKept = !relations.bindsTo.isEmpty || !relations.upholds.isEmpty || relations.stopsWhenUnneeded
        if isKept { kept.insert(plan.group) }
    }

    /// The group has come up or gone.
    mutating func relationsMayHaveChanged(_ id: GroupID? = nil) {
        if let id, groups[id]?.isActive != true {
            related.remove(id)
            kept.remove(id)
        }
        if !kept.isEmpty { relationsChanged = true }
    }

    /// Every round stops something or counts against a limit, so this ends.
    mutating func keepRelations() {
        while relationsChanged {
            relationsChanged = false
            for id in kept.sorted() { keepRelations(of: id) }
            settle()
        }
    }

    private mutating func keepRelations(of id: GroupID) {
        guard let group = groups[id], group.isActive else { return }
        guard !isShuttingDown, group.operation?.kind != .stop, !group.generations.isEmpty else { return }
        let relations = group.relations
        if let lost = relations.bindsTo.sorted().first(where: { !isUp($0) }) { return end(id, .lost(lost)) }
        guard group.serving != nil else { return }
        if relations.stopsWhenUnneeded, group.operation == nil, !isNeeded(id) { return end(id, .unneeded) }
        for upheld in relations.upholds.sorted(by: { $0.unit < $1.unit }) where !isActive(upheld.group) {
            guard mayUphold(upheld.group) else { continue }
            context.emit(.startUnits([upheld.unit], .upheld(by: id)))
        }
    }

    /// Stops what is to go along with a group that has ended by itself. systemd does so for these two and `BindsTo=`
    /// (UNIT_ATOM_RETROACTIVE_STOP_ON_STOP of its dependency table), and not for `PartOf=` and `Requires=`, which are about requests.
    ///
    /// - Parameter relations: of the plan that it ran by.
    mutating func propagateEnd(of id: GroupID, _ relations: Relations) {
        guard !isShuttingDown else { return }
        let naming = related.filter { groups[$0]?.relations.endsWith.contains(id) == true }
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
        groups[id].map { $0.isActive && $0.operation?.kind != .stop } ?? false
    }

    private func isNeeded(_ id: GroupID) -> Bool {
        related.contains { other in other != id && isUp(other) && groups[other]?.relations.needs.contains(id) == true }
    }

    /// What cannot be kept up is not started in a circle.
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

    /// A start of it has begun, whoever asked for it.
    mutating func noteStart(ofUpheld id: GroupID) {
        guard upheld[id]?.isAwaited == true else { return }
        upheld[id]?.isAwaited = false
        upheld[id]?.refusals = 0
        deadlines.set(.upheld(id), nil)
    }

    /// A start that failed before any of its services could: what they say about failure counts all the same.
    mutating func triggerFailure(_ plan: Plan) {
        for spec in plan.services { trigger(spec.triggers.onFailure, .failure(unit: spec.unit, nil)) }
    }

    mutating func trigger(_ units: [String], _ cause: StartCause) {
        guard !units.isEmpty, !isShuttingDown else { return }
        context.emit(.startUnits(units, cause))
    }
}

extension Group {
    /// By the plans of what serves and what is being started.
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
    /// What has ended for good starts units by this; nil while it has not, and if a condition skipped it before it began.
    var startCause: StartCause? {
        guard case .inactive(let result) = state else { return nil }
        let end = ServiceEnd(result: result, main: mainStatus)
        switch result {
        case .failed: return .failure(unit: spec.unit, end)
        case .clean: return .success(unit: spec.unit, end)
        // By `ExecCondition=`; where `Condition…=` does not hold, nothing has begun that could end.
        case .skipped: return hasBegun ? .success(unit: spec.unit, end) : nil
        }
    }
}
