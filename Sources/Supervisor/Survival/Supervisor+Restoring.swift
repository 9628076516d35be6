import Engine
import Linux
import UnitFiles
import UnitStore

/// Restores the state of another process: one that executed this program in its place and has left every descriptor
/// open, or one that was killed. State that cannot be restored is logged and left out; the rest is restored.
extension Supervisor {
    /// Extends time limits by the gap in which no supervisor could handle events.
    func passGap(_ saved: inout SavedState?) {
        guard let head = saved?.head else { return }
        let gap = engine.passGap(until: now, heard: head.takenAt.map(Instant.init))
        saved?.activation?.machine.passGap(gap, until: now)
    }

    /// Takes over the kernel objects. No event is acted on before `resume`.
    func restore(_ saved: SavedState) {
        let units = RestoredUnits(saved.units, planning.resolver.loader.specifiers, machine.units.source(nil))
        for problem in units.problems { logger.error("\(problem)") }
        // Restored before the first tree is read, which would claim processes that several trees may have left.
        if let strays = saved.strays { machine.trees.restore(strays) }
        for record in saved.definitions {
            if let definition = units.definition(record) { planning.add(definition) }
        }
        let used = max(engine.definitionsInUse.max() ?? 0, planning.definitions.keys.max() ?? 0)
        planning.reserve(upTo: max(saved.lastDefinition, used))
        // Restored before the instances, which have the connections.
        if let activation = saved.activation { socketUnits.restore(activation, units) }
        for record in saved.instances { restore(record) }
        for record in saved.processes { restore(record) }
        for record in saved.processes where processes[record.token] == nil { journal.keepRecord(ofEnded: record) }
        unaccounted.find(saved.left, problem: predecessor.problem)
        let outdated = dropOutdated()
        let finder = machine.sockets.socketsOfProcesses(
            saved.sockets.values.contains { $0.descriptor == nil } ? livingMembers() : [])
        var held: [Int: HeldSocket] = [:]
        for (number, record) in saved.sockets.sorted(by: { $0.key < $1.key }) {
            if let owner = record.owner, outdated.contains(owner.group) { continue }
            held[number] = restore(record, number, units, finder)
            if record.isUnkept != true, let held = held[number] { sockets?.registry.keep(held) }
            for change in record.changes ?? [] { held[number]?.sharers.changes[change.change.attribute] = change }
        }
        for (name, numbers) in saved.shared { sockets?.restore(numbers.compactMap { held[$0] }, for: name) }
        var once = RestoredOnce()
        for record in saved.generations where !outdated.contains(record.id.group) {
            let list = record.sockets.mapValues { $0.compactMap { held[$0] } }
            let resources = GenerationResources(
                id: record.id, release: record.release, directory: record.directory, sockets: list)
            for (name, list) in record.reservations ?? [:] {
                for entry in list {
                    guard let reservation = restore(entry, units, &once) else { continue }
                    resources.reservations[name, default: []].append(reservation)
                }
            }
            if let raw = record.network { resources.network = restoreNetwork(raw, record.id, &once) }
            for held in resources.own { held.endpoint.network = resources.network }
            if record.isPending == true { resources.pending = generations.pendingSockets(of: record.id) }
            generations[record.id] = resources
        }
        for instance in instances.values where instance.tree != nil { generations.addSharer(instance) }
        descriptorStores.restore(saved.stores ?? [])
    }

    /// Groups whose records are older than the running processes: none of the recorded processes exists, but others do.
    /// To continue from the record would start an older release beside the serving one.
    private func dropOutdated() -> Set<GroupID> {
        let outdated = unaccounted.processes.groups.filter { group in
            let own = instances.values.filter { $0.definition.group == group }
            let ids = Set(own.map(\.id))
            return !own.isEmpty && own.allSatisfy { $0.tree?.isEmpty ?? true }
                && !processes.values.contains { ids.contains($0.instance) }
        }
        for group in outdated {
            for instance in instances.values where instance.definition.group == group {
                _ = instances.remove(instance.id)
                instance.close()
            }
            engine.forgetOutdatedState(of: group)
            logger.warning("\(group): the journal is older than its running processes")
        }
        return outdated
    }

    private func livingMembers() -> [Int32] {
        var pids = Set(processes.values.map(\.pid))
        for instance in instances.values { pids.formUnion(instance.tree?.members() ?? []) }
        for tree in unaccounted.processes.trees { pids.formUnion(tree.members) }
        return pids.sorted()
    }

    private func restore(
        _ record: SavedSocket, _ number: Int, _ units: RestoredUnits, _ finder: any ProcessSockets
    ) -> HeldSocket? {
        guard let unit = units.socket(record.unit), let sockets else { return nil }
        let baseline = record.baseline.flatMap { HeldBaseline(text: $0) }
        do throws(SystemError) {
            if let raw = record.descriptor {
                let descriptor = try machine.handover.inherit(raw)
                return try sockets.adopt(
                    descriptor, unit, record.target, owner: record.owner, number: number, baseline)
            }
            if let inode = record.inode, let descriptor = finder.duplicate(inode: inode) {
                return try sockets.adopt(
                    descriptor, unit, record.target, owner: record.owner, number: number, baseline)
            }
        } catch {
            logger.error("\(unit.name): \(error)")
        }
        do throws(PreparationError) {
            let held = try sockets.reopen(unit, record.target, owner: record.owner, number: number)
            logger.warning("\(unit.name): no process has the socket at \(record.target) any more: opened a new one")
            return held
        } catch {
            logger.error("\(unit.name): \(error.text)")
            return nil
        }
    }

    private func restore(
        _ record: SavedReservation, _ units: RestoredUnits, _ once: inout RestoredOnce
    ) -> Reservation? {
        if let raw = record.descriptor, let present = once.reservations[raw] { return present }
        guard let unit = units.socket(record.unit), let sockets else { return nil }
        do throws(SystemError) {
            let address: any AddressReservation
            if let raw = record.descriptor {
                address = try machine.sockets.adoptReservation(
                    machine.handover.inherit(raw), requested: record.requested)
            } else {
                address = machine.sockets.reservation(at: record.address, requested: record.requested)
            }
            let reservation = Reservation(unit: unit, address: address, owner: record.owner)
            if record.owner == nil {
                sockets.reserved[record.requested] = WeakReservation(reservation: reservation)
            }
            if let raw = record.descriptor { once.reservations[raw] = reservation }
            return reservation
        } catch {
            logger.error("\(unit.name): \(error)")
            return nil
        }
    }

    private func restoreNetwork(
        _ raw: Int32, _ id: GenerationID, _ once: inout RestoredOnce
    ) -> NetworkNamespace? {
        if raw == SavedGeneration.lostNetwork {
            // The generation's processes are still in the namespace.
            let pids = processes.values.filter { instances[$0.instance]?.generation == id }.map(\.pid)
            return pids.lazy.compactMap { try? self.machine.sockets.network(of: $0) }.first
        }
        if let present = once.networks[raw] { return present }
        do throws(SystemError) {
            let network = NetworkNamespace(adopting: try machine.handover.inherit(raw))
            once.networks[raw] = network
            return network
        } catch {
            logger.error("network of a generation: \(error)")
            return nil
        }
    }

    private func restore(_ record: SavedInstance) {
        guard let definition = planning.definitions[record.definition] else { return }
        let instance = RunningInstance(
            id: record.id, generation: record.generation, definition: definition,
            connection: socketUnits.connections[record.generation.group])
        instance.invocation = record.invocation
        instance.triggeredBy = record.triggeredBy ?? [:]
        instance.remarks = record.remarks ?? []
        instance.ownTreeName = record.treeName
        if let entries = record.store {
            let unit = definition.unit
            instance.store = descriptorStores.restored(
                entries, limit: unit.descriptorStoreLimit, unit.descriptorStorePreserve, instance.name)
        }
        instances.add(instance)
        do throws(SystemError) {
            if record.hasTree {
                let tree = try machine.trees.adopt(
                    name: instance.treeName, cookie: record.invocation, session: record.session)
                instances.begin(RunningTree(tree, loop), of: instance)
            }
            for (raw, stream) in [(record.output, Int32(1)), (record.errorOutput, 2)] {
                if let raw {
                    // The kept descriptor is closed only here: until then the FIFO keeps its contents.
                    let kept = try machine.handover.inherit(raw)
                    _ = try streams.openPipe(of: instance, stream)
                    _ = consume kept
                } else if try machine.files.exists(logs.path(of: instance, stream)) {
                    _ = try streams.openPipe(of: instance, stream)
                }
            }
        } catch {
            logger.error("\(instance.name): \(error)")
        }
    }

    /// A process that is gone is not an error: `resume` reports its end.
    private func restore(_ record: SavedProcess) {
        do throws(SystemError) {
            try processes.take(try process(record), as: record.token, of: record.instance)
        } catch {
            if error.errno != .noSuchProcess { logger.error("process \(record.pid): \(error)") }
        }
    }

    private func process(_ record: SavedProcess) throws(SystemError) -> any MachineProcess {
        if let raw = record.descriptor { return try machine.processes.inherit(record.pid, descriptor: raw) }
        return try machine.processes.open(record.pid, startTime: record.startTime ?? 0)
    }

    /// Carries out effects that were recorded but not done, and handles the waiting events.
    func resume(_ saved: SavedState) {
        var found = SurvivingState()
        found.generations = generations.ids
        found.instances = instances.ids
        found.processes = Set(saved.processes.map(\.token))
        // Waiting events have already happened.
        for event in saved.backlog { found.note(event) }
        predecessor.startResuming()
        let unrecorded = UnrecordedCommands(
            machine: machine, instances: instances, processes: processes, journal: journal, logger: logger,
            lastWrite: predecessor.lastWrite)
        found.processes.formUnion(unrecorded.takeProcesses(of: engine.unrecordedCommands(found)))
        for effect in engine.recovery(found) { perform(effect) }
        while let signal = journal.nextUnsentSignal {
            perform(signal)
            journal.recordSent(signal)
        }
        generations.keepSocketsOfServing()
        resume(saved.backlog)
        socketUnits.resume()
        reports.armProgressTimer()
        reexec.answerCalls(saved.head)
    }
}

/// Resources that several generations share and that are taken over once.
private struct RestoredOnce {
    var reservations: [Int32: Reservation] = [:]
    var networks: [Int32: NetworkNamespace] = [:]
}
