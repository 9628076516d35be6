import ControlProtocol
import Engine
import Linux
import UnitFiles

/// One call that means several units, answered once all parts have ended.
struct Batch: Codable {
    /// nil if no client waits any more.
    var call: ControlSessions.CallID?
    var name: String
    var left: Int
    var notes: [String] = []
    var failure: FailureReport?
    var startedAt: Instant
    var outcome: OperationOutcome
    /// Identity of the client's request.
    var identity: RequestIdentity?
    /// Parts whose ends are in the journal.
    @Added var ended: [RequestID] = []
    /// Ended parts that are not counted yet.
    @Added var decided: [RequestID: ShownResult] = [:]
}

/// Formats the engine's reports and sends them to the waiting clients.
extension Supervisor {
    func tell(_ report: Report) {
        defer { subscriptions.publish(report) }
        switch report {
        case .phase(let group, let generation, let phase):
            noteService(group)
            told(group, generation, phase)
        case .service(let instance, let phase):
            if let group = instances[instance]?.generation.group { noteService(group) }
            told(instance, phase)
        case .skipped(let instance, let condition): wasSkipped(instance, condition)
        case .failure(let group, let failure): told(group, failure)
        case .finished(let group, let result, let requests):
            noteService(group)
            finished(group, result, requests)
        case .stopping(let group, let cause):
            causes[group] = Wording.reason(cause)
            log(.info, about: "\(group)", "\(group): stopped, \(Wording.reason(cause))")
        case .refused(let request, let refusal): refused(request, Wording.error(refusal))
        case .unchanged(let group, let request):
            noteService(group)
            unchanged(group, request)
        case .shutDownComplete(let requests): shutDownEnded(requests)
        }
    }

    // MARK: - Progress

    private func told(_ group: GroupID, _ generation: Int?, _ phase: PhaseName) {
        log(.info, about: "\(group)", "\(group)\(generation.map { " generation \($0)" } ?? ""): \(Wording.name(phase))")
        progress(group, generation, SwapPhase(entered: phase), message: Wording.name(phase))
        armProgressTimer()
    }

    private func told(_ instance: InstanceID, _ phase: ServicePhase) {
        guard let running = instances[instance] else { return }
        if phase == .running { lookAtSockets(of: running) }
        logger.debug("\(running.name) generation \(running.generation.number): \(phase.rawValue)")
        let group = running.generation.group
        guard requests.has(group), let view = engine.view(of: group), let shown = SwapPhase(of: view) else { return }
        progress(
            view.id, running.generation.number, shown, service: running.name, message: ServiceState(phase).sentence)
    }

    private func wasSkipped(_ instance: InstanceID, _ condition: String) {
        guard let running = instances[instance] else { return }
        let text = "\(running.name) is not started: \(Wording.skip(condition))"
        log(.info, about: running.name, text)
        for (id, _) in requests.of(running.generation.group) { requests[id]?.notes.append(text) }
    }

    private func told(_ group: GroupID, _ failure: Failure) {
        log(.warning, about: failure.unit, sentence(failure))
        for instance in instances.values where instance.name == failure.unit { keepEvidence(instance) }
        guard let view = engine.view(of: group), let shown = SwapPhase(of: view) else { return }
        progress(group, view.operation?.new, shown, service: failure.unit, message: sentence(failure))
    }

    private func progress(
        _ group: GroupID, _ generation: Int?, _ phase: SwapPhase, service: String? = nil, message: String,
        waitingFor: String? = nil, connections: Int? = nil, secondsLeft: Double? = nil
    ) {
        for (_, pending) in requests.of(group) {
            guard let call = pending.call, control.wantsMore(call) else { continue }
            let release = generation.flatMap { generations[GenerationID(group: group, number: $0)]?.release }
            let value = Progress(
                elapsed: (now - pending.startedAt).seconds, unit: group.unit(release: release), generation: generation,
                release: release,
                phase: phase, service: service, message: message, waitingFor: waitingFor,
                connectionsLeft: connections, secondsLeft: secondsLeft)
            control.reply(call, Reply(OperationReply(progress: value), continues: true))
        }
    }

    /// Runs the progress timer only while a client follows an operation: it reports the awaited step and the remaining
    /// connections.
    func armProgressTimer() {
        let watched = requests.withCaller.contains { _, pending in
            pending.group != nil && pending.call.map { control.wantsMore($0) } ?? false
        }
        if watched { progressTimer?.arm(after: 1_000_000_000) } else { progressTimer?.disarm() }
    }

    func reportProgress() {
        let watched = Set(requests.withCaller.compactMap(\.request.group))
        for group in watched.sorted() {
            guard let view = engine.view(of: group), let operation = view.operation, let shown = SwapPhase(of: view)
            else { continue }
            let waiting = waiting(view)
            progress(
                group, operation.new, shown, message: Wording.name(operation.phase), waitingFor: waiting?.text,
                connections: waiting?.connections, secondsLeft: waiting?.secondsLeft)
        }
        armProgressTimer()
    }

    // MARK: - Ends

    private func finished(_ group: GroupID, _ result: EngineResult, _ ids: [RequestID]) {
        let report = result.failure.map { failureReport($0, group, result) } ?? skipReport(group, result)
        evidence[group] = nil
        triggers[group] = nil
        let all = waitingRequests(group, ids)
        // An operation for a single connection is not recorded.
        if connections[group] == nil, let entry = unwrittenHistory[group] ?? historyEntry(group, result, report, ids) {
            record(entry)
            progress(group, result.to?.number, .record, message: "recorded in the history")
        }
        causes[group] = nil
        logEnd(group, result)
        // Stopped and replaced services are gone; an unclean end is worth a note.
        let unclean = result.uncleanEnds.map { sentence($0) } + strayNotes(group, result)
        for id in all {
            guard let pending = requests.remove(id) else { continue }
            let ended = result.ended.map { "\($0) has ended already" }
            let answer = ShownResult(group, result, report, pending.notes + unclean + ended)
            end(pending, id, answer)
        }
        armProgressTimer()
    }

    /// Requests that an operation's end answers: those that asked for the operation, and those that wait for any
    /// operation.
    func waitingRequests(_ group: GroupID, _ ids: [RequestID]) -> [RequestID] {
        let waiting = requests.of(group).filter(\.request.waitsForAnyEnd).map(\.id)
        return ids + waiting.filter { !ids.contains($0) }
    }

    private func logEnd(_ group: GroupID, _ result: EngineResult) {
        let to = result.to.map { "generation \($0.number)\($0.release.map { " (\($0))" } ?? "")" } ?? "-"
        log(
            .info, about: "\(group)",
            "\(group): \(Wording.name(result.kind)) to \(to): \(OperationOutcome(result).rawValue)")
    }

    /// Sends the end of a request to the client that waits for it.
    func end(_ pending: PendingRequest, _ id: RequestID, _ result: ShownResult) {
        var result = result
        if journal.isBehind, let trouble = journal.trouble { result.notes.append(trouble) }
        if let batch = pending.batch {
            batches[batch]?.decided[id] = nil
            return endPart(batch, result)
        }
        if isAwaited(pending) { syncHistory() }
        conclude(pending, Reply(OperationReply(result: result)))
    }

    /// Syncs the history before an operator receives the result.
    private func syncHistory() {
        do throws(SystemError) {
            try history.sync()
        } catch {
            log(.error, about: "history", "writing the history: \(error)")
        }
    }

    func endPart(_ id: UInt64, _ result: ShownResult) {
        guard var batch = batches[id] else { return }
        batch.left -= 1
        batch.notes.append("\(result.unit): \(result.outcome.rawValue)")
        batch.notes += result.notes
        if [.failed, .rolledBack, .aborted, .lost].contains(result.outcome), batch.failure == nil {
            batch.failure = result.reason
            batch.outcome = .failed
        }
        batches[id] = batch
        guard batch.left == 0 else { return }
        batches[id] = nil
        syncHistory()
        let answer = ShownResult(
            outcome: batch.outcome, unit: batch.name, reason: batch.failure, notes: batch.notes,
            durations: PhaseDurations(total: (now - batch.startedAt).seconds))
        for part in batch.ended { journal.end(.part(part)) }
        if let identity = batch.identity {
            journal.end(.batch(id))
            conclude(identity, Reply(OperationReply(result: answer)))
        } else if let call = batch.call {
            control.reply(call, Reply(OperationReply(result: answer)))
        }
    }

    /// Result for a part of a request that was never begun.
    func failedPart(_ pending: PendingRequest, _ error: ControlError) -> ShownResult {
        // A request for a socket has no group.
        let unit = pending.group?.name ?? pending.batch.flatMap { batches[$0]?.name } ?? ""
        let report = FailureReport(unit: unit, phase: .prepare, message: error.localizedMessage)
        return ShownResult(outcome: .failed, unit: unit, reason: report)
    }

    func refused(_ request: RequestID, _ error: ControlError) {
        guard let pending = requests.remove(request) else { return }
        if let group = pending.group {
            (triggers[group], causes[group]) = (nil, nil)
            noteService(group)
        }
        if let socket = pending.socket, let group = pending.group { return startRefused(socket, group, error) }
        if pending.batch != nil { return end(pending, request, failedPart(pending, error)) }
        if pending.identity != nil || pending.call != nil {
            conclude(pending, Reply(error))
        } else {
            // The request belonged to another operation and has no client of its own: the log is the only place to
            // report it.
            let subject = pending.group?.name ?? ""
            log(.warning, about: subject, "\(subject.isEmpty ? "" : "\(subject): ")\(error.localizedMessage)")
        }
    }

    private func unchanged(_ group: GroupID, _ request: RequestID) {
        guard let pending = requests.remove(request) else { return }
        if pending.socket != nil { connectionIsUnused(group) }
        end(pending, request, unchangedResult(group, pending.notes))
    }

    func unchangedResult(_ group: GroupID, _ notes: [String]) -> ShownResult {
        let view = engine.view(of: group)
        // "Already running" describes the whole group, so members that are down are named.
        let serving = view?.generations.first { $0.number == view?.serving }?.services ?? []
        let down = serving.filter { !$0.isReady }.map {
            "\($0.spec.unit) is not up: \(ServiceState($0.phase).sentence)"
        }
        return ShownResult(
            outcome: .unchanged, unit: group.unit(release: engine.servingRelease(of: group)),
            generation: view?.serving, release: engine.servingRelease(of: group), notes: notes + down)
    }

    /// Closes the sockets, with their commands, after every service has ended.
    private func shutDownEnded(_ ids: [RequestID]) {
        shutdownRequests = ids
        for id in activation.socketIDs { handleSocket(.stop(id, nil)) }
        finishShutdown()
    }

    func finishShutdown() {
        guard let ids = shutdownRequests, !activation.socketIDs.contains(where: activation.isActive) else { return }
        shutdownRequests = nil
        let unknown = unaccounted.processes.groups.map(\.name).sorted()
        let stopped = engine.groupIDs.map(\.name).filter { !unknown.contains($0) }
        for id in ids {
            guard let pending = requests.remove(id) else { continue }
            conclude(pending, Reply(ShutdownReply(stopped: stopped, unknown: unknown.isEmpty ? nil : unknown)))
        }
        shutDownComplete()
    }

    // MARK: - Failure and history

    func failureReport(_ failure: Failure, _ group: GroupID, _ result: EngineResult?) -> FailureReport {
        var status: String?
        var answer: String?
        switch failure.cause {
        case .exited(let end), .endedEarly(let end): status = Wording.end(end)
        case .probe(let text): answer = text
        case .spawn, .timedOut, .startLimit, .text, .protocolError, .watchdog: break
        }
        let lines = evidence[group]?[failure.unit] ?? liveLines(failure.unit)
        return FailureReport(
            unit: failure.unit, phase: SwapPhase(failure.step, in: result), message: sentence(failure),
            exitStatus: status,
            probeAnswer: answer, lastLines: lines)
    }

    /// Report on a start that was skipped, which is no failure.
    func skipReport(_ group: GroupID, _ result: EngineResult) -> FailureReport? {
        result.skippedBy.map { FailureReport(unit: group.name, phase: .start, message: Wording.skip($0)) }
    }

    private func liveLines(_ unit: String) -> [String] {
        let newest = instances.values.filter { $0.name == unit }.max { $0.id < $1.id }
        return newest?.lastLines() ?? []
    }

    /// History entry for an operation's end; nil if the end is not recorded.
    func historyEntry(
        _ group: GroupID, _ result: EngineResult, _ report: FailureReport?, _ ids: [RequestID]
    ) -> HistoryEntry? {
        guard let kind = HistoryKind(result.kind), isWorthHistory(result, ids) else { return nil }
        let asked = ids.lazy.compactMap { self.requests[$0] }.first { $0.who != nil }
        let durations = PhaseDurations(result.durations)
        return HistoryEntry(
            number: 0, unit: group.name, kind: kind, who: asked?.who,
            at: Timestamp.string(unixSeconds: loop.wallClock - Int64(durations.total)),
            from: result.from.map(GenerationReference.init), to: result.to.map(GenerationReference.init),
            outcome: OperationOutcome(result), reason: report?.message ?? causes[group], durations: durations,
            request: asked?.identity?.description)
    }

    /// Whether the history records an end. Of operations that traffic starts and stops only failures are recorded, and
    /// no more than an operator would read: remote peers determine how often they happen. The log has all of them.
    private func isWorthHistory(_ result: EngineResult, _ ids: [RequestID]) -> Bool {
        guard !ids.isEmpty, ids.allSatisfy({ requests[$0]?.isOfTraffic == true }) else { return true }
        return result.failure != nil && history.takesFailureOfTraffic(at: loop.wallClock)
    }

    func record(_ entry: HistoryEntry) {
        do throws(SystemError) {
            try history.append(entry)
        } catch {
            log(.error, about: "history", "writing the history: \(error)")
        }
    }
}
