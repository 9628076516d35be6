// Replies of `List`, `Why` and `Show`.

/// One unit that a name or pattern matches.
public struct ListedUnit: Codable, Equatable, Sendable {
    /// The name as in `Status` (`site@.target`, `app.service`), or that of a member (`app@v2.service`) or socket.
    public var unit: String
    /// The name with which to start, stop or restart the unit: the swap unit with its release if the unit is one or
    /// belongs to one, else ``unit``. Several units may have the same operand.
    public var operand: String
    public var description: String
    public var state: UnitState
    /// The main processes of the serving generation.
    public var mainPids: [Int]
    /// Whether its files have changed since it was started; nil if they have not, or if it does not run.
    public var outdated: Bool?

    public init(
        unit: String, operand: String, description: String = "", state: UnitState, mainPids: [Int] = [],
        outdated: Bool? = nil
    ) {
        self.unit = unit
        self.operand = operand
        self.description = description
        self.state = state
        self.mainPids = mainPids
        self.outdated = outdated
    }
}

/// The reply of `List`.
public struct ListReply: Codable, Equatable, Sendable {
    /// The units in the order of the names in the call, each once; without names all units, sorted.
    public var units: [ListedUnit]

    public init(units: [ListedUnit]) {
        self.units = units
    }
}

/// One finding about the state of a unit.
public struct Finding: Codable, Equatable, Sendable {
    /// The service concerned; nil if the finding is about the whole unit.
    public var unit: String?
    /// The finding as a sentence: the event that the unit waits for, the failure, or the hold.
    public var text: String
    /// The command that helps: `holdfastctl promote site`.
    public var hint: String?
    /// The evidence, if there was a failure.
    public var failure: FailureReport?

    public init(unit: String? = nil, text: String, hint: String? = nil, failure: FailureReport? = nil) {
        self.unit = unit
        self.text = text
        self.hint = hint
        self.failure = failure
    }
}

/// The reply of `Why`.
public struct WhyReply: Codable, Equatable, Sendable {
    public var unit: String
    public var state: UnitState
    /// The explanations of the state, the most important first.
    public var findings: [Finding]

    public init(unit: String, state: UnitState, findings: [Finding]) {
        self.unit = unit
        self.state = state
        self.findings = findings
    }
}

/// One property of a unit. A name may occur several times: a list is one property for each value.
public struct Property: Codable, Equatable, Sendable {
    public var name: String
    public var value: String

    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// The reply of `Show`.
public struct ShowReply: Codable, Equatable, Sendable {
    public var unit: String
    /// The properties known at run time, then those from the unit's files.
    public var properties: [Property]

    public init(unit: String, properties: [Property]) {
        self.unit = unit
        self.properties = properties
    }
}
