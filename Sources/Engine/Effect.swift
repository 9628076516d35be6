import Vocabulary

/// An action for the supervisor. Effects are carried out in order; their results return as events.
public enum Effect: Sendable, Equatable {
    /// Open the missing held sockets and those of this generation, make its directory. Answered by `prepared` or
    /// `prepareFailed`.
    case prepare(GenerationID, Plan)
    /// Execute a command of an instance. Answered by `spawned` or `spawnFailed`, and later by `exited`.
    case spawn(Token, InstanceID, ServiceCommand)
    case signal(Token, Signal)
    /// Signal every process of the instance.
    case signalTree(InstanceID, Signal)
    /// Kill every process of the instance, forks included.
    case killTree(InstanceID)
    /// Answer `treeEmpty` when no process of the instance is left, at once if there is none.
    case watchTree(Token, InstanceID)
    /// Cancel `watchTree`: the engine has dropped the token, and no event may use it any more (I6).
    case unwatchTree(Token, InstanceID)
    case probe(Token, InstanceID)
    /// Check `Condition…=` and `Assert…=` now. Answered by `conditionsChecked`.
    case checkConditions(Token, InstanceID)
    /// Find the main process of a forking service: by its PID file, or by guessing. Answered by `mainSought`.
    case seekMain(Token, InstanceID)
    case cancelSearch(Token)
    case cancelProbe(Token)
    /// Create an instance of a service in a generation; its definition, cgroup and log belong to this instance.
    case createInstance(InstanceID, GenerationID, ServiceSpec)
    /// Forget an instance of which nothing is left.
    case forgetInstance(InstanceID)
    /// Close the sockets and remove the directory of a generation without processes.
    case releaseGeneration(GenerationID)
    /// Record the generation that serves from now on, before any later effect is carried out.
    case recordServing(GenerationID, release: String?)
    /// Start these units, by full name; each may fail without affecting the others.
    case startUnits([String], StartCause)
    case report(Report)
}

/// A command of a service, by its directive and its index there.
public enum ServiceCommand: Sendable, Equatable, Codable {
    case condition(Int)
    case startPre(Int)
    case start(Int)
    case startPost(Int)
    case reload(Int)
    case stop(Int)
    case stopPost(Int)
}

extension ServiceCommand {
    /// True if the command may be the first of a run.
    public var beginsRun: Bool {
        switch self {
        case .condition, .startPre, .start: true
        case .startPost, .reload, .stop, .stopPost: false
        }
    }
}

/// A message for users: progress, ends of operations, changes of services.
public enum Report: Sendable, Equatable {
    /// The operation entered a phase.
    case phase(GroupID, generation: Int?, PhaseName)
    case service(InstanceID, ServicePhase)
    /// A condition, as written in the unit, keeps the service from being started.
    case skipped(InstanceID, String)
    /// A failure that ends a run of a service outside any operation, or makes an operation fail.
    case failure(GroupID, Failure)
    case finished(GroupID, FinishedOperation, [RequestID])
    /// A draining generation is sent the kill signal before its time, or SIGKILL.
    case drainForced(GroupID, GenerationSummary, DrainForce)
    /// The kill signal is about to be sent to a service that drains; its connections can still be counted.
    case cutting(InstanceID)
    /// A draining generation is gone. The requests waited for it.
    case drained(GroupID, DrainResult, [RequestID])
    /// A group is being stopped without a request.
    case stopping(GroupID, StopCause)
    case refused(RequestID, Refusal)
    /// A request that changed nothing: `start` of a running group, `stop` of a stopped one.
    case unchanged(GroupID, RequestID)
    case shutDownComplete([RequestID])
}

/// The reason why a request was not begun.
public enum Refusal: Sendable, Equatable {
    /// At most one operation per group (I2).
    case busy(GroupID, OperationKind, PhaseName)
    case notRunning(GroupID)
    case notASwapUnit(GroupID)
    /// Another release serves; `swap` replaces it.
    case otherReleaseServes(GroupID, release: String?)
    case nothingToPromote(GroupID)
    case nothingToAbort(GroupID, PhaseName?)
    case nothingToRollBack(GroupID)
    case nothingDrains(GroupID)
    /// The generations cannot run at the same time, so they cannot be held.
    case holdNeedsOverlap(GroupID)
    case noReload(GroupID)
    case shuttingDown
}

public enum OperationKind: Sendable, Equatable, Codable { case start, swap, rollback, restart, stop, reload }

/// Phases of an operation, as shown to users (DESIGN section 4).
public enum PhaseName: Sendable, Equatable, Codable {
    case waiting, prepare, start, soak, hold, cutOver, drain, rollBack, stopOld, restore, stop, reload
}

/// The result of an operation.
public struct FinishedOperation: Sendable, Equatable, Codable {
    public enum Outcome: Sendable, Equatable, Codable {
        case completed, rolledBack, aborted, failed
        /// The new generation was cut over to but no longer serves: it has ended since, or was stopped. Only of
        /// operations of earlier versions, which ended with the drain.
        case lost
    }
    public var kind: OperationKind
    public var outcome: Outcome
    /// True if all new services have ended cleanly: a oneshot service has done its work.
    @Added public var isOver: Bool = false
    /// Services that have ended while others run: new ones, or after a rollback those of the serving generation.
    @Added public var ended: [String] = []
    public var from: GenerationSummary?
    /// The generation that was started, if any.
    public var to: GenerationSummary?
    /// The generation that serves now.
    public var serving: GenerationSummary?
    public var failure: Failure?
    /// The condition that skipped every service of the operation. The operation still counts as completed.
    public var skippedBy: String?
    /// Generations that drain at this moment, the oldest first.
    @Added public var draining: [GenerationSummary] = []
    /// Failures while services were being stopped: they are gone, but did not end cleanly.
    public var uncleanEnds: [Failure]
    /// The time spent in each phase, in order.
    public var durations: [PhaseDuration]
}

public struct PhaseDuration: Sendable, Equatable, Codable {
    public var phase: PhaseName
    public var duration: Duration
}

public struct GenerationSummary: Sendable, Equatable, Codable {
    public var number: Int
    public var release: String?
}
