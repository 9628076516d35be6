import ControlProtocol
import Engine

/// Result of one of several parts of a request.
struct SavedPart: Codable {
    var batch: UInt64
    var result: OperationResult
}

/// Clients' requests in the journal. The end of a request is recorded together with the engine's decision, before the
/// decision is carried out: a process that is killed in between has recorded either both or neither.
extension RequestsDesk {
    // MARK: - Writing

    /// Records all changes to clients' requests.
    func recordChanges() {
        let changes = ledger.takeChanges()
        for (identity, entry) in changes.entries { journal.put(.request(identity), entry?.withoutWaiter) }
        if let since = changes.completeSince { journal.put(.records, since) }
        for id in pending.takeChanged() { journal.put(.pending(id), pending[id]?.withoutCall) }
    }

    /// Records all requests, for a new file.
    func recordAll() {
        for entry in ledger.saved.entries { journal.put(.request(entry.identity), entry.withoutWaiter) }
        journal.put(.records, ledger.completeSince)
        for (id, request) in pending.all where request.identity != nil {
            journal.put(.pending(id), request.withoutCall)
        }
        for (id, batch) in batches where batch.identity != nil {
            journal.put(.batch(id), batch)
            for (part, result) in batch.decided {
                journal.put(.part(part), SavedPart(batch: id, result: result))
            }
        }
        _ = ledger.takeChanges()
        _ = pending.takeChanged()
    }

    /// Records the end of a client's request, which the engine has decided.
    func recordEnd(_ id: RequestID, part: () -> OperationResult, whole: () -> Reply) {
        guard let request = pending[id], let identity = request.identity else { return }
        guard let batch = request.batch else {
            _ = ledger.answer(identity, whole())
            return
        }
        let result = part()
        batches[batch]?.decided[id] = result
        batches[batch]?.ended.append(id)
        journal.put(.part(id), SavedPart(batch: batch, result: result))
    }

    // MARK: - Restoring

    /// Continues with the requests of an earlier program of this process.
    func inherit(_ people: SavedPeople) {
        reserveNumbers(to: people.lastRequest)
        for (id, request) in people.requests { pending[id] = request }
        batches = people.batches
    }

    /// Takes over the ledger of another process.
    /// - Parameter isSuccessor: whether its connections are still the same.
    func restoreLedger(_ saved: SavedState, isSuccessor: Bool) {
        ledger = saved.people.ledger.map { RequestLedger($0, keepsWaiters: isSuccessor) } ?? RequestLedger(at: now)
        // The latest changes are unknown: both new requests and progress of the others.
        if !isSuccessor, saved.isStale == true { ledger.loseTrack(at: now) }
    }

    /// Takes over the requests that a killed process had begun.
    /// - Parameters:
    ///   - alive: requests that an operation will answer.
    ///   - isBusy: whether the group has an operation in progress.
    ///   - isShuttingDown: whether the killed process had decided to shut down.
    func restore(
        _ people: SavedPeople, alive: Set<RequestID>, isBusy: (GroupID) -> Bool, isShuttingDown: Bool
    ) {
        pending = PendingRequests()
        batches = people.batches
        reserveNumbers(to: people.lastRequest)
        for (id, request) in people.requests {
            let waits = request.waitsForAnyEnd && request.group.map(isBusy) == true
            if alive.contains(id) || waits, isUnderWay(request.identity) { pending[id] = request }
        }
        for (id, batch) in batches { restore(batch, id, people) }
        let known = Set(pending.all.values.compactMap(\.identity) + batches.values.compactMap(\.identity))
        for entry in ledger.entries.values where isUnderWay(entry.identity) && !known.contains(entry.identity) {
            decide(entry, isShuttingDown: isShuttingDown)
        }
    }

    private func isUnderWay(_ identity: RequestIdentity?) -> Bool {
        guard let entry = identity.flatMap({ ledger.entries[$0] }) else { return false }
        return entry.answer == nil && !entry.isLost
    }

    /// Decides on a request for which neither an end nor an operation that leads to one is recorded.
    private func decide(_ entry: RequestLedger.Entry, isShuttingDown: Bool) {
        if entry.method == Request.shutdown.method.name, isShuttingDown {
            // Every service is gone, and the sockets were being closed: the shutdown continues.
            pending[make()]?.identity = entry.identity
        } else if entry.hasActed {
            ledger.lose(entry.identity)
        } else {
            // The engine's decision for a request is recorded together with the request's end: without that record
            // the request has had no effect.
            ledger.retract(entry.identity)
        }
    }

    /// The first client's request for a shutdown.
    var shutdownRequest: RequestID? {
        pending.all.filter { ledger.isShutdown($0.value.identity) }.keys.min { $0.number < $1.number }
    }

    /// Counts the remaining parts of a request that means several units.
    private func restore(_ batch: Batch, _ id: UInt64, _ people: SavedPeople) {
        let ended = people.parts.filter { $0.value.batch == id }.sorted { $0.key.number < $1.key.number }
        let left = pending.all.values.filter { $0.batch == id }.count
        // Parts that neither ended nor continue: of sockets, whose record is written a moment later.
        let lost = people.requests.filter { part, request in
            request.batch == id && pending[part] == nil && people.parts[part] == nil
        }
        guard isUnderWay(batch.identity), left + ended.count > 0 else {
            batches[id] = nil
            return
        }
        batches[id]?.call = nil
        batches[id]?.left = left + ended.count + lost.count
        for (_, part) in ended { endPart(id, part.result) }
        for (_, request) in lost {
            let unit = request.group?.name ?? batch.name
            let text = "its outcome is unknown: the supervisor was killed"
            let report = FailureReport(unit: unit, phase: .prepare, message: text)
            endPart(id, OperationResult(outcome: .failed, unit: unit, reason: report))
        }
    }

    /// Calls that a successor would answer.
    var awaitedCalls: Set<ControlSessions.CallID> {
        Set(pending.all.values.compactMap(\.call) + batches.values.compactMap(\.call)).union(ledger.awaitedCalls)
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
