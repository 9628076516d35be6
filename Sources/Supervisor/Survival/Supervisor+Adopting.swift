import Engine
import Glibc
import Linux
import UnitFiles

/// Steps that are needed only if the state is that of a killed process.
extension Supervisor {
    /// State from the journal, if there is one. A journal that cannot be read, or that has crashed its readers, is kept
    /// beside it under another name for inspection.
    ///
    /// - Throws: errors that are not the journal's (no descriptors, no memory): the next attempt may read it.
    func stateOfKilled() throws(SystemError) -> SavedState? {
        guard try journalExists() else { return nil }
        let faults = journalFaults.begin()
        guard faults.count < JournalFaults.limit else {
            let last = faults.last.map { ", the last of them by \(JournalFaults.text($0))" } ?? ""
            putAside("\(faults.count) supervisor processes in a row died of it\(last)")
            return nil
        }
        do {
            guard let state = try Self.journaledState(journalPath) else { return nil }
            guard state.head.format <= SavedState.format else {
                throw StateFile.Unreadable(
                    description: "of format \(state.head.format), by holdfastd \(state.head.version)")
            }
            guard isOfThisBoot(state.head) else { return nil }
            let count = state.engine.instanceIDs.count
            logger.warning(
                "an earlier supervisor process was killed: its \(count == 1 ? "service is" : "\(count) services are") taken over"
            )
            journalFaults.enter(.takingOver)
            lastJournalWrite = RecordFile.age(journalPath).map {
                // A file's time may have any value.
                loop.now - Int64(min(max($0, -1e9), 1e9) * 1e9)
            }
            var taken = takeStored(for: state.ofKilled)
            if RecordFile.isStale(journalPath) {
                taken.isStale = true
                logger.warning("its journal lacks what happened last: there was no room for it")
            }
            return taken
        } catch {
            if let error = error as? SystemError, error.isTransient { throw error }
            putAside("it cannot be read: \(error)")
            return nil
        }
    }

    private func journalExists() throws(SystemError) -> Bool {
        do throws(SystemError) {
            return try FileTree.exists(journalPath)
        } catch {
            // Any other file type in its place is put aside.
            if error.isTransient { throw error }
            return true
        }
    }

    /// Whether the journal is of this boot; it counts as such if the host does not report its boot ID.
    private func isOfThisBoot(_ head: SavedHead) -> Bool {
        guard let written = head.boot, let current = BootID.current else { return true }
        return written == current
    }

    private func putAside(_ reason: String) {
        journalProblem = "the journal of the supervisor that started them was put aside: \(reason)"
        rename(journalPath, journalPath + ".bad")
        logger.critical(
            """
            what an earlier supervisor process has left is not taken over: \(reason). It is kept as \(journalPath).bad. \
            Processes of that one's services go on and are shown as UNKNOWN; of what is enabled only units without such are \
            started anew
            """)
        notifyParent("STATUS=An earlier supervisor's journal was put aside: \(journalPath).bad")
    }

    /// Assigns the descriptors that systemd has kept, which are already open under numbers of their own.
    private func takeStored(for state: SavedState) -> SavedState {
        var state = state
        for number in state.sockets.keys {
            state.sockets[number]?.descriptor = stored.removeValue(forKey: StoredName.socket(number))
        }
        state.own.notifySocket = stored.removeValue(forKey: StoredName.notify)
        state.own.controlSocket = stored.removeValue(forKey: StoredName.control)
        return state
    }

    /// Drops descriptors that systemd has kept and that no record names.
    func dropStored() {
        for (name, raw) in stored {
            _ = OwnedDescriptor(owning: raw)
            store.remove(name: name)
        }
        stored = [:]
    }

    /// Logs processes and trees that the journal does not name, before `resume`. None of them is killed: their absence
    /// from the journal is no proof that their service is over.
    func tellStrangers() {
        for group in left.groups.sorted() {
            logger.warning(
                """
                \(group): \(leftSentence(group)): holdfastctl adopt \(group) takes them over, holdfastctl stop \(group) ends \
                them
                """)
        }
        leaveOutput()
        takeLeftOutput()
        if left.isEmpty { removeLeftDirectories() }
    }

    /// Process trees that no known instance or command owns, with their members.
    var strangers: [(name: String, members: [Int32])] {
        var known = Set(instances.values.filter { $0.tree != nil }.map { trees.directoryName($0.treeName) })
        for (token, command) in socketCommands {
            known.insert(trees.directoryName(RunningSocketCommand.treeName(command.unit, token)))
        }
        return trees.leftovers(kept: known)
    }

    /// Removes the directories of ended generations and runs.
    func removeLeftDirectories() {
        if instances.isEmpty {
            let credentials = configuration.runtimeDirectory + "/credentials"
            for name in (try? UnitDirectory.list(credentials)) ?? [] { throwAway("\(credentials)/\(name)") }
        }
        // Adopted instances use the directory of the generation in which they were started.
        let adopted = instances.values.compactMap { instance in
            instance.ownTreeName.flatMap { LeftTreeName($0, directory: $0).generation }.map { number in
                "\(UnitNameEscaping.escape(instance.generation.group.name))/\(number)"
            }
        }
        let directories = Set(generations.values.map(\.directory))
        let base = configuration.runtimeDirectory + "/generations"
        for group in (try? UnitDirectory.list(base)) ?? [] {
            for number in (try? UnitDirectory.list("\(base)/\(group)")) ?? [] {
                let path = "\(base)/\(group)/\(number)"
                if !directories.contains(path), !adopted.contains("\(group)/\(number)") { throwAway(path) }
            }
        }
    }

    /// Reports processes that ended without a supervisor, after `resume`. Their exit statuses are unknown, because the
    /// kernel reported them to another parent.
    func tellEnds(_ saved: SavedState) {
        var found = SurvivingState()
        found.generations = Set(saved.generations.map(\.id))
        for event in engine.missedEvents(found) { handle(event) }
        for token in engine.awaitedProcesses { handle(.spawned(token)) }
        for record in saved.processes where processes[record.token] == nil {
            handle(.exited(record.token, .unknown))
        }
        for token in engine.awaitedProcesses where processes[token] == nil { handle(.exited(token, .unknown)) }
    }
}

extension SavedState {
    /// The same state without the numbers of descriptors, which mean nothing in another process, and with process trees
    /// as far as they follow from the recorded processes.
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
            // Earlier children of the tree may be older than all known processes: then every process is examined.
            session.firstStart = 0
            state.instances[index].session = session
        }
        return state
    }
}

/// Names in systemd's descriptor store.
enum StoredName {
    static let notify = "holdfast-notify"
    static let control = "holdfast-control"
    static let sockets = "holdfast-socket-"
    static func socket(_ number: Int) -> String { "\(sockets)\(number)" }
}
