/// What ends a service's life (`ExitType=`).
public enum ServiceExitType: String, Sendable, CaseIterable {
    /// When its main process has ended.
    case main
    /// When the last of its processes has.
    case cgroup
}

/// What is done to a service that exceeds a time limit (`TimeoutStartFailureMode=`, `TimeoutStopFailureMode=`).
public enum TimeoutFailureMode: String, Sendable, CaseIterable {
    /// The kill signal, then SIGKILL.
    case terminate
    /// `WatchdogSignal=`, which makes a core dump, then SIGKILL.
    case abort
    /// SIGKILL at once.
    case kill
}

/// How those that depend on a service see it while `Restart=` brings it back (`RestartMode=`).
public enum RestartMode: String, Sendable, CaseIterable {
    /// As one that ended and was started again.
    case normal
    /// As one that never ended.
    case direct
}

/// What happens to a service of which the kernel's OOM killer has ended a process (`OOMPolicy=`).
public enum OOMPolicy: String, Sendable, CaseIterable {
    case `continue`, stop, kill
}

/// What systemd.service(5) and systemd.kill(5) say about how a service runs and ends, beyond its commands.
public struct LifecycleSettings: Sendable, Hashable {
    public var remainAfterExit = false
    /// `PIDFile=`, absolute.
    public var pidFile: String?
    public var guessesMainPid = true
    public var exitType = ServiceExitType.main
    public var reloadSignal = Signal.hangup
    /// How many restarts it takes from `RestartSec=` to `RestartMaxDelaySec=`; zero is a constant pause.
    public var restartSteps: UInt32 = 0
    public var restartMaxDelay = TimeLimit.infinite
    public var restartMode = RestartMode.normal
    public var startFailureMode = TimeoutFailureMode.terminate
    public var stopFailureMode = TimeoutFailureMode.terminate
    /// nil: as `TimeoutStopSec=`.
    public var timeoutAbort: TimeLimit?
    /// nil: no watchdog.
    public var watchdog: Duration?
    public var watchdogSignal = Signal.abort
    public var runtimeMax = TimeLimit.infinite
    public var runtimeRandomizedExtra = Duration.zero
    /// nil: `KillSignal=`.
    public var restartKillSignal: Signal?
    public var sendsSIGHUP = false
    /// nil: not said.
    public var oomPolicy: OOMPolicy?

    public init() {}
}
