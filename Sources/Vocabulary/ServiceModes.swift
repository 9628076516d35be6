/// `Restart=`; the table of systemd.service(5) says when each applies.
public enum RestartPolicy: Keyword, Codable {
    case no, onSuccess, onFailure, onAbnormal, onWatchdog, onAbort, always

    public var keyword: String {
        switch self {
        case .no: "no"
        case .onSuccess: "on-success"
        case .onFailure: "on-failure"
        case .onAbnormal: "on-abnormal"
        case .onWatchdog: "on-watchdog"
        case .onAbort: "on-abort"
        case .always: "always"
        }
    }
}

/// `KillMode=` of systemd.kill(5). Left-over processes are killed at the end in every mode: no process of a generation
/// outlives it (I3).
public enum KillMode: Keyword, Codable {
    case controlGroup, mixed, process, none

    public var keyword: String {
        switch self {
        case .controlGroup: "control-group"
        case .mixed: "mixed"
        case .process: "process"
        case .none: "none"
        }
    }
}

/// `NotifyAccess=` of systemd.service(5): the processes whose messages on the notify socket count.
public enum NotifyAccess: Keyword, Codable {
    case none, main, exec, all

    public var keyword: String {
        switch self {
        case .none: "none"
        case .main: "main"
        case .exec: "exec"
        case .all: "all"
        }
    }
}

/// The reaction to a service that exceeds a time limit (`TimeoutStartFailureMode=`, `TimeoutStopFailureMode=`).
public enum TimeoutFailureMode: Keyword, Codable {
    /// The kill signal, then SIGKILL.
    case terminate
    /// `WatchdogSignal=`, which makes a core dump, then SIGKILL.
    case abort
    /// SIGKILL at once.
    case kill

    public var keyword: String {
        switch self {
        case .terminate: "terminate"
        case .abort: "abort"
        case .kill: "kill"
        }
    }
}
