/// How a service says that it is started (`Type=`).
public enum ServiceType: String, Sendable, CaseIterable {
    /// Started as soon as it is forked.
    case simple
    /// Started when the program was executed.
    case exec
    /// Started when it says `READY=1`.
    case notify
    /// As `notify`, and a reload is `ReloadSignal=`, answered by `RELOADING=1` and `READY=1`.
    case notifyReload = "notify-reload"
    /// Started when the program that was executed has left a daemon behind and ended.
    case forking
    /// Started when all of its commands have ended.
    case oneshot
    /// As `simple`: systemd holds it back to keep the console tidy, and there is none here.
    case idle
}

/// `Restart=`; the table of systemd.service(5) says when each applies.
public enum RestartPolicy: String, Sendable, CaseIterable {
    case no
    case onSuccess = "on-success"
    case onFailure = "on-failure"
    case onAbnormal = "on-abnormal"
    case onWatchdog = "on-watchdog"
    case onAbort = "on-abort"
    case always
}

/// `KillMode=` (systemd.kill(5)).
public enum KillMode: String, Sendable, CaseIterable {
    case controlGroup = "control-group"
    case mixed
    case process
    case none
}

/// `NotifyAccess=`: whose messages on the notify socket count.
public enum NotifyAccess: String, Sendable, CaseIterable {
    case none, main, exec, all
}

/// `StandardOutput=`, `StandardError=`.
public enum StandardOutput: Sendable, Hashable {
    /// Output: what input is; error: what output is.
    case inherit
    case null
    /// Captured by the supervisor into the unit's log file.
    case log
    /// Captured by the supervisor and passed on to systemd's journal where that runs, else as `log`.
    case journal
    case file(String)
    case append(String)
    case truncate(String)
    case socket
    case descriptor(String)
    case terminal
}

/// `FileDescriptorStorePreserve=`: how long descriptors are kept that a service gave us.
public enum DescriptorStorePreserve: Sendable, Hashable {
    /// Until its process ends.
    case no
    /// Over restarts, until it is stopped.
    case restart
    /// As long as it is known.
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
    /// In addition to 0 and, for the main process, SIGHUP, SIGINT, SIGTERM and SIGPIPE.
    public var successExitStatus = ExitStatusSet()
    public var restartPreventExitStatus = ExitStatusSet()
    public var restartForceExitStatus = ExitStatusSet()

    public var timeoutStart = TimeLimit.after(.seconds(90))
    public var timeoutStop = TimeLimit.after(.seconds(90))
    public var killSignal = Signal.terminate
    public var killMode = KillMode.controlGroup
    public var sendSIGKILL = true
    public var finalKillSignal = Signal.kill

    /// Who, where, with what limits and environment (systemd.exec(5)).
    public var execution = ExecutionSettings()
    public var credentials = ServiceCredentials()
    public var terminal = TerminalSettings()
    /// Passed on behind sockets and stored descriptors.
    public var openFiles: [OpenFile] = []
    /// `PermissionsStartOnly=`: user, group and capabilities apply to `ExecStart=` only.
    public var permissionsStartOnly = false
    /// `RootDirectoryStartOnly=`: the root directory applies to `ExecStart=` only.
    public var rootDirectoryStartOnly = false

    /// `NonBlocking=`: passed sockets get O_NONBLOCK.
    public var nonBlocking = false
    /// `FileDescriptorStoreMax=`: how many descriptors it may give us to keep.
    public var descriptorStoreLimit = 0
    public var descriptorStorePreserve = DescriptorStorePreserve.restart

    /// `Sockets=`: sockets beside the one of the same name.
    public var sockets: [UnitReference] = []
    /// `X-Upstreams=`: sockets whose addresses it is told.
    public var upstreams: [UnitReference] = []
    public var handoff = HandoffSettings()
    /// `NotifyAccess=`, which is at least `main` with `Type=notify`.
    public var notifyAccess = NotifyAccess.none
    /// `StandardOutput=`; nil if unset.
    public var explicitStandardOutput: StandardOutput?
    public var standardError = StandardOutput.inherit
    public var logging = LogSettings()

    public init(name: UnitName) { self.name = name }

    /// Where output goes that was not told where: to a connection that input comes from, else to the log.
    public var standardOutput: StandardOutput {
        if let explicitStandardOutput { return explicitStandardOutput }
        switch execution.standardInput {
        case .socket, .descriptor, .terminal: return .inherit
        case .null, .file, .data: return .log
        }
    }

    /// What tells it to drain: `DrainSignal=`, else `KillSignal=`.
    public var drainSignal: Signal { swap?.drainSignal ?? killSignal }
}
