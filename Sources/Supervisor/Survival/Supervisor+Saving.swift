import ControlProtocol
import Engine
import Linux
import Multibinder

/// The state of this process as a value, for a successor.
extension Supervisor {
    func savedState() -> SavedState {
        var units = SavedUnits()
        var sockets = SavedSockets()
        let definitions = definitions.values.sorted { $0.id < $1.id }.map { units.add($0) }
        let shared = (self.sockets?.shared ?? [:]).mapValues { sockets.add($0, &units) }
        // Those whose templates are still being rendered are prepared again: nobody here waits for that any more then.
        let generations = generations.values.filter { renderings[$0.id] == nil }
            .sorted { ($0.id.group, $0.id.number) < ($1.id.group, $1.id.number) }.map { generation in
                SavedGeneration(
                    id: generation.id, release: generation.release, directory: generation.directory,
                    sockets: generation.sockets.mapValues { sockets.add($0, &units) },
                    reservations: generation.reservations.mapValues { $0.map { SavedReservation($0, &units) } },
                    network: generation.network?.raw)
            }
        let activation = savedActivation(&units)
        return SavedState(
            head: savedHead(), engine: engine, backlog: waitingEvents, lastDefinition: lastDefinition,
            units: units.list, definitions: definitions, sockets: sockets.list, shared: shared,
            generations: generations, instances: instances.values.sorted { $0.id < $1.id }.map(SavedInstance.init),
            processes: savedProcesses(), own: savedOwn(), people: savedPeople(),
            activation: activation, stores: savedStores())
    }

    private func savedStores() -> [SavedStore] {
        keptStores.map { key, store in
            SavedStore(
                group: key.group, member: key.member.description, limit: store.limit,
                isKeptForGood: store.preserve == .yes, entries: store.saved)
        }.sorted { ($0.group, $0.member) < ($1.group, $1.member) }
    }

    private func savedHead() -> SavedHead {
        SavedHead(
            format: SavedState.format, version: Holdfast.version, startedAt: startedAt,
            fileLimitSoft: launcher.fileLimit.soft, fileLimitHard: launcher.fileLimit.hard)
    }

    /// Without the programs of probes: those are asked anew.
    private func savedProcesses() -> [SavedProcess] {
        processes.values.filter { probes[$0.token] == nil }.sorted { $0.pid < $1.pid }.map {
            SavedProcess(token: $0.token, instance: $0.instance, pid: $0.pid, descriptor: $0.descriptor)
        }
    }

    private func savedOwn() -> SavedOwn {
        SavedOwn(
            runtimeLock: runtimeLockDescriptor, stateLock: stateLockDescriptor, notifySocket: notifySocket?.raw,
            controlSocket: control?.listening, multibinder: multibinder?.saved)
    }

    private func savedPeople() -> SavedPeople {
        let awaited = Set(requests.all.values.compactMap(\.call) + batches.values.map(\.call) + reexecCalls)
        return SavedPeople(
            sessions: control?.saved(awaited) ?? [], lastCall: control?.lastCall ?? 0, lastRequest: lastRequest,
            requests: requests.all, batches: batches, evidence: evidence, reexecCalls: reexecCalls)
    }
}

/// Held sockets, each once, however many generations have it.
private struct SavedSockets {
    private(set) var list: [SavedSocket] = []
    private var indices: [ObjectIdentifier: Int] = [:]

    mutating func add(_ sockets: [HeldSocket], _ units: inout SavedUnits) -> [Int] {
        sockets.map { held in
            if let index = indices[ObjectIdentifier(held)] { return index }
            indices[ObjectIdentifier(held)] = list.count
            list.append(
                SavedSocket(
                    unit: units.add(held.unit), target: held.endpoint.target, owner: held.owner,
                    descriptor: held.endpoint.raw))
            return list.count - 1
        }
    }
}

extension SavedReservation {
    fileprivate init(_ reservation: Reservation, _ units: inout SavedUnits) {
        let address = reservation.address
        self.init(
            unit: units.add(reservation.unit), requested: address.requested, address: address.address,
            owner: reservation.owner, descriptor: address.raw)
    }
}

extension MultibinderServer {
    fileprivate var saved: SavedMultibinder? {
        let (listening, connections) = inheritance
        return listening.map { listening in
            SavedMultibinder(
                listening: listening,
                connections: connections.map { .init(descriptor: $0.socket, pending: $0.pending) })
        }
    }
}

extension SavedInstance {
    init(_ instance: RunningInstance) {
        self.init(
            id: instance.id, generation: instance.generation, definition: instance.definition.id,
            invocation: instance.invocation, hasTree: instance.tree != nil, session: instance.tree?.session,
            mainProcess: instance.mainProcess, output: instance.output?.descriptor,
            errorOutput: instance.errorOutput?.descriptor, store: instance.store?.saved)
    }
}
