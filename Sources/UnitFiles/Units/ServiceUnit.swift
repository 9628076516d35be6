import Vocabulary

/// The way in which a service reports that it has started (`Type=`).
public enum ServiceType: String, Keyword {
    /// Started once it is forked.
    case simple
    /// Started once the program is executed.
    case exec
    /// Started once it sends `READY=1`.
    case notify
    /// Like `notify`, but reloaded by `ReloadSignal=`, which the service answers with `RELOADING=1` and `READY=1`.
    case notifyReload = "notify-reload"
    /// Started once the executed program has left a daemon behind and ended.
    case forking
    /// Started once all of its commands have ended.
    case oneshot
    /// Like `simple`: systemd delays it to keep the console tidy, but there is no console here.
    case idle
}

/// `StandardOutput=`, `StandardError=`.
public enum StandardOutput: Sendable, Hashable {
    /// As `StandardInput=` for output, as `StandardOutput=` for errors.
    case inherit
    case null
    /// Captured by the supervisor into the unit's log file.
    case log
    /// Captured by the supervisor and passed on to systemd's journal where one runs, else as `log`.
    case journal
    case file(String)
    case append(String)
    case truncate(String)
    case socket
    case descriptor(String)
    case terminal
}

/// `FileDescriptorStorePreserve=`: how long descriptors stored by a service are kept.
public enum DescriptorStorePreserve: Sendable, Hashable {
    /// Until its process ends.
    case no
    /// Over restarts, until the service is stopped.
    case restart
    /// As long as the unit is loaded.
    case yes
}

/// A `.service` (systemd.service(5), systemd.exec(5), systemd.kill(5)), with systemd's documented defaults.
public struct ServiceUnit: UnitDefinition {
    public var name: UnitName
    public var unit = UnitSection()
    public var install = InstallSection()
    public var swap: SwapSection?
    public var origin = UnitOrigin()

    public var type = ServiceType.simple
    public var lifecycle = LifecycleSettings()
    public var execCondition: [ExecCommand] = []
    public var execStartPre: [ExecCommand] = []
    /// Exactly one in a unit that can be used, unless it is `oneshot`.
    public var execStart: [ExecCommand] = []
    public var execStartPost: [ExecCommand] = []
    public var execReload: [ExecCommand] = []
    public var execStop: [ExecCommand] = []
    public var execStopPost: [ExecCommand] = []

    public var restart = RestartPolicy.no
    public var restartDelay = Duration.milliseconds(100)
    /// Statuses and signals in addition to 0 and, for the main process, SIGHUP, SIGINT, SIGTERM and SIGPIPE.
    public var successExitStatus = ExitStatusSet()
    public var restartPreventExitStatus = ExitStatusSet()
    public var restartForceExitStatus = ExitStatusSet()

    public var timeoutStart = TimeLimit.after(.seconds(90))
    public var timeoutStop = TimeLimit.after(.seconds(90))
    public var killSignal = Signal.terminate
    public var killMode = KillMode.controlGroup
    public var sendSIGKILL = true
    public var finalKillSignal = Signal.kill

    /// Identity, file system, environment and limits (systemd.exec(5)).
    public var execution = ExecutionSettings()
    public var credentials = ServiceCredentials()
    public var terminal = TerminalSettings()
    /// Files passed after the sockets and the stored descriptors.
    public var openFiles: [OpenFile] = []
    /// `PermissionsStartOnly=`: user, group and capabilities apply to `ExecStart=` only.
    public var permissionsStartOnly = false
    /// `RootDirectoryStartOnly=`: the root directory applies to `ExecStart=` only.
    public var rootDirectoryStartOnly = false

    /// `NonBlocking=`: passed sockets get O_NONBLOCK.
    public var nonBlocking = false
    /// `FileDescriptorStoreMax=`: how many descriptors the service may store.
    public var descriptorStoreLimit = 0
    public var descriptorStorePreserve = DescriptorStorePreserve.restart

    /// `Sockets=`: sockets besides the one of the same name.
    public var sockets: [UnitReference] = []
    /// `X-Upstreams=`: sockets whose addresses are exported to the service.
    public var upstreams: [UnitReference] = []
    public var handoff = HandoffSettings()
    /// `NotifyAccess=`, which is at least `main` with `Type=notify`.
    public var notifyAccess = NotifyAccess.none
    /// `StandardOutput=`; nil if unset.
    public var explicitStandardOutput: StandardOutput?
    public var standardError = StandardOutput.inherit
    public var logging = LogSettings()

    public init(name: UnitName) { self.name = name }

    /// `StandardOutput=` with its default: the connection if the input comes from one, else the log.
    public var standardOutput: StandardOutput {
        if let explicitStandardOutput { return explicitStandardOutput }
        switch execution.standardInput {
        case .socket, .descriptor, .terminal: return .inherit
        case .null, .file, .data: return .log
        }
    }

    /// The signal that starts draining: `DrainSignal=`, else `KillSignal=`.
    public var drainSignal: Signal { swap?.drainSignal ?? killSignal }
}
