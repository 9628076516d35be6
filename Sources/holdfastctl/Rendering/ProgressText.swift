import ControlProtocol

/// The display of a running operation: on a terminal one line for each finished phase and one for the present phase,
/// which is redrawn; elsewhere one line for each event.
struct ProgressText {
    private let screen: Screen
    /// The last event of the present phase; nil before the first.
    private var current: Progress?
    /// The start of the present phase, in seconds since the operation began.
    private var phaseBegan = 0.0

    init(_ screen: Screen) {
        self.screen = screen
    }

    static func name(_ phase: SwapPhase) -> String {
        switch phase {
        case .prepare: "prepare"
        case .start: "start"
        case .verify: "verify"
        case .soak: "soak"
        case .hold: "hold"
        case .cutOver: "cut over"
        case .drain: "drain"
        case .rollBack: "roll back"
        case .record: "record"
        case .reload: "reload"
        case .run: "run"
        }
    }

    /// Takes an event and returns the lines that are final now: on a terminal those of the phase that the event ended.
    mutating func handle(_ event: Progress) -> [String] {
        guard screen.width != nil else { return [Self.eventLine(event)] }
        var lines: [String] = []
        if let current, current.phase != event.phase {
            lines = [finishedLine(current, until: event.elapsed)]
            phaseBegan = event.elapsed
        } else if current == nil {
            phaseBegan = event.elapsed
        }
        current = event
        return lines
    }

    /// Returns the line of the last phase, at the end of the operation.
    mutating func finish(total: Double) -> [String] {
        defer { current = nil }
        guard screen.width != nil, let current else { return [] }
        return [finishedLine(current, until: max(total, current.elapsed))]
    }

    /// The line for the present phase; nil before the first event.
    /// - Parameter sinceEvent: seconds since the last event; times advance between events.
    func liveLine(sinceEvent: Double) -> String? {
        guard let width = screen.width, let event = current else { return nil }
        var parts: [String] = []
        if let waitingFor = event.waitingFor, !waitingFor.isEmpty {
            parts.append("waits for \(waitingFor)")
        } else {
            parts.append(Self.message(event))
        }
        if let connections = event.connectionsLeft { parts.append(Text.counted(connections, "connection") + " left") }
        // A short form: with a unit's name and connections the line must fit 80 columns.
        if let left = event.secondsLeft { parts.append("\(Text.coarse(max(0, left - sinceEvent))) left") }
        let text = line(event.phase, event.elapsed - phaseBegan + sinceEvent, parts.joined(separator: ", "))
        // A line that fills the last column makes some terminals wrap, and then it cannot be redrawn.
        return screen.paint(Text.cut(text, width - 1), .cyan)
    }

    private func finishedLine(_ event: Progress, until: Double) -> String {
        Text.cut(line(event.phase, until - phaseBegan, Self.message(event)), screen.width)
    }

    private func line(_ phase: SwapPhase, _ seconds: Double, _ text: String) -> String {
        "  \(Text.padded(Self.name(phase), 9)) \(Text.rightAligned(Text.duration(seconds), 8))  \(Text.harmless(text))"
    }

    private static func message(_ event: Progress) -> String {
        event.service.map { "\($0): \(event.message)" } ?? event.message
    }

    /// One event as a line for logs, with all its fields: `    0.4 s  start      app@v3.service: ready`.
    static func eventLine(_ event: Progress) -> String {
        var text = message(event)
        if let waitingFor = event.waitingFor, !waitingFor.isEmpty { text += ", waits for \(waitingFor)" }
        if let connections = event.connectionsLeft { text += ", \(Text.counted(connections, "connection")) left" }
        return "\(Text.rightAligned(Text.duration(event.elapsed), 10))  \(Text.padded(name(event.phase), 9))"
            + "  \(Text.harmless(text))"
    }
}
