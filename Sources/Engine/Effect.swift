/// What is to be done. Effects are carried out in order; what comes of them returns as events.
public enum Effect: Sendable, Equatable {
    /// Open the held sockets that are missing and those of this generation, make its directory. Answered by
    /// `prepared` or `prepareFailed`.
    case prepare(GenerationID, Plan)
    /// Execute a command of an instance. Answered by `spawned` or `spawnFailed`, and later by `exited`.
    case spawn(Token, InstanceID, ServiceCommand)
    case signal(Token, Int32)
    /// To every process of the instance.
    case signalTree(InstanceID, Int32)
    /// End every process of the instance, forks included.
    case killTree(InstanceID)
    /// Answer `treeEmpty` when no process of the instance is left, at once if there is none.
    case watchTree(Token, InstanceID)
    /// Take `watchTree` back: the engine has dropped the token, and nothing may act under it any more (I6).
    case unwatchTree(Token, InstanceID)
    case probe(Token, InstanceID)
    /// Look at `Condition…=` and `Assert…=` now. Answered by `conditionsChecked`.
    case checkConditions(Token, InstanceID)
    /// Find the main process of a forking service: by its PID file, or by guessing. Answered by `mainSought`.
    case seekMain(Token, InstanceID)
    case cancelSearch(Token)
    case cancelProbe(Token)
    /// A service is part of a generation from now on; its definition, cgroup and log belong to this instance.
    case createInstance(InstanceID, GenerationID, ServiceSpec)
    /// Nothing of the instance is left.
    case forgetInstance(InstanceID)
    /// No process of the generation is left: close its sockets, remove its directory.
    case releaseGeneration(GenerationID)
    /// The generation that serves from now on; to be remembered before anything else is done.
    case recordServing(GenerationID, release: String?)
    /// Start these units, full names; each one's success is its own matter.
    case startUnits([String], StartCause)
    case report(Report)
}

/// Which command of a service, by its directive and its index there.
public enum ServiceCommand: Sendable, Equatable, Codable {
    case condition(Int)
    case startPre(Int)
    case start(Int)
    case startPost(Int)
    case reload(Int)
    case stop(Int)
    case stopPost(Int)
}

/// What people are told: streams of progress, ends of operations, changes of services.
public enum Report: Sendable, Equatable {
    /// The operation entered a phase.
    case phase(GroupID, generation: Int?, PhaseName)
    case service(InstanceID, ServicePhase)
    /// A condition, as it is written in the unit, keeps the service from being started.
    case skipped(InstanceID, String)
    /// A failure that ends a run of a service outside any operation, or makes an operation fail.
    case failure(GroupID, Failure)
    case finished(GroupID, OperationResult, [RequestID])
    /// A group is stopped that nobody asked to be.
    case stopping(GroupID, StopCause)
    case refused(RequestID, Refusal)
    /// A request that needed nothing: `start` of what runs, `stop` of what does not.
    case unchanged(GroupID, RequestID)
    case shutDownComplete([RequestID])
}

/// Why a request was not even begun.
public enum Refusal: Sendable, Equatable {
    /// At most one operation per group (I2).
    case busy(GroupID, OperationKind, PhaseName)
    case notRunning(GroupID)
    case notASwapUnit(GroupID)
    /// Another release serves; `swap` is what replaces it.
    case otherReleaseServes(GroupID, release: String?)
    case nothingToPromote(GroupID)
    case nothingToAbort(GroupID, PhaseName?)
    case nothingToRollBack(GroupID)
    case nothingDrains(GroupID)
    /// Both cannot run at once, so both cannot be held.
    case holdNeedsOverlap(GroupID)
    case noReload(GroupID)
    case shuttingDown
}

public enum OperationKind: Sendable, Equatable, Codable { case start, swap, rollback, restart, stop, reload }

/// Phases of an operation, as people see them (DESIGN section 4).
public enum PhaseName: Sendable, Equatable, Codable {
    case waiting, prepare, start, soak, hold, drain, rollBack, stopOld, restore, stop, reload
}

/// How an operation ended.
public struct OperationResult: Sendable, Equatable, Codable {
    public enum Outcome: Sendable, Equatable, Codable {
        case completed, rolledBack, aborted, failed
        /// It was cut over to, and does not serve any more: it has ended since, or was stopped.
        case lost
    }
    public var kind: OperationKind
    public var outcome: Outcome
    /// All new services have ended cleanly: a oneshot service has done its work.
    @Added public var isOver: Bool = false
    /// New services that have ended cleanly while others run.
    @Added public var ended: [String] = []
    public var from: GenerationSummary?
    /// The generation that was started, if any.
    public var to: GenerationSummary?
    /// What serves now.
    public var serving: GenerationSummary?
    public var failure: Failure?
    /// The condition that kept everything that was to be started from starting. The operation is completed all the same.
    public var skippedBy: String?
    /// What went wrong while services were being stopped: they are gone, but did not go as they should have.
    public var uncleanEnds: [Failure]
    /// Seconds spent in each phase, in order.
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
