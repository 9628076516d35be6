/// A point on a clock that never goes back (CLOCK_MONOTONIC in the daemon, any number in a test), in nanoseconds.
public struct Instant: Hashable, Comparable, Sendable, Codable {
    public var nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

    /// Adds with saturation: a time span near infinity means "never" and must not trap.
    public static func + (instant: Instant, duration: Duration) -> Instant {
        let span = duration.wholeNanoseconds
        let (sum, overflow) = instant.nanoseconds.addingReportingOverflow(span)
        return Instant(nanoseconds: overflow ? (span < 0 ? .min : .max) : sum)
    }

    /// The exact difference: a `Duration` can hold the difference of any two instants.
    public static func - (left: Instant, right: Instant) -> Duration {
        .nanoseconds(left.nanoseconds) - .nanoseconds(right.nanoseconds)
    }
}

extension Duration {
    /// The duration in nanoseconds, saturated to 64 bits (292 years).
    public var wholeNanoseconds: Int64 {
        // Not `components`, which traps for durations of more than 64 bits of seconds.
        Int64(clamping: attoseconds / 1_000_000_000)
    }
}
