import Vocabulary

/// A reference to a unit, with the place of the directive.
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
    /// Time in which at most `startLimitBurst` starts are allowed; zero turns the limit off. 10 s as in
    /// systemd-system.conf(5).
    public var startLimitInterval = TimeLimit.after(.seconds(10))
    public var startLimitBurst: UInt32 = 5

    public init() {}
}

/// `[Install]`: the links to make when the unit is enabled. It has no effect on a running unit.
public struct InstallSection: Sendable, Hashable {
    public var wantedBy: [UnitReference] = []
    public var requiredBy: [UnitReference] = []
    public var upheldBy: [UnitReference] = []
    public var aliases: [UnitReference] = []
    public var also: [UnitReference] = []
    public var defaultInstance: String?

    public init() {}

    /// Whether enabling the unit would do nothing.
    public var isEmpty: Bool {
        wantedBy.isEmpty && requiredBy.isEmpty && upheldBy.isEmpty && aliases.isEmpty && also.isEmpty
    }
}

/// The text of one file when it was read.
public struct UnitSource: Sendable, Hashable {
    public var path: String
    public var text: String

    public init(path: String, text: String) {
        self.path = path
        self.text = text
    }
}

/// The files from which a unit was built.
public struct UnitOrigin: Sendable, Hashable {
    /// The unit file itself; nil for a unit made in memory.
    public var fragmentPath: String?
    /// Drop-ins in the order of their application.
    public var dropInPaths: [String] = []
    /// All texts, the fragment first: enough to show the unit, to compare it, and to restore it later.
    public var sources: [UnitSource] = []

    public init() {}
}

/// The properties that all units have.
public protocol UnitDefinition: Sendable {
    var name: UnitName { get }
    var unit: UnitSection { get }
    var install: InstallSection { get }
    /// `[X-Swap]`; nil if the section is missing. An empty section is not nil.
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

/// A `.socket` (systemd.socket(5)).
public struct SocketUnit: UnitDefinition {
    public var name: UnitName
    public var unit = UnitSection()
    public var install = InstallSection()
    public var swap: SwapSection?
    public var origin = UnitOrigin()

    /// Every `Listen…=`, in the order of the descriptors.
    public var listen: [ListenEntry] = []
    public var options = SocketSettings()
    public var activation = SocketActivationSettings()
    /// The default leaves the limit to the kernel's somaxconn, which caps any value.
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
    /// Settings for the socket's own commands (systemd.exec(5)); the sockets themselves do not depend on them.
    public var execution = ExecutionSettings()

    public init(name: UnitName) { self.name = name }

    /// The name in `LISTEN_FDNAMES`; by default the unit's name with its suffix. There names are separated by colons,
    /// so a colon in the unit's name is escaped as in unit names.
    public var fileDescriptorName: String {
        explicitFileDescriptorName
            ?? name.description.split(separator: ":", omittingEmptySubsequences: false)
            .joined(separator: "\\x3a")
    }

    /// `X-Scope=` with its default: sockets of a template belong to one generation, others to all.
    public var scope: SocketScope { explicitScope ?? (name.template == nil ? .shared : .generation) }

    /// The service for the socket: `Service=`, else the service of the same name. With `Accept=yes` it is the template
    /// of that name, with an instance for each connection.
    public var serviceName: UnitName? {
        acceptsItself ? name.connectionTemplate : service?.name ?? name.sibling(.service)
    }

    /// Whether the supervisor accepts the connections, each for an instance of its own. Sockets without connections
    /// ignore `Accept=`.
    public var acceptsItself: Bool { activation.accept && listen.contains(where: \.target.isConnected) }
}

/// Any unit. It is indirect because a service takes a kilobyte, and most code only passes it on.
public indirect enum Unit: Sendable {
    case service(ServiceUnit)
    case socket(SocketUnit)
    case target(TargetUnit)

    /// The properties common to all kinds.
    public var definition: any UnitDefinition {
        switch self {
        case .service(let unit): unit
        case .socket(let unit): unit
        case .target(let unit): unit
        }
    }
}
