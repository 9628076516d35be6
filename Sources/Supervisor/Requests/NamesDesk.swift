import ControlProtocol
import Engine
import UnitFiles

/// Interface of the supervisor to the desk of names.
protocol NamesHost: AnyObject {
    var engine: Engine { get }
    /// The release of a template swap unit that serves, or served last.
    func release(of group: GroupID) -> String?
    /// Groups with processes that no record accounts for.
    var unaccountedGroups: [GroupID] { get }
}

/// A group or service that a name stands for.
struct ResolvedName: Hashable {
    var group: GroupID
    /// A service of the group, if only that one is meant.
    var service: String?
}

/// Resolution of names and patterns in requests: by unit files, and for units without files by the running generations.
final class NamesDesk {
    private unowned let host: any NamesHost
    private let planning: PlanningDesk
    private let instances: Instances
    /// Names in one request; more are a mistake.
    private static let nameLimit = 1000

    init(_ host: any NamesHost, _ planning: PlanningDesk, _ instances: Instances) {
        (self.host, self.planning, self.instances) = (host, planning, instances)
    }

    /// The group for a name: by unit files, and for units without files by the running generations.
    func group(_ name: String) throws(ControlError) -> GroupID {
        if let group = runningGroup(name) { return group }
        do throws(ControlError) {
            return planning.group(of: try planning.unitName(name, kinds: [.service, .target]))
        } catch {
            // A template without a release is still a group with a status.
            if case .noRelease(let identity) = error { return GroupID(identity) }
            throw error
        }
    }

    private func runningGroup(_ name: String) -> GroupID? {
        let known = Set(host.engine.groupIDs).union(host.unaccountedGroups)
        for candidate in [name, name + ".target", name + ".service", name + "@.target", name + "@.service"] {
            if known.contains(GroupID(candidate)) { return GroupID(candidate) }
        }
        for candidate in [name, name + ".target", name + ".service"] {
            guard let unit = try? UnitName(candidate) else { continue }
            if known.contains(GroupID(unit.identity.description)) { return GroupID(unit.identity.description) }
            if let owner = instances.values.first(where: { $0.name == candidate }) { return owner.definition.group }
        }
        return nil
    }

    /// All groups that the engine knows, and all units on disk that could be started; sorted.
    func knownGroups() -> [GroupID] {
        var known = Set(host.engine.groupIDs.filter { !host.engine.isTarget($0) })
        for name in planning.resolver.loader.allNames() where name.kind != .socket {
            if name.kind == .target, !planning.resolver.load(name).hasSwapSection { continue }
            known.insert(planning.group(of: name))
        }
        return known.union(host.unaccountedGroups).sorted()
    }

    /// The groups and services that the names stand for, in their order, each once.
    /// - Throws: for an unknown name, and for a pattern without a match.
    func resolve(_ names: [String]) throws(ControlError) -> [ResolvedName] {
        guard names.count <= Self.nameLimit else { throw .invalidParameter(parameter: "names") }
        var found: [ResolvedName] = []
        var seen: Set<ResolvedName> = []
        var known: [GroupID]?
        func groups() -> [GroupID] {
            if let known { return known }
            let all = knownGroups()
            known = all
            return all
        }
        for name in names {
            let matching: [ResolvedName]
            switch NamePattern(name, isUnit: { (try? group($0)) != nil }) {
            case .all: matching = groups().map { ResolvedName(group: $0) }
            case .glob(let pattern): matching = groups().filter { matches(pattern, $0) }.map { ResolvedName(group: $0) }
            case .members(let target, let pattern):
                if (try? group(target)) == nil {
                    // There is no target of that name: the colon is part of a unit name.
                    let found = groups().filter { matches(name, $0) }
                    matching = found.isEmpty ? [try single(name)] : found.map { ResolvedName(group: $0) }
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
        let release = host.release(of: group)
        return NamePattern.aliases(group.name, release: release).contains { NamePattern.matches(pattern, $0) }
    }

    /// The group or service for one name. A member by name is meant alone: `app@v2.service` of `site@.target`.
    private func single(_ name: String) throws(ControlError) -> ResolvedName {
        let group = try self.group(name)
        let unit = (try? UnitName(name)) ?? (try? planning.unitName(name, kinds: [.service, .target]))
        guard let unit, unit.kind == .service, unit.identity.description != group.name, unit.description != group.name
        else { return ResolvedName(group: group) }
        return ResolvedName(group: group, service: unit.description)
    }

    private func members(of target: String, matching pattern: String) throws(ControlError) -> [ResolvedName] {
        let aliases = { (service: String) in
            // `site:app` means app@v2.service, whatever the release.
            let identity = (try? UnitName(service))?.identity.description
            return NamePattern.aliases(service, release: nil)
                + (identity.map { NamePattern.aliases($0, release: nil) } ?? [])
        }
        return try members(of: target).filter { member in
            aliases(member.service ?? member.group.name).contains { NamePattern.matches(pattern, $0) }
        }
    }

    private func members(of text: String) throws(ControlError) -> [ResolvedName] {
        let group = try self.group(text)
        // The running members, whatever the files contain now.
        if let view = host.engine.view(of: group),
            let serving = view.generations.first(where: { $0.number == view.serving }),
            !serving.services.isEmpty
        {
            return serving.services.map { ResolvedName(group: group, service: $0.spec.unit) }
        }
        let name = try planning.unitName(text, kinds: [.service, .target])
        switch planning.resolver.resolve(name) {
        case .swapUnit(let whole), .plain(let whole):
            return whole.services.map { ResolvedName(group: group, service: $0.name.description) }
        case .list(_, let units):
            let services = units.map(\.name).filter { $0.kind == .service && planning.resolver.loader.exists($0) }
            return services.map { ResolvedName(group: planning.group(of: $0)) }
        case .needsRelease(let identity): throw .noRelease(name: identity.description)
        case .socket, .unusable: return []
        }
    }
}
