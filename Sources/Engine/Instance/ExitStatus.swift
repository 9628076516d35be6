/// How a process ended, as wait(2) tells it.
public enum ExitStatus: Hashable, Sendable, Codable {
    case exited(Int32)
    case signalled(Int32, coreDumped: Bool)
    /// Its parent was somebody else, so that nobody told us (kernels before 6.15).
    case unknown
}

/// A set of exit statuses and signals, as `SuccessExitStatus=` and its siblings list them.
public struct ExitStatusSet: Sendable, Equatable, Codable {
    public var codes: Set<Int32>
    public var signals: Set<Int32>
    public init(codes: Set<Int32> = [], signals: Set<Int32> = []) {
        self.codes = codes
        self.signals = signals
    }

    public func contains(_ status: ExitStatus) -> Bool {
        switch status {
        case .exited(let code): codes.contains(code)
        case .signalled(let signal, _): signals.contains(signal)
        case .unknown: false
        }
    }
}

/// When a service that ended is started again: `Restart=` and what goes with it.
public struct RestartRules: Sendable, Equatable, Codable {
    /// Values of `Restart=` in systemd.service(5).
    public enum Policy: Sendable, Equatable, Codable, CaseIterable {
        case no, onSuccess, onFailure, onAbnormal, onWatchdog, onAbort, always
    }
    public var policy: Policy
    public var delay: Duration
    /// `SuccessExitStatus=`: clean in addition to exit 0, SIGHUP, SIGINT, SIGTERM and SIGPIPE.
    public var success: ExitStatusSet
    /// `RestartPreventExitStatus=`
    public var prevent: ExitStatusSet
    /// `RestartForceExitStatus=`
    public var force: ExitStatusSet
    /// `RestartSteps=`: over how many restarts the pause grows to `maxDelay`; zero leaves it as it is.
    @Added public var steps: Int = 0
    /// `RestartMaxDelaySec=`; nil is `infinity`, with which the pause does not grow.
    public var maxDelay: Duration?
    /// At most `startLimitBurst` starts within `startLimitInterval`; an interval of zero is no limit.
    public var startLimitInterval: Duration
    public var startLimitBurst: Int

    public init(policy: Policy = .no, delay: Duration = .milliseconds(100)) {
        self.policy = policy
        self.delay = delay
        self.success = ExitStatusSet()
        self.prevent = ExitStatusSet()
        self.force = ExitStatusSet()
        self.startLimitInterval = .seconds(10)
        self.startLimitBurst = 5
    }

    /// "Clean" as systemd.service(5) defines it under `Restart=`: SIGHUP, SIGINT, SIGTERM or SIGPIPE, or exit 0, or
    /// what `SuccessExitStatus=` adds.
    public func isClean(_ status: ExitStatus) -> Bool {
        switch status {
        case .exited(let code): code == 0 || success.contains(status)
        case .signalled(let signal, _): [1, 2, 15, 13].contains(signal) || success.contains(status)
        // Its end was seen by nobody who could tell (the supervisor was killed meanwhile): rather once more than never.
        case .unknown: false
        }
    }

    /// "Clean" of the commands beside the main process and of oneshot services: only exit 0 and what
    /// `SuccessExitStatus=` adds.
    public func isCleanCommand(_ status: ExitStatus) -> Bool {
        switch status {
        case .exited(let code): code == 0 || success.contains(status)
        case .signalled: success.contains(status)
        // What nobody saw end well is not reported as done (I5).
        case .unknown: false
        }
    }

    /// Systemd's table of `Restart=` against the reason of the end. `RestartPreventExitStatus=` and `RestartForceExitStatus=` are
    /// about the main process, whatever the reason was: one that exits with 7 when it is killed for being late counts as well.
    public func restarts(after end: ServiceEnd) -> Bool {
        if let status = end.main {
            if prevent.contains(status) { return false }
            if force.contains(status) { return true }
        }
        switch (policy, end.result.category) {
        case (.no, _), (_, .skipped), (_, .neverAgain): return false
        case (.always, _): return true
        case (.onSuccess, let category): return category == .clean
        case (.onFailure, let category): return category != .clean
        case (.onAbnormal, let category): return category != .clean && category != .uncleanExit
        case (.onAbort, let category): return category == .uncleanSignal
        case (.onWatchdog, let category): return category == .watchdog
        }
    }
}
