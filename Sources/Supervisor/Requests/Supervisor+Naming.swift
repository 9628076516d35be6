import ControlProtocol
import Engine
import UnitFiles

/// Resolution of names and patterns: for the answer of `List`, and the arguments of `Status`.
extension Supervisor {
    /// Names in one request; more are a mistake.
    private static let nameLimit = 1000

    /// A group or service that a name stands for.
    struct Named: Hashable {
        var group: GroupID
        /// A service of the group, if only that one is meant.
        var service: String?
    }

    /// All groups that the engine knows, and all units on disk that could be started; sorted.
    func knownGroups() -> [GroupID] {
        var known = Set(engine.groupIDs.filter { !engine.isTarget($0) })
        for name in planning.resolver.loader.allNames() where name.kind != .socket {
            if name.kind == .target, !planning.resolver.load(name).hasSwapSection { continue }
            known.insert(planning.group(of: name))
        }
        return known.union(unaccounted.processes.groups).sorted()
    }

    /// The groups and services that the names stand for, in their order, each once.
    /// - Throws: for an unknown name, and for a pattern without a match.
    func named(_ names: [String]) throws(ControlError) -> [Named] {
        guard names.count <= Self.nameLimit else { throw .invalidParameter(parameter: "names") }
        var found: [Named] = []
        var seen: Set<Named> = []
        var known: [GroupID]?
        func groups() -> [GroupID] {
            if let known { return known }
            let all = knownGroups()
            known = all
            return all
        }
        for name in names {
            let matching: [Named]
            switch NamePattern(name, isUnit: { (try? groupID($0)) != nil }) {
            case .all: matching = groups().map { Named(group: $0) }
            case .glob(let pattern): matching = groups().filter { matches(pattern, $0) }.map { Named(group: $0) }
            case .members(let target, let pattern):
                if (try? groupID(target)) == nil {
                    // There is no target of that name: the colon is part of a unit name.
                    let found = groups().filter { matches(name, $0) }
                    matching = found.isEmpty ? [try single(name)] : found.map { Named(group: $0) }
                } else {
                    matching = try members(of: target, matching: pattern)
                }
            case .name(let name): matching = [try single(name)]
            }
            guard !matching.isEmpty else { throw .noSuchUnit(name: name, suggestion: nil) }
            for one in matching where seen.insert(one).inserted { found.append(one) }
        }
        return found
    }

    private func matches(_ pattern: String, _ group: GroupID) -> Bool {
        let release = engine.servingRelease(of: group) ?? memory.release(of: group)
        return NamePattern.forms(group.name, release: release).contains { NamePattern.matches(pattern, $0) }
    }

    /// The group or service for one name. A member by name is meant alone: `app@v2.service` of `site@.target`.
    private func single(_ name: String) throws(ControlError) -> Named {
        let group = try groupID(name)
        let unit = (try? UnitName(name)) ?? (try? planning.unitName(name, kinds: [.service, .target]))
        guard let unit, unit.kind == .service, unit.identity.description != group.name, unit.description != group.name
        else { return Named(group: group) }
        return Named(group: group, service: unit.description)
    }

    private func members(of target: String, matching pattern: String) throws(ControlError) -> [Named] {
        let forms = { (service: String) in
            // `site:app` means app@v2.service, whatever the release.
            let identity = (try? UnitName(service))?.identity.description
            return NamePattern.forms(service, release: nil)
                + (identity.map { NamePattern.forms($0, release: nil) } ?? [])
        }
        return try members(of: target).filter { member in
            forms(member.service ?? member.group.name).contains { NamePattern.matches(pattern, $0) }
        }
    }

    private func members(of text: String) throws(ControlError) -> [Named] {
        let group = try groupID(text)
        // The running members, whatever the files contain now.
        if let view = engine.view(of: group),
            let serving = view.generations.first(where: { $0.number == view.serving }),
            !serving.services.isEmpty
        {
            return serving.services.map { Named(group: group, service: $0.spec.unit) }
        }
        let name = try planning.unitName(text, kinds: [.service, .target])
        switch planning.resolver.resolve(name) {
        case .swapUnit(let whole), .plain(let whole):
            return whole.services.map { Named(group: group, service: $0.name.description) }
        case .list(_, let units):
            let services = units.map(\.name).filter { $0.kind == .service && planning.resolver.loader.exists($0) }
            return services.map { Named(group: planning.group(of: $0)) }
        case .needsRelease(let identity): throw .noRelease(name: identity.description)
        case .socket, .unusable: return []
        }
    }

    // MARK: - List

    func list(_ names: [String], sockets wantsSockets: Bool) throws(ControlError) -> ListReply {
        let meant = names.isEmpty ? knownGroups().map { Named(group: $0) } : try named(names)
        var units = meant.map(listed)
        guard wantsSockets else { return ListReply(units: units) }
        for name in planning.resolver.loader.allNames() where name.kind == .socket {
            let isHeld = sockets?.shared[name.description] != nil
            units.append(
                ListedUnit(
                    unit: name.description, operand: name.description,
                    description: planning.resolver.load(name).unit?.definition.unit.description ?? "",
                    state: isHeld ? .running : .stopped))
        }
        return ListReply(units: units)
    }

    func listed(_ named: Named) -> ListedUnit {
        let group = named.group
        let unit = named.service ?? group.name
        let name = try? UnitName(unit)
        let description = name.map { planning.resolver.load($0) }?.unit?.definition.unit.description ?? ""
        guard let view = engine.view(of: group) else {
            return ListedUnit(
                unit: unit, operand: operand(group, memory.release(of: group)), description: description,
                state: state(of: group))
        }
        let release = engine.servingRelease(of: group) ?? memory.release(of: group)
        var services = view.generations.first { $0.number == view.serving }?.services ?? []
        if let service = named.service { services = services.filter { $0.spec.unit == service } }
        let pids = services.compactMap { processes.main(of: $0.instance)?.pid }
        return ListedUnit(
            unit: unit, operand: operand(group, release), description: description, state: state(of: group),
            mainPids: pids.map(Int.init), outdated: planning.isOutdated(view) ? true : nil)
    }

    /// Argument for commands on the group: `site@v2.target` for `site@.target`; without a release the group's name, for
    /// which the commands then explain that a release is missing.
    private func operand(_ group: GroupID, _ release: String?) -> String {
        guard let release, let name = try? UnitName(group.name), name.isTemplate,
            let instance = try? name.instantiated(release)
        else { return group.name }
        return instance.description
    }

    // MARK: - Old and new definitions

    /// All outdated groups, sorted.
    func outdatedGroups() -> [GroupID] {
        engine.groupIDs.filter { group in engine.view(of: group).map(planning.isOutdated) ?? false }
    }

    // MARK: - Forgetting

    /// `reset-failed` for the named units, or for all failed ones.
    func resetFailed(_ names: [String]) throws(ControlError) -> ListReply {
        let isSocket = { (name: String) in name.hasSuffix(".socket") && !name.contains("*") }
        var sockets = activation.socketIDs.filter { activation.view(of: $0)?.phase == .failed }
        var groups = knownGroups().filter { group in engine.view(of: group).map(state) == .failed }
        if !names.isEmpty {
            let named = try self.named(names.filter { !isSocket($0) }).map(\.group)
            let wanted = try names.filter(isSocket).map { name throws(ControlError) in
                SocketID(try planning.unitName(name, kinds: [.socket]).description)
            }
            sockets = sockets.filter(wanted.contains)
            groups = named
        }
        var units = groups.map { listed(Named(group: $0)) }
        for group in groups { handle(.command(.resetFailed(group), newRequest(group: group))) }
        for socket in sockets {
            units.append(ListedUnit(unit: socket.name, operand: socket.name, state: .failed))
            // A failed socket unit is not open, so a stop only resets it.
            handleSocket(.stop(socket, nil))
        }
        return ListReply(units: units)
    }

    /// `remove`: forgets the group's failure, and closes sockets that only it used.
    func forget(_ name: String) throws(ControlError) -> ListReply {
        let group = try groupID(name)
        guard !engine.isActive(group) else { throw .failed(message: "cannot remove \(group): it runs; stop it first") }
        let before = listed(Named(group: group))
        handle(.command(.forget(group), newRequest(group: group)))
        var units = [before]
        if let name = try? planning.unitName(group.name), let whole = planning.resolver.resolve(name).definition {
            let inUse = Set(instances.values.flatMap(\.definition.sockets).map(\.name))
            for socket in whole.sockets where socket.scope == .shared && !inUse.contains(socket.name) {
                guard sockets?.shared[socket.name.description] != nil else { continue }
                sockets?.release(socket.name.description)
                units.append(
                    ListedUnit(unit: socket.name.description, operand: socket.name.description, state: .stopped))
            }
        }
        return ListReply(units: units)
    }
}
