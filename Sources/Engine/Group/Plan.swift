/// What a generation is made of, decided from unit files before anything is touched.
public struct Plan: Sendable, Equatable, Codable {
    public var group: GroupID
    /// False for a service without `[X-Swap]` that belongs to no target with one: it has one generation at a time.
    public var isSwapUnit: Bool
    /// The instance name of a template; nil for a plain unit.
    public var release: String?
    public var settings: SwapSettings
    /// The services to start, in an order in which each stands behind those it starts after.
    public var services: [ServiceSpec]
    /// True if `services` is the whole group: members that are running and not listed are retired too. False if only
    /// some members move; the others are carried over into the new generation.
    public var isWhole: Bool
    /// Groups that must have finished starting before this one starts (`After=`).
    public var after: Set<GroupID>
    /// Groups without which this one must not run (`Requires=`).
    public var requires: Set<GroupID>
    @Added public var relations: Relations = Relations()
    /// A target that stands for other units: it has no services, and is up from its start to its stop.
    @Added public var isTarget: Bool = false

    public init(
        group: GroupID, isSwapUnit: Bool, release: String? = nil, settings: SwapSettings = SwapSettings(),
        services: [ServiceSpec], isWhole: Bool = true, after: Set<GroupID> = [], requires: Set<GroupID> = []
    ) {
        self.group = group
        self.isSwapUnit = isSwapUnit
        self.release = release
        self.settings = settings
        self.services = services
        self.isWhole = isWhole
        self.after = after
        self.requires = requires
    }
}

/// `[X-Swap]` of the swap unit.
public struct SwapSettings: Sendable, Equatable, Codable {
    public enum Strategy: Sendable, Equatable, Codable {
        /// The new generation starts beside the old one.
        case overlap
        /// For what must never run twice: the old one stops first, connections wait in the held sockets.
        case queue
    }
    public var strategy: Strategy
    /// All services must be ready within this time; nil is no limit.
    public var readyTimeout: Duration?
    /// How long they must stay alive and ready before cutover.
    public var soak: Duration

    public init(strategy: Strategy = .overlap, readyTimeout: Duration? = .seconds(30), soak: Duration = .seconds(1)) {
        self.strategy = strategy
        self.readyTimeout = readyTimeout
        self.soak = soak
    }
}

/// What the engine must know of a service to decide about it. How it is executed stays with the supervisor.
public struct ServiceSpec: Sendable, Equatable, Codable {
    /// `Type=`: what counts as started. `exec`, `idle` and `simple` are the same here, because a failed execve(2) is
    /// always known at once, and there is no console whose order would have to be kept.
    public enum StartType: Sendable, Equatable, Codable, CaseIterable {
        case simple, notify, notifyReload, forking, oneshot
    }

    /// How it is asked to finish what it has and leave.
    public enum DrainMethod: Sendable, Equatable, Codable {
        case signal(Int32)
        /// `ExecStop=` is given and `DrainSignal=` is not: the unit's own way of stopping.
        case stopCommands
    }
    public struct Drain: Sendable, Equatable, Codable {
        public var method: DrainMethod
        /// Then the kill signal; nil is no limit.
        public var timeout: Duration?
        public init(method: DrainMethod, timeout: Duration?) {
            self.method = method
            self.timeout = timeout
        }
    }

    /// Full name of the unit, `app@v2.service`.
    public var unit: String
    /// The place that it takes in its group, `app@.service`: a later release takes the same place.
    public var member: String
    public var release: String?
    /// The supervisor's handle of the definition, valid as long as the engine holds this spec.
    public var definition: UInt64
    /// Units of the same group that must be ready before this one starts, and that outlive it when both leave.
    public var startsAfter: Set<String>
    /// It accepts on a held socket with scope `shared`, so it takes traffic from the moment that it runs.
    public var acceptsShared: Bool
    public var type: StartType
    public var commands: CommandCounts
    public var hasProbe: Bool
    public var probeInterval: Duration
    public var restart: RestartRules
    /// nil is no limit.
    public var startTimeout: Duration?
    public var stopTimeout: Duration?
    public var killSignal: Int32
    public var killMode: KillMode
    /// `SendSIGKILL=`: false means that what ignores the kill signal is waited for, for ever.
    public var sendsFinalKill: Bool
    public var finalKillSignal: Int32
    /// nil for a plain service: it is stopped as systemd stops it.
    public var drain: Drain?
    public var notifyAccess: NotifyAccess
    @Added public var lifecycle: Lifecycle = Lifecycle()
    @Added public var triggers: Triggers = Triggers()

    public init(unit: String, member: String? = nil, definition: UInt64 = 0) {
        self.unit = unit
        self.member = member ?? unit
        self.definition = definition
        self.startsAfter = []
        self.acceptsShared = false
        self.type = .simple
        self.commands = CommandCounts()
        self.hasProbe = false
        self.probeInterval = .milliseconds(500)
        self.restart = RestartRules()
        self.startTimeout = .seconds(90)
        self.stopTimeout = .seconds(90)
        self.killSignal = 15
        self.killMode = .controlGroup
        self.sendsFinalKill = true
        self.finalKillSignal = 9
        self.drain = nil
        self.notifyAccess = .main
    }
}

/// How many commands each `Exec…=` has, and which may fail (prefix `-`).
public struct CommandCounts: Sendable, Equatable, Codable {
    public var condition: [MayFail] = []
    public var startPre: [MayFail] = []
    /// With the prefix `-` any exit counts as clean. More or fewer than one only of oneshot services.
    public var start: [MayFail] = [.no]
    public var startPost: [MayFail] = []
    public var reload: [MayFail] = []
    public var stop: [MayFail] = []
    public var stopPost: [MayFail] = []
    public init() {}

    public enum MayFail: Sendable, Equatable, Codable { case no, yes }
}

/// `KillMode=` of systemd.kill(5). Whatever it says, left-over processes are killed at the end: no process of a
/// generation outlives it (I3).
public enum KillMode: Sendable, Equatable, Codable { case controlGroup, mixed, process, none }

/// `NotifyAccess=` of systemd.service(5).
public enum NotifyAccess: Sendable, Equatable, Codable { case none, main, exec, all }
