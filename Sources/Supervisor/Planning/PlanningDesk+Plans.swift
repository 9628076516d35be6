import ControlProtocol
import Engine
import UnitFiles

/// Results of planning by name.
enum Planning {
    struct Planned {
        var plan: Plan
        var definition: SwapUnitDefinition
        /// Notes for the operator: which units move along and why.
        var notes: [String]
    }

    enum Target {
        case services(Planned)
        /// A target without `[X-Swap]`: each of its units by itself.
        case list(TargetUnit, [UnitReference])
        case socket(SocketUnit)
    }
}

/// Makes plans for the engine from names in requests. Reads unit files, and changes nothing.
extension PlanningDesk {
    /// The unit for a name, with the release that serves (or served last) if it is a template without one.
    func unitName(_ text: String, kinds: Set<UnitKind> = Set(UnitKind.allCases)) throws(ControlError) -> UnitName {
        let name: UnitName
        switch resolver.loader.resolve(shortName: text, kinds: kinds) {
        case .success(let found): name = found
        case .failure(.ambiguous(let name, let candidates)):
            throw .ambiguousName(name: name, candidates: candidates.map(\.description))
        case .failure(.unknown(let name, let suggestion)): throw .noSuchUnit(name: name, suggestion: suggestion)
        case .failure(.invalid(let error)): throw .failed(message: "\(error)")
        }
        guard name.isTemplate else { return name }
        let identity = resolver.owner(of: name)?.identity ?? name
        guard let release = host.release(of: GroupID(identity.description)) else {
            throw .noRelease(name: identity.description)
        }
        do throws(UnitNameError) {
            return try name.instantiated(release)
        } catch {
            throw .failed(message: "\(error)")
        }
    }

    /// The group that a unit moves with: `site@.target` for `app@v2.service`.
    func group(of name: UnitName) -> GroupID {
        if let owner = resolver.owner(of: name) { return GroupID(owner.identity.description) }
        let isSwapUnit = resolver.load(name).hasSwapSection
        return GroupID((isSwapUnit ? name.identity : name).description)
    }

    func target(_ name: UnitName) throws(ControlError) -> Planning.Target {
        switch resolver.resolve(name) {
        case .swapUnit(let definition), .plain(let definition): return .services(try planned(name, definition))
        case .list(let target, let units): return .list(target, units)
        case .socket(let socket): return .socket(socket)
        case .needsRelease(let identity): throw .noRelease(name: identity.description)
        case .unusable(let unit): throw unusable(unit)
        }
    }

    private func unusable(_ unit: LoadedUnit) -> ControlError {
        switch unit.outcome {
        case .missing: .noSuchUnit(name: unit.name.description, suggestion: nil)
        case .masked(let path): .failed(message: "\(unit.name) is masked by \(path)")
        case .usable, .unusable: invalid(unit.name, unit.diagnostics)
        }
    }

    private func invalid(_ name: UnitName, _ diagnostics: [Diagnostic]) -> ControlError {
        host.logDiagnostics(diagnostics)
        return .invalidUnit(name: name.description, diagnostics: diagnostics.map(UnitDiagnostic.init))
    }

    /// - Parameters:
    ///   - members: plan only these members; nil for all, or for those that move with `name`.
    ///   - besideUnaccounted: plan also if unaccounted processes of the group run.
    func planned(
        _ name: UnitName, _ whole: SwapUnitDefinition, members: Set<String>? = nil, besideUnaccounted: Bool = false
    ) throws(ControlError) -> Planning.Planned {
        if !besideUnaccounted { try host.refuseBesideUnaccounted(GroupID(whole.identity.description), "start") }
        guard whole.isUsable else { throw invalid(whole.name, whole.diagnostics) }
        var notes = noteDiagnostics(of: whole)
        var services = whole.services
        if let members {
            services = services.filter { members.contains($0.name.description) }
        } else if name.kind == .service, name.identity != whole.identity {
            let moving = whole.moving(with: [name])
            services = services.filter { moving.contains($0.name.identity) }
            for service in services where service.name != name {
                let reason =
                    whole.network == .private
                    ? "they have a network of their own" : "it uses its generation socket"
                notes.append("\(service.name) moves with \(name): \(reason)")
            }
        }
        let group = GroupID(whole.identity.description)
        let isWhole = services.count == whole.services.count
        let parts = services.map { define($0, group, whole) }
        let sections = whole.services.map(\.unit) + (whole.target.map { [$0.unit] } ?? [])
        let outside = orderedOutside(sections, group, members: Set(whole.services.map(\.name)))
        var plan = Plan(
            group: group, isSwapUnit: whole.isSwappable, release: whole.release,
            settings: whole.settings,
            services: parts.map { ServiceSpec($0, in: whole) }, isWhole: isWhole,
            after: outside.after, requires: outside.requires)
        plan.relations = planRelations(of: sections, group)
        plan.relations.stopsWhenUnneeded = (whole.target?.unit ?? sections.first)?.graph.stopWhenUnneeded ?? false
        plan.relations.triggers = whole.target.map { Triggers($0.unit) } ?? Triggers()
        return Planning.Planned(plan: plan, definition: whole, notes: notes)
    }

    /// Logs diagnostics and settings without effect, once for each version of the files, and returns them for the
    /// answer to each start.
    private func noteDiagnostics(of whole: SwapUnitDefinition) -> [String] {
        let remarks = resolver.warnings(about: whole) + whole.services.flatMap(resolver.warnings)
        return host.noteDiagnostics(whole.diagnostics + remarks, of: whole.name)
    }

    private func define(_ service: ServiceUnit, _ group: GroupID, _ whole: SwapUnitDefinition) -> Definition {
        let own = (whole.socketsOf[service.name] ?? []).compactMap { name in whole.sockets.first { $0.name == name } }
        let upstreams = service.upstreams.compactMap { socket($0.name, whole) }
        var probed: SocketUnit?
        if case .socket(let name) = service.swap?.readyProbe?.endpoint { probed = socket(name, whole) }
        let definition = Definition(
            id: nextDefinition(), unit: service, group: group, sockets: own, upstreams: upstreams, probed: probed,
            target: whole.target, network: whole.network)
        add(definition)
        host.record(definition)
        return definition
    }

    private func socket(_ name: UnitName, _ whole: SwapUnitDefinition) -> SocketUnit? {
        whole.sockets.first { $0.name == name } ?? whole.referencedSockets[name] ?? resolver.load(name).socket
    }

    /// The service that traffic starts: `Service=`, else the service of the same name, else the only one that takes the
    /// socket by `Sockets=`.
    func serviceStarted(by unit: SocketUnit) throws(ControlError) -> UnitName? {
        if unit.acceptsItself {
            guard let template = unit.serviceName, resolver.loader.exists(template) else {
                let name = unit.serviceName?.description ?? "its template"
                throw .failed(message: "cannot start \(unit.name): Accept=yes needs \(name), which has no unit file")
            }
            return nil
        }
        if let service = unit.service { return service.name }
        if let sibling = unit.serviceName, resolver.loader.exists(sibling) { return sibling }
        let takers = resolver.services(receiving: unit.name)
        return takers.count == 1 ? takers.first : nil
    }

    /// Groups outside of the members that `After=`, `Requires=` and `BindsTo=` of the members name.
    func orderedOutside(
        _ sections: [UnitSection], _ id: GroupID, members: Set<UnitName>
    ) -> (after: Set<GroupID>, requires: Set<GroupID>) {
        func groups(_ references: [UnitReference]) -> Set<GroupID> {
            let outside = references.map(\.name).filter {
                $0.kind != .socket && !members.contains($0) && resolver.loader.exists($0)
            }
            return Set(outside.map(group(of:))).subtracting([id])
        }
        let required = sections.flatMap { $0.requires + $0.graph.requisite + $0.graph.bindsTo }
        return (groups(sections.flatMap(\.after)), groups(required))
    }
}

extension UnitDiagnostic {
    init(_ diagnostic: Diagnostic) {
        self.init(
            file: diagnostic.location.file, line: diagnostic.location.line, column: diagnostic.location.column,
            severity: diagnostic.severity == .error ? .error : .warning, code: diagnostic.code.rawValue,
            directive: diagnostic.directive, message: diagnostic.message, suggestion: diagnostic.suggestion)
    }
}
