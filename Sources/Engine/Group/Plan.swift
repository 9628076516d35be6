import Vocabulary

/// The composition of a generation, decided from unit files before anything is changed.
public struct Plan: Sendable, Equatable, Codable {
    public var group: GroupID
    /// False for a service without `[X-Swap]` that belongs to no target with one: it has one generation at a time.
    public var isSwapUnit: Bool
    /// The instance name of a template; nil for a plain unit.
    public var release: String?
    public var settings: SwapSettings
    /// The services to start, each placed after the services it starts after.
    public var services: [ServiceSpec]
    /// True if `services` is the whole group: running members that are not listed are retired too. False if only some
    /// members move; the others are carried over into the new generation.
    public var isWhole: Bool
    /// Groups that must have finished starting before this one starts (`After=`).
    public var after: Set<GroupID>
    /// Groups without which this one must not run (`Requires=`).
    public var requires: Set<GroupID>
    @Added public var relations: Relations = Relations()
    /// A target that represents other units: it has no services, and is up from its start to its stop.
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

/// The part of a service's definition that the engine decides by. The supervisor keeps everything about its execution.
public struct ServiceSpec: Sendable, Equatable, Codable {
    /// `Type=`: the condition under which the service counts as started. `exec`, `idle` and `simple` are the same here,
    /// because a failed execve(2) is always known at once, and there is no console whose output order would have to be
    /// kept.
    public enum StartType: Sendable, Equatable, Codable, CaseIterable {
        case simple, notify, notifyReload, forking, oneshot
    }

    /// The way the service is asked to finish its work and leave.
    public enum DrainMethod: Sendable, Equatable, Codable {
        case signal(Signal)
        /// `ExecStop=` is given and `DrainSignal=` is not: the unit's own way of stopping.
        case stopCommands
    }
    public struct Drain: Sendable, Equatable, Codable {
        public var method: DrainMethod
        /// The time until the kill signal; nil is no limit.
        public var timeout: Duration?
        public init(method: DrainMethod, timeout: Duration?) {
            self.method = method
            self.timeout = timeout
        }
    }

    /// Full name of the unit, `app@v2.service`.
    public var unit: String
    /// The member's name in its group, `app@.service`; the same for every release.
    public var member: String
    public var release: String?
    /// The supervisor's handle of the definition, valid as long as the engine holds this spec.
    public var definition: UInt64
    /// Units of the same group that must be ready before this one starts, and that outlive it when both leave.
    public var startsAfter: Set<String>
    /// True if the service accepts on a held socket of scope `shared`, so that it receives traffic as soon as it runs.
    public var acceptsShared: Bool
    public var type: StartType
    public var commands: CommandCounts
    public var hasProbe: Bool
    public var probeInterval: Duration
    public var restart: RestartRules
    /// nil is no limit.
    public var startTimeout: Duration?
    public var stopTimeout: Duration?
    public var killSignal: Signal
    public var killMode: KillMode
    /// `SendSIGKILL=`: false means to wait without limit for processes that ignore the kill signal.
    public var sendsFinalKill: Bool
    public var finalKillSignal: Signal
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
        self.killSignal = .terminate
        self.killMode = .controlGroup
        self.sendsFinalKill = true
        self.finalKillSignal = .kill
        self.drain = nil
        self.notifyAccess = .main
    }
}

/// The commands of each `Exec…=`, and which of them may fail (prefix `-`).
public struct CommandCounts: Sendable, Equatable, Codable {
    public var condition: [MayFail] = []
    public var startPre: [MayFail] = []
    /// With the prefix `-` any exit counts as clean. Only oneshot services have more or fewer than one.
    public var start: [MayFail] = [.no]
    public var startPost: [MayFail] = []
    public var reload: [MayFail] = []
    public var stop: [MayFail] = []
    public var stopPost: [MayFail] = []
    public init() {}

    public enum MayFail: Sendable, Equatable, Codable { case no, yes }
}
