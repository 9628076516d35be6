// Replies of the methods that only read, or that act at once.

/// The reply of `ClearLogs`: the log is empty.
public struct ClearLogsReply: Codable, Equatable, Sendable {
    public init() {}
}

/// The reply of `Input`: whether the text reached the service's standard input.
public struct InputReply: Codable, Equatable, Sendable {
    /// The service that the text is for.
    public var unit: String
    /// False if the FIFO is full of earlier text that the service has not read.
    public var accepted: Bool

    public init(unit: String, accepted: Bool) {
        self.unit = unit
        self.accepted = accepted
    }
}

/// The kind of an operation in the history.
public enum HistoryKind: String, Codable, Sendable, CaseIterable {
    case start, swap, rollback, stop, restart
}

/// The user who made a request: the peer of the control connection (`SO_PEERCRED`).
public struct Actor: Codable, Equatable, Sendable {
    public var uid: Int
    /// The user's name on this host; nil if there is none.
    public var user: String?

    public init(uid: Int, user: String? = nil) {
        self.uid = uid
        self.user = user
    }
}

/// A generation as it appears in the history.
public struct GenerationReference: Codable, Equatable, Sendable {
    public var generation: Int
    public var release: String?

    public init(generation: Int, release: String? = nil) {
        self.generation = generation
        self.release = release
    }
}

/// One operation that changed, or tried to change, the serving generation.
public struct HistoryEntry: Codable, Equatable, Sendable {
    /// 1, 2, … over all units of this host.
    public var number: Int
    /// The unit without a release: `site@.target`.
    public var unit: String
    public var kind: HistoryKind
    /// Nil if the supervisor started the operation itself, for example after a boot.
    public var who: Actor?
    /// The start of the operation, RFC 3339.
    public var at: String
    /// The generation that served before; nil if none did.
    public var from: GenerationReference?
    /// The generation that was to serve afterwards; nil for a stop.
    public var to: GenerationReference?
    public var outcome: OperationOutcome
    /// The failure, as a sentence.
    public var reason: String?
    public var durations: PhaseDurations
    /// The name of the request for the operation (``RequestIdentity``); nil if the supervisor started it itself.
    public var request: String?
    /// The end of the drain that the operation began; nil before it, and if nothing had to drain.
    public var drained: DrainEnd?

    public init(
        number: Int, unit: String, kind: HistoryKind, who: Actor? = nil, at: String, from: GenerationReference? = nil,
        to: GenerationReference? = nil, outcome: OperationOutcome, reason: String? = nil,
        durations: PhaseDurations = PhaseDurations(), request: String? = nil, drained: DrainEnd? = nil
    ) {
        self.drained = drained
        self.request = request
        self.number = number
        self.unit = unit
        self.kind = kind
        self.who = who
        self.at = at
        self.from = from
        self.to = to
        self.outcome = outcome
        self.reason = reason
        self.durations = durations
    }
}

/// The reply of `History`.
public struct HistoryReply: Codable, Equatable, Sendable {
    /// The entries, newest first.
    public var entries: [HistoryEntry]

    public init(entries: [HistoryEntry]) {
        self.entries = entries
    }
}

/// One unit in the reply of `Generations`.
public struct UnitGenerations: Codable, Equatable, Sendable {
    /// The unit without a release: `site@.target`.
    public var unit: String
    /// The generations, newest first.
    public var generations: [GenerationStatus]

    public init(unit: String, generations: [GenerationStatus]) {
        self.unit = unit
        self.generations = generations
    }
}

/// The reply of `Generations`.
public struct GenerationsReply: Codable, Equatable, Sendable {
    public var units: [UnitGenerations]

    public init(units: [UnitGenerations]) {
        self.units = units
    }
}

/// A service that has a duplicate of a held socket.
public struct SocketHolder: Codable, Equatable, Sendable {
    public var unit: String
    /// The number of its generation; nil for a service that is not swapped.
    public var generation: Int?

    public init(unit: String, generation: Int? = nil) {
        self.unit = unit
        self.generation = generation
    }
}

/// The reply of `Sockets`.
public struct SocketsReply: Codable, Equatable, Sendable {
    /// The sockets, sorted by unit, then by generation.
    public var sockets: [SocketStatus]

    public init(sockets: [SocketStatus]) {
        self.sockets = sockets
    }
}

/// A file that describes a unit.
public struct UnitText: Codable, Equatable, Sendable {
    public var path: String
    public var text: String

    public init(path: String, text: String) {
        self.path = path
        self.text = text
    }
}

/// The reply of `Cat`.
public struct CatReply: Codable, Equatable, Sendable {
    /// The unit file first, then its drop-ins in the order they apply.
    public var files: [UnitText]

    public init(files: [UnitText]) {
        self.files = files
    }
}

/// The reply of `Signal`.
public struct SignalReply: Codable, Equatable, Sendable {
    /// The processes that got the signal.
    public var pids: [Int]

    public init(pids: [Int]) {
        self.pids = pids
    }
}

/// The severity of a diagnostic.
public enum DiagnosticSeverity: String, Codable, Sendable, CaseIterable {
    /// The unit cannot be used.
    case error
    /// The unit can be used, but perhaps not as intended.
    case warning
    /// Information only.
    case note
}

/// One diagnostic about a unit file.
public struct UnitDiagnostic: Codable, Equatable, Sendable {
    /// The path as given or found.
    public var file: String
    /// From 1; 0 if the diagnostic is about the whole file.
    public var line: Int
    /// From 1; 0 if the diagnostic is about the whole line.
    public var column: Int
    public var severity: DiagnosticSeverity
    /// A stable identifier for programs: `unknown-directive`.
    public var code: String
    /// The directive concerned, `ExecStart=`.
    public var directive: String?
    public var message: String
    /// The word that was probably intended.
    public var suggestion: String?

    public init(
        file: String, line: Int = 0, column: Int = 0, severity: DiagnosticSeverity, code: String,
        directive: String? = nil, message: String, suggestion: String? = nil
    ) {
        self.file = file
        self.line = line
        self.column = column
        self.severity = severity
        self.code = code
        self.directive = directive
        self.message = message
        self.suggestion = suggestion
    }
}

/// The reply of `Update`.
public struct UpdateReply: Codable, Equatable, Sendable {
    /// Units whose files changed. A running unit keeps the definition it was started with until its next start or swap.
    public var changed: [String]
    public var added: [String]
    /// Units that have no file any more. A running one keeps running until it is stopped.
    public var removed: [String]
    /// Units that run with an older definition than that in their files.
    public var outdated: [String]
    public var diagnostics: [UnitDiagnostic]
    /// Settings of changed units that open sockets took over, and settings that only a new socket can have.
    public var notes: [String]

    public init(
        changed: [String] = [], added: [String] = [], removed: [String] = [], outdated: [String] = [],
        diagnostics: [UnitDiagnostic] = [], notes: [String] = []
    ) {
        self.notes = notes
        self.changed = changed
        self.added = added
        self.removed = removed
        self.outdated = outdated
        self.diagnostics = diagnostics
    }
}

/// The reply of `Describe`: the supervisor itself.
public struct DescribeReply: Codable, Equatable, Sendable {
    public var version: String
    public var pid: Int
    /// The unit directories, highest precedence first.
    public var unitDirectories: [String]
    public var runtimeDirectory: String
    public var stateDirectory: String
    public var logDirectory: String
    /// The supervisor runs for one user, without privileges.
    public var userMode: Bool
    /// The start of the supervisor, RFC 3339.
    public var startedAt: String

    public init(
        version: String, pid: Int, unitDirectories: [String], runtimeDirectory: String, stateDirectory: String,
        logDirectory: String, userMode: Bool, startedAt: String
    ) {
        self.version = version
        self.pid = pid
        self.unitDirectories = unitDirectories
        self.runtimeDirectory = runtimeDirectory
        self.stateDirectory = stateDirectory
        self.logDirectory = logDirectory
        self.userMode = userMode
        self.startedAt = startedAt
    }
}

/// The reply of `org.varlink.service.GetInfo`.
public struct ServiceInfo: Codable, Equatable, Sendable {
    public var vendor: String
    public var product: String
    public var version: String
    public var url: String
    public var interfaces: [String]

    public init(vendor: String, product: String, version: String, url: String, interfaces: [String]) {
        self.vendor = vendor
        self.product = product
        self.version = version
        self.url = url
        self.interfaces = interfaces
    }

    /// Facts about holdfastd for `GetInfo`.
    public static let holdfast = ServiceInfo(
        vendor: "Holdfast", product: "holdfastd", version: Holdfast.version, url: "",
        interfaces: Interfaces.all.map(\.name))
}

/// The reply of `org.varlink.service.GetInterfaceDescription`.
public struct InterfaceDescription: Codable, Equatable, Sendable {
    public var description: String

    public init(description: String) {
        self.description = description
    }
}
