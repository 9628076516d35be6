import ControlProtocol
import Engine
import Linux
import Logging
import StateCoding
import UnitFiles

/// Interface of the supervisor to the journal's desk.
protocol JournalHost: AnyObject {
    var engine: Engine { get set }

    /// State of the whole supervisor, for a new file.
    func savedState() -> SavedState
    func savedActivation() -> SavedActivation

    /// Held sockets of units and generations; a socket may occur more than once.
    var recordedSockets: [HeldSocket] { get }
    var knownDefinitions: [Definition] { get }
    var startedSocketUnits: [SocketUnit] { get }

    /// Records the ends of requests that the effects will report.
    func recordEnds(_ effects: [Effect])
    /// Records the changes to clients' requests.
    func recordRequestChanges()
    /// Records all requests, for a new file.
    func recordAllRequests()

    func logJournal(_ level: Logger.Level, _ text: String)
}

/// The journal: contents and time of writing.
///
/// The rule: after the engine has decided, and before any effect is carried out, the engine's new state is in the file.
/// So a killed process has done less than is recorded, never more, and its successor does the rest (`Engine.recovery`).
/// Three kinds of facts that the engine does not have are recorded, too: the kernel objects of an instance (before its
/// first process), a process (as soon as it has a pid), and signals (that they will be sent, and each that has been
/// sent).
final class JournalDesk {
    private unowned let host: any JournalHost
    private let machine: any Machine
    private let file: Journal
    /// Units by number; all other records refer to a unit by its number.
    let units: UnitTable
    private let runtimeDirectory: String
    /// Signals that are decided and possibly not sent.
    private var unsentSignals = UnsentSignals()
    /// Processes that ended without a supervisor, and whose ends are not yet reported to the engine.
    private(set) var unreportedEnds: [Token: SavedProcess] = [:]
    /// Timer for the next attempt while the journal is behind or short of room.
    private var timer: (any LoopTimer)?
    /// Journal trouble that the log already reports.
    private var loggedTrouble: (isBehind: Bool, hasProblem: Bool) = (false, false)
    /// Pending write of the socket units' record, in the loop's next round.
    private var activationRecord: (any LoopSource)?

    private static let retryDelay: Int64 = 1_000_000_000

    init(_ host: any JournalHost, _ machine: any Machine, runtimeDirectory: String) {
        self.host = host
        self.machine = machine
        self.runtimeDirectory = runtimeDirectory
        file = Journal(path: Self.path(in: runtimeDirectory), records: machine.records)
        units = UnitTable(file)
    }

    static func path(in runtimeDirectory: String) -> String { runtimeDirectory + "/journal" }

    // MARK: - The engine's decisions

    /// Writes all changes before `effects` are carried out.
    func record(before effects: [Effect]) {
        host.recordEnds(effects)
        recordEngine()
        let signals = effects.compactMap(SavedSignal.init)
        if !signals.isEmpty {
            unsentSignals = UnsentSignals(signals)
            unsentSignals.write(to: file)
        }
        file.flush()
        if file.isOvergrown { rewrite() }
        watchRoom()
    }

    /// Records that a signal was sent, for each signal right after it: a successor would send it once more, and a
    /// second signal has another meaning for some programs.
    func recordSent(_ effect: Effect) {
        guard SavedSignal(effect) != nil else { return }
        unsentSignals.noteSent(in: file)
        file.flush()
    }

    /// Ends the record of a process in the same write as the engine's reaction to its end: with only one of them
    /// written, the process would be taken for one that was never started.
    func recordEnd(_ event: Event) {
        guard case .exited(let token, _) = event else { return }
        unreportedEnds[token] = nil
        file.end(.process(token))
    }

    private func recordEngine() {
        let changes = host.engine.takeChanges()
        for id in changes.groups { put(.group(id), host.engine.record(of: id)) }
        for id in changes.instances { put(.instance(id), host.engine.record(of: id)) }
        file.putCore(host.engine.core)
        host.recordRequestChanges()
    }

    // MARK: - Records of other rooms

    /// Collects a record for the next `flush`; nil ends it.
    func put(_ key: Journal.Key, _ value: (some Encodable)?) {
        if let value { file.put(key, value) } else { file.end(key) }
    }

    func end(_ key: Journal.Key) { file.end(key) }

    func flush() { file.flush() }

    /// Records an instance before its first process: a successor needs the marks by which to find its processes.
    func record(_ instance: RunningInstance) {
        file.put(.running(instance.id), SavedInstance(instance))
        file.flush()
    }

    func record(_ process: RunningProcess) {
        file.put(.process(process.token), SavedProcess(process))
        file.flush()
    }

    func record(_ resources: GenerationResources) {
        for held in resources.own + resources.unkept { record(held) }
        file.put(.generation(resources.id), SavedGeneration(resources, units))
    }

    func record(_ held: HeldSocket) {
        file.put(.socket(held.number), units.record(of: held))
        held.isJournaled = true
        guard held.closed == nil else { return }
        machine.manager.store(held.endpoint.raw, name: StoredName.socket(held.number))
        held.closed = { [file, manager = machine.manager] number in
            file.end(.socket(number))
            manager.removeStored(StoredName.socket(number))
        }
    }

    func record(_ definition: Definition) { file.put(.definition(definition.id), units.record(of: definition)) }

    /// Records the sockets of a shared unit after they have changed; nil ends the record.
    func recordShared(_ name: String, _ list: [HeldSocket]?) {
        for held in list ?? [] where !held.isJournaled { record(held) }
        put(.shared(name), list?.map(\.number))
    }

    /// Records the socket units, once for all events in a round of the loop: the record grows with their number. If a
    /// crash loses the last round, a socket is examined once more.
    func recordActivation() {
        guard activationRecord == nil else { return }
        activationRecord = try? machine.loop.callLater(priority: .jobs) { [unowned self] in
            activationRecord = nil
            writeActivation()
        }
        if activationRecord == nil { writeActivation() }
    }

    private func writeActivation() {
        file.put(.activation, host.savedActivation())
        file.flush()
    }

    /// Drops units that neither a definition nor a socket uses any more.
    func forgetUnits() {
        var used: Set<Int> = []
        for definition in host.knownDefinitions { used.formUnion(units.record(of: definition).units) }
        for unit in host.startedSocketUnits { used.insert(units.number(of: unit)) }
        for held in host.recordedSockets { used.insert(units.number(of: held.unit)) }
        for number in units.keep(only: used) { file.end(.unit(number)) }
    }

    // MARK: - State of an earlier process

    /// Continues with the units, the signals and the processes of another process's state.
    func restore(_ saved: SavedState) {
        units.fill(saved.units)
        unsentSignals = UnsentSignals(saved.signals ?? [])
    }

    /// The next signal that the other process had decided on and not sent.
    var nextUnsentSignal: Effect? { unsentSignals.next?.effect }

    /// Keeps the record of a process that ended without a supervisor, until the engine has handled its end.
    func keepRecord(ofEnded record: SavedProcess) { unreportedEnds[record.token] = record }

    // MARK: - The file

    /// Continues the journal file of the program that this process executed before.
    func continueFile() {
        file.continues()
        followSockets()
    }

    /// Replaces the journal file by the present state.
    func rewrite() {
        file.rewrite {
            let state = host.savedState()
            file.put(.head, state.head)
            for id in host.engine.groupIDs { put(.group(id), host.engine.record(of: id)) }
            for id in host.engine.instanceIDs { put(.instance(id), host.engine.record(of: id)) }
            file.putCore(host.engine.core)
            if let activation = state.activation { file.put(.activation, activation) }
            for (number, unit) in state.units { file.put(.unit(number), unit) }
            for definition in state.definitions { file.put(.definition(definition.id), definition) }
            for (number, socket) in state.sockets { file.put(.socket(number), socket) }
            for (name, numbers) in state.shared { file.put(.shared(name), numbers) }
            for generation in state.generations { file.put(.generation(generation.id), generation) }
            for instance in state.instances { file.put(.running(instance.id), instance) }
            for process in state.processes { file.put(.process(process.token), process) }
            host.recordAllRequests()
            if let left = state.left { file.put(.left, left) }
            unsentSignals.write(to: file)
        }
        followSockets()
        _ = host.engine.takeChanges()
    }

    /// Records all held sockets and follows their ends: also sockets that this successor took over are in systemd's
    /// store.
    private func followSockets() { for held in host.recordedSockets { record(held) } }

    /// Removes the journal once everything is stopped and a successor has nothing to take over.
    func remove() { file.remove() }

    // MARK: - Room

    /// Reserves room for the journal in advance, so that each operation that is begun can be recorded to its end. On a
    /// full disk all running services continue, but no operation begins without room; once a second the supervisor
    /// checks for room. (This is the only poll here: no notification reports that a file system has room again.)
    func start() throws(SystemError) {
        timer = try machine.loop.makeTimer(priority: .idle) { [unowned self] in retry() }
        file.fellBehind = { [unowned self] in
            // The file without outdated records may fit.
            rewrite()
            watchRoom()
        }
    }

    private func retry() {
        if file.isBehind { rewrite() }
        watchRoom()
    }

    var isBehind: Bool { file.isBehind }

    /// Reserves room for the next records, and logs when there is none, or some again.
    func watchRoom() {
        file.keepRoom()
        // Only where the file system has no more: with much to write down each rewrite takes long.
        if file.isCramped {
            rewrite()
            file.keepRoom()
        }
        let trouble = (isBehind: file.isBehind, hasProblem: file.problem != nil)
        if trouble != loggedTrouble { logRoom() }
        loggedTrouble = trouble
        if trouble.isBehind || trouble.hasProblem { timer?.arm(after: Self.retryDelay) }
    }

    private func logRoom() {
        guard let problem = file.problem else {
            return host.logJournal(.warning, "the journal is written again: a crash would be survived")
        }
        if file.isBehind {
            host.logJournal(.error, "the journal cannot be written, so a crash now could not be survived: \(problem)")
        } else {
            host.logJournal(
                .error, "there is no more room for the journal: nothing is begun until there is: \(problem)")
        }
    }

    /// Journal trouble as a sentence for clients; nil if there is none.
    var trouble: String? {
        guard let problem = file.problem else { return nil }
        return file.isBehind
            ? "the journal cannot be written (\(problem)): what was begun since would not survive a crash of the supervisor"
            : "there is no room for the journal (\(problem)): nothing is started, because a crash of the supervisor could not be survived"
    }

    /// Refuses a request that cannot be recorded.
    func refuseWithoutRoom(_ method: ControlProtocol.Method) throws(ControlError) {
        guard method.effect == .begins else { return }
        watchRoom()
        guard let trouble else { return }
        throw .failed(message: "nothing was begun: \(trouble); make room in \(runtimeDirectory)")
    }
}
