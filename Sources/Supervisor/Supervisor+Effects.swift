import ControlProtocol
import Engine
import Glibc
import Linux
import UnitFiles

/// Carries out the engine's effects. A failure here becomes an event like any other.
extension Supervisor {
    func perform(_ effect: Effect) {
        switch effect {
        case .prepare(let generation, let plan):
            machine.processes.bounded(by: .services) { prepare(generation, plan) }
        case .createInstance(let id, let generation, let spec): createInstance(id, generation, spec)
        case .spawn(let token, let instance, let command): launches.start(token, command, of: instance)
        case .signal(let token, let signal):
            if !processes.signal(token, signal) { launches.giveUpStart(token) }
        case .signalTree(let instance, let signal): processes.signalTree(of: instance, signal)
        case .killTree(let instance): processes.killTree(of: instance)
        case .watchTree(let token, let instance): processes.watchTree(token, of: instance)
        case .unwatchTree(let token, let instance): processes.unwatchTree(token, of: instance)
        case .probe(let token, let instance):
            machine.processes.bounded(by: .services) { probes.start(token, of: instance) }
        case .cancelProbe(let token): probes.cancel(token)
        case .checkConditions(let token, let instance): conditions.check(token, of: instance)
        case .seekMain(let token, let instance): mains.seek(token, of: instance)
        case .cancelSearch(let token): mains.cancelSearch(token)
        case .forgetInstance(let instance): forget(instance)
        case .releaseGeneration(let generation): release(generation)
        case .recordServing(let generation, let release): recordServing(generation, release)
        case .startUnits(let units, let cause): operations.startUnits(units, cause)
        case .report(let report):
            switch report {
            case .finished(let group, _, _): descriptorStores.dropStores(of: group)
            // A restart that is under way needs what its services have stored.
            case .drained(let group, _, _) where engine.view(of: group)?.operation == nil:
                descriptorStores.dropStores(of: group)
            // Counted now: the signal comes with the next effect.
            case .cutting(let id):
                if let count = status.connections(of: id)?.count { handle(.connectionsCut(id, count)) }
            default: break
            }
            reports.handle(report)
        }
    }

    // MARK: - Generations

    /// Opens the resources of a generation before any of its processes exists: all of them or none.
    private func prepare(_ id: GenerationID, _ plan: Plan) {
        if plan.isTarget { return handle(.prepared(id)) }
        if plan.isSwapUnit {
            do throws(SystemError) {
                try memory.recordNumber(of: id)
            } catch {
                log(.error, about: id.group.name, "\(id): remembering its number: \(error)")
            }
        }
        do throws(PreparationError) {
            let resources = try generations.open(id, plan)
            templates.render(definitions(of: plan), resources)
        } catch {
            handle(.prepareFailed(id, Failure(unit: error.unit, step: .prepare, cause: .text(error.text))))
        }
    }

    /// Reports to the engine that the templates of a generation are rendered, or that they cannot be.
    func rendered(_ id: GenerationID, _ failure: PreparationError?) {
        guard let failure else {
            if let resources = generations[id] { journal.record(resources) }
            return handle(.prepared(id))
        }
        release(id)
        handle(.prepareFailed(id, Failure(unit: failure.unit, step: .prepare, cause: .text(failure.text))))
    }

    /// Creates `$GENERATION_DIRECTORY`, owned by the user of the services if they all have the same user, else by root.
    func makeDirectory(_ id: GenerationID, _ parts: [Definition]) throws(PreparationError) -> String {
        let path = directories.path(of: id)
        let users = Set(parts.map(\.unit.execution.user))
        let user = users.count == 1 ? users.first?.flatMap { try? machine.accounts.user($0) } : nil
        // An existing directory is of a supervisor whose state was lost; surviving processes of it may still use it.
        if (try? machine.files.exists(path)) == true, unaccounted.processes.isEmpty { directories.throwAway(path) }
        do throws(SystemError) {
            let owner = configuration.isUser ? nil : (uid: user?.uid ?? 0, gid: user?.gid ?? 0)
            try machine.serviceFiles.makeDirectoryAtOnce(path, mode: 0o755, owner: owner, keepsExisting: false)
        } catch {
            machine.files.removeEmptyDirectory(path)
            if let parent = FileTree.parent(of: path) { machine.files.removeEmptyDirectory(parent) }
            throw PreparationError(unit: id.group.name, text: "\(error)")
        }
        return path
    }

    private func release(_ id: GenerationID) {
        guard let resources = generations.remove(id) else { return }
        journal.end(.generation(id))
        // Together with the directory of its group if it was the last: a group of that name may never exist again.
        directories.throwAway(resources.directory, withParent: true)
    }

    private func recordServing(_ id: GenerationID, _ release: String?) {
        generations.keepSockets(of: id)
        // A plain service has neither a release nor a rollback, so nothing is recorded.
        guard engine.isSwapUnit(id.group) else { return }
        do throws(SystemError) {
            let replaced =
                engine.previousPlan(of: id.group)?.services.compactMap { planning.definitions[$0.definition] } ?? []
            let previous = replaced.first.map { first in
                ReleaseMemory.Previous(
                    unit: (first.target?.name ?? first.unit.name).description,
                    members: replaced.map(\.unit.name.description))
            }
            // Members that were carried over are included, else the release would lack them; those that drain since
            // an earlier swap are not. The replaced ones are last in the list: of files with the same name the last one
            // counts.
            let serving = engine.view(of: id.group)?.generations.first { $0.number == id.number }
            let members = (serving?.services ?? []).compactMap { instances[$0.instance]?.definition }
            try memory.recordServing(
                id, release: release, previous: previous,
                texts: DefinitionFiles.of((members + replaced).flatMap(\.units)))
        } catch {
            log(.error, about: id.group.name, "\(id): remembering that it serves: \(error)")
        }
    }

    // MARK: - Instances

    private func createInstance(_ id: InstanceID, _ generation: GenerationID, _ spec: ServiceSpec) {
        guard let definition = planning.definitions[spec.definition] else { return }
        let instance = RunningInstance(
            id: id, generation: generation, definition: definition,
            connection: socketUnits.connections[generation.group])
        instance.triggeredBy = reports.monitorVariables[generation.group] ?? [:]
        instances.add(instance)
        journal.put(.running(id), SavedInstance(instance))
    }

    private func forget(_ id: InstanceID) {
        guard let instance = instances.remove(id) else { return }
        if instance.tree != nil { generations.removeSharer(instance) }
        journal.end(.running(id))
        descriptorStores.keepStore(of: instance)
        if requests.has(instance.definition.group) {
            keepEvidence(of: instance)
        }
        instance.close()
        mains.removePidFile(of: instance)
        serviceDirectories.removeRuntimeDirectories(of: instance)
        serviceDirectories.removeCredentials(of: instance)
        if !instances.values.contains(where: { $0.logName == instance.logName }) { logs.forget(instance.logName) }
        sockets?.restorePaths(generations[instance.generation]?.own ?? [])
    }

    private var allHeldSockets: [HeldSocket] {
        (sockets.map { Array($0.shared.values.joined()) } ?? []) + generations.values.flatMap(\.own)
    }

    var heldFiles: Set<FileID> { Set(allHeldSockets.compactMap(\.endpoint.fileID)) }

    var heldPaths: [String] { allHeldSockets.flatMap(\.paths) }
}
