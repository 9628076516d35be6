import ControlProtocol

/// The output of `why`, `show` and `events`.
enum ExplanationText {
    static func why(_ reply: WhyReply, _ screen: Screen) -> [String] {
        var lines = [screen.paint(Text.harmless(reply.unit), .bold) + ": \(reply.state.rawValue)"]
        for finding in reply.findings {
            let about = finding.unit.map { finding.text.contains("\($0): ") ? "" : "\($0): " } ?? ""
            lines += indented(about + finding.text, "  - ", "    ", screen)
            if let failure = finding.failure {
                // The failure's sentence is the finding itself, or adds to it.
                if !finding.text.contains(failure.message) {
                    lines += indented(failure.message, "    ", "    ", screen)
                }
                lines += evidence(failure)
            }
            if let hint = finding.hint { lines.append("    " + screen.paint("try: ", .dim) + Text.harmless(hint)) }
        }
        return lines
    }

    private static func evidence(_ failure: FailureReport) -> [String] {
        var lines: [String] = []
        if let status = failure.exitStatus, !failure.message.contains(status) {
            lines.append("    ended: \(Text.harmless(status))")
        }
        if let answer = failure.probeAnswer, !failure.message.contains(answer) {
            lines.append("    last answer: \(Text.harmless(answer))")
        }
        if !failure.lastLines.isEmpty {
            lines.append("    last lines:")
            lines += failure.lastLines.map { "      " + Text.harmless($0) }
        }
        return lines
    }

    private static func indented(_ text: String, _ first: String, _ others: String, _ screen: Screen) -> [String] {
        let harmless = Text.harmless(text)
        guard let width = screen.width, width > 30 else { return [first + harmless] }
        let parts = Text.wrapped(harmless, width - first.count)
        return [first + parts[0]] + parts.dropFirst().map { others + $0 }
    }

    /// - Parameter wanted: names, which also give the order; all properties if empty.
    static func properties(
        _ properties: [Property], _ wanted: [String], values: Bool, _ screen: Screen
    ) -> [String] {
        let chosen =
            wanted.isEmpty
            ? properties : wanted.flatMap { name in properties.filter { $0.name.lowercased() == name.lowercased() } }
        return chosen.map { property in
            let value = Text.harmless(property.value)
            return values ? value : screen.paint(Text.harmless(property.name), .dim) + "=" + value
        }
    }

    /// One event as a line: `20:01:07  site@.target  v2 (4)  app@v2.service: ready`; nil for those only programs need.
    static func event(_ event: UnitEvent, _ screen: Screen, localTime: (Int64) -> String) -> String? {
        let (text, paint) = description(event)
        guard let text else { return nil }
        let when = Timestamp.unixSeconds(event.at).map { String(localTime($0).suffix(8)) } ?? event.at
        var subject = event.service ?? event.unit ?? ""
        if let generation = event.generation {
            subject += event.release != nil && event.service == nil ? " \(event.release ?? "")" : ""
            subject += " (\(generation))"
        }
        let head = "\(when)  \(Text.padded(Text.harmless(subject), 28))  "
        return Text.cut(head, screen.width)
            + screen.paint(Text.cut(Text.harmless(text), screen.width.map { max(8, $0 - head.count) }), paint)
    }

    private static func description(_ event: UnitEvent) -> (String?, Screen.Paint?) {
        switch event.kind {
        case .begin: return (nil, nil)
        case .unit: return (event.state?.rawValue, event.state.map(paint) ?? nil)
        case .service: return (event.message ?? event.serviceState?.rawValue, nil)
        case .phase: return (event.message ?? event.phase.map(ProgressText.name), .cyan)
        case .failure: return (event.message ?? "failed", .red)
        case .finished:
            let outcome = event.outcome?.rawValue.split(separator: "_").joined(separator: " ") ?? "finished"
            return (outcome + (event.message.map { ": \($0)" } ?? ""), event.message == nil ? .green : .red)
        case .drained:
            let isClean = event.drained?.forced == nil && event.drained?.unclean == nil
            return (event.message ?? "drained", isClean ? .green : .yellow)
        case .files: return ("unit files read again: " + (event.message ?? ""), nil)
        case .lost: return ("\(event.count ?? 0) events were lost: this client did not read fast enough", .red)
        }
    }

    private static func paint(_ state: UnitState) -> Screen.Paint? {
        switch state {
        case .running: .green
        case .failed, .unknown: .red
        case .starting, .swapping: .cyan
        case .stopping: .yellow
        case .stopped: .dim
        }
    }
}
