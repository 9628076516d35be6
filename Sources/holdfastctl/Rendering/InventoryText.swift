import ControlProtocol

/// Lists (history, generations, sockets) and the output of `update`, `cat` and `verify`.
enum InventoryText {
    static func history(_ entries: [HistoryEntry], _ screen: Screen, localTime: (Int64) -> String) -> [String] {
        guard !entries.isEmpty else { return ["No history"] }
        // On a narrow screen a reason has lines of its own, and the year is left out.
        let isNarrow = (screen.width ?? 100) < 100
        var table = Table(
            [.init(title: "#", right: true, dropOrder: 2)]
                + ["WHEN", "UNIT", "WHAT"].map { .init(title: $0) } + [.init(title: "FROM", dropOrder: 3)]
                + ["TO", "OUTCOME"].map { .init(title: $0) }
                + [.init(title: "TOOK", right: true, dropOrder: 1), .init(title: "WHO")]
                + (isNarrow ? [] : [.init(title: "REASON")]))
        for entry in entries {
            let (outcome, paint) = appearance(entry.outcome)
            let when = Timestamp.unixSeconds(entry.at).map(localTime) ?? entry.at
            table.add(
                [
                    .init(text: String(entry.number)), .init(text: isNarrow ? String(when.dropFirst(5)) : when),
                    .init(text: entry.unit), .init(text: entry.kind.rawValue), .init(text: reference(entry.from)),
                    .init(text: reference(entry.to)), .init(text: outcome, paint: paint),
                    .init(text: Text.duration(entry.durations.total)),
                    .init(text: entry.who.map { $0.user ?? "uid \($0.uid)" } ?? "-"),
                ] + (isNarrow ? [] : [.init(text: remark(entry) ?? "")]))
            if isNarrow, let remark = remark(entry) { table.note(remark) }
        }
        return table.lines(screen)
    }

    /// The failure, and the end of the drain.
    private static func remark(_ entry: HistoryEntry) -> String? {
        let drained = entry.drained.map { "drained in \(DrainText.summary($0))" }
        let parts = [entry.reason, drained].compactMap(\.self)
        return parts.isEmpty ? nil : parts.joined(separator: "; ")
    }

    private static func reference(_ generation: GenerationReference?) -> String {
        guard let generation else { return "-" }
        return generation.release.map { "\($0) (\(generation.generation))" } ?? "(\(generation.generation))"
    }

    private static func appearance(_ outcome: OperationOutcome) -> (String, Screen.Paint?) {
        switch outcome {
        case .completed: ("completed", .green)
        case .rolledBack: ("rolled back", .yellow)
        case .aborted: ("aborted", .yellow)
        case .started: ("started", .green)
        case .done: ("done", .green)
        case .stopped: ("stopped", nil)
        case .unchanged: ("unchanged", .dim)
        case .skipped: ("skipped", .yellow)
        case .failed: ("failed", .red)
        case .lost: ("lost", .red)
        }
    }

    static func generations(_ units: [UnitGenerations], _ screen: Screen) -> [String] {
        guard units.contains(where: { !$0.generations.isEmpty }) else { return ["No generations"] }
        var table = Table([
            .init(title: "UNIT"), .init(title: "GENERATION", right: true), .init(title: "RELEASE"),
            .init(title: "ROLE"), .init(title: "SERVICES"), .init(title: "STATE"),
        ])
        for unit in units {
            for generation in unit.generations {
                let ready = generation.services.count { $0.ready }
                table.add([
                    .init(text: unit.unit), .init(text: String(generation.number)),
                    .init(text: generation.release ?? "-"),
                    .init(text: generation.role.rawValue, paint: StatusText.paint(generation.role)),
                    .init(text: "\(ready)/\(generation.services.count) ready"),
                    .init(text: StatusText.generationText(generation)),
                ])
            }
        }
        return table.lines(screen)
    }

    static func sockets(_ sockets: [SocketStatus], _ screen: Screen) -> [String] {
        guard !sockets.isEmpty else { return ["No sockets"] }
        var table = Table([
            .init(title: "SOCKET"), .init(title: "ADDRESS"), .init(title: "KIND", dropOrder: 2),
            .init(title: "NAME", dropOrder: 1), .init(title: "SCOPE", dropOrder: 3), .init(title: "STATE"),
            .init(title: "QUEUE", right: true), .init(title: "HELD BY"),
        ])
        for socket in sockets {
            let limit = socket.backlog > 0 ? "\(socket.backlog)" : "-"
            let queue = socket.queued.map { "\($0)/\(limit)" } ?? "-/\(limit)"
            let holders = socket.holders.map { holder in
                holder.unit + (holder.generation.map { " (\($0))" } ?? "")
            }
            let isClosed = socket.state == .failed || socket.state == .starting
            table.add([
                .init(text: socket.unit), .init(text: socket.address),
                .init(text: socket.kind.rawValue.replacing("_", with: " ")), .init(text: socket.descriptorName),
                .init(text: socket.generation.map { "generation \($0)" } ?? socket.scope.rawValue),
                .init(text: state(socket), paint: paint(socket)),
                .init(text: socket.listening ? queue : isClosed ? "-" : "bound"),
                .init(text: holders.isEmpty ? "-" : holders.joined(separator: ", ")),
            ])
        }
        let changes = sockets.flatMap { socket in
            (socket.changes ?? []).map { "\(socket.unit): \(socket.address): \($0.sentence) (\($0.at))" }
        }
        return table.lines(screen) + (changes.isEmpty ? [] : [""])
            + changes.map { screen.paint(Text.harmless($0), .yellow) }
    }

    /// `listening (app.service, 3 times)`, `running (paused)`, `listening (7 of 64 connections)`, `failed: why`.
    private static func state(_ socket: SocketStatus) -> String {
        if let reason = socket.reason { return "failed: \(reason)" }
        var notes: [String] = socket.paused ? ["paused"] : []
        if let connections = socket.connections, let limit = socket.maxConnections {
            notes.append("\(connections) of \(limit) connections")
        } else if let service = socket.service {
            notes.append(service + (socket.triggered.map { $0 == 1 ? ", once" : ", \($0) times" } ?? ""))
        }
        let name = socket.state == .cooling ? "paused by its poll limit" : socket.state.rawValue
        return name + (notes.isEmpty ? "" : " (\(notes.joined(separator: "; ")))")
    }

    private static func paint(_ socket: SocketStatus) -> Screen.Paint? {
        if socket.paused { return .yellow }
        return switch socket.state {
        case .failed: .red
        case .cooling: .yellow
        case .listening, .running: .green
        case .held, .starting, .stopping: nil
        }
    }

    /// A header and the text for each file, as `systemctl cat` prints them.
    static func cat(_ files: [UnitText], _ screen: Screen) -> [String] {
        var lines: [String] = []
        for file in files {
            if !lines.isEmpty { lines.append("") }
            lines.append(screen.paint("# " + Text.harmless(file.path), .dim))
            // A pipe gets the file's text byte for byte; a terminal gets it without control characters.
            let text = screen.width == nil ? file.text : Text.harmless(file.text, keep: ["\n", "\t"])
            lines += text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            if text.hasSuffix("\n") || text.isEmpty { lines.removeLast() }
        }
        return lines
    }

    /// The result of `reread`, in the words of supervisorctl.
    static func reread(_ reply: UpdateReply) -> [String] {
        let old = reply.outdated.filter { !reply.changed.contains($0) }
        let lines =
            reply.added.map { "\($0): available" } + reply.changed.map { "\($0): changed" }
            + old.map { "\($0): runs an older definition" } + reply.removed.map { "\($0): disappeared" }
            + reply.notes
        return lines.isEmpty ? ["No changes"] : lines.map { Text.harmless($0) }
    }

    static func avail(_ units: [ListedUnit], _ screen: Screen) -> [String] {
        guard !units.isEmpty else { return ["No units"] }
        var table = Table([.init(title: "UNIT"), .init(title: "USE"), .init(title: "DESCRIPTION")])
        for unit in units {
            let isUsed = unit.state != .stopped && unit.state != .failed
            let description = unit.description == unit.unit ? "" : unit.description
            table.add([
                .init(text: unit.unit), .init(text: isUsed ? "in use" : "avail", paint: isUsed ? .green : .dim),
                .init(text: description),
            ])
        }
        return table.lines(screen)
    }

    /// One diagnostic in the form that editors parse: `site@.target:7:1: error: unknown directive …`.
    static func diagnostic(_ diagnostic: UnitDiagnostic, _ screen: Screen) -> String {
        let position =
            diagnostic.file + (diagnostic.line > 0 ? ":\(diagnostic.line)" : "")
            + (diagnostic.line > 0 && diagnostic.column > 0 ? ":\(diagnostic.column)" : "")
        let paint: Screen.Paint =
            switch diagnostic.severity {
            case .error: .red
            case .warning: .yellow
            case .note: .cyan
            }
        let hint = diagnostic.suggestion.map { " (did you mean \($0)?)" } ?? ""
        return Text.harmless(position) + ": " + screen.paint(diagnostic.severity.rawValue, paint) + ": "
            + Text.harmless(diagnostic.message + hint)
    }

    static func summary(_ diagnostics: [UnitDiagnostic]) -> String {
        let errors = diagnostics.count { $0.severity == .error }
        let warnings = diagnostics.count { $0.severity == .warning }
        return "\(Text.counted(errors, "error")), \(Text.counted(warnings, "warning"))"
    }
}
