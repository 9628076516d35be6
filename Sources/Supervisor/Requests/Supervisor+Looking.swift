import ControlProtocol
import Engine
import Glibc
import Linux
import UnitFiles
import UnitStore
import Vocabulary

/// Requests that are read-only, or take effect at once.
extension Supervisor {
    func describe() -> DescribeReply {
        DescribeReply(
            version: Holdfast.version, pid: Int(machine.processes.ownPid),
            unitDirectories: configuration.unitDirectories,
            runtimeDirectory: configuration.runtimeDirectory, stateDirectory: configuration.stateDirectory,
            logDirectory: configuration.logDirectory, userMode: configuration.isUser,
            startedAt: Timestamp.string(unixSeconds: startedAt))
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
            notes: socketUnits.refresh())
        subscriptions.publishFiles(reply)
        return reply
    }

    func signal(_ name: String, _ signal: String, _ who: Request.SignalTarget) throws(ControlError) -> SignalReply {
        guard let parsed = try? Signal.parse(signal) else { throw .invalidParameter(parameter: "signal") }
        let group = try names.group(name)
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
