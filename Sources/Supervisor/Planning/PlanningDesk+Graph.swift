import ControlProtocol
import Engine
import UnitFiles

/// Builds the graph on which the engine decides from unit files.
extension PlanningDesk {
    /// Basis of a transaction: the graph, and the units behind its names.
    struct LoadedGraph {
        var graph = UnitGraph()
        var units: [String: UnitName] = [:]
    }

    /// A unit with the units that it names, according to the files that the resolver has loaded.
    struct KnownNode {
        var node: UnitNode
        var named: [UnitName] = []
        /// Parts of a plain target: jobs for the target apply to these.
        var parts: [String] = []
    }

    /// Name of a unit in the graph: a swap unit is one node, whatever its release and its members; any other unit is
    /// its own.
    func node(of name: UnitName) -> String {
        let canonical = resolver.loader.canonical(name)
        return canonical.kind == .socket ? canonical.description : group(of: canonical).name
    }

    /// Graph of all units that these units lead to, and of running groups with relations to others: such groups may
    /// have to stop or to start, too.
    func graph(of roots: [UnitName]) -> LoadedGraph {
        var loaded = LoadedGraph()
        var queue = roots + host.relatedGroups.compactMap(running)
        var next = 0
        while next < queue.count {
            let name = concrete(queue[next])
            next += 1
            let key = node(of: name)
            guard !loaded.graph.contains(key) else { continue }
            loaded.units[key] = name
            let known = knownNode(key, name)
            loaded.graph.add(known.node)
            for part in known.parts { loaded.graph.relate(part, .partOf, to: key) }
            queue += known.named
        }
        return loaded
    }

    /// Node of a unit, cached as long as the resolver: with a thousand related units each request would examine all of
    /// their files again.
    private func knownNode(_ key: String, _ name: UnitName) -> KnownNode {
        if let known = knownNodes[name] { return known }
        let known = node(key, name)
        // Whether a release has served changes without the files.
        if !name.isTemplate { knownNodes[name] = known }
        return known
    }

    /// The release that serves or served last in place of a template; any other unit itself.
    private func concrete(_ name: UnitName) -> UnitName {
        name.isTemplate ? (try? unitName(name.description)) ?? name : name
    }

    /// The unit by which a group runs: for a template the serving release.
    private func running(_ group: GroupID) -> UnitName? {
        guard let name = try? UnitName(group.name) else { return nil }
        guard name.isTemplate else { return name }
        return host.servingRelease(of: group).flatMap { try? name.instantiated($0) }
    }

    private func node(_ key: String, _ name: UnitName) -> KnownNode {
        switch resolver.resolve(name) {
        case .swapUnit(let whole), .plain(let whole): return node(key, whole)
        case .list(let target, let units):
            var found = relations(of: [target.unit], key)
            // A target is reached after the units that it wants, unless they are ordered the other way
            // (systemd.target(5)).
            let before =
                target.unit.graph.hasDefaultDependencies ? units.map(\.name).filter { !starts($0, after: target) } : []
            found.relations[.after, default: []] += before.map(node(of:)).filter { $0 != key }
            let parts = units.map { node(of: $0.name) }
            return KnownNode(node: real(key, found.relations, target.unit), named: found.named, parts: parts)
        case .socket(let socket):
            var found = relations(of: [socket.unit], key)
            // The socket is open before its service starts.
            if let service = (try? serviceStarted(by: socket)) ?? nil {
                found.relations[.before, default: []].append(node(of: service))
            }
            return KnownNode(node: real(key, found.relations, socket.unit), named: found.named)
        case .needsRelease(let identity):
            let reason = "no release of it has ever served; holdfastctl swap \(identity.prefix)@RELEASE"
            return KnownNode(node: UnitNode(key, .unusable(reason)))
        case .unusable(let unit): return KnownNode(node: UnitNode(key, kind(of: unit)))
        }
    }

    private func kind(of unit: LoadedUnit) -> UnitNode.Kind {
        switch unit.outcome {
        case .missing:
            if SpecialUnits.isNeverReached(unit.name) { return .neverReached }
            return SpecialUnits.isAssumed(unit.name) ? .assumed : .missing
        case .masked(let path): return .unusable("it is masked by \(path)")
        case .usable, .unusable:
            let reason = unit.diagnostics.first { $0.severity == .error }.map { UnitDiagnostic($0).sentence }
            return .unusable("\(reason ?? "its unit file cannot be used"); holdfastctl verify \(unit.name)")
        }
    }

    private func node(_ key: String, _ whole: SwapUnitDefinition) -> KnownNode {
        let sections = whole.services.map(\.unit) + (whole.target.map { [$0.unit] } ?? [])
        let found = relations(of: sections, key)
        guard whole.isUsable, !whole.services.isEmpty else {
            let first = whole.diagnostics.first { $0.severity == .error }
            let reason = first.map { UnitDiagnostic($0).sentence } ?? "it has no services to start"
            return KnownNode(node: UnitNode(key, .unusable(reason)))
        }
        var node = real(key, found.relations, sections[0])
        node.refusesManualStart = sections.contains(where: \.graph.refusesManualStart)
        node.refusesManualStop = sections.contains(where: \.graph.refusesManualStop)
        return KnownNode(node: node, named: found.named)
    }

    private func real(_ key: String, _ relations: [UnitRelation: [String]], _ section: UnitSection) -> UnitNode {
        var node = UnitNode(key, .real, relations)
        node.refusesManualStart = section.graph.refusesManualStart
        node.refusesManualStop = section.graph.refusesManualStop
        return node
    }

    private func relations(
        of sections: [UnitSection], _ key: String
    ) -> (relations: [UnitRelation: [String]], named: [UnitName]) {
        var relations: [UnitRelation: [String]] = [:]
        var named: [UnitName] = []
        for section in sections {
            for relation in UnitRelation.allCases {
                for reference in section.references(relation) {
                    let other = node(of: reference.name)
                    guard other != key else { continue }
                    relations[relation, default: []].append(other)
                    named.append(reference.name)
                }
            }
        }
        return (relations, named)
    }

    private func starts(_ name: UnitName, after target: TargetUnit) -> Bool {
        let other = resolver.load(name).unit?.definition.unit
        return other?.after.contains { $0.name == target.name } ?? false
            || target.unit.before.contains { $0.name == name }
    }

    // MARK: - Relations of running units

    /// Relations of a plan's units to other groups.
    func planRelations(of sections: [UnitSection], _ group: GroupID) -> Relations {
        func groups(_ lists: [UnitReference]...) -> Set<GroupID> {
            let names = lists.joined().map(\.name).filter { $0.kind != .socket && resolver.loader.exists($0) }
            return Set(names.map(self.group(of:))).subtracting([group])
        }
        var relations = Relations()
        for section in sections {
            let graph = section.graph
            relations.bindsTo.formUnion(groups(graph.bindsTo))
            relations.stopsWith.formUnion(groups(graph.partOf))
            relations.endsWith.formUnion(groups(graph.stopPropagatedFrom))
            relations.stopsOthers.formUnion(groups(graph.propagatesStopTo))
            relations.reloadsWith.formUnion(groups(graph.reloadPropagatedFrom))
            relations.before.formUnion(groups(section.before))
            relations.needs.formUnion(
                groups(section.wants, section.requires, graph.requisite, graph.bindsTo, graph.upholds))
            for reference in graph.upholds where resolver.loader.exists(reference.name) {
                let unit = resolver.loader.canonical(reference.name)
                guard unit.kind != .socket, self.group(of: unit) != group else { continue }
                relations.upholds.insert(.init(group: self.group(of: unit), unit: unit.description))
            }
        }
        return relations
    }
}

extension Triggers {
    init(_ section: UnitSection) {
        self.init()
        onFailure = section.graph.onFailure.map(\.name.description)
        onSuccess = section.graph.onSuccess.map(\.name.description)
    }
}

extension UnitSection {
    fileprivate func references(_ relation: UnitRelation) -> [UnitReference] {
        switch relation {
        case .wants: wants
        case .requires: requires
        case .after: after
        case .before: before
        case .requisite: graph.requisite
        case .bindsTo: graph.bindsTo
        case .partOf: graph.partOf
        case .upholds: graph.upholds
        case .conflicts: graph.conflicts
        case .propagatesReloadTo: graph.propagatesReloadTo
        case .reloadPropagatedFrom: graph.reloadPropagatedFrom
        case .propagatesStopTo: graph.propagatesStopTo
        case .stopPropagatedFrom: graph.stopPropagatedFrom
        }
    }
}
