import Engine
import Glibc
import Linux
import UnitFiles
import UnitStore

/// Going on from the state of another process. What cannot be taken over is told in the log and left out; the rest goes on.
extension Supervisor {
    /// Takes over what exists in the kernel. Nothing is acted on before `resume`.
    func restore(_ saved: SavedState) throws(SystemError) {
        let units = RestoredUnits(
            saved.units, SpecifierEnvironment(configuration, environment: environment))
        for problem in units.problems { logger.error("\(problem)") }
        lastDefinition = saved.lastDefinition
        for record in saved.definitions {
            if let definition = units.definition(record) { definitions[record.id] = definition }
        }
        let held = saved.sockets.map { restore($0, units) }
        for (name, indices) in saved.shared {
            sockets?.restore(indices.compactMap { held[$0] }, for: name)
        }
        var once = RestoredOnce()
        for record in saved.generations {
            let list = record.sockets.mapValues { $0.compactMap { held[$0] } }
            let resources = GenerationResources(
                id: record.id, release: record.release, directory: record.directory, sockets: list)
            for (name, list) in record.reservations ?? [:] {
                for entry in list {
                    guard let reservation = restore(entry, units, &once) else { continue }
                    resources.reservations[name, default: []].append(reservation)
                }
            }
            if let raw = record.network { resources.network = restoreNetwork(raw, &once) }
            for held in resources.own { held.moves(into: resources.network) }
            generations[record.id] = resources
        }
        if let activation = saved.activation { restore(activation, units) }
        for record in saved.instances { restore(record) }
        for record in saved.processes { restore(record) }
        for record in saved.stores ?? [] {
            guard let member = try? UnitName(record.member) else { continue }
            let key = DescriptorStoreKey(group: record.group, member: member)
            let preserve = record.isKeptForGood ? DescriptorStorePreserve.yes : .restart
            keptStores[key] = restore(record.entries, limit: record.limit, preserve, "\(member)")
        }
    }

    private func restore(
        _ entries: [SavedDescriptor], limit: Int, _ preserve: DescriptorStorePreserve, _ name: String
    ) -> DescriptorStore {
        let store = DescriptorStore(limit: limit, preserve: preserve, loop: loop)
        for entry in entries {
            do throws(SystemError) {
                let descriptor = try OwnedDescriptor.inherited(entry.descriptor)
                _ = store.add(descriptor, name: entry.name, isWatched: entry.isWatched)
            } catch {
                logger.error("\(name): stored descriptor \(entry.name): \(error)")
            }
        }
        return store
    }

    private func restore(_ record: SavedSocket, _ units: RestoredUnits) -> HeldSocket? {
        guard let unit = units.socket(record.unit), let sockets else { return nil }
        do {
            guard let raw = record.descriptor else {
                throw SystemError("adopt socket", "\(record.target)", .badFileDescriptor)
            }
            let descriptor = try OwnedDescriptor.inherited(raw)
            return try sockets.adopt(descriptor, unit, record.target, owner: record.owner)
        } catch {
            logger.error("\(unit.name): \(error)")
            return nil
        }
    }

    private func restore(
        _ record: SavedReservation, _ units: RestoredUnits, _ once: inout RestoredOnce
    ) -> Reservation? {
        if let raw = record.descriptor, let present = once.reservations[raw] { return present }
        guard let unit = units.socket(record.unit), let sockets else { return nil }
        do throws(SystemError) {
            let address: ReservedAddress
            if let raw = record.descriptor {
                address = try ReservedAddress(
                    adopting: OwnedDescriptor.inherited(raw), requested: record.requested)
            } else {
                address = ReservedAddress(known: record.address, requested: record.requested)
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

    private func restoreNetwork(_ raw: Int32, _ once: inout RestoredOnce) -> NetworkNamespace? {
        if let present = once.networks[raw] { return present }
        do throws(SystemError) {
            let network = NetworkNamespace(adopting: try OwnedDescriptor.inherited(raw))
            once.networks[raw] = network
            return network
        } catch {
            logger.error("network of a generation: \(error)")
            return nil
        }
    }

    private func restore(_ record: SavedInstance) {
        guard let definition = definitions[record.definition] else { return }
        let instance = RunningInstance(
            id: record.id, generation: record.generation, definition: definition,
            connection: connections[record.generation.group])
        instance.invocation = record.invocation
        instance.mainProcess = record.mainProcess
        if let entries = record.store {
            let unit = definition.unit
            instance.store = restore(
                entries, limit: unit.descriptorStoreLimit, unit.descriptorStorePreserve, instance.name)
        }
        instances[record.id] = instance
        do throws(SystemError) {
            if record.hasTree {
                let tree = try trees.adopt(
                    name: instance.treeName, cookie: record.invocation, session: record.session)
                instance.tree = tree
                instance.mark = tree.cgroupName ?? record.invocation
                instanceOfMark[instance.mark] = record.id
            }
            // The kept descriptor ends with this function: until then the FIFO keeps what is in it.
            if let raw = record.output {
                let kept = try OwnedDescriptor.inherited(raw)
                _ = try logPipe(instance, 1)
                _ = consume kept
            }
            if let raw = record.errorOutput {
                let kept = try OwnedDescriptor.inherited(raw)
                _ = try logPipe(instance, 2)
                _ = consume kept
            }
        } catch {
            logger.error("\(instance.name): \(error)")
        }
    }

    private func restore(_ record: SavedProcess) {
        do throws(SystemError) {
            guard let raw = record.descriptor else { return }
            let handle = ProcessHandle(pid: record.pid, inherited: try OwnedDescriptor.inherited(raw))
            let process = RunningProcess(token: record.token, instance: record.instance, handle: handle)
            try watch(process)
            processes[record.token] = process
            tokenOfPid[record.pid] = record.token
        } catch {
            logger.error("process \(record.pid): \(error)")
        }
    }

    /// Does again what was under way, and goes on.
    func resume(_ saved: SavedState) {
        for effect in engine.outstanding { perform(effect) }
        resume(saved.backlog)
        resumeSockets()
        armProgressTimer()
        for call in reexecCalls { answerReexec(call, from: saved.head.version) }
        reexecCalls = []
    }
}

/// What several generations have together is taken over once.
private struct RestoredOnce {
    var reservations: [Int32: Reservation] = [:]
    var networks: [Int32: NetworkNamespace] = [:]
}
