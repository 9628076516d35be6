// What `Status` answers. Every unit, also a plain service, is shown as its generations with their services, so that a
// reader needs one shape only. Times in seconds come from the monotonic clock: they do not jump when the date is set.

/// The coarse state of a unit.
public enum UnitState: String, Codable, Sendable, CaseIterable {
    /// Not running, and nothing is wrong: never started, stopped on purpose, or ended well.
    case stopped
    /// Its first generation is on its way; none serves yet.
    case starting
    /// A generation serves, or (for a plain service) the program runs and is ready.
    case running
    /// A generation serves and its successor is on its way or the predecessor drains.
    case swapping
    /// All generations are being ended.
    case stopping
    /// Not running because something failed; ``UnitStatus/reason`` says what.
    case failed
}

/// The part that a generation plays.
public enum GenerationRole: String, Codable, Sendable, CaseIterable {
    /// Being prepared, started, verified or soaked.
    case starting
    /// Ready beside the serving one, waiting for `Promote` or `Abort`.
    case held
    /// The one that counts: its successor is compared with it, a rollback comes back to it.
    case serving
    /// Told to stop accepting; finishes what it has accepted.
    case draining
    /// Being ended because of a stop, an abort or a roll-back.
    case stopping
    /// Ended by a failure and kept in the list to say so.
    case failed
}

/// The fine state of one service of a generation.
public enum ServiceState: String, Codable, Sendable, CaseIterable {
    /// Waits for a service that it is ordered after.
    case waiting
    /// `ExecCondition=` or `ExecStartPre=` runs.
    case startPre = "start_pre"
    /// The program was executed and has not said that it is ready.
    case starting
    /// `ExecStartPost=` runs.
    case startPost = "start_post"
    /// Waits for a readiness probe to succeed.
    case probing
    /// Ready.
    case running
    /// `ExecReload=` runs, or the program said `RELOADING=1`.
    case reloading
    /// Got the drain signal.
    case draining
    /// Got the stop signal, or `ExecStop=`/`ExecStopPost=` runs.
    case stopping
    /// Ended unasked; will be executed again after `RestartSec=`.
    case autoRestart = "auto_restart"
    /// Ended by itself with success.
    case exited
    /// Stopped on purpose, or never started.
    case stopped
    /// Ended with a failure and will not be executed again.
    case failed
}

/// One service of one generation.
public struct ServiceStatus: Codable, Equatable, Sendable {
    /// The unit's name with its instance, `app@v3.service`.
    public var unit: String
    public var state: ServiceState
    /// The main process; nil if there is none.
    public var mainPid: Int?
    /// The last `STATUS=` that it sent.
    public var statusText: String?
    /// Seconds in the present state; for a running service since it became ready.
    public var age: Double?
    /// How often it was executed again because it had ended unasked, in this generation.
    public var restarts: Int
    /// How its last main process ended: `exit status 1 (FAILURE)`, `signal 9 (KILL)`; nil if none ended yet.
    public var result: String?
    /// It has proved, by its own word or by a probe, that it can serve.
    public var ready: Bool
    /// Established connections on its sockets; nil if not counted.
    public var connections: Int?
    /// Memory of its processes in bytes; nil if not measured.
    public var memory: Int?
    /// Lines of its output that could not be written, and those over `LogRateLimitBurst=`; nil for none.
    public var linesLost: Int?
    public var linesSuppressed: Int?
    /// What has to come before it leaves its present state, in words; nil if nothing has to.
    public var waitingFor: String?

    public init(
        unit: String, state: ServiceState, mainPid: Int? = nil, statusText: String? = nil, age: Double? = nil,
        restarts: Int = 0, result: String? = nil, ready: Bool = false, connections: Int? = nil, memory: Int? = nil,
        linesLost: Int? = nil, linesSuppressed: Int? = nil, waitingFor: String? = nil
    ) {
        self.unit = unit
        self.state = state
        self.mainPid = mainPid
        self.statusText = statusText
        self.age = age
        self.restarts = restarts
        self.result = result
        self.ready = ready
        self.connections = connections
        self.memory = memory
        self.linesLost = linesLost
        self.linesSuppressed = linesSuppressed
        self.waitingFor = waitingFor
    }
}

/// One generation of a unit.
public struct GenerationStatus: Codable, Equatable, Sendable {
    /// 1, 2, … per swap unit.
    public var number: Int
    /// `v3` for `site@v3.target`; nil for a plain unit.
    public var release: String?
    public var role: GenerationRole
    /// In start order.
    public var services: [ServiceStatus]
    /// Seconds in the present role.
    public var age: Double?
    /// The step of the swap that it is in; nil if it is in none.
    public var phase: SwapPhase?
    /// What that step waits for, in words.
    public var waitingFor: String?
    /// Seconds until patience ends: rolled back if it is starting, killed if it is draining. Nil without a deadline.
    public var deadline: Double?
    /// Established connections on its sockets; nil if not counted.
    public var connections: Int?
    /// The other end of the one that has been there for longest, `192.0.2.7:51234`; nil if there is none, if it has no
    /// address (Unix sockets), or if nobody looked.
    public var oldestPeer: String?
    /// Seconds since that one has sent anything.
    public var oldestPeerIdle: Double?

    public init(
        number: Int, release: String? = nil, role: GenerationRole, services: [ServiceStatus] = [], age: Double? = nil,
        phase: SwapPhase? = nil, waitingFor: String? = nil, deadline: Double? = nil, connections: Int? = nil,
        oldestPeer: String? = nil, oldestPeerIdle: Double? = nil
    ) {
        self.number = number
        self.release = release
        self.role = role
        self.services = services
        self.age = age
        self.phase = phase
        self.waitingFor = waitingFor
        self.deadline = deadline
        self.connections = connections
        self.oldestPeer = oldestPeer
        self.oldestPeerIdle = oldestPeerIdle
    }
}

/// One swap unit or plain service.
public struct UnitStatus: Codable, Equatable, Sendable {
    /// The unit's name without a release: `site@.target`, `app.service`.
    public var unit: String
    /// `Description=`, or the name again.
    public var description: String
    public var state: UnitState
    /// It has an `[X-Swap]` section, so it can be swapped.
    public var swappable: Bool
    /// The release that serves, or served last.
    public var release: String?
    /// The number of the generation that serves; nil if none does.
    public var servingGeneration: Int?
    /// The newest first. One that is gone is not listed, except one that failed when nothing came after it.
    public var generations: [GenerationStatus]
    /// Why it is failed or stopped, in a sentence; nil when there is nothing to say.
    public var reason: String?
    /// When it got into this state, RFC 3339; nil if it never ran.
    public var since: String?
    /// Its files say something else than when it was started; nil if it does not run, or if they do not.
    public var outdated: Bool?
    /// `enabled`, `disabled`, `static`, … as `systemctl is-enabled` has it; nil unless it was asked for by name.
    public var unitFileState: String?

    public init(
        unit: String, description: String, state: UnitState, swappable: Bool, release: String? = nil,
        servingGeneration: Int? = nil, generations: [GenerationStatus] = [], reason: String? = nil,
        since: String? = nil, outdated: Bool? = nil, unitFileState: String? = nil
    ) {
        self.unit = unit
        self.description = description
        self.state = state
        self.swappable = swappable
        self.release = release
        self.servingGeneration = servingGeneration
        self.generations = generations
        self.reason = reason
        self.since = since
        self.outdated = outdated
        self.unitFileState = unitFileState
    }
}

/// The reply of `Status`.
public struct StatusReply: Codable, Equatable, Sendable {
    /// In the order of the names asked for, else sorted by name.
    public var units: [UnitStatus]

    public init(units: [UnitStatus]) {
        self.units = units
    }
}
