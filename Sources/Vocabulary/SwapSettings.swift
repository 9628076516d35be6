/// The order in which generations replace each other (`Strategy=`).
public enum SwapStrategy: Keyword, Codable {
    /// The new generation starts beside the old one, then the old one drains.
    case overlap
    /// For services that must never run twice: the old generation stops first, connections wait in the held socket's
    /// backlog.
    case queue

    public var keyword: String {
        switch self {
        case .overlap: "overlap"
        case .queue: "queue"
        }
    }
}

/// The course of a swap, from the `[X-Swap]` section of the swap unit.
public struct SwapSettings: Sendable, Hashable, Codable {
    public var strategy: SwapStrategy
    /// The time within which all services must be ready; nil is no limit.
    public var readyTimeout: Duration?
    /// The time for which all services must stay alive and ready before cutover.
    public var soak: Duration
    /// `MaxDraining=`; nil: `usualDrainLimit`.
    public var maxDraining: Int?

    /// The number of generations that may drain beside the serving one, if the unit does not say.
    public static let usualDrainLimit = 4
    /// Each generation has processes and memory of its own; more is a mistake.
    public static let highestDrainLimit = 1000

    /// The number of generations that may drain beside the serving one.
    public var drainLimit: Int { maxDraining ?? Self.usualDrainLimit }

    public init(strategy: SwapStrategy = .overlap, readyTimeout: Duration? = .seconds(30), soak: Duration = .seconds(1))
    {
        self.strategy = strategy
        self.readyTimeout = readyTimeout
        self.soak = soak
    }
}
