/// A relation of one unit to another in `[Unit]` (systemd.unit(5)).
public enum UnitRelation: Sendable, Hashable, CaseIterable {
    case wants, requires, requisite, bindsTo, partOf, upholds, conflicts, before, after
    case propagatesReloadTo, reloadPropagatedFrom, propagatesStopTo, stopPropagatedFrom
}

/// One unit with its relations to others.
public struct UnitNode: Sendable, Equatable {
    public enum Kind: Sendable, Equatable {
        /// A unit that can be started and stopped.
        case real
        /// A unit of the host (`network.target`): always active, and no job can change it.
        case assumed
        /// A unit that represents the shutdown of the host (`shutdown.target`): never active.
        case neverReached
        case missing
        /// Not a unit: the request itself, if it asks for several units.
        case request
        /// Broken, masked, or a template without an instance; the text is the reason.
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

/// Units and their relations. A value made for one transaction, from the unit files at that time.
public struct UnitGraph: Sendable {
    private var nodes: [String: UnitNode] = [:]
    private var inverse: [UnitRelation: [String: [String]]] = [:]

    public init(_ list: [UnitNode] = []) { for node in list { add(node) } }

    /// Adds a unit; the first one with a name counts.
    public mutating func add(_ node: UnitNode) {
        guard nodes[node.name] == nil else { return }
        nodes[node.name] = node
        for (relation, others) in node.relations {
            for other in others { inverse[relation, default: [:]][other, default: []].append(node.name) }
        }
    }

    /// Adds a relation that neither of the two units names in its file.
    public mutating func relate(_ name: String, _ relation: UnitRelation, to other: String) {
        guard name != other else { return }
        inverse[relation, default: [:]][other, default: []].append(name)
    }

    public func contains(_ name: String) -> Bool { nodes[name] != nil }

    /// The unit of this name; `missing` if it was not added.
    func node(_ name: String) -> UnitNode { nodes[name] ?? UnitNode(name, .missing) }

    /// The units that this unit names.
    func named(by name: String, _ relation: UnitRelation) -> [String] { nodes[name]?.relations[relation] ?? [] }

    /// The units that name this unit, sorted.
    func naming(_ name: String, _ relation: UnitRelation) -> [String] { inverse[relation]?[name]?.sorted() ?? [] }

    /// The units that cannot be active together with this one, named by either side.
    public func conflicting(with name: String) -> [String] { named(by: name, .conflicts) + naming(name, .conflicts) }

    /// The units that this one is ordered after, named by either side.
    public func predecessors(of name: String) -> [String] { named(by: name, .after) + naming(name, .before) }
}
