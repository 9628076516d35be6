/// At most `burst` events in `interval`; no limit if either is zero.
public struct RateLimit: Sendable, Hashable, Codable {
    public var interval: Duration
    public var burst: Int

    public init(interval: Duration, burst: Int) {
        self.interval = interval
        self.burst = burst
    }
}
