// What the methods about unit files answer: `Verify`, `Dependencies`, `UnitFileStates`, `Enable` and its siblings.

/// The reply of `Verify`.
public struct VerifyReply: Codable, Equatable, Sendable {
    public var diagnostics: [UnitDiagnostic]

    public init(diagnostics: [UnitDiagnostic]) {
        self.diagnostics = diagnostics
    }
}

/// A unit needs another one.
public struct Dependency: Codable, Equatable, Sendable {
    public var unit: String
    public var needs: String
    /// The directive, or kind of link, that says so: `Requires`, `Wants`, `Sockets`.
    public var because: String

    public init(unit: String, needs: String, because: String) {
        self.unit = unit
        self.needs = needs
        self.because = because
    }
}

/// The reply of `Dependencies`.
public struct DependenciesReply: Codable, Equatable, Sendable {
    /// Under its full name.
    public var unit: String
    /// The needs of each unit once, in the order in which they are come upon.
    public var dependencies: [Dependency]

    public init(unit: String, dependencies: [Dependency]) {
        self.unit = unit
        self.dependencies = dependencies
    }
}

/// How a unit stands to the start of the supervisor, in the words of systemctl(1).
public enum UnitFileStateWord: String, Codable, Sendable, CaseIterable {
    case enabled
    case enabledRuntime = "enabled_runtime"
    case alias
    case masked
    case maskedRuntime = "masked_runtime"
    case `static`
    case indirect
    case disabled
    case bad
    case notFound = "not_found"
}

/// One unit in the reply of `UnitFileStates`.
public struct UnitFileStatus: Codable, Equatable, Sendable {
    public var unit: String
    public var state: UnitFileStateWord

    public init(unit: String, state: UnitFileStateWord) {
        self.unit = unit
        self.state = state
    }
}

/// The reply of `UnitFileStates`.
public struct UnitFileStatesReply: Codable, Equatable, Sendable {
    public var units: [UnitFileStatus]

    public init(units: [UnitFileStatus]) {
        self.units = units
    }
}

/// The reply of `Enable`, `Disable`, `Mask` and `Unmask`.
public struct InstallReply: Codable, Equatable, Sendable {
    /// What was done, in words; what was so before is not mentioned.
    public var changes: [String]
    /// What is worth knowing.
    public var notes: [String]

    public init(changes: [String], notes: [String]) {
        self.changes = changes
        self.notes = notes
    }
}
