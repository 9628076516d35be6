import ControlProtocol

/// The output of `status`: one line for each unit in supervisorctl's form (name, state, text); under a swap unit with
/// more details, a line for each generation and under it for each service.
enum StatusText {
    /// One line before it is aligned in columns.
    private struct Line {
        var name: String
        var state: String
        var paint: Screen.Paint?
        var text: String
    }

    /// - Parameter localTime: formats a point in time in the local time zone.
    static func lines(_ units: [UnitStatus], _ screen: Screen, localTime: (Int64) -> String) -> [String] {
        columns(units.flatMap { unit($0, localTime) }, screen)
    }

    /// The exit status that corresponds to the lines.
    /// - Parameter strict: units that were stopped on purpose count as failed, as in supervisorctl.
    static func exitStatus(_ units: [UnitStatus], strict: Bool) -> CommandStatus {
        let bad = units.contains { unit in
            if unit.state == .failed || unit.state == .unknown || strict && unit.state == .stopped { return true }
            // A failed generation beside one that serves is the result of a deploy, not a fault of the serving one.
            return unit.generations.contains { generation in
                generation.role == .serving
                    && generation.services.contains { $0.state == .failed || $0.state == .autoRestart }
            }
        }
        return bad ? .notRunning : .ok
    }

    private static func columns(_ lines: [Line], _ screen: Screen) -> [String] {
        let longest = (lines.map(\.name.count).max() ?? 0) + 3
        let nameWidth = (screen.width ?? 100) >= 100 ? max(33, longest) : longest
        let stateWidth = max(10, (lines.map(\.state.count).max() ?? 0) + 2)
        return lines.flatMap { line in
            let head =
                Text.padded(line.name, nameWidth) + screen.paint(line.state, line.paint)
                + String(repeating: " ", count: line.text.isEmpty ? 0 : stateWidth - line.state.count)
            let indent = nameWidth + stateWidth
            guard let width = screen.width, width - indent >= 24 else { return [head + line.text] }
            let parts = Text.wrapped(line.text, width - indent)
            return [head + parts[0]] + parts.dropFirst().map { String(repeating: " ", count: indent) + $0 }
        }
    }

    private static func unit(_ unit: UnitStatus, _ localTime: (Int64) -> String) -> [Line] {
        let (state, paint) = appearance(unit.state)
        if let only = unit.generations.first, unit.generations.count == 1, only.services.count == 1,
            only.services[0].unit == unit.unit, only.role == .serving || only.role == .starting || !unit.swappable
        {
            let service = only.services[0]
            let (fine, finePaint) = appearance(service.state)
            var text = serviceText(service)
            if text.isEmpty { text = unit.reason ?? "" }
            if unit.swappable { text = joined(["generation \(only.number)", text]) }
            if unit.outdated == true { text = joined([text, outdated]) }
            return [Line(name: unit.unit, state: fine, paint: finePaint, text: Text.harmless(text))]
        }
        var lines = [
            Line(name: unit.unit, state: state, paint: paint, text: Text.harmless(unitText(unit, localTime)))
        ]
        for generation in unit.generations {
            // A single serving generation has no details beyond the unit's line.
            let isAlone = unit.generations.count == 1 && generation.role == .serving && generation.phase == nil
            if !isAlone { lines.append(line(generation)) }
            for service in generation.services {
                let (state, paint) = appearance(service.state)
                lines.append(
                    Line(
                        name: (isAlone ? "  " : "    ") + Text.harmless(service.unit), state: state, paint: paint,
                        text: Text.harmless(serviceText(service))))
            }
        }
        return lines
    }

    private static func line(_ generation: GenerationStatus) -> Line {
        Line(
            name: "  generation \(generation.number)" + (generation.release.map { " (\(Text.harmless($0)))" } ?? ""),
            state: generation.role.rawValue, paint: paint(generation.role),
            text: Text.harmless(generationText(generation)))
    }

    static func paint(_ role: GenerationRole) -> Screen.Paint {
        switch role {
        case .serving: .green
        case .starting, .held: .cyan
        case .draining, .stopping: .yellow
        case .failed: .red
        }
    }

    private static func unitText(_ unit: UnitStatus, _ localTime: (Int64) -> String) -> String {
        switch unit.state {
        case .unknown: return unit.reason ?? ""
        case .stopped, .failed:
            let when = unit.since.map { Timestamp.unixSeconds($0).map(localTime) ?? $0 }
            if let reason = unit.reason { return unit.state == .failed ? reason : joined([when ?? "", reason]) }
            return when ?? "Not started"
        case .running, .starting, .swapping, .stopping:
            let serving = unit.generations.first { $0.role == .serving }
            let coming = unit.generations.first { $0.role == .starting || $0.role == .held }
            var parts: [String] = []
            if let serving {
                parts.append(name(serving))
                if let age = serving.age { parts.append("uptime \(Text.uptime(age))") }
            }
            if let coming {
                parts.append((serving == nil ? "" : "then ") + name(coming))
                if coming.role == .held { parts.append("held: promote or abort") }
            }
            if unit.generations.count == 1, let connections = serving?.connections {
                parts.append(Text.counted(connections, "connection"))
            }
            if let reason = unit.reason { parts.append(reason) }
            if unit.outdated == true { parts.append(outdated) }
            return joined(parts)
        }
    }

    private static let outdated = "unit files have changed"

    private static func name(_ generation: GenerationStatus) -> String {
        joined([generation.release ?? "", "generation \(generation.number)"])
    }

    static func generationText(_ generation: GenerationStatus) -> String {
        var parts: [String] = []
        if let phase = generation.phase { parts.append(ProgressText.name(phase)) }
        if let age = generation.age { parts.append(Text.uptime(age)) }
        if let connections = generation.connections {
            let left = generation.role == .draining ? " left" : ""
            let peer = left.isEmpty ? "" : oldestPeer(generation)
            parts.append(Text.counted(connections, "connection") + left + peer)
        }
        if let waitingFor = generation.waitingFor { parts.append("waits for \(waitingFor)") }
        if let deadline = generation.deadline {
            let what: String? =
                switch (generation.role, generation.phase) {
                case (.draining, _), (.stopping, _): "killed"
                case (.starting, .soak), (.held, .soak): "soaked"
                case (.starting, _), (.held, _): "rolled back"
                case (.serving, _), (.failed, _): nil
                }
            if let what { parts.append("\(what) in \(Text.coarse(deadline))") }
        }
        return joined(parts)
    }

    /// The connection that has kept a draining generation alive for longest: ` (oldest 192.0.2.7:51234, idle 4 min)`.
    private static func oldestPeer(_ generation: GenerationStatus) -> String {
        guard let peer = generation.oldestPeer else { return "" }
        return " (oldest \(peer)" + (generation.oldestPeerIdle.map { ", idle \(Text.coarse($0))" } ?? "") + ")"
    }

    static func serviceText(_ service: ServiceStatus) -> String {
        var parts: [String] = []
        switch service.state {
        case .exited, .failed, .autoRestart, .stopped:
            // The line has the service's name already.
            if let result = service.result {
                let prefix = ["lost \(service.unit): ", "\(service.unit): ", "\(service.unit) "].first(
                    where: result.hasPrefix)
                parts.append(String(result.dropFirst(prefix?.count ?? 0)))
            }
            if service.state == .autoRestart { parts.append("restart pending") }
        case .waiting: break
        case .startPre, .starting, .startPost, .probing, .running, .reloading, .draining, .stopping:
            if let pid = service.mainPid { parts.append("pid \(pid)") }
            if let age = service.age {
                parts.append(service.state == .running ? "uptime \(Text.uptime(age))" : "for \(Text.coarse(age))")
            }
        }
        if let waitingFor = service.waitingFor { parts.append("waits for \(waitingFor)") }
        if service.restarts > 0 { parts.append(Text.counted(service.restarts, "restart")) }
        if let connections = service.connections { parts.append(Text.counted(connections, "connection")) }
        if let memory = service.memory { parts.append(Text.bytes(memory)) }
        if let lost = service.linesLost, lost > 0 { parts.append("\(lost) lines of its output were lost") }
        if let count = service.linesSuppressed, count > 0 { parts.append("\(count) lines of its output suppressed") }
        if let status = service.statusText, !status.isEmpty { parts.append("\"\(status)\"") }
        return joined(parts)
    }

    private static func appearance(_ state: UnitState) -> (String, Screen.Paint?) {
        switch state {
        case .stopped: ("STOPPED", .dim)
        case .starting: ("STARTING", .cyan)
        case .running: ("RUNNING", .green)
        case .swapping: ("SWAPPING", .cyan)
        case .stopping: ("STOPPING", .yellow)
        case .failed: ("FAILED", .red)
        case .unknown: ("UNKNOWN", .red)
        }
    }

    static func appearance(_ state: ServiceState) -> (String, Screen.Paint?) {
        switch state {
        case .waiting: ("WAITING", .dim)
        case .startPre: ("START-PRE", .cyan)
        case .starting: ("STARTING", .cyan)
        case .startPost: ("START-POST", .cyan)
        case .probing: ("PROBING", .cyan)
        case .running: ("RUNNING", .green)
        case .reloading: ("RELOADING", .cyan)
        case .draining: ("DRAINING", .yellow)
        case .stopping: ("STOPPING", .yellow)
        case .autoRestart: ("BACKOFF", .red)
        case .exited: ("EXITED", .dim)
        case .stopped: ("STOPPED", .dim)
        case .failed: ("FAILED", .red)
        }
    }

    private static func joined(_ parts: [String]) -> String {
        parts.filter { !$0.isEmpty }.joined(separator: ", ")
    }
}
