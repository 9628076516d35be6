import ControlProtocol
import Engine

/// Ends of operations.
extension ReportsDesk {
    func finished(_ group: GroupID, _ result: FinishedOperation, _ ids: [RequestID]) {
        let report = report(on: result, of: group)
        dropEvidence(of: group)
        monitorVariables[group] = nil
        let all = requests.waiting(for: group, ids)
        // An operation for a single connection is not recorded.
        if !host.isConnection(group),
            let entry = unwrittenHistory[group] ?? historyEntry(group, result, report, ids)
        {
            record(entry)
            sendProgress(group, result.to?.number, .record, message: "recorded in the history")
        }
        causes[group] = nil
        logEnd(group, result)
        // Stopped and replaced services are gone; an unclean end is worth a note.
        let unclean =
            result.uncleanEnds.map(host.sentence) + host.strayNotes(group, result) + notesOnDrains(result)
        for id in all {
            guard let pending = requests.remove(id) else { continue }
            let ended = result.ended.map { "\($0) has ended already" }
            let answer = OperationResult(group, result, report, pending.notes + unclean + ended)
            requests.end(pending, id, answer)
        }
        armProgressTimer()
    }

    private func logEnd(_ group: GroupID, _ result: FinishedOperation) {
        let to = result.to.map { "generation \($0.number)\($0.release.map { " (\($0))" } ?? "")" } ?? "-"
        host.log(
            .info, about: "\(group)",
            "\(group): \(Wording.name(result.kind)) to \(to): \(OperationOutcome(result).rawValue)")
    }

    func refuse(_ request: RequestID, _ error: ControlError) {
        guard let pending = requests.remove(request) else { return }
        if let group = pending.group {
            (monitorVariables[group], causes[group]) = (nil, nil)
            host.groupChanged(group)
        }
        if let socket = pending.socket, let group = pending.group { return host.startRefused(socket, group, error) }
        if pending.batch != nil { return requests.end(pending, request, requests.failedPart(pending, error)) }
        if pending.identity != nil || pending.call != nil {
            requests.conclude(pending, Reply(error))
        } else {
            // The request belonged to another operation and has no client of its own: the log is the only place to
            // report it.
            let subject = pending.group?.name ?? ""
            let text = "\(subject.isEmpty ? "" : "\(subject): ")\(error.localizedMessage)"
            host.log(.warning, about: subject, text)
        }
    }

    func unchanged(_ group: GroupID, _ request: RequestID) {
        guard let pending = requests.remove(request) else { return }
        if pending.socket != nil { host.connectionIsUnused(group) }
        requests.end(pending, request, unchangedResult(group, pending.notes))
    }

    private func unchangedResult(_ group: GroupID, _ notes: [String]) -> OperationResult {
        let view = host.engine.view(of: group)
        // "Already running" describes the whole group, so members that are down are named.
        let serving = view?.generations.first { $0.number == view?.serving }?.services ?? []
        let down = serving.filter { !$0.isReady }.map { "\($0.spec.unit) is not up: \(Wording.sentence($0.phase))" }
        let release = host.engine.servingRelease(of: group)
        return OperationResult(
            outcome: .unchanged, unit: group.unit(release: release), generation: view?.serving, release: release,
            notes: notes + down)
    }

    // MARK: - Shutdown

    /// Closes the sockets, with their commands, after every service has ended.
    func endShutdown(_ ids: [RequestID]) {
        shutdownRequests = ids
        host.stopSocketUnits()
        finishShutdown()
    }

    /// Answers the requests for a shutdown once every socket unit has stopped, and then ends the supervisor.
    func finishShutdown() {
        guard let ids = shutdownRequests, !host.hasActiveSocketUnits else { return }
        shutdownRequests = nil
        let unknown = host.unaccountedGroups.map(\.name).sorted()
        let stopped = host.engine.groupIDs.map(\.name).filter { !unknown.contains($0) }
        for id in ids {
            guard let pending = requests.remove(id) else { continue }
            requests.conclude(
                pending, Reply(ShutdownReply(stopped: stopped, unknown: unknown.isEmpty ? nil : unknown)))
        }
        host.shutDownComplete()
    }

    // MARK: - Records

    /// Records the ends of requests that the effects will report.
    func recordEnds(_ effects: [Effect]) {
        for case .report(let report) in effects {
            switch report {
            case .finished(let group, let result, let ids):
                recordEnd(group, result, requests.waiting(for: group, ids))
            case .refused(let id, let refusal):
                guard let pending = requests[id] else { continue }
                let error = Wording.error(refusal)
                requests.recordEnd(id, part: { requests.failedPart(pending, error) }, whole: { Reply(error) })
            case .unchanged(let group, let id):
                guard let pending = requests[id] else { continue }
                let result = unchangedResult(group, pending.notes)
                requests.recordEnd(id, part: { result }, whole: { Reply(OperationReply(result: result)) })
            case .drained(let group, let result, let ids): recordDrain(group, result, ids)
            case .phase, .service, .skipped, .failure, .stopping, .shutDownComplete, .drainForced, .cutting: break
            }
        }
    }

    private func recordEnd(_ group: GroupID, _ result: FinishedOperation, _ ids: [RequestID]) {
        let named = ids.filter { requests[$0]?.identity != nil }
        guard !named.isEmpty else { return }
        let report = report(on: result, of: group)
        let unclean = result.uncleanEnds.map(host.sentence) + notesOnDrains(result)
        for id in named {
            let shown = OperationResult(group, result, report, (requests[id]?.notes ?? []) + unclean)
            requests.recordEnd(id, part: { shown }, whole: { Reply(OperationReply(result: shown)) })
        }
        guard !host.isConnection(group), let entry = historyEntry(group, result, report, ids) else { return }
        unwrittenHistory[group] = entry
        recordUnwrittenHistory()
    }

    func recordUnwrittenHistory() {
        let entries = Array(unwrittenHistory.values) + unwrittenDrains
        if !entries.isEmpty { requests.journal.put(.history, entries) }
    }

    /// Removes the record of unwritten history: the effects have been carried out and have written it.
    func dropHistoryRecord() {
        guard !unwrittenHistory.isEmpty || !unwrittenDrains.isEmpty else { return }
        (unwrittenHistory, unwrittenDrains) = ([:], [])
        requests.journal.end(.history)
    }
}
