/// A unit that another names, and where.
public struct UnitReference: Sendable, Hashable {
    public var name: UnitName
    public var location: SourceLocation

    public init(_ name: UnitName, at location: SourceLocation = SourceLocation(file: "")) {
        self.name = name
        self.location = location
    }
}

/// `[Unit]` (systemd.unit(5)).
public struct UnitSection: Sendable, Hashable {
    public var description: String?
    public var documentation: [String] = []
    public var after: [UnitReference] = []
    public var before: [UnitReference] = []
    public var wants: [UnitReference] = []
    public var requires: [UnitReference] = []
    public var graph = DependencySection()
    public var conditions = ConditionSection()
    /// At most `startLimitBurst` starts in this time; zero switches the limit off. 10 s as in systemd-system.conf(5).
    public var startLimitInterval = TimeLimit.after(.seconds(10))
    public var startLimitBurst: UInt32 = 5

    public init() {}
}

/// `[Install]`: what enabling the unit links. It has no meaning for a unit that runs.
public struct InstallSection: Sendable, Hashable {
    public var wantedBy: [UnitReference] = []
    public var requiredBy: [UnitReference] = []
    public var upheldBy: [UnitReference] = []
    public var aliases: [UnitReference] = []
    public var also: [UnitReference] = []
    public var defaultInstance: String?

    public init() {}

    /// Enabling it would do nothing.
    public var isEmpty: Bool {
        wantedBy.isEmpty && requiredBy.isEmpty && upheldBy.isEmpty && aliases.isEmpty && also.isEmpty
    }
}

/// One file as it was read.
public struct UnitSource: Sendable, Hashable {
    public var path: String
    public var text: String

    public init(path: String, text: String) {
        self.path = path
        self.text = text
    }
}

/// The files that a unit was made of.
public struct UnitOrigin: Sendable, Hashable {
    /// The unit file itself; nil for a unit that was made in memory.
    public var fragmentPath: String?
    /// Drop-ins in the order in which they were applied.
    public var dropInPaths: [String] = []
    /// All texts, the fragment first: enough to show, compare and later restore the unit.
    public var sources: [UnitSource] = []

    public init() {}
}

/// What all units have.
public protocol UnitDefinition: Sendable {
    var name: UnitName { get }
    var unit: UnitSection { get }
    var install: InstallSection { get }
    /// nil if there is no `[X-Swap]`; an empty section is not nil.
    var swap: SwapSection? { get }
    var origin: UnitOrigin { get }
}

extension UnitDefinition {
    public var fragmentPath: String? { origin.fragmentPath }
    public var dropInPaths: [String] { origin.dropInPaths }
    public var sources: [UnitSource] { origin.sources }
}

/// A `.target`: a group of units.
public struct TargetUnit: UnitDefinition {
    public var name: UnitName
    public var unit = UnitSection()
    public var install = InstallSection()
    public var swap: SwapSection?
    public var origin = UnitOrigin()

    public init(name: UnitName) { self.name = name }
}

/// Who gets a socket.
public enum SocketScope: String, Sendable, CaseIterable {
    /// One socket for all generations.
    case shared
    /// Each generation its own, at an address of its own.
    case generation
}

/// A `.socket` (systemd.socket(5)).
public struct SocketUnit: UnitDefinition {
    public var name: UnitName
    public var unit = UnitSection()
    public var install = InstallSection()
    public var swap: SwapSection?
    public var origin = UnitOrigin()

    /// Every `Listen…=`, in the order of the descriptors.
    public var listen: [ListenEntry] = []
    public var options = SocketOptions()
    public var activation = SocketActivationSettings()
    /// Capped by the kernel's somaxconn; the default lets that limit alone count.
    public var backlog = UInt32.max
    /// `FileDescriptorName=`; nil if unset.
    public var explicitFileDescriptorName: String?
    public var socketMode: UInt16 = 0o666
    public var socketUser: String?
    public var socketGroup: String?
    /// `Service=`; nil if unset.
    public var service: UnitReference?
    public var removeOnStop = false
    /// `X-Scope=`; nil if unset.
    public var explicitScope: SocketScope?
    /// `X-Pass=`
    public var pass = SocketPass.descriptor
    /// For its own commands (systemd.exec(5)); the sockets themselves do not depend on it.
    public var execution = ExecutionSettings()

    public init(name: UnitName) { self.name = name }

    /// The name in `LISTEN_FDNAMES`; by default the unit's name with its suffix.
    /// Names are separated by colons in `$LISTEN_FDNAMES`: one in the unit's own name is escaped as in unit names.
    public var fileDescriptorName: String {
        explicitFileDescriptorName
            ?? name.description.split(separator: ":", omittingEmptySubsequences: false)
            .joined(separator: "\\x3a")
    }

    /// By default sockets of a template belong to one generation, others to all.
    public var scope: SocketScope { explicitScope ?? (name.template == nil ? .shared : .generation) }

    /// The service that it is for: `Service=`, else the one of the same name; with `Accept=yes` the template of that name, of
    /// which each connection gets an instance.
    public var serviceName: UnitName? {
        acceptsItself ? name.connectionTemplate : service?.name ?? name.sibling(.service)
    }

    /// Connections are accepted here, each for an instance of its own. `Accept=` is ignored where there are no connections.
    public var acceptsItself: Bool { activation.accept && listen.contains(where: \.target.isConnected) }
}

/// Any unit. Indirect: a service has a kilobyte, and most places only pass it on.
public indirect enum Unit: Sendable {
    case service(ServiceUnit)
    case socket(SocketUnit)
    case target(TargetUnit)

    /// What all kinds have in common.
    public var definition: any UnitDefinition {
        switch self {
        case .service(let unit): unit
        case .socket(let unit): unit
        case .target(let unit): unit
        }
    }
}
