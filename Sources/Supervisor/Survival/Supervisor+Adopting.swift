import Engine
import Glibc
import Linux
import UnitFiles

/// What only happens when the state is that of a process that was killed.
extension Supervisor {
    /// What the journal says, if there is one. A journal that cannot be read, or that has brought down who went on from it, is
    /// kept beside, for people.
    func stateOfKilled() -> SavedState? {
        guard access(journalPath, F_OK) == 0 else { return nil }
        let failed = journalAttempts.begin()
        guard failed < JournalAttempts.limit else {
            putAside("\(failed) supervisor processes in a row have gone on from it and ended before they were ready")
            return nil
        }
        do {
            guard let state = try Self.journaledState(journalPath) else { return nil }
            guard state.head.format <= SavedState.format else {
                throw StateFile.Unreadable(
                    description: "of format \(state.head.format), by holdfastd \(state.head.version)")
            }
            guard state.head.boot == BootID.current else { return nil }
            let count = state.engine.instanceIDs.count
            logger.warning(
                "an earlier supervisor process was killed: its \(count == 1 ? "service is" : "\(count) services are") taken over"
            )
            return takeStored(for: state.ofKilled)
        } catch {
            putAside("it cannot be read: \(error)")
            return nil
        }
    }

    private func putAside(_ reason: String) {
        rename(journalPath, journalPath + ".bad")
        logger.critical(
            """
            what an earlier supervisor process has left is not taken over: \(reason). It is kept as \(journalPath).bad. \
            Processes of that one's services go on, unwatched; what is enabled is started anew
            """)
        notifyParent("STATUS=An earlier supervisor's journal was put aside: \(journalPath).bad")
    }

    /// What systemd has kept is open already, under numbers of its own.
    private func takeStored(for state: SavedState) -> SavedState {
        var state = state
        for number in state.sockets.keys {
            state.sockets[number]?.descriptor = stored.removeValue(forKey: StoredName.socket(number))
        }
        state.own.notifySocket = stored.removeValue(forKey: StoredName.notify)
        state.own.controlSocket = stored.removeValue(forKey: StoredName.control)
        return state
    }

    /// What was kept and nobody asks for.
    func dropStored() {
        for (name, raw) in stored {
            close(raw)
            store.remove(name: name)
        }
        stored = [:]
    }

    /// Before `resume`: what is there and belongs to nobody is ended and removed.
    func sweepStrangers() {
        let known = Set(instances.values.filter { $0.tree != nil }.map { trees.directoryName($0.treeName) })
        for left in trees.leftovers(kept: known) {
            logger.warning("\(left.name): processes of a service that is over are killed")
            trees.killLeftover(left.name)
        }
        let directories = Set(generations.values.map(\.directory))
        let base = configuration.runtimeDirectory + "/generations"
        for group in (try? UnitDirectory.list(base)) ?? [] {
            for number in (try? UnitDirectory.list("\(base)/\(group)")) ?? [] {
                let path = "\(base)/\(group)/\(number)"
                if !directories.contains(path) { try? FileTree.remove(path) }
            }
        }
        let pipes = Set(instances.values.flatMap { [$0.output?.path, $0.errorOutput?.path].compactMap(\.self) })
        let output = configuration.runtimeDirectory + "/output"
        for name in (try? UnitDirectory.list(output)) ?? [] where !pipes.contains("\(output)/\(name)") {
            unlink("\(output)/\(name)")
        }
    }

    /// After `resume`: what ended while nobody looked. How is not known, because its parent was told and not we.
    func tellEnds(_ saved: SavedState) {
        var found = Found()
        found.generations = Set(saved.generations.map(\.id))
        for event in engine.missedEvents(found) { handle(event) }
        for record in saved.processes { handle(.spawned(record.token)) }
        for record in saved.processes where processes[record.token] == nil {
            handle(.exited(record.token, .unknown))
        }
        for token in engine.awaitedProcesses where processes[token] == nil { handle(.exited(token, .unknown)) }
    }
}

extension SavedState {
    /// The same without the numbers of descriptors, which mean nothing in another process, and with process trees as far as they
    /// follow from the processes that were written down.
    var ofKilled: SavedState {
        var state = self
        state.stores = nil
        for number in state.sockets.keys { state.sockets[number]?.descriptor = nil }
        var started: [InstanceID: [Int32: UInt64]] = [:]
        for index in state.processes.indices {
            state.processes[index].descriptor = nil
            let process = state.processes[index]
            started[process.instance, default: [:]][process.pid] = process.startTime
        }
        for index in state.generations.indices {
            if state.generations[index].network != nil {
                state.generations[index].network = SavedGeneration.lostNetwork
            }
            state.generations[index].reservations = state.generations[index].reservations?.mapValues { list in
                list.map {
                    SavedReservation(unit: $0.unit, requested: $0.requested, address: $0.address, owner: $0.owner)
                }
            }
        }
        for index in (state.activation?.commands ?? []).indices { state.activation?.commands[index].descriptor = nil }
        for index in (state.activation?.connections ?? []).indices {
            state.activation?.connections[index].descriptor = nil
        }
        for index in state.instances.indices {
            state.instances[index].output = nil
            state.instances[index].errorOutput = nil
            state.instances[index].store = nil
            guard state.instances[index].session != nil else { continue }
            var session = SessionTree.State()
            session.leaders = started[state.instances[index].id] ?? [:]
            session.known = session.leaders
            // What it started before may be older than all that is known: then everybody is looked at.
            session.firstStart = 0
            state.instances[index].session = session
        }
        return state
    }
}

/// How what is kept for us is called there.
enum StoredName {
    static let notify = "holdfast-notify"
    static let control = "holdfast-control"
    static func socket(_ number: Int) -> String { "holdfast-socket-\(number)" }
}
