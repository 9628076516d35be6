/// The exit statuses of holdfastctl. Scripts rely on them; they are in `holdfastctl --help` and holdfastctl(1), and
/// have the meaning that they have in supervisorctl, except that a unit stopped on purpose is no reason for 3.
enum CommandStatus: Int32, Error {
    /// The wanted state holds, also if it held before.
    case ok = 0
    /// Any other failure, including an unknown command or (except in `status`) an unknown unit.
    case failure = 1
    /// The command line is not valid.
    case badInvocation = 2
    /// `status`: a listed unit failed or is crash-looping.
    case notRunning = 3
    /// The daemon cannot be reached, or did not answer a call that only reads; or, in `status`, the unit is unknown.
    case unreachable = 4
    /// The supervisor ended before it began the request: nothing was done.
    case notBegun = 5
    /// The supervisor ended, and the outcome of the request is not known.
    case outcomeUnknown = 6
    /// A start failed, or a swap was rolled back or aborted.
    case startFailed = 7
    /// A swap was cut over, and the new generation has ended or was stopped since.
    case lost = 8
    /// ^C; operations that were begun continue.
    case interrupted = 130
}
