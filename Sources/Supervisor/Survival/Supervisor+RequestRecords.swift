import ControlProtocol
import Engine
import Linux

/// Result of one of several parts of a request.
struct SavedPart: Codable {
    var batch: UInt64
    var result: ShownResult
}

/// Clients' requests in the journal. The end of a request is recorded together with the engine's decision, before the
/// decision is carried out: a process that is killed in between has recorded either both or neither.
extension Supervisor {
    // MARK: - Writing

    /// Records all changes to clients' requests.
    func recordRequestChanges() {
        let changes = ledger.takeChanges()
        for (identity, entry) in changes.entries { journal.put(.request(identity), entry?.withoutWaiter) }
        if let since = changes.completeSince { journal.put(.records, since) }
        for id in requests.takeChanged() { journal.put(.pending(id), requests[id]?.withoutCall) }
    }

    /// Records all requests, for a new file.
    func recordAllRequests() {
        for entry in ledger.saved.entries { journal.put(.request(entry.identity), entry.withoutWaiter) }
        journal.put(.records, ledger.completeSince)
        for (id, pending) in requests.all where pending.identity != nil {
            journal.put(.pending(id), pending.withoutCall)
        }
        for (id, batch) in batches where batch.identity != nil {
            journal.put(.batch(id), batch)
            for (part, result) in batch.decided {
                journal.put(.part(part), SavedPart(batch: id, result: result))
            }
        }
        if !unwrittenHistory.isEmpty { journal.put(.history, Array(unwrittenHistory.values)) }
        _ = ledger.takeChanges()
        _ = requests.takeChanged()
    }

    /// Records the ends of requests that the effects will report.
    func recordEnds(_ effects: [Effect]) {
        for case .report(let report) in effects {
            switch report {
            case .finished(let group, let result, let ids): recordEnd(group, result, waitingRequests(group, ids))
            case .refused(let id, let refusal):
                guard let pending = requests[id] else { continue }
                let error = Wording.error(refusal)
                recordEnd(id, part: { failedPart(pending, error) }, whole: { Reply(error) })
            case .unchanged(let group, let id):
                guard let pending = requests[id] else { continue }
                let result = unchangedResult(group, pending.notes)
                recordEnd(id, part: { result }, whole: { Reply(OperationReply(result: result)) })
            case .phase, .service, .skipped, .failure, .stopping, .shutDownComplete: break
            }
        }
    }

    private func recordEnd(_ group: GroupID, _ result: EngineResult, _ ids: [RequestID]) {
        let named = ids.filter { requests[$0]?.identity != nil }
        guard !named.isEmpty else { return }
        let report = result.failure.map { failureReport($0, group, result) } ?? skipReport(group, result)
        let unclean = result.uncleanEnds.map { sentence($0) }
        for id in named {
            let shown = ShownResult(group, result, report, (requests[id]?.notes ?? []) + unclean)
            recordEnd(id, part: { shown }, whole: { Reply(OperationReply(result: shown)) })
        }
        guard connections[group] == nil, let entry = historyEntry(group, result, report, ids) else { return }
        unwrittenHistory[group] = entry
        journal.put(.history, Array(unwrittenHistory.values))
    }

    private func recordEnd(_ id: RequestID, part: () -> ShownResult, whole: () -> Reply) {
        guard let pending = requests[id], let identity = pending.identity else { return }
        guard let batch = pending.batch else {
            _ = ledger.answer(identity, whole())
            return
        }
        let result = part()
        batches[batch]?.decided[id] = result
        batches[batch]?.ended.append(id)
        journal.put(.part(id), SavedPart(batch: batch, result: result))
    }

    /// Removes the record of unwritten history: the effects have been carried out and have written it.
    func dropHistoryRecord() {
        guard !unwrittenHistory.isEmpty else { return }
        unwrittenHistory = [:]
        journal.end(.history)
    }

    // MARK: - Restoring

    /// Takes over the requests that another process had begun.
    func restoreRequests(_ saved: SavedState, isSuccessor: Bool) {
        ledger = saved.people.ledger.map { RequestLedger($0, keepsWaiters: isSuccessor) } ?? RequestLedger(at: now)
        guard !isSuccessor else { return }
        // The latest changes are unknown: both new requests and progress of the others.
        if saved.isStale == true { ledger.loseTrack(at: now) }
        for entry in saved.unwrittenHistory ?? [] where !history.contains(entry) { record(entry) }
        requests = PendingRequests()
        batches = saved.people.batches
        lastRequest = max(lastRequest, saved.people.lastRequest)
        var alive = engine.awaitedRequests.union(activation.awaitedRequests)
        for (id, pending) in saved.people.requests {
            let operation = pending.group.flatMap { engine.view(of: $0)?.operation }
            if pending.waitsForAnyEnd, operation != nil { alive.insert(id) }
            if alive.contains(id), isUnderWay(pending.identity) { requests[id] = pending }
        }
        for (id, batch) in batches { restore(batch, id, saved.people) }
        let known = Set(requests.all.values.compactMap(\.identity) + batches.values.compactMap(\.identity))
        for entry in ledger.entries.values where isUnderWay(entry.identity) && !known.contains(entry.identity) {
            decide(entry)
        }
    }

    private func isUnderWay(_ identity: RequestIdentity?) -> Bool {
        guard let entry = identity.flatMap({ ledger.entries[$0] }) else { return false }
        return entry.answer == nil && !entry.isLost
    }

    /// Decides on a request for which neither an end nor an operation that leads to one is recorded.
    private func decide(_ entry: RequestLedger.Entry) {
        if entry.method == Request.shutdown.method.name, engine.isShuttingDown {
            // Every service is gone, and the sockets were being closed: the shutdown continues.
            requests[newRequest()]?.identity = entry.identity
        } else if entry.hasActed {
            ledger.lose(entry.identity)
        } else {
            // The engine's decision for a request is recorded together with the request's end: without that record
            // the request has had no effect.
            ledger.retract(entry.identity)
        }
    }

    /// Finishes a shutdown that a killed process had decided but not completed.
    func finishInterruptedShutdown() {
        guard engine.hasShutDown, shutdownRequests == nil else { return }
        let asked = requests.all.filter { ledger.isShutdown($0.value.identity) }.keys.min { $0.number < $1.number }
        shutDown(for: asked)
    }

    /// Counts the remaining parts of a request that means several units.
    private func restore(_ batch: Batch, _ id: UInt64, _ people: SavedPeople) {
        let ended = people.parts.filter { $0.value.batch == id }.sorted { $0.key.number < $1.key.number }
        let left = requests.all.values.filter { $0.batch == id }.count
        // Parts that neither ended nor continue: of sockets, whose record is written a moment later.
        let lost = people.requests.filter { part, pending in
            pending.batch == id && requests[part] == nil && people.parts[part] == nil
        }
        guard isUnderWay(batch.identity), left + ended.count > 0 else {
            batches[id] = nil
            return
        }
        batches[id]?.call = nil
        batches[id]?.left = left + ended.count + lost.count
        for (_, part) in ended { endPart(id, part.result) }
        for (_, pending) in lost {
            let unit = pending.group?.name ?? batch.name
            let text = "its outcome is unknown: the supervisor was killed"
            let report = FailureReport(unit: unit, phase: .prepare, message: text)
            endPart(id, ShownResult(outcome: .failed, unit: unit, reason: report))
        }
    }
}

extension RequestLedger.Entry {
    fileprivate var withoutWaiter: RequestLedger.Entry {
        var entry = self
        entry.waiter = nil
        return entry
    }
}

extension PendingRequest {
    fileprivate var withoutCall: PendingRequest {
        var pending = self
        pending.call = nil
        return pending
    }
}
