import ControlProtocol
import Engine

/// Drains: they end long after the operation that began them, whose history entry then gets their end.
extension ReportsDesk {
    /// A draining generation is not left to finish its work.
    func reportForce(_ group: GroupID, _ generation: GenerationSummary, _ force: DrainForce) {
        let why = Wording.reason(DrainForceReason(force))
        let text = "\(Wording.name(generation)) drains no longer, it is ended: \(why)"
        host.log(force == .request ? .info : .warning, about: "\(group)", "\(group): \(text)")
        guard case .limit = force else { return }
        for (id, pending) in requests.of(group) where pending.awaitedDrains == nil {
            requests[id]?.notes.append(text)
        }
    }

    func drained(_ group: GroupID, _ result: DrainResult, _ ids: [RequestID]) {
        let end = DrainEnd(result, sentence: host.sentence)
        host.log(
            end.forced == nil && end.unclean == nil ? .info : .warning, about: "\(group)",
            "\(group): \(Wording.name(result.generation)) \(Wording.drained(end))")
        if let entry = history.entry(of: group.name, to: result.operation) { record(entry.with(end)) }
        for (id, pending) in requests.of(group) where pending.awaitedDrains?.contains(end.generation) == true {
            guard ids.contains(id) else {
                requests[id]?.drained = (pending.drained ?? []) + [end]
                continue
            }
            requests[id] = nil
            requests.end(pending, id, answer(group, pending, end))
        }
        armProgressTimer()
    }

    /// The answer to a request that waited for the drain that has ended now.
    private func answer(_ group: GroupID, _ pending: PendingRequest, _ end: DrainEnd) -> OperationResult {
        OperationResult(
            outcome: .completed, unit: group.unit(release: end.release), generation: end.generation,
            release: end.release, notes: pending.notes,
            durations: PhaseDurations(drain: end.seconds, total: (now - pending.startedAt).seconds),
            drained: (pending.drained ?? []) + [end])
    }

    /// Notes that a release was started anew although it still drains.
    func notesOnDrains(_ result: FinishedOperation) -> [String] {
        guard result.outcome == .completed, let to = result.to, let release = to.release else { return [] }
        return result.draining.filter { $0.release == release }.map {
            "release \(release) still drains as generation \($0.number); it was started anew as generation \(to.number)"
        }
    }

    // MARK: - Records

    /// Records the end of a drain before it is reported, as ends of operations are.
    func recordDrain(_ group: GroupID, _ result: DrainResult, _ ids: [RequestID]) {
        let end = DrainEnd(result, sentence: host.sentence)
        if let entry = unwrittenHistory[group], entry.to?.generation == result.operation {
            unwrittenHistory[group] = entry.with(end)
        } else if let entry = history.entry(of: group.name, to: result.operation) {
            unwrittenDrains.append(entry.with(end))
        }
        recordUnwrittenHistory()
        for id in ids {
            guard let pending = requests[id] else { continue }
            let shown = answer(group, pending, end)
            requests.recordEnd(id, part: { shown }, whole: { Reply(OperationReply(result: shown)) })
        }
    }

    // MARK: - Progress

    /// Reports a service of a draining generation to the clients that wait for it.
    func reportDrain(_ view: GroupView, _ number: Int, _ service: String, _ text: String) {
        for (_, pending) in requests.of(view.id) where pending.awaitedDrains?.contains(number) == true {
            sendProgress(to: pending, view.id, number, .drain, service: service, message: text)
        }
    }

    /// Reports to a client that begins to wait what the drains have come to.
    func reportPresentDrains(_ request: RequestID) {
        guard let pending = requests[request], let group = pending.group, let view = host.engine.view(of: group)
        else { return }
        for number in (pending.awaitedDrains ?? []).sorted() {
            for (service, text) in host.leavingServices(of: number, view) {
                sendProgress(to: pending, group, number, .drain, service: service, message: text)
            }
        }
        armProgressTimer()
    }

    /// Reports to the clients that wait for drains how these go.
    func reportDrains(_ view: GroupView) {
        for (_, pending) in requests.of(view.id) {
            guard let awaited = pending.awaitedDrains else { continue }
            let drains = view.drains.filter { awaited.contains($0.generation.number) }
            guard let oldest = drains.first else { continue }
            let numbers = Set(drains.map(\.generation.number))
            sendProgress(
                to: pending, view.id, oldest.generation.number, .drain, message: Wording.name(.drain),
                waiting: host.waiting(forDrains: numbers, view))
        }
    }
}

extension HistoryEntry {
    /// The entry of an operation whose drain has ended.
    func with(_ end: DrainEnd) -> HistoryEntry {
        var entry = self
        entry.drained = end
        entry.durations.drain = (durations.drain ?? 0) + end.seconds
        return entry
    }
}
