import Vocabulary

/// A swap unit as its unit files define it now: the services and sockets of a new generation.
public struct SwapUnitDefinition: Sendable {
    /// The name common to all generations: `site@.target`, `app.service`.
    public var identity: UnitName
    /// The unit's name with its release: `site@v2.target`; the same as `identity` if there is no release.
    public var name: UnitName
    /// The release, the instance of a template: `v2`.
    public var release: String?
    /// false for a plain service without `[X-Swap]`: it is started and stopped, never swapped.
    public var isSwappable: Bool
    /// Without `[X-Swap]` nothing limits a start, and no swap follows.
    public var settings: SwapSettings
    /// `DrainTimeoutSec=` of members that have none of their own.
    public var drainTimeout: TimeLimit
    public var network: GenerationNetwork
    /// The target; nil if the swap unit is a service.
    public var target: TargetUnit?
    /// The members in a possible start order.
    public var services: [ServiceUnit] = []
    /// Member -> members that must be ready before it starts, and that outlive it when it drains.
    public var startsAfter: [UnitName: [UnitName]] = [:]
    /// Sockets that members receive.
    public var sockets: [SocketUnit] = []
    /// Member -> its sockets in the order of their descriptors.
    public var socketsOf: [UnitName: [UnitName]] = [:]
    /// Socket -> members that receive it.
    public var usedBy: [UnitName: [UnitName]] = [:]
    /// Member -> members whose generation sockets it names in `X-Upstreams=`: it moves with them.
    public var upstreams: [UnitName: [UnitName]] = [:]
    /// All sockets named by `X-Upstreams=` and `ReadyProbe=`.
    public var referencedSockets: [UnitName: SocketUnit] = [:]
    /// Other units that are wanted: started if they are not running, never swapped.
    public var dependencies: [UnitReference] = []
    public var diagnostics: [Diagnostic] = []
    /// false if a member is missing or unusable, or the order has a cycle: such a release must not be started.
    public var isUsable = true

    /// - Parameter section: `[X-Swap]` of the swap unit.
    init(identity: UnitName, name: UnitName, release: String?, section: SwapSection?, target: TargetUnit? = nil) {
        self.identity = identity
        self.name = name
        self.release = release
        self.target = target
        isSwappable = section != nil
        settings = section.map(SwapSettings.init) ?? SwapSettings(readyTimeout: nil, soak: .zero)
        drainTimeout = (section ?? SwapSection()).effectiveDrainTimeout
        network = section?.generationNetwork ?? .host
    }

    /// The member with this name or template.
    public func service(_ name: UnitName) -> ServiceUnit? {
        services.first { $0.name == name || $0.name.identity == name }
    }

    /// The members that must move together with the given ones: those, and every member whose upstream is the
    /// generation socket of a moving member.
    ///
    /// In a generation's own network all members move, because one that stayed behind could not be reached.
    ///
    /// - Parameter names: names or templates of members; others are ignored.
    /// - Returns: identities: `app@.service`, `worker.service`.
    public func moving(with names: Set<UnitName>) -> Set<UnitName> {
        var moving = Set(services.map(\.name).filter { names.contains($0) || names.contains($0.identity) })
        if network == .private, !moving.isEmpty { return Set(services.map(\.name.identity)) }
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

/// The object that a unit name refers to.
public enum Resolution: Sendable {
    /// A swap unit; for a member of one, the definition of the whole swap unit.
    case swapUnit(SwapUnitDefinition)
    /// A service without `[X-Swap]` that belongs to no swap unit.
    case plain(SwapUnitDefinition)
    /// A target without `[X-Swap]`: a list of units.
    case list(TargetUnit, units: [UnitReference])
    case socket(SocketUnit)
    /// A template, or a plain member of a template swap unit: it cannot be started without a release.
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
