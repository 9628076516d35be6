import Vocabulary

/// The condition that ends a service (`ExitType=`).
public enum ServiceExitType: String, Keyword {
    /// Its main process has ended.
    case main
    /// Its last process has ended.
    case cgroup
}

/// How the dependents of a service see its restarts by `Restart=` (`RestartMode=`).
public enum RestartMode: String, Keyword {
    /// As an end and a new start.
    case normal
    /// As if the service had never ended.
    case direct
}

/// The reaction when the kernel's OOM killer has killed a process of a service (`OOMPolicy=`).
public enum OOMPolicy: String, Keyword {
    case `continue`, stop, kill
}

/// Settings of systemd.service(5) and systemd.kill(5) on how a service runs and ends, without its commands.
public struct LifecycleSettings: Sendable, Hashable {
    public var remainAfterExit = false
    /// `PIDFile=`, absolute.
    public var pidFile: String?
    public var guessesMainPid = true
    public var exitType = ServiceExitType.main
    public var reloadSignal = Signal.hangUp
    /// Number of restarts over which the pause grows from `RestartSec=` to `RestartMaxDelaySec=`; zero keeps it
    /// constant.
    public var restartSteps: UInt32 = 0
    public var restartMaxDelay = TimeLimit.infinite
    public var restartMode = RestartMode.normal
    public var startFailureMode = TimeoutFailureMode.terminate
    public var stopFailureMode = TimeoutFailureMode.terminate
    /// `TimeoutAbortSec=`; nil: `TimeoutStopSec=`.
    public var timeoutAbort: TimeLimit?
    /// `WatchdogSec=`; nil: no watchdog.
    public var watchdog: Duration?
    public var watchdogSignal = Signal.abort
    public var runtimeMax = TimeLimit.infinite
    public var runtimeRandomizedExtra = Duration.zero
    /// `RestartKillSignal=`; nil: `KillSignal=`.
    public var restartKillSignal: Signal?
    public var sendsSIGHUP = false
    /// `OOMPolicy=`; nil: unset.
    public var oomPolicy: OOMPolicy?

    public init() {}
}
