/// Determines which units are started and swapped together (DESIGN: "What moves together").
///
/// It caches every unit it loads. Like the loader, it belongs to one state of the disk: make a new one when the files
/// may have changed. Use it on one thread.
public final class SwapUnitResolver {
    public let loader: UnitLoader
    private var loaded: [UnitName: LoadedUnit] = [:]
    private var memberships: [UnitName: Membership] = [:]
    /// Identity of a service -> names of sockets whose `Service=` names it.
    private lazy var socketsByService = indexSockets()
    /// Names of all targets with `[X-Swap]`, templates included.
    private lazy var swapTargets = loader.allNames().filter { $0.kind == .target && load($0).hasSwapSection }
    /// Identity of a service -> names of its swap targets.
    private lazy var targetsByMember = indexMembers()
    /// The sample release with which templates are examined.
    static let placeholder = "RELEASE"

    public init(loader: UnitLoader) { self.loader = loader }

    /// Loads a unit, or returns it from the cache.
    public func load(_ name: UnitName) -> LoadedUnit {
        if let unit = loaded[name] { return unit }
        let unit = loader.load(name)
        loaded[name] = unit
        return unit
    }

    /// The target swap unit of a service: with the release if the service has one, else the template.
    ///
    /// nil if there is none, and for units other than services. If there are several, the first by name.
    public func owner(of service: UnitName) -> UnitName? { owners(of: service).first }

    /// All target swap units of a service; see `owner`.
    func owners(of service: UnitName) -> [UnitName] {
        guard service.kind == .service else { return [] }
        // The index examines templates with a sample instance. An instance with files of its own may differ from the
        // sample.
        let candidates: [UnitName]
        if let instance = service.instance, loader.instancesWithOwnFiles.contains(instance) {
            candidates = swapTargets
        } else {
            candidates = targetsByMember[service.identity] ?? []
        }
        return candidates.compactMap { target in
            guard target.isTemplate else { return isMember(service, of: target) ? target : nil }
            if let instance = service.instance {
                guard let named = try? target.instantiated(instance) else { return nil }
                return isMember(service, of: named) ? named : nil
            }
            return target
        }
    }

    /// Walks every target with `[X-Swap]` once, templates with a sample instance.
    private func indexMembers() -> [UnitName: [UnitName]] {
        var index: [UnitName: [UnitName]] = [:]
        for name in swapTargets {
            let named = name.isTemplate ? try? name.instantiated(Self.placeholder) : name
            guard let named, let target = loadTarget(named), target.swap != nil else { continue }
            for member in Set(collectMembers(of: target).members.map(\.identity)) {
                index[member, default: []].append(name)
            }
        }
        return index
    }

    /// The target, even if it is unusable: its members belong to it all the same.
    private func loadTarget(_ target: UnitName) -> TargetUnit? {
        let unit = load(target)
        if case .target(let target)? = unit.unusableTarget { return target }
        return unit.target
    }

    private func isMember(_ service: UnitName, of target: UnitName) -> Bool {
        guard let unit = loadTarget(target), unit.swap != nil else { return false }
        return collectMembers(of: unit).members.contains(service)
    }

    /// The object that the name refers to.
    public func resolve(_ name: UnitName) -> Resolution {
        if name.isTemplate {
            let unit = load(name)
            guard !unit.isMissing else { return .unusable(unit) }
            return .needsRelease(identity: owner(of: name)?.identity ?? name)
        }
        let unit = load(name)
        guard !unit.isMissing else { return .unusable(unit) }
        if let owner = owner(of: name) {
            if owner.isTemplate { return .needsRelease(identity: owner) }
            guard let target = load(owner).target else { return .unusable(load(owner)) }
            return .swapUnit(makeDefinition(of: target))
        }
        guard let usable = unit.unit else { return .unusable(unit) }
        switch usable {
        case .socket(let socket): return .socket(socket)
        case .target(let target):
            guard target.swap == nil else { return .swapUnit(makeDefinition(of: target)) }
            return .list(target, units: UnitBuilder.unique(target.unit.wants + target.unit.requires))
        case .service(let service):
            return service.swap == nil ? .plain(makeDefinition(of: service)) : .swapUnit(makeDefinition(of: service))
        }
    }

    // MARK: Members

    private struct Membership {
        /// Usable members in the order of their discovery.
        var members: [UnitName] = []
        var dependencies: [UnitReference] = []
        var diagnostics: [Diagnostic] = []
        var isUsable = true
    }

    private func collectMembers(of target: TargetUnit) -> Membership {
        if let membership = memberships[target.name] { return membership }
        var membership = Membership()
        var seen: Set<UnitName> = [target.name]
        var queue = wantedUnits(target.unit)
        var next = 0
        while next < queue.count {
            let (reference, isRequired) = queue[next]
            next += 1
            guard seen.insert(reference.name).inserted else { continue }
            switch reference.name.kind {
            case .service:
                let isOfRelease = target.name.instance != nil && reference.name.instance == target.name.instance
                let isPlainSwapped = reference.name.template == nil && load(reference.name).hasSwapSection
                if isOfRelease || isPlainSwapped {
                    if let service = loadMember(reference, isRequired, of: target.name, &membership) {
                        membership.members.append(service.name)
                        queue += wantedUnits(service.unit)
                    }
                } else {
                    addDependency(reference, isRequired, &membership)
                }
            case .socket: addDependency(reference, isRequired, &membership)
            case .target:
                let inner = load(reference.name)
                if let unit = inner.target, unit.swap == nil {
                    queue += wantedUnits(unit.unit)
                } else if reference.name.identity != target.name.identity {
                    addDependency(reference, isRequired, &membership)
                }
            }
        }
        memberships[target.name] = membership
        return membership
    }

    private func wantedUnits(_ unit: UnitSection) -> [(UnitReference, isRequired: Bool)] {
        unit.wants.map { ($0, false) } + unit.requires.map { ($0, true) }
    }

    private func loadMember(
        _ reference: UnitReference, _ isRequired: Bool, of target: UnitName, _ membership: inout Membership
    ) -> ServiceUnit? {
        let unit = load(reference.name)
        switch unit.outcome {
        case .usable(.service(let service)):
            membership.diagnostics += unit.diagnostics
            return service
        case .usable, .unusable:
            membership.diagnostics += unit.diagnostics
            report(&membership, .unusableUnit, reference, .error, "\(reference.name) of \(target) cannot be used")
        case .masked(let path):
            // A mask is intended, so a merely wanted unit is left out; a required one cannot be.
            let message = "\(reference.name) of \(target) is masked by \(path)"
            report(&membership, .unusableUnit, reference, isRequired ? .error : .warning, message)
        case .missing:
            report(
                &membership, .missingUnit, reference, .error,
                "\(target) needs \(reference.name), which has no unit file")
        }
        return nil
    }

    private func addDependency(_ reference: UnitReference, _ isRequired: Bool, _ membership: inout Membership) {
        if loader.exists(reference.name) {
            membership.dependencies.append(reference)
        } else if !SpecialUnits.isAssumed(reference.name) {
            let message = "\(reference.name) has no unit file" + (isRequired ? "" : "; it is left out")
            report(&membership, .missingUnit, reference, isRequired ? .error : .warning, message)
        }
    }

    private func report(
        _ membership: inout Membership, _ code: DiagnosticCode, _ reference: UnitReference,
        _ severity: Diagnostic.Severity, _ message: String
    ) {
        if severity == .error { membership.isUsable = false }
        membership.diagnostics.append(Diagnostic(severity, code, at: reference.location, message))
    }

    // MARK: Definitions

    private func makeDefinition(of target: TargetUnit) -> SwapUnitDefinition {
        let membership = collectMembers(of: target)
        var definition = SwapUnitDefinition(
            identity: target.name.identity, name: target.name, release: target.name.instance,
            section: target.swap, target: target)
        definition.diagnostics = load(target.name).diagnostics
        completeDefinition(&definition, membership)
        if definition.services.isEmpty, definition.isUsable {
            definition.isUsable = false
            definition.diagnostics.append(
                Diagnostic(
                    .error, .missingDirective, at: SourceLocation(file: target.fragmentPath ?? ""), directive: "Wants",
                    "\(target.name) has no Wants= or Requires= of a service"))
        }
        return definition
    }

    private func makeDefinition(of service: ServiceUnit) -> SwapUnitDefinition {
        var membership = Membership(members: [service.name])
        membership.diagnostics = load(service.name).diagnostics
        for (reference, isRequired) in wantedUnits(service.unit) where reference.name != service.name {
            addDependency(reference, isRequired, &membership)
        }
        // Without [X-Swap], instances of a template are unrelated units, as under systemd.
        let isSwapped = service.swap != nil
        var definition = SwapUnitDefinition(
            identity: isSwapped ? service.name.identity : service.name, name: service.name,
            release: isSwapped ? service.name.instance : nil, section: service.swap)
        completeDefinition(&definition, membership)
        return definition
    }

    private func completeDefinition(_ definition: inout SwapUnitDefinition, _ membership: Membership) {
        definition.diagnostics += membership.diagnostics
        definition.isUsable = membership.isUsable
        let members = membership.members.compactMap { load($0).service }
        for service in members { addSockets(of: service, to: &definition) }
        var graph = OrderingGraph(membership.members)
        for service in members {
            for reference in service.unit.after {
                graph.add(service.name, after: reference.name, because: reference.location)
            }
            for reference in service.unit.before {
                graph.add(reference.name, after: service.name, because: reference.location)
            }
        }
        for service in members { addUpstreams(of: service, to: &definition, &graph) }
        let (order, cycles) = graph.sorted()
        definition.services = order.compactMap { load($0).service }
        definition.startsAfter = graph.after
        for cycle in cycles {
            definition.isUsable = false
            let path = cycle.map(\.description).joined(separator: " after ")
            let location = graph.reason(cycle[0], after: cycle[1]) ?? SourceLocation(file: definition.name.description)
            definition.diagnostics.append(
                Diagnostic(.error, .orderingCycle, at: location, "ordering cycle: \(path)"))
        }
        let own = Set(definition.sockets.map(\.name))
        definition.dependencies = UnitBuilder.unique(membership.dependencies).filter { !own.contains($0.name) }
    }

    /// Adds the sockets of a service in this order: the socket of the same name, those of `Sockets=`, and those whose
    /// `Service=` names the service.
    private func addSockets(of service: ServiceUnit, to definition: inout SwapUnitDefinition) {
        var references: [UnitReference] = []
        if let sibling = service.name.sibling(.socket), loader.exists(sibling) {
            let unit = load(sibling)
            // A socket for another service is excluded, whatever its name (systemd.socket(5), Service=). So is a socket
            // with Accept=yes: its instances get connections, not the socket.
            let isOurs = unit.socket.map {
                !$0.acceptsItself && ($0.service == nil || $0.service?.name == service.name)
            }
            if isOurs ?? !isMasked(unit) {
                references.append(
                    UnitReference(sibling, at: SourceLocation(file: loader.fragmentPath(of: sibling) ?? "")))
            }
        }
        references += service.sockets
        for name in socketsByService[service.name.identity] ?? [] {
            let named = name.isTemplate ? service.name.instance.flatMap { try? name.instantiated($0) } : name
            guard let named, load(named).socket?.service?.name == service.name else { continue }
            references.append(UnitReference(named, at: SourceLocation(file: loader.fragmentPath(of: named) ?? "")))
        }
        for reference in UnitBuilder.unique(references) {
            guard let socket = loadSocket(reference, "Sockets", &definition) else { continue }
            if definition.usedBy[socket.name] == nil {
                definition.sockets.append(socket)
                definition.diagnostics += load(socket.name).diagnostics
            }
            definition.socketsOf[service.name, default: []].append(socket.name)
            definition.usedBy[socket.name, default: []].append(service.name)
        }
    }

    private func isMasked(_ unit: LoadedUnit) -> Bool {
        if case .masked = unit.outcome { return true }
        return false
    }

    private func addUpstreams(
        of service: ServiceUnit, to definition: inout SwapUnitDefinition, _ graph: inout OrderingGraph
    ) {
        for reference in service.upstreams {
            guard let socket = loadSocket(reference, "X-Upstreams", &definition) else { continue }
            definition.referencedSockets[socket.name] = socket
            let users = (definition.usedBy[socket.name] ?? []).filter { $0 != service.name }
            guard let owner = users.first(where: { $0 == socket.serviceName }) ?? users.first else { continue }
            graph.add(service.name, after: owner, because: reference.location)
            if socket.scope == .generation { definition.upstreams[service.name, default: []].append(owner) }
        }
        if let probe = service.swap?.readyProbe, case .socket(let name)? = probe.endpoint {
            if let socket = loadSocket(UnitReference(name, at: probe.location), "ReadyProbe", &definition) {
                definition.referencedSockets[name] = socket
            }
        }
    }

    private func loadSocket(
        _ reference: UnitReference, _ directive: String, _ definition: inout SwapUnitDefinition
    ) -> SocketUnit? {
        let unit = load(reference.name)
        if let socket = unit.socket { return socket }
        definition.isUsable = false
        let code: DiagnosticCode
        let message: String
        switch unit.outcome {
        case .missing: (code, message) = (.missingSocket, "\(reference.name) has no unit file")
        case .masked(let path): (code, message) = (.unusableUnit, "\(reference.name) is masked by \(path)")
        case .usable, .unusable: (code, message) = (.unusableUnit, "\(reference.name) cannot be used")
        }
        definition.diagnostics += unit.diagnostics
        definition.diagnostics.append(
            Diagnostic(.error, code, at: reference.location, directive: directive, message))
        return nil
    }

    /// Services whose `Sockets=` names the socket, sorted by name. Instances without a file of their own are
    /// represented by their template.
    public func services(receiving socket: UnitName) -> [UnitName] {
        loader.allNames().filter { name in
            guard name.kind == .service, let service = load(name).service else { return false }
            return service.sockets.contains { $0.name == socket }
        }
    }

    /// Removes a unit that is no longer needed from the cache.
    public func removeFromCache(_ name: UnitName) {
        loaded[name] = nil
        memberships[name] = nil
    }

    /// Removes all units without a file of their own from the cache if there are more than `limit`: instances, and
    /// names that do not exist. They are loaded again when needed.
    /// - Returns: the names of the removed units.
    public func removeInstances(exceeding limit: Int) -> [UnitName] {
        let own = Set(loader.allNames())
        let others = Set(loaded.keys).union(memberships.keys).subtracting(own)
        guard others.count > limit else { return [] }
        for name in others { removeFromCache(name) }
        return Array(others)
    }

    private func indexSockets() -> [UnitName: [UnitName]] {
        var index: [UnitName: [UnitName]] = [:]
        for name in loader.allNames() where name.kind == .socket {
            guard let service = load(name).socket?.service?.name else { continue }
            index[service.identity, default: []].append(name)
        }
        return index
    }
}
