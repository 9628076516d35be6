import ControlProtocol
import Engine
import Linux

/// Reports on failures, and the history.
extension ReportsDesk {
    /// Report on an operation that failed, or was skipped.
    func report(on result: FinishedOperation, of group: GroupID) -> FailureReport? {
        if let failure = result.failure { return failureReport(failure, group, result) }
        // A skipped start is no failure.
        return result.skippedBy.map { FailureReport(unit: group.name, phase: .start, message: Wording.skip($0)) }
    }

    func failureReport(_ failure: Failure, _ group: GroupID, _ result: FinishedOperation?) -> FailureReport {
        var status: String?
        var answer: String?
        switch failure.cause {
        case .exited(let end), .endedEarly(let end): status = "\(end)"
        case .probe(let text): answer = text
        case .spawn, .timedOut, .startLimit, .text, .protocolError, .watchdog: break
        }
        let lines = evidence[group]?[failure.unit] ?? host.lastLines(of: failure.unit).last?.lines ?? []
        return FailureReport(
            unit: failure.unit, phase: SwapPhase(failure.step, in: result), message: host.sentence(failure),
            exitStatus: status, probeAnswer: answer, lastLines: lines)
    }

    /// History entry for an operation's end; nil if the end is not recorded.
    func historyEntry(
        _ group: GroupID, _ result: FinishedOperation, _ report: FailureReport?, _ ids: [RequestID]
    ) -> HistoryEntry? {
        guard let kind = HistoryKind(result.kind), isWorthHistory(result, ids) else { return nil }
        let asked = ids.lazy.compactMap { self.requests[$0] }.first { $0.who != nil }
        let durations = PhaseDurations(result.durations)
        return HistoryEntry(
            number: 0, unit: group.name, kind: kind, who: asked?.who,
            at: Timestamp.string(unixSeconds: wallClock - Int64(durations.total)),
            from: result.from.map(GenerationReference.init), to: result.to.map(GenerationReference.init),
            outcome: OperationOutcome(result), reason: report?.message ?? causes[group], durations: durations,
            request: asked?.identity?.description)
    }

    /// Whether the history records an end. Of operations that traffic starts and stops only failures are recorded, and
    /// no more than an operator would read: remote peers determine how often they happen. The log has all of them.
    private func isWorthHistory(_ result: FinishedOperation, _ ids: [RequestID]) -> Bool {
        guard !ids.isEmpty, ids.allSatisfy({ requests[$0]?.isOfTraffic == true }) else { return true }
        return result.failure != nil && history.takesFailureOfTraffic(at: wallClock)
    }

    func record(_ entry: HistoryEntry) {
        do throws(SystemError) {
            try history.append(entry)
        } catch {
            host.log(.error, about: "history", "cannot write the history: \(error)")
        }
    }

    /// Syncs the history before an operator receives the result.
    func syncHistory() {
        do throws(SystemError) {
            try history.sync()
        } catch {
            host.log(.error, about: "history", "cannot write the history: \(error)")
        }
    }
}
