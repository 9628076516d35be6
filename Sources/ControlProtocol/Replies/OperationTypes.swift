// Replies of the long-running methods (`Start`, `Stop`, `Restart`, `Reload`, `Swap`, `Promote`, `Abort`, `Rollback`,
// `Drain`): with `more`, one `Progress` for each event; at the end always one `OperationResult`.

/// The steps of a swap (DESIGN section 4), and of the other operations.
public enum SwapPhase: String, Codable, Sendable, CaseIterable {
    /// Unit files are loaded and checked, generation sockets opened.
    case prepare
    /// Services are being executed, in order.
    case start
    /// All services were executed; readiness is still missing.
    case verify
    /// All services are ready and must stay ready for `SoakSec=`.
    case soak
    /// The operation waits for `Promote` or `Abort`.
    case hold
    /// The old generation gets the signal to stop accepting.
    case cutOver = "cut_over"
    /// The old generation, or the one that is being stopped, finishes its open work.
    case drain
    /// The new generation is being ended; the old one still serves.
    case rollBack = "roll_back"
    /// The outcome is written to the history.
    case record
    /// A reload, which is no swap.
    case reload
    /// No operation: the service runs. Only in a ``FailureReport``.
    case run
}

/// An event in a running operation, or a change in its wait condition.
public struct Progress: Codable, Equatable, Sendable {
    /// Seconds since the operation began.
    public var elapsed: Double
    /// The swap unit or service of the operation, with its release: `site@v3.target`.
    public var unit: String
    /// The generation concerned; nil before it has a number.
    public var generation: Int?
    /// The release of that generation.
    public var release: String?
    public var phase: SwapPhase
    /// The service that the message is about, if it is about one.
    public var service: String?
    /// The event, in words: `ready`, `executed, pid 4711`.
    public var message: String
    /// The condition that must hold before the phase continues, in words: `app@v3.service (probe http …)`.
    public var waitingFor: String?
    /// Connections that the draining generation still has; nil if not counted.
    public var connectionsLeft: Int?
    /// Seconds until the phase's deadline, or until its end if it is a soak; nil without one.
    public var secondsLeft: Double?

    public init(
        elapsed: Double, unit: String, generation: Int? = nil, release: String? = nil, phase: SwapPhase,
        service: String? = nil, message: String, waitingFor: String? = nil, connectionsLeft: Int? = nil,
        secondsLeft: Double? = nil
    ) {
        self.elapsed = elapsed
        self.unit = unit
        self.generation = generation
        self.release = release
        self.phase = phase
        self.service = service
        self.message = message
        self.waitingFor = waitingFor
        self.connectionsLeft = connectionsLeft
        self.secondsLeft = secondsLeft
    }
}

/// The outcome of an operation.
public enum OperationOutcome: String, Codable, Sendable, CaseIterable {
    /// The operation succeeded: the new generation serves and the old one has been told to drain, or the reload or drain
    /// is done.
    case completed
    /// The new generation failed and is gone, or drains if it has accepted connections; the old one still serves.
    case rolledBack = "rolled_back"
    /// An operator ended the swap. The old generation still serves, unless ``OperationResult/reason`` is present: then
    /// it was stopped.
    case aborted
    /// The unit runs now and did not run before.
    case started
    /// The unit was started and has ended cleanly: its work is done.
    case done
    /// The unit ran before and is gone now.
    case stopped
    /// The unit was in the wanted state already.
    case unchanged
    /// A condition of every unit to be started does not hold: nothing was started, which is no failure.
    case skipped
    /// The operation failed, and nothing serves in its place.
    case failed
    /// The new generation was cut over to and does not serve any more. Of an operation that waited for its drain, as
    /// those of earlier versions did.
    case lost
}

/// The durations of an operation's steps, in seconds; nil for a step that it did not have.
public struct PhaseDurations: Codable, Equatable, Sendable {
    public var prepare: Double?
    /// The time from the first execution until everything was ready.
    public var start: Double?
    public var soak: Double?
    /// The time for which the operation stopped a generation. In the history, once a drain after it has ended: the time
    /// from the cutover until the last old process was gone, which `total` does not include.
    public var drain: Double?
    public var total: Double

    public init(
        prepare: Double? = nil, start: Double? = nil, soak: Double? = nil, drain: Double? = nil, total: Double = 0
    ) {
        self.prepare = prepare
        self.start = start
        self.soak = soak
        self.drain = drain
        self.total = total
    }
}

/// The report of a failure: everything that an operator needs to find the cause.
public struct FailureReport: Codable, Equatable, Sendable {
    /// The unit that failed, `app@v3.service`.
    public var unit: String
    /// The step in which it failed.
    public var phase: SwapPhase
    /// The failure, as `cannot start app@v3.service: executing /srv/site/v3/bin/server: No such file or directory`.
    public var message: String
    /// The exit of its process: `exit status 1 (FAILURE)`, `signal 11 (SEGV)`; nil if the process did not end.
    public var exitStatus: String?
    /// The last answer of its probe: `503 Service Unavailable`; nil if no probe answered.
    public var probeAnswer: String?
    /// The last lines that the unit wrote, oldest first, without line ends.
    public var lastLines: [String]

    public init(
        unit: String, phase: SwapPhase, message: String, exitStatus: String? = nil, probeAnswer: String? = nil,
        lastLines: [String] = []
    ) {
        self.unit = unit
        self.phase = phase
        self.message = message
        self.exitStatus = exitStatus
        self.probeAnswer = probeAnswer
        self.lastLines = lastLines
    }
}

/// The end of an operation.
public struct OperationResult: Codable, Equatable, Sendable {
    public var outcome: OperationOutcome
    /// The unit of the operation, with its release: `site@v3.target`.
    public var unit: String
    /// The generation that the operation started, or the generation that it concerned.
    public var generation: Int?
    public var release: String?
    /// The generation that served before; after `rolled_back` and `aborted` it still serves.
    public var fromGeneration: Int?
    public var fromRelease: String?
    /// Present if the outcome is `rolled_back`, `failed`, `lost` or `skipped`, or if it is `aborted` because the unit
    /// was stopped.
    public var reason: FailureReport?
    /// Other swap units that moved along, with their releases, and other notes.
    public var notes: [String]
    public var durations: PhaseDurations
    /// The generations that drain at this moment, the oldest first; nil if there are none.
    public var draining: [GenerationReference]?
    /// Ended drains, in the order of their ends; only in the reply of `Drain`.
    public var drained: [DrainEnd]?

    public init(
        outcome: OperationOutcome, unit: String, generation: Int? = nil, release: String? = nil,
        fromGeneration: Int? = nil, fromRelease: String? = nil, reason: FailureReport? = nil, notes: [String] = [],
        durations: PhaseDurations = PhaseDurations(), draining: [GenerationReference]? = nil,
        drained: [DrainEnd]? = nil
    ) {
        self.outcome = outcome
        self.unit = unit
        self.generation = generation
        self.release = release
        self.fromGeneration = fromGeneration
        self.fromRelease = fromRelease
        self.reason = reason
        self.notes = notes
        self.durations = durations
        self.draining = draining
        self.drained = drained
    }
}

/// The reason for which the kill signal was sent to a generation that drained.
public enum DrainForceReason: String, Codable, Sendable, CaseIterable {
    /// `DrainTimeoutSec=` was over.
    case timeout
    /// More than `MaxDraining=` generations drained, and it was the oldest.
    case limit
    /// `drain --now`, or a second request to shut down.
    case request
    /// The next generation never runs beside another one (`Strategy=queue`).
    case queue
}

/// The end of a drain: nothing of the generation is left.
public struct DrainEnd: Codable, Equatable, Sendable {
    public var generation: Int
    public var release: String?
    /// The time since the cutover.
    public var seconds: Double
    /// nil: every service finished its work by itself.
    public var forced: DrainForceReason?
    /// Connections that were open when the kill signal was sent; nil if none was sent or they were not counted.
    public var connectionsCut: Int?
    /// Services that did not end cleanly, as a sentence; nil if there are none.
    public var unclean: String?
    /// The failure of the generation that replaced it, as a sentence: it does not serve any more.
    public var lost: String?

    public init(
        generation: Int, release: String? = nil, seconds: Double, forced: DrainForceReason? = nil,
        connectionsCut: Int? = nil, unclean: String? = nil, lost: String? = nil
    ) {
        self.generation = generation
        self.release = release
        self.seconds = seconds
        self.forced = forced
        self.connectionsCut = connectionsCut
        self.unclean = unclean
        self.lost = lost
    }
}

/// One reply of a long-running method: `progress` while it runs, `result` in the last reply.
public struct OperationReply: Codable, Equatable, Sendable {
    public var progress: Progress?
    public var result: OperationResult?

    public init(progress: Progress) {
        self.progress = progress
    }

    public init(result: OperationResult) {
        self.result = result
    }
}

/// The reply of `Reexec`.
public struct ReexecReply: Codable, Equatable, Sendable {
    /// The version of the program that runs now.
    public var version: String
    /// The version of the program that ran before.
    public var previousVersion: String
    /// The time between the two in seconds, in which no event was handled.
    public var pause: Double

    public init(version: String, previousVersion: String, pause: Double) {
        self.version = version
        self.previousVersion = previousVersion
        self.pause = pause
    }
}

/// One reply of `Shutdown`: `progress` while services drain, `stopped` in the last reply.
public struct ShutdownReply: Codable, Equatable, Sendable {
    public var progress: Progress?
    /// The units that were running and are gone now.
    public var stopped: [String]?
    /// Units whose processes are unaccounted for: they keep running. nil if there are none.
    public var unknown: [String]?

    public init(progress: Progress) {
        self.progress = progress
    }

    public init(stopped: [String], unknown: [String]? = nil) {
        self.stopped = stopped
        self.unknown = unknown
    }
}
