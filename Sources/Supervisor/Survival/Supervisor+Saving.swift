import ControlProtocol
import Engine
import Linux
import Multibinder

/// The state of this process as a value, for a successor.
extension Supervisor {
    func savedState() -> SavedState {
        var sockets: [Int: SavedSocket] = [:]
        for held in (self.sockets?.shared ?? [:]).values.joined() {
            sockets[held.number] = journal.units.record(of: held)
        }
        for held in generations.values.flatMap({ $0.sockets.values.joined() }) where sockets[held.number] == nil {
            sockets[held.number] = journal.units.record(of: held)
        }
        let definitions = planning.definitions.values.sorted { $0.id < $1.id }.map { journal.units.record(of: $0) }
        // Generations whose templates are still being rendered are prepared again: in the successor no code waits for
        // the rendering.
        let generations = generations.values.filter { !templates.isRendering($0.id) }
            .sorted { ($0.id.group, $0.id.number) < ($1.id.group, $1.id.number) }
        let instances = instances.sorted
        return SavedState(
            head: savedHead(), engine: engine, backlog: waitingEvents, lastDefinition: planning.lastDefinition,
            units: journal.units.all, definitions: definitions, sockets: sockets,
            shared: (self.sockets?.shared ?? [:]).mapValues { $0.map(\.number) },
            generations: generations.map { SavedGeneration($0, journal.units) },
            instances: instances.map(SavedInstance.init),
            processes: savedProcesses(), own: savedOwn(), people: savedPeople(),
            activation: savedActivation(), stores: descriptorStores.saved,
            isJournalBehind: journal.isBehind ? true : nil,
            left: unaccounted.processes.cause)
    }

    private func savedHead() -> SavedHead {
        SavedHead(
            format: SavedState.format, version: Holdfast.version, startedAt: startedAt,
            fileLimitSoft: launcher.limits.first?.soft ?? 1024, fileLimitHard: launcher.limits.first?.hard ?? 4096,
            limits: launcher.limits.dropFirst().map { .init(resource: $0.resource, soft: $0.soft, hard: $0.hard) },
            boot: machine.handover.bootID,
            takenAt: loop.now)
    }

    /// Running processes without the programs of probes, which are started again. A process whose end is not reported
    /// yet counts as running.
    private func savedProcesses() -> [SavedProcess] {
        let running = processes.values.filter(\.isKept).map(SavedProcess.init)
        return (running + journal.unreportedEnds.values).sorted {
            ($0.pid, $0.token.number) < ($1.pid, $1.token.number)
        }
    }

    private func savedOwn() -> SavedOwn {
        SavedOwn(
            runtimeLock: directories.locks.runtime, stateLock: directories.locks.state,
            notifySocket: notifications.descriptor, controlSocket: control.listening, multibinder: multibinder?.saved)
    }

    private func savedPeople() -> SavedPeople {
        let awaited = requests.awaitedCalls.union(reexec.calls).union(subscriptions.saved.map(\.call))
        return SavedPeople(
            sessions: control.saved(awaited), lastCall: control.lastCall, lastRequest: requests.lastRequest,
            requests: requests.pending.all, batches: requests.batches, evidence: reports.evidence,
            reexecCalls: reexec.calls,
            subscribers: subscriptions.saved, ledger: requests.ledger.saved)
    }
}

extension SavedReservation {
    fileprivate init(_ reservation: Reservation, _ units: UnitTable) {
        let address = reservation.address
        self.init(
            unit: units.number(of: reservation.unit), requested: address.requested, address: address.address,
            owner: reservation.owner, descriptor: address.raw)
    }
}

extension MachineBinders {
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
            output: instance.output?.descriptor,
            errorOutput: instance.errorOutput?.descriptor, store: instance.store?.saved,
            triggeredBy: instance.triggeredBy.isEmpty ? nil : instance.triggeredBy,
            remarks: instance.remarks.isEmpty ? nil : instance.remarks, treeName: instance.ownTreeName)
    }
}

extension SavedProcess {
    init(_ process: RunningProcess) {
        self.init(
            token: process.token, instance: process.instance, pid: process.pid, descriptor: process.child.descriptor,
            startTime: process.child.startTime)
    }
}

extension SavedGeneration {
    init(_ resources: GenerationResources, _ units: UnitTable) {
        self.init(
            id: resources.id, release: resources.release, directory: resources.directory,
            sockets: resources.sockets.mapValues { $0.map(\.number) },
            reservations: resources.reservations.mapValues { $0.map { SavedReservation($0, units) } },
            network: resources.network?.raw, isPending: resources.pending == nil ? nil : true)
    }
}
