/// The state machines that make every decision of the supervisor; they carry out none.
///
/// `Engine` is a value. It receives an event (`Event`) with its time (`Instant`) and returns actions (`[Effect]`). It
/// makes no system call, reads no clock, keeps no file and draws no random number, so a test drives years of it in a
/// second and replays any run from a seed.
///
/// Its parts:
/// - `Instance` is one service of one generation: its commands, the meaning of its exits, whether it is ready or gone.
/// - `Group` is a swap unit, or a plain service by itself: its generations and the one operation that may be under way.
/// - `Engine+Operations` moves a group from phase to phase; `Engine+Retirement` ends generations in the right order.
/// - All state here is `Codable`, because it survives re-exec and crash of the supervisor (see `Added`).
/// - Both kinds of state change only in `handle`; afterwards `advanceTouchedGroups` advances every group that was touched until none
///   moves. No transition calls another group's directly, so there is no recursion to reason about.
public struct Engine: Sendable, Codable {
    var groups = Tracked<GroupID, Group>()
    var instances = Tracked<InstanceID, Instance>()
    /// The instance of each live process, probe or tree watch. A token that is not here belongs to an earlier life and
    /// changes nothing (I6).
    var owners: [Token: InstanceID] = [:]
    var deadlines = Deadlines()
    var context = Context()
    /// Groups to advance before `handle` returns, in the order in which they were touched.
    var touched = GroupQueue()
    /// Generations whose `prepare` has not been answered. Whatever happens to them meanwhile, the release follows the
    /// answer, so that sockets are never closed while they are still being opened.
    var unansweredPreparations: Set<GenerationID> = []
    /// Generations in `unansweredPreparations` that no operation waits for any more; the others follow from their groups.
    @Added var abandonedPreparations: Set<GenerationID> = []
    /// Groups whose operation is in its phase `waiting`.
    var waitingToStart: Set<GroupID> = []
    /// Set by `shutDown`; nothing is started after it.
    public internal(set) var isShuttingDown = false
    var shutdownRequests: [RequestID] = []
    /// Active groups that have relations to others beyond their order.
    @Added var groupsWithRelations: Set<GroupID> = []
    /// Groups in `groupsWithRelations` with relations that must be maintained while the group is up.
    @Added var maintainedGroups: Set<GroupID> = []
    @Added var relationsChanged: Bool = false
    @Added var upheld: [GroupID: Upholding] = [:]

    /// Renamed properties keep the names under which earlier versions saved them.
    enum CodingKeys: String, CodingKey, CaseIterable {
        case groups, instances, owners, deadlines, context, touched
        case unansweredPreparations = "preparing"
        case abandonedPreparations = "adrift"
        case waitingToStart, isShuttingDown, shutdownRequests
        case groupsWithRelations = "related"
        case maintainedGroups = "kept"
        case relationsChanged, upheld
    }

    public init() {}

    /// Handles an event and returns the effects to carry out, in this order.
    ///
    /// - Parameters:
    ///   - catchingUp: the event happened while no supervisor listened; more such events follow, and all of them count
    ///     before the time that has passed.
    ///   - due: only with `deadlineReached`: the time of the deadline. Every event before that time has been handled;
    ///     events between then and `now` may not have been. nil: `now`.
    public mutating func handle(
        _ event: Event, at now: Instant, catchingUp: Bool = false, due: Instant? = nil
    ) -> [Effect] {
        context.now = now
        switch event {
        case .command(let command, let request):
            handle(command, request)
        case .commands(let list):
            for requested in list { handle(requested.command, requested.request) }
        case .prepared(let generation):
            handlePrepared(generation)
        case .prepareFailed(let generation, let failure):
            handlePrepareFailure(generation, failure)
        case .spawned(let token):
            withOwner(of: token) { $0.handleSpawned(token, &$1) }
        case .spawnFailed(let token, let text, let status):
            withOwner(of: token, ending: true) { $0.handleSpawnFailure(token, text, status: status, &$1) }
        case .exited(let token, let status):
            withOwner(of: token, ending: true) { $0.handleExit(token, status, &$1) }
        case .treeEmpty(let token):
            withOwner(of: token, ending: true) { $0.handleTreeEmpty(token, &$1) }
        case .probeAnswered(let token, let answer):
            withOwner(of: token, ending: true) { $0.handleProbeAnswer(token, answer, &$1) }
        case .conditionsChecked(let token, let verdict):
            withOwner(of: token, ending: true) { $0.handleConditions(token, verdict, &$1) }
        case .mainSought(let token, let answer):
            withOwner(of: token, ending: answer != .later) { $0.handleMainSearch(token, answer, &$1) }
        case .searchNoted(let token, let note):
            withOwner(of: token) { $0.recordSearchNote(token, note, &$1) }
        case .notified(let instance, let sender, let message):
            with(instance) { $0.handleNotification(sender, message, &$1) }
        case .mainProcessChanged(let instance, let token):
            // A process that has ended already would be awaited for ever.
            if owners[token] == instance { with(instance) { $0.changeMainProcess(token, &$1) } }
        case .connectionsCut(let instance, let count):
            recordCut(instance, connections: count)
        case .deadlineReached:
            break
        case .restored(let group, let memory):
            restore(group, memory)
        }
        advanceTouchedGroups()
        // Events count before deadlines: a service that died before the end of its soak was not soaked, and one that
        // ended in time was not late, however long its event takes to arrive. So deadlines are handled only by their
        // own event, which follows everything that has happened.
        if case .deadlineReached = event {
            fireDeadlines(until: due.map { min($0, now) } ?? now)
            advanceTouchedGroups()
        }
        if !catchingUp { maintainRelations() }
        finishShutdown()
        return context.takeEffects()
    }

    /// The time at which `deadlineReached` must be sent, if no other event happens before.
    public var nextDeadline: Instant? { deadlines.next }

    /// Returns a token for a process that the supervisor found by itself (`MAINPID=`), to be used in
    /// `mainProcessChanged`.
    public mutating func newToken(for instance: InstanceID) -> Token {
        let token = context.newToken()
        _ = context.takeNewTokens()
        guard instances[instance] != nil else { return token }
        owners[token] = instance
        instances[instance]?.openTokens.insert(token)
        return token
    }

    // MARK: - Owners, deadlines, touched groups

    /// Runs a transition of one instance and applies its results: token owners, deadlines, its group's turn.
    mutating func with(_ id: InstanceID, _ body: (inout Instance, inout Context) -> Void) {
        guard let group = instances[id]?.group else { return }
        if var instance = instances.removeValue(forKey: id) {
            body(&instance, &context)
            setDeadlines(of: instance)
            instances[id] = instance
        }
        for token in context.takeNewTokens() {
            owners[token] = id
            instances[id]?.openTokens.insert(token)
        }
        for token in context.takeInvalidTokens() {
            owners[token] = nil
            instances[id]?.openTokens.remove(token)
        }
        touch(group)
    }

    mutating func setDeadlines(of instance: Instance) {
        deadlines.set(.instance(instance.id), instance.deadline)
        deadlines.set(.probe(instance.id), instance.probeDeadline)
        deadlines.set(.watchdog(instance.id), instance.watchdogDeadline)
        deadlines.set(.runtime(instance.id), instance.runtimeDeadline)
    }

    private mutating func withOwner(
        of token: Token, ending: Bool = false, _ body: (inout Instance, inout Context) -> Void
    ) {
        guard let id = owners[token] else { return }
        if ending {
            owners[token] = nil
            instances[id]?.openTokens.remove(token)
        }
        with(id, body)
    }

    mutating func touch(_ group: GroupID) {
        touched.append(group)
    }

    private mutating func fireDeadlines(until due: Instant) {
        for next in deadlines.allDue(at: due) {
            guard let owner = deadlines.claim(next) else { continue }
            switch owner {
            case .instance(let id): with(id) { $0.deadlineReached(&$1) }
            case .probe(let id): with(id) { $0.probeDeadlineReached(&$1) }
            case .watchdog(let id): with(id) { $0.watchdogExpired(&$1) }
            case .runtime(let id): with(id) { $0.runtimeLimitReached(&$1) }
            case .group(let id): groupDeadlineReached(id)
            case .upheld: relationsMayHaveChanged()
            }
        }
    }

    /// Advances touched groups until none moves. Every step of `advance` either ends, or moves a group to a later phase
    /// of its operation, so this ends.
    mutating func advanceTouchedGroups() {
        while let id = touched.popFirst() { advance(id) }
    }
}

/// A queue of groups in the order of arrival, each at most once, with constant cost per operation. Encoded as a list.
struct GroupQueue: Sendable, Codable {
    private var order: [GroupID] = []
    private var first = 0
    private var members: Set<GroupID> = []

    init() {}

    init(from decoder: any Decoder) throws {
        for group in try [GroupID](from: decoder) { append(group) }
    }

    func encode(to encoder: any Encoder) throws { try order[first...].map(\.self).encode(to: encoder) }

    /// Appends a group; one that is queued already keeps its place.
    mutating func append(_ group: GroupID) {
        if members.insert(group).inserted { order.append(group) }
    }

    mutating func popFirst() -> GroupID? {
        guard first < order.count else {
            order.removeAll(keepingCapacity: first < 64)
            first = 0
            return nil
        }
        let group = order[first]
        first += 1
        members.remove(group)
        return group
    }
}

/// The output of transitions: the effects they ask for and the tokens they draw.
struct Context: Sendable, Codable {
    var now = Instant(nanoseconds: 0)
    private var effects: [Effect] = []
    private var newTokens: [Token] = []
    private var invalidTokens: [Token] = []
    private var lastToken: UInt64 = 0
    private var lastInstance: UInt64 = 0

    /// Only the counters are encoded: the lists are empty whenever `Engine.handle` has returned.
    private enum CodingKeys: String, CodingKey { case now, lastToken, lastInstance }

    mutating func emit(_ effect: Effect) { effects.append(effect) }

    /// A token never handed out before, in the whole life of this engine.
    mutating func newToken() -> Token {
        lastToken &+= 1
        let token = Token(number: lastToken)
        newTokens.append(token)
        return token
    }

    /// Reserves a token that was handed out in a life whose end is unknown to this context.
    mutating func reserve(_ token: Token) { lastToken = max(lastToken, token.number) }

    mutating func reserve(_ instance: InstanceID) { lastInstance = max(lastInstance, instance.number) }

    /// Drops a token: later events with it are ignored.
    mutating func invalidate(_ token: Token) { invalidTokens.append(token) }

    mutating func newInstance() -> InstanceID {
        lastInstance &+= 1
        return InstanceID(number: lastInstance)
    }

    mutating func takeEffects() -> [Effect] {
        defer { effects = [] }
        return effects
    }

    mutating func takeNewTokens() -> [Token] {
        defer { newTokens.removeAll(keepingCapacity: true) }
        return newTokens
    }

    mutating func takeInvalidTokens() -> [Token] {
        defer { invalidTokens.removeAll(keepingCapacity: true) }
        return invalidTokens
    }
}
