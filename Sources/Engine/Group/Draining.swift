/// A generation that leaves by itself, beside the serving one: it was replaced at a cutover, or rejected after it may
/// have accepted connections. No operation waits for it.
struct Draining: Sendable, Codable {
    let generation: GenerationSummary
    /// The number of the generation that the operation started, which identifies the operation; the number of this
    /// generation, if it was rejected.
    let operation: Int
    let kind: OperationKind
    /// The instances that are not gone yet. Members that a swap did not move belong to the newer generation instead.
    var leaving: Set<InstanceID>
    let since: Instant
    /// The reason why it was not left to finish its work.
    var force: DrainForce?
    /// Connections that were open when the kill signal was sent; nil if they were not counted.
    var connectionsCut: Int?
    /// Failures of instances while they left.
    var uncleanEnds: [Failure] = []
    /// Requests that wait for the end.
    var requests: [RequestID] = []

    var isRejected: Bool { operation == generation.number }
}

/// The reason why the kill signal was sent to a generation that drained.
public enum DrainForce: Sendable, Equatable, Codable {
    /// `DrainTimeoutSec=` was over.
    case timeout
    /// More than `MaxDraining=` generations drained, and this one was the oldest.
    case limit(Int)
    /// An operator asked for it.
    case request
    /// The next generation has `Strategy=queue`, and so never runs beside another one.
    case queue
}

/// The end of a drain.
public struct DrainResult: Sendable, Equatable, Codable {
    /// The generation that drained and is gone.
    public var generation: GenerationSummary
    /// The number of the generation that the operation before the drain started: its `FinishedOperation.to`.
    public var operation: Int
    public var kind: OperationKind
    /// The time since the cutover.
    public var duration: Duration
    /// nil: every service finished its work by itself.
    public var force: DrainForce?
    /// Connections that were open when the kill signal was sent; nil if none was sent or they were not counted.
    public var connectionsCut: Int?
    public var uncleanEnds: [Failure]
    /// The failure of the generation that replaced it: it has been lost since the cutover.
    public var loss: Failure?
}

/// A draining generation as users see it.
public struct DrainView: Sendable, Equatable {
    public var generation: GenerationSummary
    public var since: Instant
    public var force: DrainForce?
}

/// A choice of draining generations of a group, and what to do about them.
public struct DrainRequest: Sendable, Equatable, Codable {
    /// nil: every generation that drains.
    public var generations: Set<Int>?
    /// Send the kill signal now instead of waiting.
    public var isNow: Bool
    public init(generations: Set<Int>? = nil, isNow: Bool = false) {
        self.generations = generations
        self.isNow = isNow
    }

    func concerns(_ draining: Draining) -> Bool { generations?.contains(draining.generation.number) ?? true }
}
