/// A point on a clock that never goes back (CLOCK_MONOTONIC in the daemon, any number in a test), in nanoseconds.
public struct Instant: Hashable, Comparable, Sendable, Codable {
    public var nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

    /// Saturates: a time span near infinity means "never", not a trap.
    public static func + (instant: Instant, duration: Duration) -> Instant {
        let span = duration.wholeNanoseconds
        let (sum, overflow) = instant.nanoseconds.addingReportingOverflow(span)
        return Instant(nanoseconds: overflow ? (span < 0 ? .min : .max) : sum)
    }

    /// Exact: a `Duration` holds more than the difference of two instants can be.
    public static func - (left: Instant, right: Instant) -> Duration {
        .nanoseconds(left.nanoseconds) - .nanoseconds(right.nanoseconds)
    }
}

extension Duration {
    /// The duration in nanoseconds, saturated to what 64 bits hold (292 years).
    public var wholeNanoseconds: Int64 {
        // Not `components`, which ends the process for what has more than 64 bits of seconds.
        Int64(clamping: attoseconds / 1_000_000_000)
    }
}
