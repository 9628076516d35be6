/// What moves as one: its generations, and the one operation that may be under way (I2).
struct Group: Sendable, Codable {
    let id: GroupID
    /// Numbers are never used twice, also not after a rollback or a restart of the supervisor.
    var lastNumber = 0
    /// The generation that serves, if any. It may be degraded (a service of it failed), but it is what counts.
    var serving: Int?
    var generations: [Int: Generation] = [:]
    var operation: Operation?
    /// What `rollback` swaps back to: the services that the last completed swap replaced, as they were defined.
    var previous: Plan?
    /// Why the last operation or run failed; cleared by one that does not.
    var lastFailure: Failure?
    /// What it was started for is done: its services were oneshots that succeeded, or conditions skipped them. Who
    /// requires it may start, although nothing of it runs.
    @Added var isDone: Bool = false
    /// The condition that skipped the last start of all its services.
    var skippedBy: String?
    /// Starts of members that are no more, for `StartLimitBurst=`: of a plain service those that operators ask for count, too. That
    /// a swap unit is deployed again and again is no failure of it.
    @Added var starts: [String: [Instant]] = [:]
    /// When the group last came up or went down.
    var since: Instant

    init(id: GroupID, at now: Instant) {
        self.id = id
        self.since = now
    }
}

/// One generation: which instances make it up now, and what it was started from.
///
/// A member that a swap did not move is carried over: its instance then belongs to the newer generation, while its
/// sockets and directory stay those of its birth.
struct Generation: Sendable, Codable {
    enum Role: Sendable, Codable { case starting, held, serving, draining, rollingBack, stopping }
    let number: Int
    var release: String?
    var plan: Plan
    var role: Role
    /// By member; one instance for each.
    var instances: [String: InstanceID] = [:]
    /// Instances born here that still exist, whatever generation they belong to now.
    var born = 0
    /// Only some members were started and there was nothing to carry the others over from. Going back to it must not
    /// take away what came later: that may be the one that accepts (I1).
    @Added var lacksMembers: Bool = false
    let startedAt: Instant

    var summary: GenerationSummary { GenerationSummary(number: number, release: release) }
}

/// A start, swap, rollback, restart, reload or stop under way.
struct Operation: Sendable, Codable {
    /// One tier of a new generation: the private one is proved whole, soak included, before anything that accepts on
    /// a public socket is started; what crashes young then never had a request.
    enum Tier: Sendable, Codable { case `private`, `public` }

    enum Phase: Sendable, Equatable, Codable {
        /// For groups that this one starts after.
        case waiting
        case preparing
        case starting(Tier)
        case soaking(Tier)
        case holding
        /// Cut over: the old instances leave.
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
    /// The old one stops first.
    var stopsFirst: Bool
    /// What is to be started; nil for a stop or reload.
    var plan: Plan?
    /// The generation being started.
    var new: Int?
    /// Instances of that generation which accept publicly, or start after one that does.
    var publicTier: Set<InstanceID> = []
    /// Instances that leave: the replaced ones, or on rollback the new ones.
    var leaving: Set<InstanceID> = []
    /// Instances that stay and belong to the new generation after cutover.
    var carried: Set<InstanceID> = []
    /// Members that accepted on shared sockets and leave: one that takes such a place may not be skipped, because then
    /// nobody would accept (I1).
    var acceptedBefore: Set<String> = []
    /// What is left of `ReadyTimeoutSec=`; the time of a soak does not count.
    var readyTimeLeft: Duration?
    /// The old instances left first (strategy `queue`), so that only starting them again brings them back.
    var oldHasLeft = false
    /// Starting again what served before a failed swap of strategy `queue`.
    var isRestoring = false
    /// What that would be.
    var restorePlan: Plan?
    var wasAborted = false
    /// People know that it waits for other groups.
    var toldThatItWaits = false
    /// Of a reload: the instances whose `ExecReload=` runs or ran.
    var reloaded: Set<InstanceID> = []
    /// Of a stop: groups that must outlive this one; known from its beginning, because the plans go with the
    /// generations.
    var outlivedBy: Set<GroupID> = []
    var from: GenerationSummary?
    var to: GenerationSummary?
    var failure: Failure?
    /// What went wrong while instances left that were told to.
    @Added var uncleanEnds: [Failure] = []
    var startedAt: Instant
    var phaseSince: Instant
    var durations: [PhaseDuration] = []

    init(_ kind: OperationKind, _ phase: Phase, plan: Plan?, request: RequestID?, at now: Instant) {
        self.kind = kind
        self.phase = phase
        self.plan = plan
        self.requests = request.map { [$0] } ?? []
        self.hold = false
        self.stopsFirst = false
        self.startedAt = now
        self.phaseSince = now
    }

    /// Cutover has not happened, so that an abort is possible.
    var isBeforeCutover: Bool {
        switch phase {
        case .waiting, .preparing, .starting, .soaking, .holding: !oldHasLeft
        case .draining, .stoppingOld, .rollingBack, .stopping, .reloading: false
        }
    }
}

extension Operation {
    /// Something else has to start, or to leave, before it goes on.
    var waitsForOthers: Bool { phase == .waiting || (phase == .stoppingOld && oldHasLeft) }

    /// What it is to start was being started: something ended. (What fails before that was inactive all the time.)
    var hasBegun: Bool {
        switch failure?.step {
        case .dependency, .prepare: false
        case nil, .condition, .startPre, .start, .startPost, .readiness, .soak, .run, .reload, .stop, .leave, .stopPost:
            true
        }
    }

    /// Others that start after it wait for its end.
    var isStart: Bool { kind == .start || (kind == .restart && plan?.isSwapUnit == false) }

    /// What leaves now is started again right afterwards.
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
