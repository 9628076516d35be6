import ControlProtocol
import Engine
import Linux
import UnitFiles
import UnitStore

/// The `Show` call: all known properties of a unit, with systemd's name where systemd has the same property.
extension StatusDesk {
    func show(_ name: String, for peer: Peer) throws(ControlError) -> ShowReply {
        // A member or a socket has files of its own; a name without files may still be a group.
        let unit = try? planning.unitName(name)
        let isSocket = unit?.kind == .socket
        let group = isSocket ? nil : try names.group(name)
        let id = unit?.description ?? group?.name ?? name
        var list = PropertyList()
        list.add("Id", id)
        if isSocket, let unit {
            for property in properties(ofSocket: unit) { list.add(property.name, property.value) }
        }
        if let group { addState(of: group, member: unit, to: &list) }
        if let unit { try addFiles(of: unit, for: peer, to: &list) }
        return ShowReply(unit: id, properties: list.properties)
    }

    /// Collects properties and leaves out unknown ones.
    private struct PropertyList {
        var properties: [Property] = []

        mutating func add(_ name: String, _ value: String?) {
            guard let value else { return }
            properties.append(Property(name, value))
        }

        mutating func add(_ name: String, _ value: Int?) { add(name, value.map(String.init)) }
        mutating func add(_ name: String, _ value: Bool) { add(name, value ? "yes" : "no") }
    }

    private func addState(of group: GroupID, member: UnitName?, to list: inout PropertyList) {
        let status = status(of: group, StatusBudget(loop))
        list.add("SwapUnit", group.name)
        list.add("State", status.state.rawValue)
        list.add("CanSwap", status.swappable)
        list.add("Release", status.release)
        list.add("ServingGeneration", status.servingGeneration)
        list.add("StateChangeTimestamp", status.since)
        list.add("Reason", status.reason)
        list.add("NeedDaemonReload", status.outdated ?? false)
        for generation in status.generations {
            let prefix = "Generation\(generation.number)"
            list.add(prefix + "Role", generation.role.rawValue)
            list.add(prefix + "Release", generation.release)
            list.add(prefix + "WaitingFor", generation.waitingFor)
            list.add(prefix + "Connections", generation.connections)
            list.add(prefix + "OldestPeer", generation.oldestPeer)
        }
        let serving = status.generations.first { $0.number == status.servingGeneration }
        let services = serving?.services ?? status.generations.first?.services ?? []
        let chosen = services.filter { services.count == 1 || $0.unit == member?.description }
        for service in chosen {
            list.add("SubState", service.state.rawValue)
            list.add("MainPID", service.mainPid ?? 0)
            list.add("NRestarts", service.restarts)
            list.add("Result", service.result)
            list.add("StatusText", service.statusText)
            list.add("MemoryCurrent", service.memory)
            list.add("Connections", service.connections)
            list.add("Ready", service.ready)
            let running = instances.values.filter { $0.generation.group == group && $0.name == service.unit }
            let current = running.first { $0.generation.number == status.servingGeneration } ?? running.first
            let last = (try? UnitName(service.unit)).map(explanations.remarkTexts)
            for remark in current?.remarks ?? last ?? [] { list.add("StartRemark", remark) }
        }
    }

    /// Adds the settings of the files, drop-ins applied: an empty assignment resets the earlier ones, as in the units.
    private func addFiles(of unit: UnitName, for peer: Peer, to list: inout PropertyList) throws(ControlError) {
        let installer = Installer(
            loader: planning.resolver.loader, runtimeDirectory: configuration.runtimeUnitDirectory)
        list.add("UnitFileState", installer.state(of: unit).rawValue)
        guard let definition = planning.resolver.load(unit).unit?.definition else { return }
        list.add("Description", definition.unit.description)
        list.add("FragmentPath", definition.fragmentPath)
        for path in definition.dropInPaths { list.add("DropInPaths", path) }
        // The contents of a file that not every user may read (it may hold a password) are shown to operators only.
        if !definition.sources.allSatisfy({ machine.units.isReadableByAll($0.path) }) { try explanations.mayAct(peer) }
        var assignments: [Assignment] = []
        for source in definition.sources {
            for assignment in UnitFileParser.parse(source.text, path: source.path).assignments {
                if assignment.value.isEmpty {
                    assignments.removeAll { $0.section == assignment.section && $0.key == assignment.key }
                } else {
                    assignments.append(assignment)
                }
            }
        }
        let expander = SpecifierExpander(
            environment: planning.resolver.loader.specifiers, unit: unit, fragmentPath: definition.fragmentPath,
            realPath: { [source = machine.units.source(nil)] in source.realPath($0) })
        for assignment in assignments where assignment.key != "Description" {
            // As systemctl(1) shows it; a value that cannot be expanded is shown as written.
            list.add(assignment.key, (try? expander.expand(assignment.value)) ?? assignment.value)
        }
        let files = Set(definition.sources.map(\.path))
        let lists = [
            ("Wants", definition.unit.wants), ("Requires", definition.unit.requires),
            ("Upholds", definition.unit.graph.upholds),
        ]
        for (key, references) in lists {
            // Links in `NAME.wants/` and the similar directories.
            for reference in references where !files.contains(reference.location.file) {
                list.add(key, reference.name.description)
            }
        }
    }
}
