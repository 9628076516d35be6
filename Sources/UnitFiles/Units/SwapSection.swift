import Vocabulary

/// The network of a generation's services (`X-GenerationNetwork=`).
public enum GenerationNetwork: String, Keyword {
    /// The supervisor's network.
    case host
    /// A network namespace of the generation's own, with a loopback interface only.
    case `private`
}

/// The address that a probe connects to.
public enum ProbeEndpoint: Sendable, Hashable, CustomStringConvertible {
    /// A socket unit: its address in this generation.
    case socket(UnitName)
    /// An IPv4 or IPv6 address with a port, or a Unix socket.
    case address(ListenAddress)
    /// A host by name.
    case host(String, port: UInt16)

    public var description: String {
        switch self {
        case .socket(let name): name.description
        case .address(let address): address.description
        case .host(let name, let port): "\(name):\(port)"
        }
    }
}

/// `ReadyProbe=`: a test whether a service is ready.
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

    /// The address that the probe connects to; nil for a command.
    public var endpoint: ProbeEndpoint? {
        switch method {
        case .http(let endpoint, path: _), .tcp(let endpoint): endpoint
        case .exec: nil
        }
    }
}

/// `[X-Swap]`. Each value is nil if it is unset; the `effective...` properties include the defaults.
public struct SwapSection: Sendable, Hashable {
    /// Time limit for the whole new generation to become ready.
    public var readyTimeout: TimeLimit?
    /// How long the new generation must stay ready before cutover.
    public var soak: Duration?
    /// How long the old generation may drain before it is killed.
    public var drainTimeout: TimeLimit?
    /// How many generations may drain beside the serving one before the oldest is ended by force.
    public var maxDraining: Int?
    public var strategy: SwapStrategy?
    public var readyProbe: ReadyProbe?
    public var readyProbeInterval: Duration?
    public var readyProbeTimeout: Duration?
    /// `DrainSignal=`; nil: `KillSignal=` of the service.
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

extension SwapSettings {
    init(_ section: SwapSection) {
        self.init(
            strategy: section.effectiveStrategy, readyTimeout: section.effectiveReadyTimeout.duration,
            soak: section.effectiveSoak)
        maxDraining = section.maxDraining
    }
}
