// The replies of `Events`: a stream of events without an end.

/// The kind of an event.
public enum EventKind: String, Codable, Sendable, CaseIterable {
    /// The stream is open: every later event is reported. Always the first event.
    case begin
    /// A unit has changed its state.
    case unit
    /// A service has changed its state.
    case service
    /// An operation has entered another phase.
    case phase
    /// Something failed.
    case failure
    /// An operation has ended.
    case finished
    /// A generation has drained: nothing of it is left.
    case drained
    /// The unit files were read again.
    case files
    /// This client read too slowly: ``UnitEvent/count`` events were dropped for it.
    case lost
}

/// One event.
public struct UnitEvent: Codable, Equatable, Sendable {
    public var kind: EventKind
    /// The time of the event, RFC 3339.
    public var at: String
    /// The swap unit or plain service that the event is about, without a release.
    public var unit: String?
    public var generation: Int?
    public var release: String?
    /// The service that the event is about.
    public var service: String?
    /// The new state of ``unit``.
    public var state: UnitState?
    /// The new state of ``service``.
    public var serviceState: ServiceState?
    public var phase: SwapPhase?
    public var outcome: OperationOutcome?
    /// A description for people.
    public var message: String?
    /// The number of events dropped, with `lost`.
    public var count: Int?
    /// With `drained`.
    public var drained: DrainEnd?

    public init(
        _ kind: EventKind, at: String, unit: String? = nil, generation: Int? = nil, release: String? = nil,
        service: String? = nil, state: UnitState? = nil, serviceState: ServiceState? = nil, phase: SwapPhase? = nil,
        outcome: OperationOutcome? = nil, message: String? = nil, count: Int? = nil,
        drained: DrainEnd? = nil
    ) {
        self.drained = drained
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
