/// What happened.
public enum Event: Sendable, Codable {
    case command(Command, RequestID)
    /// A transaction: all of them are begun before any of them goes on, so that each knows of the others.
    case commands([Requested])
    /// The generation's sockets are open and its directory is there.
    case prepared(GenerationID)
    case prepareFailed(GenerationID, Failure)
    /// execve(2) of the process succeeded.
    case spawned(Token)
    /// The text names step and errno: `executing /srv/x: No such file or directory`. There is no process. The status is the one of
    /// systemd.exec(5), "Process exit codes", where there is one for the step.
    case spawnFailed(Token, String, status: Int32?)
    case exited(Token, ExitStatus)
    /// The last process of the instance watched under this token is gone.
    case treeEmpty(Token)
    case probeAnswered(Token, ProbeAnswer)
    case conditionsChecked(Token, ConditionVerdict)
    case mainSought(Token, MainSearch)
    /// A search that goes on has met something else.
    case searchNoted(Token, SearchNote)
    case notified(InstanceID, Sender, NotifyMessage)
    /// The process named by `MAINPID=` belongs to the instance and is watched under this token from now on.
    case mainProcessChanged(InstanceID, Token)
    /// The time of `nextDeadline` has come.
    case deadlineReached
    /// What an earlier supervisor process remembered of a group; before any command about it.
    case restored(GroupID, GroupMemory)

    /// Who sent a notify message.
    public enum Sender: Sendable, Equatable, Codable {
        /// A process that the engine asked for: the main process or one of the other commands.
        case process(Token)
        /// Some other process of the service's tree.
        case other
    }
}

/// A command with the request that it answers.
public struct Requested: Sendable, Codable {
    public var command: Command
    public var request: RequestID
    public init(_ command: Command, _ request: RequestID) {
        self.command = command
        self.request = request
    }
}

/// What outlives the supervisor process in the state directory.
public struct GroupMemory: Sendable, Equatable, Codable {
    public var lastNumber: Int
    public init(lastNumber: Int) { self.lastNumber = lastNumber }
}

/// What `Condition…=` and `Assert…=` of a unit say now.
public enum ConditionVerdict: Sendable, Equatable, Codable {
    case met
    /// Which condition does not hold, as it is written in the unit.
    case unmet(String)
    /// Which assert does not hold.
    case assertFailed(String)
}

/// Which process a forking service has left as its main one.
public enum MainSearch: Sendable, Equatable, Codable {
    /// It belongs to the instance's tree, and is watched under this token from now on.
    case found(Token)
    /// No PID file is to be waited for, and who it is cannot be guessed; or it is who it was before.
    case absent
    /// Its PID file is not there, or does not name one of its processes. It is watched, and `found` follows.
    case later
}

/// What a probe was told.
public enum ProbeAnswer: Sendable, Equatable, Codable {
    case ready
    case notReady(String)
}

/// Fields of sd_notify(3) that matter to decisions.
public struct NotifyMessage: Sendable, Equatable, Codable {
    public var ready = false
    public var reloading = false
    public var stopping = false
    public var status: String?
    public var errno: Int32?
    public enum Watchdog: Sendable, Equatable, Codable { case keepAlive, trigger }
    public var watchdog: Watchdog?
    /// `WATCHDOG_USEC=`
    public var watchdogInterval: Duration?
    /// `RESTART_RESET=1`
    @Added public var restartReset: Bool = false
    /// `MONOTONIC_USEC=`, on the clock of `Instant`.
    public var monotonic: Duration?
    /// `EXTEND_TIMEOUT_USEC=`
    public var extendTimeout: Duration?
    /// Of `READY=1` that may be refused: who has sent it, for people.
    public var sender: String?
    public init() {}
}

/// What an operator asks for.
public enum Command: Sendable, Codable {
    case start(Plan)
    case stop(GroupID)
    case swap(Plan, SwapOptions)
    case rollback(GroupID, hold: Bool)
    case promote(GroupID)
    case abort(GroupID)
    /// Run `ExecReload=` of every serving service of the group.
    case reload(GroupID)
    /// What still drains is told to end now: the kill signal at once, and after the usual time SIGKILL.
    case drainNow(GroupID)
    /// That something of the group failed is no longer told; nothing while it runs.
    case forget(GroupID)
    /// That something of the group failed, and how often it was started, no longer counts; what runs goes on.
    case resetFailed(GroupID)
    /// Go on with processes that an earlier supervisor has left, as a generation that serves.
    case adopt(Adoption)
    /// Stop everything, drained and in order; nothing is started any more.
    case shutDown
}

/// How a swap differs from what the unit says.
public struct SwapOptions: Sendable, Equatable, Codable {
    public var kind: OperationKind
    /// Pause before cutover until `promote` or `abort`.
    public var hold: Bool
    /// `restart --hard`: stop first, whatever the strategy.
    public var stopFirst: Bool
    public init(kind: OperationKind = .swap, hold: Bool = false, stopFirst: Bool = false) {
        self.kind = kind
        self.hold = hold
        self.stopFirst = stopFirst
    }
}
