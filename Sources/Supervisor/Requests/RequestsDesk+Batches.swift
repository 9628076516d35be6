import ControlProtocol
import Engine

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
    @Added var decided: [RequestID: OperationResult] = [:]
}

/// Requests that mean several units, and the ends of requests.
extension RequestsDesk {
    /// Makes a batch with one part, for the unit that the call names. That part counts from the beginning: a part that
    /// ends at once must not seem to be the last one.
    func makeBatch(
        _ call: ControlSessions.CallID, named name: String, notes: [String], outcome: OperationOutcome
    ) -> UInt64 {
        let id = nextNumber()
        let batch = Batch(
            call: call, name: name, left: 1, notes: notes, startedAt: now, outcome: outcome,
            identity: ledger.identity(of: call))
        batches[id] = batch
        if batch.identity != nil { journal.put(.batch(id), batch) }
        return id
    }

    func addPart(to batch: UInt64) { batches[batch]?.left += 1 }

    /// Sends the end of a request to the client that waits for it.
    func end(_ request: PendingRequest, _ id: RequestID, _ result: OperationResult) {
        var result = result
        if journal.isBehind, let trouble = journal.trouble { result.notes.append(trouble) }
        if let batch = request.batch {
            batches[batch]?.decided[id] = nil
            return endPart(batch, result)
        }
        // An operator receives the result after the history is on disk.
        if request.identity.map({ ledger.isAwaited($0) }) ?? (request.call != nil) { host.syncHistory() }
        conclude(request, Reply(OperationReply(result: result)))
    }

    func endPart(_ id: UInt64, _ result: OperationResult) {
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
        host.syncHistory()
        let answer = OperationResult(
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
    func failedPart(_ request: PendingRequest, _ error: ControlError) -> OperationResult {
        // A request for a socket has no group.
        let unit = request.group?.name ?? request.batch.flatMap { batches[$0]?.name } ?? ""
        let report = FailureReport(unit: unit, phase: .prepare, message: error.localizedMessage)
        return OperationResult(outcome: .failed, unit: unit, reason: report)
    }
}
