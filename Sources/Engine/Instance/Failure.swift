/// How a service's run ended.
public enum ServiceResult: Sendable, Equatable, Codable {
    /// Left cleanly, or because it was told to.
    case clean(ExitStatus?)
    /// `ExecCondition=` said that it is not to run here.
    case skipped
    case failed(Failure)

    /// The rows of the table under `Restart=` in systemd.service(5).
    enum Category: CaseIterable {
        case clean, uncleanExit, uncleanSignal, timeout, watchdog, skipped, neverAgain
        /// What the table has no row for, and systemd restarts for like a time-out: no resources, a broken protocol.
        case otherwise
    }

    var category: Category {
        switch self {
        case .clean: .clean
        case .skipped: .skipped
        case .failed(let failure): failure.cause.category
        }
    }

    public var failure: Failure? {
        if case .failed(let failure) = self { failure } else { nil }
    }

    /// `$SERVICE_RESULT` of systemd.exec(5), table 5.
    public var name: String {
        switch self {
        case .clean: "success"
        case .skipped: "exec-condition"
        case .failed(let failure): failure.cause.serviceResult
        }
    }
}

/// How a run ended, as those are told who come after it (`$SERVICE_RESULT`, `$EXIT_CODE`, `$EXIT_STATUS`).
public struct ServiceEnd: Sendable, Equatable {
    public var result: ServiceResult
    /// Of the main process; nil if there was none, or while it lives.
    public var main: ExitStatus?
}

/// What failed, at which step, and why. The supervisor puts it into words and adds the last lines that were logged.
public struct Failure: Sendable, Equatable, Codable, Error {
    /// Where in its life the service, or the generation, was.
    public enum Step: Sendable, Equatable, Codable {
        case dependency, prepare, condition, startPre, start, readiness, startPost, soak, run, reload
        /// `ExecStop=`
        case stop
        /// What it had been doing was being ended: by a signal, or because it had said so itself.
        case leave
        /// `ExecStopPost=`
        case stopPost
    }
    public enum Cause: Sendable, Equatable, Codable {
        /// Setting the process up or executing it failed; the text names the step and the errno. The status is the one that
        /// systemd.exec(5) has for it, 203 where the program could not be executed; nil where there is none.
        case spawn(String, status: Int32?)
        /// Its main process ended cleanly, when it was to stay.
        case endedEarly(ExitStatus)
        /// It did not do what its `Type=` promises; said in full.
        case protocolError(String)
        /// It did not say `WATCHDOG=1` within this time.
        case watchdog(Duration)
        case exited(ExitStatus)
        /// Not done within this time.
        case timedOut(Duration)
        /// The probe's last answer.
        case probe(String)
        /// Started too often: `StartLimitBurst=` within `StartLimitIntervalSec=`.
        case startLimit(Int, Duration)
        /// A socket, a directory, a dependency: said in full.
        case text(String)
    }
    /// The unit that failed.
    public var unit: String
    public var step: Step
    public var cause: Cause
    /// What the service itself said last: `ERRNO=` and `STATUS=`.
    public var errno: Int32?
    public var statusText: String?
    /// What did not come in time.
    public var awaited: Awaited?

    public init(unit: String, step: Step, cause: Cause, errno: Int32? = nil, statusText: String? = nil) {
        self.unit = unit
        self.step = step
        self.cause = cause
        self.errno = errno
        self.statusText = statusText
    }
}

extension Failure.Cause {
    var category: ServiceResult.Category {
        switch self {
        case .spawn(_, status: .some): .uncleanExit
        case .text, .protocolError, .endedEarly, .spawn(_, status: nil): .otherwise
        case .watchdog: .watchdog
        case .exited(.exited), .exited(.unknown): .uncleanExit
        case .exited(.signalled): .uncleanSignal
        case .timedOut, .probe: .timeout
        case .startLimit: .neverAgain
        }
    }

    /// `$SERVICE_RESULT` of systemd.exec(5), table 5.
    var serviceResult: String {
        switch self {
        case .spawn(_, status: .some): "exit-code"
        case .spawn(_, status: nil), .text: "resources"
        case .protocolError, .endedEarly: "protocol"
        case .watchdog: "watchdog"
        case .exited(.signalled(_, coreDumped: true)): "core-dump"
        case .exited(.signalled): "signal"
        case .exited: "exit-code"
        case .timedOut, .probe: "timeout"
        case .startLimit: "start-limit-hit"
        }
    }
}
