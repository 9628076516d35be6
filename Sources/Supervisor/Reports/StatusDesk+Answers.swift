import ControlProtocol
import Engine
import UnitFiles
import UnitStore

/// Answers of the `Status`, `Generations` and `List` calls.
extension StatusDesk {
    func status(named list: [String]) throws(ControlError) -> StatusReply {
        guard !list.isEmpty else { return StatusReply(units: allStatus(), notes: host.journalTrouble.map { [$0] }) }
        // A thousand equal names would cost a thousand walks over /proc.
        var seen: Set<GroupID> = []
        let sockets = list.filter { $0.hasSuffix(".socket") && !$0.contains("*") }
        let groups = try names.resolve(list.filter { !sockets.contains($0) }).map(\.group).filter {
            seen.insert($0).inserted
        }
        let look = StatusBudget(loop)
        let installer = Installer(
            loader: planning.resolver.loader, runtimeDirectory: configuration.runtimeUnitDirectory)
        var units = groups.map { group in
            var unit = status(of: group, look)
            if look.hasTimeLeft {
                unit.unitFileState = (try? UnitName(group.name)).map { installer.state(of: $0).rawValue }
            }
            return unit
        }
        for name in sockets { units.append(host.status(ofSocket: try planning.unitName(name, kinds: [.socket]))) }
        return StatusReply(units: units, notes: host.journalTrouble.map { [$0] })
    }

    func generations(_ name: String?) throws(ControlError) -> GenerationsReply {
        let groups = try name.map { name throws(ControlError) in [try names.group(name)] } ?? engine.groupIDs
        let look = StatusBudget(loop)
        return GenerationsReply(
            units: groups.compactMap { engine.view(of: $0) }.map { view in
                UnitGenerations(unit: view.id.name, generations: generationStatus(view, name == nil ? nil : look))
            }.filter { name != nil || !$0.generations.isEmpty })
    }

    func list(_ list: [String], sockets wantsSockets: Bool) throws(ControlError) -> ListReply {
        let meant = list.isEmpty ? names.knownGroups().map { ResolvedName(group: $0) } : try names.resolve(list)
        var units = meant.map(listed)
        guard wantsSockets else { return ListReply(units: units) }
        for name in planning.resolver.loader.allNames() where name.kind == .socket {
            let isHeld = host.isHeld(name)
            units.append(
                ListedUnit(
                    unit: name.description, operand: name.description,
                    description: planning.resolver.load(name).unit?.definition.unit.description ?? "",
                    state: isHeld ? .running : .stopped))
        }
        return ListReply(units: units)
    }

    func listed(_ named: ResolvedName) -> ListedUnit {
        let group = named.group
        let unit = named.service ?? group.name
        let name = try? UnitName(unit)
        let description = name.map { planning.resolver.load($0) }?.unit?.definition.unit.description ?? ""
        guard let view = engine.view(of: group) else {
            return ListedUnit(
                unit: unit, operand: operand(group, host.release(of: group)), description: description,
                state: state(of: group))
        }
        let release = host.release(of: group)
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
}
