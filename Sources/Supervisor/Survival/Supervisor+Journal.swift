import ControlProtocol
import Engine
import Glibc
import Linux
import StateCoding

/// The journal: what is written in it, when, and how it is read.
///
/// The rule: after the engine has decided and before any of its effects is carried out, what it is now is in the file. So a process
/// that is killed has done less than is written, never more, and its successor does the rest (`Engine.recovery`). Three things
/// are written beside that, because the engine does not know them: what exists in the kernel for an instance (before its first
/// process), a process (as soon as it has a pid), and signals (that they are to be sent, and each that has been).
extension Supervisor {
    var journalPath: String { configuration.runtimeDirectory + "/journal" }

    /// Writes what has changed, before `effects` are carried out.
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

    /// Each signal is crossed off by itself, right after it was sent: a successor would send it once more, and to some programs
    /// a second one means something else.
    func noteSent(_ effect: Effect) {
        guard SavedSignal(effect) != nil else { return }
        unsentSignals.noteSent(in: journal)
        journal.flush()
    }

    /// The record of a process ends together with what the engine makes of its end: without the one and with the other the
    /// process would be taken for one that was never started.
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

    /// Before its first process: what marks its processes must be known to whoever finds them.
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

    /// Socket units, once for everything that happens in a round of the loop: their record grows with their number. What a crash
    /// makes of the last round is a socket that is looked at once more.
    func journalActivation() {
        guard activationRecord == nil else { return }
        activationRecord = try? loop.addDeferred(priority: .jobs) { [unowned self] in
            activationRecord = nil
            writeActivation()
        }
        if activationRecord == nil { writeActivation() }
    }

    private func writeActivation() {
        journal.put(.activation, savedActivation())
        journal.flush()
    }

    /// All that are held now are written, and kept in store; a successor that took them over must hear of their end, too.
    func followSockets() {
        for held in (sockets?.shared ?? [:]).values.joined() { journal(held) }
        for held in generations.values.flatMap({ $0.sockets.values.joined() }) { journal(held) }
    }

    /// A shared unit has other sockets than before.
    func journalShared(_ name: String) {
        let list = sockets?.shared[name]
        for held in list ?? [] where !held.isJournaled { journal(held) }
        put(.shared(name), list?.map(\.number))
    }

    func journal(_ definition: Definition) { journal.put(.definition(definition.id), unitTable.record(of: definition)) }

    /// Units that neither a definition nor a socket is made of any more.
    func forgetUnits() {
        var used: Set<Int> = []
        for definition in definitions.values { used.formUnion(unitTable.record(of: definition).units) }
        for started in socketUnits.values { used.insert(unitTable.number(of: started.unit)) }
        let shared = (sockets?.shared ?? [:]).values.joined()
        for held in shared { used.insert(unitTable.number(of: held.unit)) }
        for held in generations.values.flatMap({ $0.sockets.values.joined() }) {
            used.insert(unitTable.number(of: held.unit))
        }
        for number in unitTable.keep(only: used) { journal.end(.unit(number)) }
    }

    /// Goes on with the file of the program that this process executed before.
    func continueJournal() {
        journal.continues()
        followSockets()
    }

    /// The file begins anew with what is.
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

    /// Room for the journal is kept beforehand, so that what is begun can be written to its end. On a full disk everything that
    /// runs goes on, but nothing is begun for which there is no room; once a second it is looked whether there is room again.
    /// (The one thing here that polls: nobody tells when a file system has room.)
    func followJournal() throws(SystemError) {
        journalTimer = try loop.addTimer(priority: .idle) { [unowned self] in lookForRoom() }
        journal.fellBehind = { [unowned self] in
            // The file without the past may fit.
            rewriteJournal()
            watchRoom()
        }
    }

    private func lookForRoom() {
        if journal.isBehind { rewriteJournal() }
        watchRoom()
    }

    /// Keeps room for what comes, and says when there is none, or is again.
    func watchRoom() {
        if journal.isCramped { rewriteJournal() }
        journal.keepRoom()
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

    /// In a sentence, what people must know of it; nil if all is well.
    var journalTrouble: String? {
        guard let problem = journal.problem else { return nil }
        return journal.isBehind
            ? "the journal cannot be written (\(problem)): what was begun since would not survive a crash of the supervisor"
            : "there is no room for the journal (\(problem)): nothing is started, because a crash of the supervisor could not be survived"
    }

    /// What cannot be written down is not begun.
    func refuseWithoutRoom(_ request: Request) throws(ControlError) {
        guard request.needsJournal else { return }
        watchRoom()
        guard let trouble = journalTrouble else { return }
        throw .failed(message: "nothing was begun: \(trouble); make room in \(configuration.runtimeDirectory)")
    }

    private static let journalRetry: Int64 = 1_000_000_000

    /// What a process has left that was killed; nil if there is nothing to go on with.
    static func journaledState(_ path: String) throws -> SavedState? {
        let contents = try RecordFile.read(path)
        let records = contents.records
        guard let head = records["a"], let core = records["c"] else {
            // The first write of a file is its head.
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

/// Records by the first letter of their keys.
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

    /// What clients asked for. Who waits for it is not known any more.
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

extension Request {
    /// It begins something that a successor must know. What ends something is never refused.
    fileprivate var needsJournal: Bool {
        switch self {
        case .start, .restart, .swap, .rollback, .reload, .adopt, .promote: true
        case .stop, .abort, .drain, .shutdown, .signal, .pause, .resume, .forget, .resetFailed, .update, .reexec,
            .clearLogs, .install, .input, .getInfo, .getInterfaceDescription, .describe, .status, .history,
            .generations, .sockets, .cat, .list, .why, .show, .events, .logs, .verify, .dependencies, .unitFileStates,
            .outcome:
            false
        }
    }
}
