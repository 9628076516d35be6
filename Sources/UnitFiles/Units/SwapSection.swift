/// How generations follow each other.
public enum SwapStrategy: String, Sendable, CaseIterable {
    /// The new one beside the old one, then the old one drains.
    case overlap
    /// The old one stops first; connections wait in the held socket's backlog.
    case queue
}

/// In which network the services of a generation live (`X-GenerationNetwork=`).
public enum GenerationNetwork: String, Sendable, CaseIterable {
    /// In the supervisor's.
    case host
    /// In a network namespace of the generation's own, with nothing in it but a loopback interface.
    case `private`
}

/// Where a probe asks.
public enum ProbeEndpoint: Sendable, Hashable, CustomStringConvertible {
    /// A socket unit: the address that this generation has there.
    case socket(UnitName)
    /// A host name or address without brackets, and a port.
    case tcp(host: String, port: UInt16)
    /// A Unix socket: a path, or `@name` in the abstract namespace.
    case unix(String)

    public var description: String {
        switch self {
        case .socket(let name): name.description
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): path
        }
    }
}

/// `ReadyProbe=`: how to ask a service whether it is ready.
public struct ReadyProbe: Sendable, Hashable {
    public enum Method: Sendable, Hashable {
        /// Ready when the path answers with a status from 200 to 399.
        case http(ProbeEndpoint, path: String)
        /// Ready when a connection is accepted.
        case tcp(ProbeEndpoint)
        /// Ready when the command exits with 0.
        case exec(ExecCommand)
    }
    public var method: Method
    public var location: SourceLocation

    public init(_ method: Method, at location: SourceLocation = SourceLocation(file: "")) {
        self.method = method
        self.location = location
    }

    /// Where it asks; nil for a command.
    public var endpoint: ProbeEndpoint? {
        switch method {
        case .http(let endpoint, path: _), .tcp(let endpoint): endpoint
        case .exec: nil
        }
    }
}

/// `[X-Swap]`. Each value is nil if it is not set; the `effective...` properties have the defaults.
public struct SwapSection: Sendable, Hashable {
    /// The whole new generation must be ready by then.
    public var readyTimeout: TimeLimit?
    /// So long it must stay ready before cutover.
    public var soak: Duration?
    /// So long the old generation may drain before it is killed.
    public var drainTimeout: TimeLimit?
    public var strategy: SwapStrategy?
    public var readyProbe: ReadyProbe?
    public var readyProbeInterval: Duration?
    public var readyProbeTimeout: Duration?
    /// nil: `KillSignal=` of the service.
    public var drainSignal: Signal?
    public var generationNetwork: GenerationNetwork?

    public init() {}

    public var effectiveReadyTimeout: TimeLimit { readyTimeout ?? .after(.seconds(30)) }
    public var effectiveSoak: Duration { soak ?? .seconds(1) }
    public var effectiveDrainTimeout: TimeLimit { drainTimeout ?? .after(.seconds(60)) }
    public var effectiveStrategy: SwapStrategy { strategy ?? .overlap }
    public var effectiveReadyProbeInterval: Duration { readyProbeInterval ?? .milliseconds(500) }
    public var effectiveReadyProbeTimeout: Duration { readyProbeTimeout ?? .seconds(5) }
}
