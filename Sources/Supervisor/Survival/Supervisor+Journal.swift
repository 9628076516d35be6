import ControlProtocol
import Engine
import Glibc
import Linux
import StateCoding

/// The journal: contents, time of writing, and reading.
///
/// The rule: after the engine has decided, and before any effect is carried out, the engine's new state is in the file.
/// So a killed process has done less than is recorded, never more, and its successor does the rest (`Engine.recovery`).
/// Three kinds of facts that the engine does not have are recorded, too: the kernel objects of an instance (before its
/// first process), a process (as soon as it has a pid), and signals (that they will be sent, and each that has been
/// sent).
extension Supervisor {
    var journalPath: String { configuration.runtimeDirectory + "/journal" }

    /// Writes all changes before `effects` are carried out.
    func journal(before effects: [Effect]) {
        noteEnds(effects)
        journalEngine()
        let signals = effects.compactMap(SavedSignal.init)
        if !signals.isEmpty {
            unsentSignals = UnsentSignals(signals)
            unsentSignals.write(to: journal)
        }
        journal.flush()
        if journal.isOvergrown { rewriteJournal() }
        watchRoom()
    }

    /// Records that a signal was sent, for each signal right after it: a successor would send it once more, and a
    /// second signal has another meaning for some programs.
    func noteSent(_ effect: Effect) {
        guard SavedSignal(effect) != nil else { return }
        unsentSignals.noteSent(in: journal)
        journal.flush()
    }

    /// Ends the record of a process in the same write as the engine's reaction to its end: with only one of them
    /// written, the process would be taken for one that was never started.
    func noteEnd(_ event: Event) {
        guard case .exited(let token, _) = event else { return }
        unreportedEnds[token] = nil
        journal.end(.process(token))
    }

    private func journalEngine() {
        let changes = engine.takeChanges()
        for id in changes.groups { put(.group(id), engine.record(of: id)) }
        for id in changes.instances { put(.instance(id), engine.record(of: id)) }
        journal.putCore(engine.core)
        journalRequests()
    }

    func put(_ key: Journal.Key, _ value: (some Encodable)?) {
        if let value { journal.put(key, value) } else { journal.end(key) }
    }

    /// Records an instance before its first process: a successor needs the marks by which to find its processes.
    func journal(_ instance: RunningInstance) {
        journal.put(.running(instance.id), SavedInstance(instance))
        journal.flush()
    }

    func journal(_ process: RunningProcess) {
        journal.put(.process(process.token), SavedProcess(process))
        journal.flush()
    }

    func journal(_ resources: GenerationResources) {
        for held in resources.own + resources.unkept { journal(held) }
        journal.put(.generation(resources.id), SavedGeneration(resources, unitTable))
    }

    func journal(_ held: HeldSocket) {
        journal.put(.socket(held.number), unitTable.record(of: held))
        held.isJournaled = true
        guard held.closed == nil else { return }
        store.put(held.endpoint.raw, name: StoredName.socket(held.number))
        held.closed = { [journal, store] number in
            journal.end(.socket(number))
            store.remove(name: StoredName.socket(number))
        }
    }

    /// Records the socket units, once for all events in a round of the loop: the record grows with their number. If a
    /// crash loses the last round, a socket is examined once more.
    func journalActivation() {
        guard activationRecord == nil else { return }
        activationRecord = try? loop.callLater(priority: .jobs) { [unowned self] in
            activationRecord = nil
            writeActivation()
        }
        if activationRecord == nil { writeActivation() }
    }

    private func writeActivation() {
        journal.put(.activation, savedActivation())
        journal.flush()
    }

    /// Records all held sockets and follows their ends: also sockets that this successor took over are in systemd's
    /// store.
    func followSockets() {
        for held in (sockets?.shared ?? [:]).values.joined() { journal(held) }
        for held in generations.values.flatMap({ $0.sockets.values.joined() }) { journal(held) }
    }

    /// Records the sockets of a shared unit after they have changed.
    func journalShared(_ name: String) {
        let list = sockets?.shared[name]
        for held in list ?? [] where !held.isJournaled { journal(held) }
        put(.shared(name), list?.map(\.number))
    }

    func journal(_ definition: Definition) { journal.put(.definition(definition.id), unitTable.record(of: definition)) }

    /// Drops units that neither a definition nor a socket uses any more.
    func forgetUnits() {
        var used: Set<Int> = []
        for definition in planning.definitions.values { used.formUnion(unitTable.record(of: definition).units) }
        for started in socketUnits.values { used.insert(unitTable.number(of: started.unit)) }
        let shared = (sockets?.shared ?? [:]).values.joined()
        for held in shared { used.insert(unitTable.number(of: held.unit)) }
        for held in generations.values.flatMap({ $0.sockets.values.joined() }) {
            used.insert(unitTable.number(of: held.unit))
        }
        for number in unitTable.keep(only: used) { journal.end(.unit(number)) }
    }

    /// Continues the journal file of the program that this process executed before.
    func continueJournal() {
        journal.continues()
        followSockets()
    }

    /// Replaces the journal file by the present state.
    func rewriteJournal() {
        journal.rewrite {
            let state = savedState()
            journal.put(.head, state.head)
            for id in engine.groupIDs { put(.group(id), engine.record(of: id)) }
            for id in engine.instanceIDs { put(.instance(id), engine.record(of: id)) }
            journal.putCore(engine.core)
            if let activation = state.activation { journal.put(.activation, activation) }
            for (number, unit) in state.units { journal.put(.unit(number), unit) }
            for definition in state.definitions { journal.put(.definition(definition.id), definition) }
            for (number, socket) in state.sockets { journal.put(.socket(number), socket) }
            for (name, numbers) in state.shared { journal.put(.shared(name), numbers) }
            for generation in state.generations { journal.put(.generation(generation.id), generation) }
            for instance in state.instances { journal.put(.running(instance.id), instance) }
            for process in state.processes { journal.put(.process(process.token), process) }
            rewriteRequests()
            if let left = state.left { journal.put(.left, left) }
            unsentSignals.write(to: journal)
        }
        followSockets()
        _ = engine.takeChanges()
    }

    /// Reserves room for the journal in advance, so that each operation that is begun can be recorded to its end. On a
    /// full disk all running services continue, but no operation begins without room; once a second the supervisor
    /// checks for room. (This is the only poll here: no notification reports that a file system has room again.)
    func followJournal() throws(SystemError) {
        journalTimer = try loop.makeTimer(priority: .idle) { [unowned self] in lookForRoom() }
        journal.fellBehind = { [unowned self] in
            // The file without outdated records may fit.
            rewriteJournal()
            watchRoom()
        }
    }

    private func lookForRoom() {
        if journal.isBehind { rewriteJournal() }
        watchRoom()
    }

    /// Reserves room for the next records, and logs when there is none, or some again.
    func watchRoom() {
        journal.keepRoom()
        // Only where the file system has no more: with much to write down each rewrite takes long.
        if journal.isCramped {
            rewriteJournal()
            journal.keepRoom()
        }
        if journal.isBehind != toldTrouble.isBehind || (journal.problem == nil) != (toldTrouble.problem == nil) {
            tellRoom()
        }
        toldTrouble = (journal.isBehind, journal.problem)
        if journal.isBehind || journal.problem != nil { journalTimer?.arm(after: Self.journalRetry) }
    }

    private func tellRoom() {
        guard let problem = journal.problem else {
            return logger.warning("the journal is written again: a crash would be survived")
        }
        if journal.isBehind {
            logger.error("the journal cannot be written, so a crash now could not be survived: \(problem)")
        } else {
            logger.error("there is no more room for the journal: nothing is begun until there is: \(problem)")
        }
    }

    /// Journal trouble as a sentence for clients; nil if there is none.
    var journalTrouble: String? {
        guard let problem = journal.problem else { return nil }
        return journal.isBehind
            ? "the journal cannot be written (\(problem)): what was begun since would not survive a crash of the supervisor"
            : "there is no room for the journal (\(problem)): nothing is started, because a crash of the supervisor could not be survived"
    }

    /// Refuses a request that cannot be recorded.
    func refuseWithoutRoom(_ method: ControlProtocol.Method) throws(ControlError) {
        guard method.effect == .begins else { return }
        watchRoom()
        guard let trouble = journalTrouble else { return }
        throw .failed(message: "nothing was begun: \(trouble); make room in \(configuration.runtimeDirectory)")
    }

    private static let journalRetry: Int64 = 1_000_000_000

    /// State that a killed process has left; nil if the journal is empty.
    static func journaledState(_ path: String) throws -> SavedState? {
        let contents = try RecordFile.read(path)
        let records = contents.records
        guard let head = records["a"], let core = records["c"] else {
            // The first write of a file contains its head.
            guard contents.unreadable > 0 else { return nil }
            throw StateFile.Unreadable(description: "it has no beginning")
        }
        let reader = JournalReader(records: records)
        let state = SavedState(
            head: try StateDecoder.decode(SavedHead.self, from: head),
            engine: Engine(
                try StateDecoder.decode(Engine.CoreRecord.self, from: core), try reader.all("g"), try reader.all("i")),
            backlog: [], lastDefinition: 0, units: try reader.numbered("u"), definitions: try reader.all("d"),
            sockets: try reader.numbered("s"), shared: try reader.named("h"), generations: try reader.all("n"),
            instances: try reader.all("r"), processes: try reader.all("p"), own: SavedOwn(),
            people: try reader.people(), activation: try reader.value("x"),
            signals: UnsentSignals.left(try reader.value("t"), sent: try reader.value("ts")),
            left: try reader.value("z"), unwrittenHistory: try reader.value("y"))
        return state
    }
}

/// Journal records by the first letter of their keys.
private struct JournalReader {
    let records: [String: [UInt8]]

    private func keys(_ letter: String) -> [String] { records.keys.filter { $0.hasPrefix(letter) }.sorted() }

    private func read<T: Decodable>(_ key: String) throws -> T {
        try StateDecoder.decode(T.self, from: records[key] ?? [])
    }

    func value<T: Decodable>(_ key: String) throws -> T? {
        records[key] == nil ? nil : try read(key)
    }

    func all<T: Decodable>(_ letter: String) throws -> [T] { try keys(letter).map { try read($0) } }

    func named<T: Decodable>(_ letter: String) throws -> [String: T] {
        var found: [String: T] = [:]
        for key in keys(letter) { found[String(key.dropFirst())] = try read(key) as T }
        return found
    }

    /// Clients' requests. Their callers are no longer known.
    func people() throws -> SavedPeople {
        var people = SavedPeople()
        for (number, pending) in try numbered("w") as [Int: PendingRequest] {
            people.requests[RequestID(number: UInt64(number))] = pending
        }
        for (number, batch) in try numbered("b") as [Int: Batch] { people.batches[UInt64(number)] = batch }
        for (number, part) in try numbered("e") as [Int: SavedPart] {
            people.parts[RequestID(number: UInt64(number))] = part
        }
        people.lastRequest = max(
            people.requests.keys.map(\.number).max() ?? 0, people.batches.keys.max() ?? 0,
            people.parts.keys.map(\.number).max() ?? 0)
        if let since = try value("l") as Instant? {
            people.ledger = RequestLedger.Saved(entries: try all("q"), completeSince: since)
        }
        return people
    }

    func numbered<T: Decodable>(_ letter: String) throws -> [Int: T] {
        var found: [Int: T] = [:]
        for key in keys(letter) {
            if let number = Int(key.dropFirst()) { found[number] = try read(key) as T }
        }
        return found
    }
}
