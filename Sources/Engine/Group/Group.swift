/// A swap unit or plain service: its generations, and the one operation that may be under way (I2).
struct Group: Sendable, Codable {
    let id: GroupID
    /// The number of the latest generation. Numbers are never reused, not even after a rollback or a restart of the
    /// supervisor.
    var lastNumber = 0
    /// The generation that serves, if any. It stays the serving generation when it is degraded (one of its services
    /// failed).
    var serving: Int?
    var generations: [Int: Generation] = [:]
    var operation: Operation?
    /// Generations that drain by themselves, the oldest first.
    @Added var drains: [Draining] = []
    /// The plan that `rollback` swaps to: the services that the last completed swap replaced, as they were defined.
    var previous: Plan?
    /// The failure of the last operation or run; cleared by one that succeeds.
    var lastFailure: Failure?
    /// The purpose of the last start is fulfilled: all services were oneshots that succeeded, or conditions skipped
    /// them. Groups that require this one may start, although nothing of it runs.
    @Added var isDone: Bool = false
    /// The condition that skipped the last start of all its services.
    var skippedBy: String?
    /// Start times of members that no longer exist, for `StartLimitBurst=`. For a plain service, starts by operators
    /// count too; repeated deploys of a swap unit are no failure of it.
    @Added var starts: [String: [Instant]] = [:]
    /// When the group last came up or went down.
    var since: Instant

    init(id: GroupID, at now: Instant) {
        self.id = id
        self.since = now
    }
}

/// One generation: its present instances, and the plan it was started from.
///
/// A member that a swap did not move is carried over: its instance then belongs to the newer generation, while its
/// sockets and directory stay those of the generation it was born in.
struct Generation: Sendable, Codable {
    enum Role: Sendable, Codable { case starting, held, serving, draining, rollingBack, stopping }
    let number: Int
    var release: String?
    var plan: Plan
    var role: Role
    /// Instances by member, one for each.
    var instances: [String: InstanceID] = [:]
    /// Number of instances born in this generation that still exist, whichever generation they belong to now.
    var born = 0
    /// True if only some members were started and there was no older generation to carry the others over from. A return
    /// to this generation must not remove members that were started later: one of them may be the acceptor (I1).
    @Added var lacksMembers: Bool = false
    let startedAt: Instant

    var summary: GenerationSummary { GenerationSummary(number: number, release: release) }
}

/// A start, swap, rollback, restart, reload or stop under way.
struct Operation: Sendable, Codable {
    /// A tier of a new generation. The private tier is proved whole, soak included, before any service that accepts on
    /// a public socket is started; a service that crashes early has then never had a request.
    enum Tier: Sendable, Codable { case `private`, `public` }

    enum Phase: Sendable, Equatable, Codable {
        /// Waits for groups that this one starts after.
        case waiting
        case preparing
        case starting(Tier)
        case soaking(Tier)
        case holding
        /// Cut over: the old instances leave. Only in the state of earlier versions, whose operations ended with the
        /// drain.
        case draining
        /// Strategy `queue`: the old instances leave before the new ones start.
        case stoppingOld
        case rollingBack
        case stopping
        case reloading
    }

    let kind: OperationKind
    var phase: Phase
    var requests: [RequestID]
    var hold: Bool
    /// The old generation stops before the new one starts.
    var stopsOldFirst: Bool
    /// The plan to start; nil for a stop or reload.
    var plan: Plan?
    /// The generation being started.
    var new: Int?
    /// Instances of the new generation that accept publicly, or start after one that does.
    var publicTier: Set<InstanceID> = []
    /// Instances that leave: the replaced ones, or on rollback the new ones.
    var leaving: Set<InstanceID> = []
    /// Instances that stay and belong to the new generation after cutover.
    var carried: Set<InstanceID> = []
    /// Members whose leaving instances accepted on shared sockets. A successor of such a member may not be skipped,
    /// because then the socket would have no acceptor (I1).
    var acceptedBefore: Set<String> = []
    /// The rest of `ReadyTimeoutSec=`; soak time does not count.
    var readyTimeLeft: Duration?
    /// The old instances left first (strategy `queue`), so only a new start can bring them back.
    var oldHasLeft = false
    /// The generation that served before a failed swap of strategy `queue` is being started again.
    var isRestoring = false
    /// The plan of that restoration.
    var restorePlan: Plan?
    var wasAborted = false
    /// The wait for other groups has been reported.
    var hasReportedWait = false
    /// In a reload: the instances whose `ExecReload=` runs or ran.
    var reloaded: Set<InstanceID> = []
    /// In a stop: groups that must outlive this one. Recorded at the beginning, because the plans are dropped with the
    /// generations.
    var outlivedBy: Set<GroupID> = []
    var from: GenerationSummary?
    var to: GenerationSummary?
    var failure: Failure?
    /// Failures of instances while they left as requested.
    @Added var uncleanEnds: [Failure] = []
    var startedAt: Instant
    var phaseSince: Instant
    var durations: [PhaseDuration] = []

    /// Renamed properties keep the names under which earlier versions saved them.
    enum CodingKeys: String, CodingKey, CaseIterable {
        case kind, phase, requests, hold
        case stopsOldFirst = "stopsFirst"
        case plan, new, publicTier, leaving, carried, acceptedBefore, readyTimeLeft, oldHasLeft, isRestoring
        case restorePlan, wasAborted
        case hasReportedWait = "toldThatItWaits"
        case reloaded, outlivedBy, from, to, failure, uncleanEnds, startedAt, phaseSince, durations
    }

    init(_ kind: OperationKind, _ phase: Phase, plan: Plan?, request: RequestID?, at now: Instant) {
        self.kind = kind
        self.phase = phase
        self.plan = plan
        self.requests = request.map { [$0] } ?? []
        self.hold = false
        self.stopsOldFirst = false
        self.startedAt = now
        self.phaseSince = now
    }

    /// True before cutover, while an abort is possible.
    var isBeforeCutover: Bool {
        switch phase {
        case .waiting, .preparing, .starting, .soaking, .holding: !oldHasLeft
        case .draining, .stoppingOld, .rollingBack, .stopping, .reloading: false
        }
    }
}

extension Operation {
    /// True if another group has to start or to leave before this operation can continue.
    var waitsForOthers: Bool { phase == .waiting || (phase == .stoppingOld && oldHasLeft) }

    /// True if the services were being started, so that a failure ends something. (A group whose operation fails
    /// earlier was inactive all the time.)
    var hasBegun: Bool {
        switch failure?.step {
        case .dependency, .prepare: false
        case nil, .condition, .startPre, .start, .startPost, .readiness, .soak, .run, .reload, .stop, .leave, .stopPost:
            true
        }
    }

    /// True if groups that start after this one wait for the end of the operation.
    var isStart: Bool { kind == .start || (kind == .restart && plan?.isSwapUnit == false) }

    /// True if the instances that leave now are started again right afterwards.
    var restarts: Bool { kind == .restart && phase == .stoppingOld }
}

extension PhaseName {
    init(_ operation: Operation) {
        self =
            switch operation.phase {
            case .waiting: .waiting
            case .preparing: operation.isRestoring ? .restore : .prepare
            case .starting: operation.isRestoring ? .restore : .start
            case .soaking: .soak
            case .holding: .hold
            case .draining: .drain
            case .stoppingOld: .stopOld
            case .rollingBack: .rollBack
            case .stopping: .stop
            case .reloading: .reload
            }
    }
}
