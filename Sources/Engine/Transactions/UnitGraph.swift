/// What one unit says about another in `[Unit]` (systemd.unit(5)).
public enum UnitRelation: Sendable, Hashable, CaseIterable {
    case wants, requires, requisite, bindsTo, partOf, upholds, conflicts, before, after
    case propagatesReloadTo, reloadPropagatedFrom, propagatesStopTo, stopPropagatedFrom
}

/// One unit with what it says about others.
public struct UnitNode: Sendable, Equatable {
    public enum Kind: Sendable, Equatable {
        /// It can be started and stopped.
        case real
        /// One of the host's own (`network.target`): always active, and nothing can be asked of it.
        case assumed
        /// One that stands for the end of the host (`shutdown.target`): never active.
        case neverReached
        case missing
        /// No unit: the request itself, where it asks for several.
        case request
        /// Broken, masked, or a template without an instance; says why.
        case unusable(String)
    }
    public var name: String
    public var kind: Kind
    public var relations: [UnitRelation: [String]]
    public var refusesManualStart = false
    public var refusesManualStop = false

    public init(_ name: String, _ kind: Kind = .real, _ relations: [UnitRelation: [String]] = [:]) {
        self.name = name
        self.kind = kind
        self.relations = relations
    }
}

/// Units and what holds between them. A value made for one transaction, from the unit files as they are then.
public struct UnitGraph: Sendable {
    private var nodes: [String: UnitNode] = [:]
    private var inverse: [UnitRelation: [String: [String]]] = [:]

    public init(_ list: [UnitNode] = []) { for node in list { add(node) } }

    /// Adds a unit; the first of one name counts.
    public mutating func add(_ node: UnitNode) {
        guard nodes[node.name] == nil else { return }
        nodes[node.name] = node
        for (relation, others) in node.relations {
            for other in others { inverse[relation, default: [:]][other, default: []].append(node.name) }
        }
    }

    /// What holds although neither of the two says it.
    public mutating func relate(_ name: String, _ relation: UnitRelation, to other: String) {
        guard name != other else { return }
        inverse[relation, default: [:]][other, default: []].append(name)
    }

    public func contains(_ name: String) -> Bool { nodes[name] != nil }

    /// A unit that nobody has described is missing.
    func node(_ name: String) -> UnitNode { nodes[name] ?? UnitNode(name, .missing) }

    /// The units that this one names.
    func named(by name: String, _ relation: UnitRelation) -> [String] { nodes[name]?.relations[relation] ?? [] }

    /// The units that name this one, sorted.
    func naming(_ name: String, _ relation: UnitRelation) -> [String] { inverse[relation]?[name]?.sorted() ?? [] }

    /// The units that cannot be active together with this one, whichever of the two says so.
    public func conflicting(with name: String) -> [String] { named(by: name, .conflicts) + naming(name, .conflicts) }

    /// The units that come before this one, whichever of the two says so.
    public func predecessors(of name: String) -> [String] { named(by: name, .after) + naming(name, .before) }
}
