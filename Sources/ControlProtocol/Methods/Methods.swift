/// The methods that every Varlink service has.
enum ServiceMethod: String, CaseIterable {
    case getInfo = "org.varlink.service.GetInfo"
    case getInterfaceDescription = "org.varlink.service.GetInterfaceDescription"
}

/// The methods of `io.holdfast.Manager`.
enum ManagerMethod: String, CaseIterable {
    case describe = "io.holdfast.Manager.Describe"
    case status = "io.holdfast.Manager.Status"
    case start = "io.holdfast.Manager.Start"
    case stop = "io.holdfast.Manager.Stop"
    case restart = "io.holdfast.Manager.Restart"
    case reload = "io.holdfast.Manager.Reload"
    case swap = "io.holdfast.Manager.Swap"
    case promote = "io.holdfast.Manager.Promote"
    case abort = "io.holdfast.Manager.Abort"
    case rollback = "io.holdfast.Manager.Rollback"
    case adopt = "io.holdfast.Manager.Adopt"
    case drain = "io.holdfast.Manager.Drain"
    case signal = "io.holdfast.Manager.Signal"
    case history = "io.holdfast.Manager.History"
    case generations = "io.holdfast.Manager.Generations"
    case sockets = "io.holdfast.Manager.Sockets"
    case cat = "io.holdfast.Manager.Cat"
    case list = "io.holdfast.Manager.List"
    case why = "io.holdfast.Manager.Why"
    case show = "io.holdfast.Manager.Show"
    case events = "io.holdfast.Manager.Events"
    case forget = "io.holdfast.Manager.Forget"
    case resetFailed = "io.holdfast.Manager.ResetFailed"
    case pause = "io.holdfast.Manager.Pause"
    case resume = "io.holdfast.Manager.Resume"
    case update = "io.holdfast.Manager.Update"
    case reexec = "io.holdfast.Manager.Reexec"
    case clearLogs = "io.holdfast.Manager.ClearLogs"
    case input = "io.holdfast.Manager.Input"
    case logs = "io.holdfast.Manager.Logs"
    case verify = "io.holdfast.Manager.Verify"
    case dependencies = "io.holdfast.Manager.Dependencies"
    case unitFileStates = "io.holdfast.Manager.UnitFileStates"
    case enable = "io.holdfast.Manager.Enable"
    case disable = "io.holdfast.Manager.Disable"
    case mask = "io.holdfast.Manager.Mask"
    case unmask = "io.holdfast.Manager.Unmask"
    case shutdown = "io.holdfast.Manager.Shutdown"
    case outcome = "io.holdfast.Manager.Outcome"

    /// Whether the method changes something, so that its requests may have a name.
    var takesIdentity: Bool {
        switch self {
        case .start, .stop, .restart, .reload, .swap, .promote, .abort, .rollback, .drain, .adopt, .signal, .pause,
            .resume,
            .forget, .resetFailed, .update, .reexec, .clearLogs, .input, .enable, .disable, .mask, .unmask, .shutdown:
            true
        case .describe, .status, .history, .generations, .sockets, .cat, .list, .why, .show, .events, .logs, .verify,
            .dependencies, .unitFileStates, .outcome:
            false
        }
    }
}
