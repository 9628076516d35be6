/// The end of an operation before cutover: the new generation leaves, the old one stays or is started again.
extension Engine {
    /// Retires the new generation; the serving one continues, or (strategy `queue`) is started again.
    mutating func rollBack(_ id: GroupID, _ failure: Failure?) {
        guard var operation = groups[id]?.operation else { return }
        // The first failure is the cause; later failures are consequences.
        if operation.failure == nil { operation.failure = failure }
        recordAbandonedPreparation(id, operation)
        operation.leaving = Set(newInstances(operation).map(\.id))
        waitingToStart.remove(id)
        if let new = operation.new { groups[id]?.generations[new]?.role = .rollingBack }
        groups[id]?.operation = operation
        enter(.rollingBack, id)
    }

    /// Records a generation whose preparation no operation waits for any more: the answer to its preparation is still expected.
    mutating func recordAbandonedPreparation(_ id: GroupID, _ operation: Operation) {
        guard operation.phase == .preparing, let new = operation.new else { return }
        let generation = GenerationID(group: id, number: new)
        if unansweredPreparations.contains(generation) { abandonedPreparations.insert(generation) }
    }

    /// Lets a rejected generation that may have accepted connections drain by itself; false if it is only to be killed,
    /// or must be gone first.
    mutating func leaveRejectedDraining(_ id: GroupID) -> Bool {
        guard let operation = groups[id]?.operation, operation.protects, !operation.stopsOldFirst,
            let new = operation.new,
            operation.leaving.contains(where: { instances[$0].map { $0.isDraining && !$0.isGone } ?? false })
        else { return false }
        beginDraining(id, of: new)
        return true
    }

    mutating func finishRollback(_ id: GroupID) {
        guard var operation = groups[id]?.operation else { return }
        if let new = operation.new { releaseIfEmpty(GenerationID(group: id, number: new)) }
        if operation.oldHasLeft, !operation.isRestoring, let plan = operation.restorePlan, !isShuttingDown {
            operation.isRestoring = true
            operation.plan = plan
            operation.leaving = []
            operation.carried = []
            operation.publicTier = []
            groups[id]?.operation = operation
            return prepare(id, plan)
        }
        let hadPredecessor = operation.from != nil && operation.plan?.isSwapUnit == true && !operation.isRestoring
        // "Still serves" is reported only of a generation that does.
        if operation.from != nil, let loss = failureAfterCutover(id, isOld: true) {
            if groups[id]?.operation?.failure == nil { groups[id]?.operation?.failure = loss }
            return finish(id, .failed)
        }
        finish(id, operation.wasAborted ? .aborted : hadPredecessor ? .rolledBack : .failed)
    }
}
