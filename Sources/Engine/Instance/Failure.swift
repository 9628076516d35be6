import Vocabulary

/// How a run of a service ended.
public enum ServiceResult: Sendable, Equatable, Codable {
    /// The service exited cleanly, or because it was asked to.
    case clean(ExitStatus?)
    /// `ExecCondition=` reported that the service is not to run on this host.
    case skipped
    case failed(Failure)

    /// The rows of the table under `Restart=` in systemd.service(5).
    enum Category: CaseIterable {
        case clean, uncleanExit, uncleanSignal, timeout, watchdog, skipped, neverAgain
        /// Results without a row in the table; systemd restarts after them as after a time-out: no resources, a broken
        /// protocol.
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

    /// The value of `$SERVICE_RESULT` (systemd.exec(5), table 5).
    public var name: String {
        switch self {
        case .clean: "success"
        case .skipped: "exec-condition"
        case .failed(let failure): failure.cause.serviceResult
        }
    }
}

/// How a run ended, as the commands that run afterwards see it (`$SERVICE_RESULT`, `$EXIT_CODE`, `$EXIT_STATUS`).
public struct ServiceEnd: Sendable, Equatable {
    public var result: ServiceResult
    /// Exit status of the main process; nil if there was none, or while it lives.
    public var main: ExitStatus?
}

/// The unit, step and cause of a failure. The supervisor turns it into a message and adds the last logged lines.
public struct Failure: Sendable, Equatable, Codable, Error {
    /// The step at which the service, or the generation, failed.
    public enum Step: Sendable, Equatable, Codable {
        case dependency, prepare, condition, startPre, start, readiness, startPost, soak, run, reload
        /// `ExecStop=`
        case stop
        /// The end of the running service: after a signal, or after its own `STOPPING=1`.
        case leave
        /// `ExecStopPost=`
        case stopPost
    }
    public enum Cause: Sendable, Equatable, Codable {
        /// Setting up or executing the process failed; the text names the step and the errno. The status is the one of
        /// systemd.exec(5) for that step (203 if the program could not be executed); nil if there is none.
        case spawn(String, status: Int32?)
        /// The main process ended cleanly although it should have stayed.
        case endedEarly(ExitStatus)
        /// The service broke the protocol of its `Type=`; the text is a complete explanation.
        case protocolError(String)
        /// The service did not send `WATCHDOG=1` within this time.
        case watchdog(Duration)
        case exited(ExitStatus)
        /// The step did not finish within this time.
        case timedOut(Duration)
        /// The probe's last answer.
        case probe(String)
        /// Too many starts: `StartLimitBurst=` within `StartLimitIntervalSec=`.
        case startLimit(Int, Duration)
        /// A socket, directory or dependency failed; the text is a complete explanation.
        case text(String)
    }
    /// The unit that failed.
    public var unit: String
    public var step: Step
    public var cause: Cause
    /// The last `ERRNO=` and `STATUS=` of the service itself.
    public var errno: Int32?
    public var statusText: String?
    /// The event that did not arrive in time.
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

    /// The value of `$SERVICE_RESULT` (systemd.exec(5), table 5).
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
