import ControlProtocol

/// The user's command, as far as the wording of the outcome depends on it.
enum OperationVerb: String, Sendable {
    case start, stop, restart, reload, swap, promote, abort, rollback, drain, pause, resume, adopt

    /// The verb for `cannot roll back site`.
    var infinitive: String {
        switch self {
        case .rollback: "roll back"
        case .start, .stop, .restart, .reload, .swap, .promote, .abort, .drain, .pause, .resume, .adopt: rawValue
        }
    }
}

/// The outcome of an operation: success for standard output, failure for standard error.
enum ResultText {
    static func exitStatus(_ result: OperationResult, _ verb: OperationVerb) -> CommandStatus {
        switch result.outcome {
        case .completed, .started, .done, .stopped, .unchanged, .skipped: .ok
        // An abort is the success of `abort`, and the failure of a command that waits for the swap.
        case .aborted: verb == .abort ? .ok : .startFailed
        case .rolledBack: .startFailed
        case .lost: .lost
        case .failed:
            switch verb {
            case .start, .restart, .swap, .promote, .rollback: .startFailed
            case .stop, .reload, .abort, .drain, .pause, .resume, .adopt: .failure
            }
        }
    }

    /// Lines for standard output; empty after a failure.
    static func success(_ result: OperationResult, _ verb: OperationVerb, _ screen: Screen) -> [String] {
        let name = Text.harmless(Text.shortName(result.unit))
        let took = Text.duration(result.durations.total)
        var lines: [String]
        switch result.outcome {
        case .rolledBack, .failed, .lost: return []
        case .aborted:
            guard verb == .abort else { return [] }
            lines = [
                "\(name): aborted; "
                    + (result.reason.map { messageWithoutHeadline($0.message, of: result.unit, verb) }
                        ?? stillServes(result)) + rejectedDrains(result)
            ]
        case .started where verb == .adopt:
            lines = ["\(name): " + screen.paint("adopted", .green) + generation(result)]
        case .done: lines = ["\(name): " + screen.paint("finished", .green) + generation(result) + " in \(took)"]
        case .started: lines = ["\(name): " + screen.paint("started", .green) + generation(result) + " in \(took)"]
        case .stopped: lines = ["\(name): stopped"]
        case .unchanged where verb == .drain && result.drained != nil:
            lines = (result.drained ?? []).map { DrainText.end($0, result.unit, screen) }
        case .unchanged: lines = ["\(name): \(unchangedText(verb))"]
        case .skipped:
            let reason = result.reason?.message ?? ""
            let text = reason.isEmpty ? "" : " (\(Text.harmless(reason)))"
            lines = ["\(name): " + screen.paint("skipped", .yellow) + text + previousGeneration(result)]
            // A note about each service repeats the reason.
            return lines + notes(result) { reason.isEmpty || !$0.hasSuffix(reason) }
        case .completed:
            switch verb {
            case .stop: lines = ["\(name): stopped"]
            // Without ExecReload= a reload is a restart, and starts another generation.
            case .reload
            where result.generation != nil && result.fromGeneration != nil
                && result.generation != result.fromGeneration:
                lines = ["\(name): restarted" + generation(result) + " in \(took)"]
            case .reload: lines = ["\(name): reloaded"]
            case .drain:
                let ends = result.drained ?? []
                lines = ends.isEmpty ? ["\(name): drained"] : ends.map { DrainText.end($0, result.unit, screen) }
            case .pause: lines = ["\(name): " + screen.paint("paused", .yellow) + ", new connections wait"]
            case .resume: lines = ["\(name): resumed"]
            case .abort: lines = ["\(name): aborted; " + stillServes(result)]
            case .restart where result.generation == nil: lines = ["\(name): restarted in \(took)"]
            case .start, .restart, .swap, .promote, .rollback, .adopt:
                lines = [
                    "\(name): " + screen.paint("serves", .green) + generation(result) + previousGeneration(result)
                        + ", \(took)"
                ]
                if let draining = result.draining {
                    lines.append("  " + screen.paint("drains: ", .yellow) + DrainText.list(draining, of: result.unit))
                }
            }
        }
        return lines + notes(result)
    }

    /// Lines for standard error: the failure, the evidence, and the generation that serves now. Empty after a success.
    static func failure(_ result: OperationResult, _ verb: OperationVerb, _ screen: Screen) -> [String] {
        let name = Text.harmless(Text.shortName(result.unit))
        switch result.outcome {
        case .completed, .started, .done, .stopped, .unchanged, .skipped: return []
        case .aborted:
            guard verb != .abort else { return [] }
            if let reason = result.reason {
                return [
                    "\(verb.infinitive) of \(name) aborted: \(messageWithoutHeadline(reason.message, of: result.unit, verb))"
                ]
            }
            return [
                "\(verb.infinitive) of \(name) aborted by an operator: \(stillServes(result))" + rejectedDrains(result)
            ]
        case .rolledBack, .failed, .lost: break
        }
        var lines: [String] = []
        if let reason = result.reason {
            let head = "cannot \(verb.infinitive) \(name): "
            let text = Text.wrapped(
                head + messageWithoutHeadline(reason.message, of: result.unit, verb), (screen.width ?? .max) - 4)
            let first = text[0].hasPrefix(head) ? screen.paint(head, .red) + text[0].dropFirst(head.count) : text[0]
            lines += [first] + text.dropFirst().map { "    " + $0 }
            lines += evidence(reason, after: result.durations.total)
        } else {
            lines.append(screen.paint("cannot \(verb.infinitive) \(name)", .red))
        }
        lines += notes(result)
        if result.outcome == .rolledBack {
            lines.append(screen.paint("rolled back: ", .yellow) + stillServes(result) + rejectedDrains(result))
        }
        if result.outcome == .lost { lines += lostLines(result, screen) }
        return lines
    }

    /// The lines for a generation that was cut over to and has ended: the old one is gone, and only an operator can go
    /// back.
    private static func lostLines(_ result: OperationResult, _ screen: Screen) -> [String] {
        let now = screen.paint("lost: ", .red) + "the new generation no longer serves after its cutover"
        guard result.fromGeneration != nil else { return [now] }
        return [
            now, "  to start what served before: holdfastctl rollback \(Text.harmless(Text.shortName(result.unit)))",
        ]
    }

    /// The notes; those that say the same about one unit each are merged into a number of units.
    static func notes(_ result: OperationResult, where isWanted: (String) -> Bool = { _ in true }) -> [String] {
        func textAfterUnit(_ note: String) -> String? {
            note.split(separator: ": ", maxSplits: 1).dropFirst().first.map(String.init)
        }
        var count: [String: Int] = [:]
        let notes = result.notes.filter(isWanted)
        for note in notes { count[textAfterUnit(note) ?? note, default: 0] += 1 }
        var printed: Set<String> = []
        return notes.compactMap { note in
            guard let words = textAfterUnit(note), let number = count[words], number > 10 else {
                return "  note: " + Text.harmless(note)
            }
            return printed.insert(words).inserted ? "  note: \(number) units: \(Text.harmless(words))" : nil
        }
    }

    private static func evidence(_ reason: FailureReport, after seconds: Double) -> [String] {
        var lines = ["  phase: \(ProgressText.name(reason.phase)), after \(Text.duration(seconds))"]
        if let status = reason.exitStatus { lines.append("  ended: \(Text.harmless(status))") }
        if let answer = reason.probeAnswer { lines.append("  last answer: \(Text.harmless(answer))") }
        if !reason.lastLines.isEmpty {
            lines.append("  last lines of \(Text.harmless(reason.unit)):")
            lines += reason.lastLines.map { "    " + Text.harmless($0) }
        }
        return lines
    }

    /// The message without the words of its headline: `cannot swap site@v3: cannot start app@v3.service: …` has
    /// "cannot" once too often, and `cannot reload app: cannot reload app.service: …` repeats everything.
    private static func messageWithoutHeadline(_ message: String, of unit: String, _ verb: OperationVerb) -> String {
        var text = Text.harmless(message)[...]
        for prefix in ["cannot start ", "cannot \(verb.infinitive) "] where text.hasPrefix(prefix) {
            text = text.dropFirst(prefix.count)
            break
        }
        // The name is removed as well, if it is the same.
        let name = "\(Text.harmless(unit)): "
        if text.hasPrefix(name) { text = text.dropFirst(name.count) }
        return String(text)
    }

    private static func stillServes(_ result: OperationResult) -> String {
        guard let number = result.fromGeneration else { return "no generation serves" }
        let name = Text.harmless(Text.shortName(result.unit, release: result.fromRelease))
        // With Strategy=queue the old release was stopped, and has been started again as another generation.
        let isRestored = result.generation.map { number > $0 } ?? false
        return "\(name) (generation \(number)) \(isRestored ? "serves again" : "still serves")"
    }

    /// The rejected generation, if it has accepted connections and finishes them.
    private static func rejectedDrains(_ result: OperationResult) -> String {
        guard let number = result.generation, result.draining?.contains(where: { $0.generation == number }) == true
        else { return "" }
        return "; generation \(number) drains"
    }

    private static func generation(_ result: OperationResult) -> String {
        result.generation.map { " as generation \($0)" } ?? ""
    }

    private static func previousGeneration(_ result: OperationResult) -> String {
        guard let number = result.fromGeneration else { return "" }
        return " (was \(result.fromRelease.map { Text.harmless($0) + ", " } ?? "")generation \(number))"
    }

    private static func unchangedText(_ verb: OperationVerb) -> String {
        switch verb {
        case .start: "already running"
        case .stop: "not running"
        case .swap, .restart, .promote, .rollback, .reload, .abort, .adopt: "unchanged"
        case .drain: "no generation is draining"
        case .pause: "already paused"
        case .resume: "not paused"
        }
    }

    /// The message after ^C has detached the command from its operation.
    static func detached(_ verb: OperationVerb, _ name: String) -> String {
        let shown = Text.harmless(name)
        let what = "detached: the \(verb == .rollback ? "roll-back" : verb.rawValue) of \(shown) continues"
        return switch verb {
        case .swap, .restart, .start, .promote, .rollback:
            "\(what); see holdfastctl status \(shown), or cancel it before cutover: holdfastctl abort \(shown)"
        case .stop, .reload, .abort, .drain, .pause, .resume, .adopt: "\(what); see holdfastctl status \(shown)"
        }
    }

    /// The message for a swap that has reached its hold, where `swap --hold` ends.
    static func held(_ progress: Progress) -> String {
        let name = Text.harmless(Text.shortName(progress.unit, release: progress.release))
        let number = progress.generation.map { " (generation \($0))" } ?? ""
        return "\(name)\(number) is ready and held; to cut over: holdfastctl promote \(name); "
            + "to cancel: holdfastctl abort \(name)"
    }
}
