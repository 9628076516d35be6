// What `List`, `Why` and `Show` answer.

/// One unit that a name or pattern means.
public struct ListedUnit: Codable, Equatable, Sendable {
    /// As `Status` names it (`site@.target`, `app.service`), or a member of a target (`app@v2.service`), or a socket.
    public var unit: String
    /// What to name to start, stop or restart it: the swap unit with its release if it is one or belongs to one, else
    /// ``unit``. Several units may have the same.
    public var operand: String
    public var description: String
    public var state: UnitState
    /// The main processes of what serves.
    public var mainPids: [Int]
    /// Its files say something else than when it was started; nil if it does not run, or if they do not.
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
    /// In the order of the names asked for, each unit once; without names all, sorted.
    public var units: [ListedUnit]

    public init(units: [ListedUnit]) {
        self.units = units
    }
}

/// One thing worth knowing about the state of a unit.
public struct Finding: Codable, Equatable, Sendable {
    /// The service that it is about; nil if it is about the whole.
    public var unit: String?
    /// A sentence: what it waits for, what failed, what holds it.
    public var text: String
    /// What to do about it: `holdfastctl promote site`.
    public var hint: String?
    /// The evidence, if something failed.
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
    /// What explains the state, the most important first.
    public var findings: [Finding]

    public init(unit: String, state: UnitState, findings: [Finding]) {
        self.unit = unit
        self.state = state
        self.findings = findings
    }
}

/// One property of a unit. A name may occur several times: lists are one value each.
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
    /// What is known of it at run time, then what its files say.
    public var properties: [Property]

    public init(unit: String, properties: [Property]) {
        self.unit = unit
        self.properties = properties
    }
}
