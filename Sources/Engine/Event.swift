import Vocabulary

/// An event that the engine handles.
public enum Event: Sendable, Codable {
    case command(Command, RequestID)
    /// A transaction: all commands are begun before any of them advances, so that each sees the others.
    case commands([Requested])
    /// The generation's sockets are open and its directory exists.
    case prepared(GenerationID)
    case prepareFailed(GenerationID, Failure)
    /// execve(2) of the process succeeded.
    case spawned(Token)
    /// The spawn failed, and there is no process. The text names step and errno: `executing /srv/x: No such file or
    /// directory`. The status is that of systemd.exec(5), "Process exit codes", if there is one for the step.
    case spawnFailed(Token, String, status: Int32?)
    case exited(Token, ExitStatus)
    /// The last process of the instance watched under this token is gone.
    case treeEmpty(Token)
    case probeAnswered(Token, ProbeAnswer)
    case conditionsChecked(Token, ConditionVerdict)
    case mainSought(Token, MainSearch)
    /// A search that has not ended has a new finding.
    case searchNoted(Token, SearchNote)
    case notified(InstanceID, Sender, NotifyMessage)
    /// The answer to `Report.cutting`: the number of the service's open connections.
    case connectionsCut(InstanceID, Int)
    /// The process named by `MAINPID=` belongs to the instance and is watched under this token from now on.
    case mainProcessChanged(InstanceID, Token)
    /// The time of `nextDeadline` has been reached.
    case deadlineReached
    /// The memory of a group from an earlier supervisor process; precedes any command about the group.
    case restored(GroupID, GroupMemory)

    /// The sender of a notify message.
    public enum Sender: Sendable, Equatable, Codable {
        /// A process that the engine asked for: the main process or one of the other commands.
        case process(Token)
        /// Any other process of the service's tree.
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

/// The state of a group that outlives the supervisor process, in the state directory.
public struct GroupMemory: Sendable, Equatable, Codable {
    public var lastNumber: Int
    public init(lastNumber: Int) { self.lastNumber = lastNumber }
}

/// The present result of a unit's `Condition…=` and `Assert…=`.
public enum ConditionVerdict: Sendable, Equatable, Codable {
    case met
    /// The condition that does not hold, as written in the unit.
    case unmet(String)
    /// The assert that does not hold.
    case assertFailed(String)
}

/// The result of a search for the main process of a forking service.
public enum MainSearch: Sendable, Equatable, Codable {
    /// The process belongs to the instance's tree, and is watched under this token from now on.
    case found(Token)
    /// There is no PID file to wait for and no process can be guessed; or the main process is unchanged.
    case absent
    /// The PID file does not exist, or does not name a process of the service. The file is watched, and `found`
    /// follows.
    case later
}

/// The answer of a probe.
public enum ProbeAnswer: Sendable, Equatable, Codable {
    case ready
    case notReady(String)
}

/// The fields of a sd_notify(3) message that matter to decisions.
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
    /// With a `READY=1` that may be refused: its sender, for display.
    public var sender: String?
    public init() {}
}

/// A command of an operator.
public enum Command: Sendable, Codable {
    case start(Plan)
    case stop(GroupID)
    case swap(Plan, SwapOptions)
    case rollback(GroupID, hold: Bool)
    case promote(GroupID)
    case abort(GroupID)
    /// Run `ExecReload=` of every serving service of the group.
    case reload(GroupID)
    /// Wait for the draining generations, or end them now: the kill signal at once, and SIGKILL after the usual time.
    case drain(GroupID, DrainRequest)
    /// `drain` of everything, at once; only among events that an earlier version has left.
    case drainNow(GroupID)
    /// Forget the last failure of the group; no effect while the group runs.
    case forget(GroupID)
    /// Forget the failures of the group and its count of starts; running services are unaffected.
    case resetFailed(GroupID)
    /// Continue with processes that an earlier supervisor has left, as a generation that serves.
    case adopt(Adoption)
    /// Stop everything, drained and in order; nothing is started any more.
    case shutDown
}

/// The options of a swap that override the unit's settings.
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
