/// How holdfastctl ends. Scripts rely on these; they are in `holdfastctl --help` and holdfastctl(1), and mean what they
/// mean to users of supervisorctl, except that a unit stopped on purpose is no reason for 3.
enum ExitStatus: Int32, Error {
    /// It is as was asked for, also if it was so before.
    case ok = 0
    /// Anything without a number of its own, an unknown command or (but in `status`) an unknown unit included.
    case failure = 1
    /// The command line could not be understood.
    case badInvocation = 2
    /// `status`: something listed failed or is crash-looping.
    case notRunning = 3
    /// The daemon cannot be reached, or did not answer a question that changes nothing; or, in `status`, the unit is unknown.
    case unreachable = 4
    /// The supervisor ended before it began what was asked: nothing was done.
    case notBegun = 5
    /// The supervisor ended, and what became of what was asked is not known.
    case outcomeUnknown = 6
    /// A start failed, or a swap was rolled back or aborted.
    case startFailed = 7
    /// A swap was cut over, and what it brought has ended or was stopped since.
    case lost = 8
    /// ^C; what was begun goes on.
    case interrupted = 130
}
