/// How a swap unit is swapped: the `[X-Swap]` of the target, or of the service that is its own swap unit.
public struct SwapSettings: Sendable, Hashable {
    public var readyTimeout: TimeLimit
    public var soak: Duration
    public var drainTimeout: TimeLimit
    public var strategy: SwapStrategy
    public var network: GenerationNetwork

    public init(_ section: SwapSection = SwapSection()) {
        readyTimeout = section.effectiveReadyTimeout
        soak = section.effectiveSoak
        drainTimeout = section.effectiveDrainTimeout
        strategy = section.effectiveStrategy
        network = section.generationNetwork ?? .host
    }
}

/// What is started, or swapped, together: everything that a generation is made of, as the unit files say it now.
public struct SwapUnitDefinition: Sendable {
    /// What stays the same over all generations: `site@.target`, `app.service`.
    public var identity: UnitName
    /// The unit with its release: `site@v2.target`; the same as `identity` if there is no release.
    public var name: UnitName
    /// The instance of a template: `v2`.
    public var release: String?
    /// false for a plain service without `[X-Swap]`: it is started and stopped, never swapped.
    public var isSwappable: Bool
    public var settings: SwapSettings
    /// nil if the swap unit is a service.
    public var target: TargetUnit?
    /// The members in an order in which they can be started.
    public var services: [ServiceUnit] = []
    /// Member -> members that must be ready before it starts, and that outlive it when it drains.
    public var startsAfter: [UnitName: [UnitName]] = [:]
    /// Sockets that members get.
    public var sockets: [SocketUnit] = []
    /// Member -> its sockets in the order of their descriptors.
    public var socketsOf: [UnitName: [UnitName]] = [:]
    /// Socket -> members that get it.
    public var usedBy: [UnitName: [UnitName]] = [:]
    /// Member -> members that own a generation socket which it names in `X-Upstreams=`: it moves with them.
    public var upstreams: [UnitName: [UnitName]] = [:]
    /// All sockets that `X-Upstreams=` and `ReadyProbe=` name.
    public var referencedSockets: [UnitName: SocketUnit] = [:]
    /// Other units that are wanted: started if they do not run, never swapped.
    public var dependencies: [UnitReference] = []
    public var diagnostics: [Diagnostic] = []
    /// false if a member is missing or cannot be used, or the order has a cycle: such a release must not be started.
    public var isUsable = true

    /// The member with this name, or with this template.
    public func service(_ name: UnitName) -> ServiceUnit? {
        services.first { $0.name == name || $0.name.identity == name }
    }

    /// Members that must move when the given ones do: those, and whoever has a moving member's generation socket as upstream.
    ///
    /// In a network of the generation's own all members move: one that stayed could not be reached any more.
    ///
    /// Takes names or templates of members (others are ignored) and returns identities: `app@.service`, `worker.service`.
    public func moving(with names: Set<UnitName>) -> Set<UnitName> {
        var moving = Set(services.map(\.name).filter { names.contains($0) || names.contains($0.identity) })
        if settings.network == .private, !moving.isEmpty { return Set(services.map(\.name.identity)) }
        var changed = true
        while changed {
            changed = false
            for (service, owners) in upstreams where !moving.contains(service) {
                if owners.contains(where: moving.contains) {
                    moving.insert(service)
                    changed = true
                }
            }
        }
        return Set(moving.map(\.identity))
    }
}

/// What a name stands for.
public enum Resolution: Sendable {
    /// A swap unit, or a member of one: then the definition is its owner's.
    case swapUnit(SwapUnitDefinition)
    /// A service without `[X-Swap]` that belongs to no swap unit.
    case plain(SwapUnitDefinition)
    /// A target without `[X-Swap]`: a list of units.
    case list(TargetUnit, units: [UnitReference])
    case socket(SocketUnit)
    /// A template, or a plain member of a template swap unit: only with a release it can be started.
    case needsRelease(identity: UnitName)
    /// Missing, masked, or broken.
    case unusable(LoadedUnit)

    /// The definition, if there is one.
    public var definition: SwapUnitDefinition? {
        switch self {
        case .swapUnit(let definition), .plain(let definition): definition
        case .list, .socket, .needsRelease, .unusable: nil
        }
    }
}
