// The reply of `Status`. Every unit, also a plain service, is shown as its generations with their services, so that a
// reader needs one shape only. Times in seconds come from the monotonic clock: they do not jump when the date is set.

/// The coarse state of a unit.
public enum UnitState: String, Codable, Sendable, CaseIterable {
    /// Not running, without a failure: never started, stopped on purpose, or ended with success.
    case stopped
    /// Its first generation is starting; none serves yet.
    case starting
    /// A generation serves, or (for a plain service) the program runs and is ready.
    case running
    /// A generation serves, and its successor is starting or its predecessor drains.
    case swapping
    /// All generations are being ended.
    case stopping
    /// Not running because of a failure; ``UnitStatus/reason`` explains it.
    case failed
    /// An earlier supervisor started processes of the unit that still run, and nothing else is known about them.
    /// `Adopt` takes them over, `Stop` ends them.
    case unknown
}

/// The role of a generation.
public enum GenerationRole: String, Codable, Sendable, CaseIterable {
    /// Being prepared, started, verified or soaked.
    case starting
    /// Ready beside the serving one, waiting for `Promote` or `Abort`.
    case held
    /// Serving: the generation with which a successor is compared, and to which a failed swap rolls back.
    case serving
    /// Signalled to stop accepting; it finishes the connections that it has accepted.
    case draining
    /// Being ended because of a stop, an abort or a roll-back.
    case stopping
    /// Ended by a failure, and listed to show it.
    case failed
}

/// The fine state of one service of a generation.
public enum ServiceState: String, Codable, Sendable, CaseIterable {
    /// Waits for another service because of its ordering.
    case waiting
    /// `ExecCondition=` or `ExecStartPre=` runs.
    case startPre = "start_pre"
    /// The program was executed and has not reported that it is ready.
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
    /// Ended unexpectedly; it will be executed again after `RestartSec=`.
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
    /// The last `STATUS=` that the service sent.
    public var statusText: String?
    /// Seconds in the present state; for a running service, seconds since it became ready.
    public var age: Double?
    /// How often it was executed again after an unexpected exit, in this generation.
    public var restarts: Int
    /// The exit of its last main process: `exit status 1 (FAILURE)`, `signal 9 (KILL)`; nil if none has ended yet.
    public var result: String?
    /// Whether it has proved, by notification or by a probe, that it can serve.
    public var ready: Bool
    /// Established connections on its sockets; nil if not counted.
    public var connections: Int?
    /// Memory of its processes in bytes; nil if not measured.
    public var memory: Int?
    /// Output lines that could not be written, and lines over `LogRateLimitBurst=`; nil for none.
    public var linesLost: Int?
    public var linesSuppressed: Int?
    /// The event that it waits for before it leaves its present state, in words; nil if there is none.
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
    /// The services in start order.
    public var services: [ServiceStatus]
    /// Seconds in the present role.
    public var age: Double?
    /// The step of the swap that the generation is in; nil if it is in none.
    public var phase: SwapPhase?
    /// The condition that the step waits for, in words.
    public var waitingFor: String?
    /// Seconds until a starting generation is rolled back or a draining one killed; nil without a limit.
    public var deadline: Double?
    /// Established connections on its sockets; nil if not counted.
    public var connections: Int?
    /// The remote address of the longest-lived connection, `192.0.2.7:51234`; nil if there is none, if it has no
    /// address (Unix sockets), or if the connections were not looked up.
    public var oldestPeer: String?
    /// Seconds since that connection last sent anything.
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
    /// `Description=`, or the name if there is none.
    public var description: String
    public var state: UnitState
    /// Whether it has an `[X-Swap]` section and can be swapped.
    public var swappable: Bool
    /// The release that serves, or that served last.
    public var release: String?
    /// The number of the generation that serves; nil if none does.
    public var servingGeneration: Int?
    /// The generations, newest first. A generation that is gone is listed only if it failed and has no successor.
    public var generations: [GenerationStatus]
    /// The reason for which it failed or is stopped, as a sentence; nil if there is none to report.
    public var reason: String?
    /// The time at which it entered this state, RFC 3339; nil if it never ran.
    public var since: String?
    /// Whether its files have changed since it was started; nil if they have not, or if it does not run.
    public var outdated: Bool?
    /// `enabled`, `disabled`, `static`, … as `systemctl is-enabled` prints it; nil unless the call named the unit.
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
    /// The units in the order of the names in the call, else sorted by name.
    public var units: [UnitStatus]
    /// Problems of the supervisor itself, in sentences; nil if there are none.
    public var notes: [String]?

    public init(units: [UnitStatus], notes: [String]? = nil) {
        self.units = units
        self.notes = notes
    }
}
