import Engine
import Linux
import Logging
import UnitFiles

/// The supervisor process before this one, and what it has left: state in a descriptor (re-exec) or a journal (it was
/// killed), and descriptors in systemd's store.
///
/// A journal that cannot be read, or that has crashed its readers, is kept beside it under another name for inspection.
final class Predecessor {
    private let machine: any Machine
    private let logger: Logger
    private let journal: String
    private let faults: JournalFaults
    /// State that an earlier program of this process has handed over; nil after `takeState`.
    private(set) var inherited: SavedState?
    /// Reason why the journal was not used.
    private(set) var problem: String?
    /// Time of a killed supervisor's last write to its journal, on the loop's clock.
    private(set) var lastWrite: Int64?
    /// Descriptors that systemd kept for this process, by their names.
    private var stored: [String: Int32]
    /// Names in systemd's store of sockets that the journal does not name.
    private var unclaimed: [String] = []
    /// Runs once the events that followed from the journal have been handled.
    private var passed: (any LoopSource)?

    /// - Parameter inherited: number of the descriptor of the state that this process's earlier program has handed over.
    init(_ machine: any Machine, logger: Logger, journal: String, inherited: Int32?) throws {
        self.machine = machine
        self.logger = logger
        self.journal = journal
        faults = JournalFaults(journal: journal, records: machine.records)
        self.inherited = try inherited.map { try StateFile.read($0, machine.handover) }
        stored = machine.manager.takeStored()
    }

    /// State of the earlier process; nil if it has left none.
    func takeState() throws(SystemError) -> SavedState? {
        defer { inherited = nil }
        return if let inherited { inherited } else { try stateOfKilled() }
    }

    // MARK: - The journal of a killed process

    /// - Throws: errors that are not the journal's (no descriptors, no memory): the next attempt may read it.
    private func stateOfKilled() throws(SystemError) -> SavedState? {
        guard try journalExists() else { return nil }
        let notes = faults.startWatch()
        guard notes.count < JournalFaults.limit else {
            let last = notes.last.map { ", the last of them by \(JournalFaults.text($0))" } ?? ""
            putAside("\(notes.count) supervisor processes in a row died of it\(last)")
            return nil
        }
        do {
            guard let state = try JournalReader.state(machine.records.read(journal)) else { return nil }
            guard state.head.format <= SavedState.format else {
                throw StateFile.Unreadable(
                    description: "of format \(state.head.format), by holdfastd \(state.head.version)")
            }
            guard isOfThisBoot(state.head) else { return nil }
            return taken(state)
        } catch {
            if let error = error as? SystemError, error.isTransient { throw error }
            putAside("it cannot be read: \(error)")
            return nil
        }
    }

    private func taken(_ state: SavedState) -> SavedState {
        let count = state.engine.instanceIDs.count
        logger.warning(
            "an earlier supervisor process was killed: its \(count == 1 ? "service is" : "\(count) services are") taken over"
        )
        faults.enter(.takingOver)
        lastWrite = machine.records.age(of: journal).map {
            // A file's time may have any value.
            machine.loop.now - Int64(min(max($0, -1e9), 1e9) * 1e9)
        }
        var taken = takeStored(for: state.ofKilled)
        if machine.records.isStale(journal) {
            taken.isStale = true
            logger.warning("the journal lacks the latest changes: the file system was full")
        }
        return taken
    }

    private func journalExists() throws(SystemError) -> Bool {
        do throws(SystemError) {
            return try machine.files.exists(journal)
        } catch {
            // Any other file type in its place is put aside.
            if error.isTransient { throw error }
            return true
        }
    }

    /// Whether the journal is of this boot; it counts as such if the host does not report its boot ID.
    private func isOfThisBoot(_ head: SavedHead) -> Bool {
        guard let written = head.boot, let current = machine.handover.bootID else { return true }
        return written == current
    }

    private func putAside(_ reason: String) {
        problem = "the journal of the supervisor that started them was put aside: \(reason)"
        machine.records.rename(journal, to: journal + ".bad")
        logger.critical(
            """
            cannot adopt the state of the earlier supervisor: \(reason). The journal is kept as \(journal).bad. Its services \
            keep running and are shown as UNKNOWN; enabled units with such processes are not started
            """)
        machine.manager.notify("STATUS=An earlier supervisor's journal was put aside: \(journal).bad")
    }

    /// The recorded effects are carried out from now on.
    func startResuming() { faults.enter(.resuming) }

    /// Ends the watch for faults once the events that followed from the journal have been handled.
    func endWatchLater() throws(SystemError) {
        passed = try machine.loop.callLater(priority: .controlRequests) { [unowned self] in
            faults.succeed()
            passed = nil
        }
    }

    // MARK: - systemd's descriptor store

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

    /// Sockets from systemd's store that the journal does not name. They stay in the store until `dropUnclaimed`.
    func takeUnnamedSockets() -> [ReachableSocket] {
        var sockets: [ReachableSocket] = []
        for (name, number) in stored.sorted(by: { $0.key < $1.key }) where name.hasPrefix(StoredName.sockets) {
            guard let kept = try? machine.handover.inherit(number), let socket = machine.sockets.reachableSocket(kept)
            else {
                continue
            }
            sockets.append(socket)
            stored[name] = nil
            unclaimed.append(name)
        }
        return sockets
    }

    /// Drops descriptors that systemd has kept and that no record names.
    func dropStored() {
        for (name, number) in stored.sorted(by: { $0.key < $1.key }) {
            // The number has no other owner: it is closed here.
            if let descriptor = try? machine.handover.inherit(number) { _ = consume descriptor }
            machine.manager.removeStored(name)
        }
        stored = [:]
    }

    /// Drops sockets from systemd's store that no started unit has claimed.
    func dropUnclaimed() {
        for name in unclaimed { machine.manager.removeStored(name) }
        unclaimed = []
    }
}

/// Names in systemd's descriptor store.
enum StoredName {
    static let notify = "holdfast-notify"
    static let control = "holdfast-control"
    static let sockets = "holdfast-socket-"
    static func socket(_ number: Int) -> String { "\(sockets)\(number)" }
}
