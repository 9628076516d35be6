import Vocabulary

/// Rules for starting a service again after it ended: `Restart=` and the related settings.
public struct RestartRules: Sendable, Equatable, Codable {
    /// `Restart=`
    public var policy: RestartPolicy
    public var delay: Duration
    /// `SuccessExitStatus=`: clean in addition to exit 0, SIGHUP, SIGINT, SIGTERM and SIGPIPE.
    public var success: ExitStatusSet
    /// `RestartPreventExitStatus=`
    public var prevent: ExitStatusSet
    /// `RestartForceExitStatus=`
    public var force: ExitStatusSet
    /// `RestartSteps=`: the number of restarts over which the pause grows to `maxDelay`; with zero the pause is
    /// constant.
    @Added public var steps: Int = 0
    /// `RestartMaxDelaySec=`; nil is `infinity`, with which the pause does not grow.
    public var maxDelay: Duration?
    /// At most `startLimitBurst` starts within `startLimitInterval`; an interval of zero is no limit.
    public var startLimitInterval: Duration
    public var startLimitBurst: Int

    public init(policy: RestartPolicy = .no, delay: Duration = .milliseconds(100)) {
        self.policy = policy
        self.delay = delay
        self.success = ExitStatusSet()
        self.prevent = ExitStatusSet()
        self.force = ExitStatusSet()
        self.startLimitInterval = .seconds(10)
        self.startLimitBurst = 5
    }

    /// True for a clean exit as systemd.service(5) defines it under `Restart=`: exit 0, SIGHUP, SIGINT, SIGTERM,
    /// SIGPIPE, or a status that `SuccessExitStatus=` adds.
    public func isClean(_ status: ExitStatus) -> Bool {
        switch status {
        case .exited(let code): code == 0 || success.contains(status)
        case .signalled(let signal, _):
            [.hangUp, .interrupt, .terminate, .pipe].contains(signal) || success.contains(status)
        // The status was lost (the supervisor was killed meanwhile): one restart too many is better than none.
        case .unknown: false
        }
    }

    /// True for a clean exit of a oneshot service or of a command beside the main process: only exit 0 and what
    /// `SuccessExitStatus=` adds.
    public func isCleanCommand(_ status: ExitStatus) -> Bool {
        switch status {
        case .exited(let code): code == 0 || success.contains(status)
        case .signalled: success.contains(status)
        // A command is not reported as done unless its clean exit was observed (I5).
        case .unknown: false
        }
    }

    /// True if `Restart=` starts the service again, by systemd's table of `Restart=` against the reason of the end.
    /// `RestartPreventExitStatus=` and `RestartForceExitStatus=` test the exit status of the main process, whatever the
    /// reason: a process that exits with 7 after it was killed for a time-out matches 7.
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
