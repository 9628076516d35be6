import Vocabulary

/// Settings of systemd.service(5) and systemd.kill(5) other than commands, restart rules and the main time limits.
public struct Lifecycle: Sendable, Equatable, Codable, DefaultInitializable {
    public var remainsAfterExit = false
    /// `ExitType=cgroup`: the service is up until its last process has ended.
    public var endsWithTree = false
    public var hasPidFile = false
    /// The unit has `Condition…=` or `Assert…=`.
    public var hasConditions = false
    public var reloadSignal = Signal.hangUp
    public var startFailureMode = TimeoutFailureMode.terminate
    public var stopFailureMode = TimeoutFailureMode.terminate
    /// nil: the same as the stop time-out.
    public var abortTimeout: Duration?
    public var watchdogSignal = Signal.abort
    /// nil: no watchdog.
    public var watchdog: Duration?
    /// nil is no limit.
    public var runtimeMax: Duration?
    /// nil: the kill signal.
    public var restartKillSignal: Signal?
    public var sendsHangup = false

    public init() {}
}

extension ServiceSpec {
    /// True if the unit has `ExecReload=`, or `Type=notify-reload`, which reloads by a signal.
    public var canReload: Bool { type == .notifyReload || !commands.reload.isEmpty }

    /// True for a clean exit of the main process; for a oneshot service a signal is never clean (systemd.service(5),
    /// `Restart=`).
    public func isCleanMain(_ status: ExitStatus) -> Bool {
        type == .oneshot ? restart.isCleanCommand(status) : restart.isClean(status)
    }
}

extension RestartRules {
    /// The pause before restart number `count` in a row, counted from 1. Starting at `RestartSec=`, it grows by a
    /// constant factor to `RestartMaxDelaySec=` after `RestartSteps=` restarts.
    public func delay(beforeRestart count: Int) -> Duration {
        guard steps > 0, count > 1, let longest = maxDelay, longest > delay else { return delay }
        guard count <= steps else { return longest }
        let shortest = max(Double(delay.wholeNanoseconds), 1000)
        let factor = Self.root(steps, of: Double(longest.wholeNanoseconds) / shortest)
        let nanoseconds = shortest * Self.power(factor, count - 1)
        return min(longest, .nanoseconds(Int64(min(nanoseconds, 9e18))))
    }

    /// Computes a root by bisection: the standard library has no logarithm, and this target may import nothing else.
    private static func root(_ degree: Int, of value: Double) -> Double {
        var (low, high) = (1.0, max(1, value))
        for _ in 0..<128 {
            let middle = (low + high) / 2
            if power(middle, degree) < value { low = middle } else { high = middle }
        }
        return high
    }

    private static func power(_ base: Double, _ exponent: Int) -> Double {
        var (result, square, left) = (1.0, base, exponent)
        while left > 0 {
            if left & 1 == 1 { result *= square }
            square *= square
            left >>= 1
        }
        return result
    }
}
