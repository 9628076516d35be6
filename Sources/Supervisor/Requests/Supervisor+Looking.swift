import ControlProtocol
import Engine
import Glibc
import Linux
import UnitFiles
import UnitStore
import Vocabulary

/// Requests that are read-only, or take effect at once.
extension Supervisor {
    /// The group for a name: by unit files, and for units without files by the running generations.
    func groupID(_ name: String) throws(ControlError) -> GroupID {
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
        let known = Set(engine.groupIDs).union(unaccounted.processes.groups)
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

    func describe() -> DescribeReply {
        DescribeReply(
            version: Holdfast.version, pid: Int(machine.processes.ownPid),
            unitDirectories: configuration.unitDirectories,
            runtimeDirectory: configuration.runtimeDirectory, stateDirectory: configuration.stateDirectory,
            logDirectory: configuration.logDirectory, userMode: configuration.isUser,
            startedAt: Timestamp.string(unixSeconds: startedAt))
    }

    func status(_ names: [String]) throws(ControlError) -> StatusReply {
        guard !names.isEmpty else { return StatusReply(units: allStatus(), notes: journal.trouble.map { [$0] }) }
        // A thousand equal names would cost a thousand walks over /proc.
        var seen: Set<GroupID> = []
        let sockets = names.filter { $0.hasSuffix(".socket") && !$0.contains("*") }
        let groups = try named(names.filter { !sockets.contains($0) }).map(\.group).filter { seen.insert($0).inserted }
        let look = CloseLook(loop)
        let installer = Installer(
            loader: planning.resolver.loader, runtimeDirectory: configuration.runtimeUnitDirectory)
        var units = groups.map { group in
            var unit = status(of: group, look)
            if look.goesOn { unit.unitFileState = (try? UnitName(group.name)).map { installer.state(of: $0).rawValue } }
            return unit
        }
        for name in sockets { units.append(status(ofSocket: try planning.unitName(name, kinds: [.socket]))) }
        return StatusReply(units: units, notes: journal.trouble.map { [$0] })
    }

    func generations(_ name: String?) throws(ControlError) -> GenerationsReply {
        let groups = try name.map { name throws(ControlError) in [try groupID(name)] } ?? engine.groupIDs
        let look = CloseLook(loop)
        return GenerationsReply(
            units: groups.compactMap { engine.view(of: $0) }.map { view in
                UnitGenerations(unit: view.id.name, generations: generationStatus(view, name == nil ? nil : look))
            }.filter { name != nil || !$0.generations.isEmpty })
    }

    func cat(_ name: String, for peer: Peer) throws(ControlError) -> CatReply {
        let reply = try cat(name)
        // The contents of a file that not every user may read (it may hold a password) are shown to operators only.
        guard reply.files.allSatisfy({ machine.units.isReadableByAll($0.path) }) else {
            try mayAct(peer)
            return reply
        }
        return reply
    }

    private func cat(_ name: String) throws(ControlError) -> CatReply {
        let unit = try installed(name)
        let loaded = planning.freshResolver().load(unit)
        if let found = loaded.unit {
            return CatReply(
                files: found.definition.sources.map { UnitText(path: $0.path, text: FileText.displayText($0.text)) })
        }
        // The file of an unusable unit is shown, too: it explains why.
        guard let path = planning.resolver.loader.fragmentPath(of: unit),
            let text = try? machine.units.source(nil).read(path)
        else {
            throw .noSuchUnit(name: unit.description, suggestion: nil)
        }
        return CatReply(files: [UnitText(path: path, text: FileText.displayText(text))])
    }

    /// Reads the unit files again. Running generations keep their definitions until they are swapped or restarted.
    func update() throws(ControlError) -> UpdateReply {
        let update = try planning.update()
        let reply = UpdateReply(
            changed: update.changed, added: update.added, removed: update.removed,
            outdated: outdatedGroups().map(\.name), diagnostics: update.diagnostics.map(UnitDiagnostic.init),
            notes: refreshSockets())
        subscriptions.publishFiles(reply)
        return reply
    }

    func signal(_ name: String, _ signal: String, _ who: Request.SignalTarget) throws(ControlError) -> SignalReply {
        guard let parsed = try? Signal.parse(signal) else { throw .invalidParameter(parameter: "signal") }
        let group = try groupID(name)
        let serving = engine.view(of: group).flatMap { view in view.generations.first { $0.number == view.serving } }
        let named = (try? UnitName(name))?.description ?? name + ".service"
        var targets = serving?.services ?? []
        // A member by name gets the signal alone.
        if targets.contains(where: { $0.spec.unit == named }) { targets = targets.filter { $0.spec.unit == named } }
        var pids: [Int] = []
        for service in targets {
            guard let running = instances[service.instance] else { continue }
            switch who {
            case .main:
                guard let process = processes.main(of: running.id) else { continue }
                if (try? process.send(parsed)) != nil { pids.append(Int(process.pid)) }
            case .all:
                pids += running.tree?.members().map(Int.init) ?? []
                running.tree?.signalAll(parsed)
            }
        }
        guard !pids.isEmpty else { throw .notRunning(unit: group.name) }
        return SignalReply(pids: pids)
    }
}
