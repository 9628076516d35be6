// What `Events` answers: a stream of what happens, without an end.

/// What an event tells.
public enum EventKind: String, Codable, Sendable, CaseIterable {
    /// The stream is open: whatever happens from now on is told. Always the first.
    case begin
    /// A unit is in another state.
    case unit
    /// A service is in another state.
    case service
    /// An operation has entered another phase.
    case phase
    /// Something failed.
    case failure
    /// An operation has ended.
    case finished
    /// The unit files were read again.
    case files
    /// This client did not read fast enough: so many events were left out for it.
    case lost
}

/// Something that happened.
public struct UnitEvent: Codable, Equatable, Sendable {
    public var kind: EventKind
    /// When, RFC 3339.
    public var at: String
    /// The swap unit or plain service that it is about, without a release.
    public var unit: String?
    public var generation: Int?
    public var release: String?
    /// The service that it is about.
    public var service: String?
    /// Of a unit.
    public var state: UnitState?
    /// Of a service.
    public var serviceState: ServiceState?
    public var phase: SwapPhase?
    public var outcome: OperationOutcome?
    /// In words.
    public var message: String?
    /// With `lost`: how many.
    public var count: Int?

    public init(
        _ kind: EventKind, at: String, unit: String? = nil, generation: Int? = nil, release: String? = nil,
        service: String? = nil, state: UnitState? = nil, serviceState: ServiceState? = nil, phase: SwapPhase? = nil,
        outcome: OperationOutcome? = nil, message: String? = nil, count: Int? = nil
    ) {
        self.kind = kind
        self.at = at
        self.unit = unit
        self.generation = generation
        self.release = release
        self.service = service
        self.state = state
        self.serviceState = serviceState
        self.phase = phase
        self.outcome = outcome
        self.message = message
        self.count = count
    }
}

/// One reply of `Events`.
public struct EventsReply: Codable, Equatable, Sendable {
    public var event: UnitEvent

    public init(event: UnitEvent) {
        self.event = event
    }
}
