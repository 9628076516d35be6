// Replies of the methods about unit files: `Verify`, `Dependencies`, `UnitFileStates`, `Enable` and its siblings.

/// The reply of `Verify`.
public struct VerifyReply: Codable, Equatable, Sendable {
    public var diagnostics: [UnitDiagnostic]

    public init(diagnostics: [UnitDiagnostic]) {
        self.diagnostics = diagnostics
    }
}

/// The need of one unit for another.
public struct Dependency: Codable, Equatable, Sendable {
    public var unit: String
    public var needs: String
    /// The directive, or kind of link, that causes the need: `Requires`, `Wants`, `Sockets`.
    public var because: String

    public init(unit: String, needs: String, because: String) {
        self.unit = unit
        self.needs = needs
        self.because = because
    }
}

/// The reply of `Dependencies`.
public struct DependenciesReply: Codable, Equatable, Sendable {
    /// The full name of the unit.
    public var unit: String
    /// The needs of each unit, once, in the order of discovery.
    public var dependencies: [Dependency]

    public init(unit: String, dependencies: [Dependency]) {
        self.unit = unit
        self.dependencies = dependencies
    }
}

/// The state of a unit's file, in the words of systemctl(1): whether it starts with the supervisor.
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
    /// The changes made, in words; states that were so before are not mentioned.
    public var changes: [String]
    /// Notes for the caller.
    public var notes: [String]

    public init(changes: [String], notes: [String]) {
        self.changes = changes
        self.notes = notes
    }
}
