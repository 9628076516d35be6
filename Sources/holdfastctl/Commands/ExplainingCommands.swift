import ArgumentParser
import ControlProtocol

struct WhyCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "why",
        abstract: "Explain the state of a unit: what it waits for, or what failed and the evidence.",
        discussion: "Ends with 3 if it has failed or is crash-looping.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: oneName, completion: .units) var name: String

    static func exitStatus(for refusal: ControlError) -> CommandStatus { StatusCommand.exitStatus(for: refusal) }

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let reply = try session.ask(.why(name: name), WhyReply.self)
        session.show(ExplanationText.why(reply, session.output))
        return reply.state == .failed ? .notRunning : .ok
    }
}

struct ShowCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show every property of units: at run time, then what their files say.",
        discussion: """
            One `NAME=value` a line, as systemctl show; a list has a line for each value. Blank lines are between units.

            Examples:
              holdfastctl show app
              holdfastctl show --property MainPID --value app
            """)
    @OptionGroup var global: GlobalOptions
    @Option(name: [.customShort("p"), .long], help: "Only these; may be repeated, or separated by commas.")
    var property: [String] = []
    @Flag(help: "Only the values, without their names.") var value = false
    @Argument(help: severalNames, completion: .units) var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let wanted = property.flatMap { $0.split(separator: ",").map(String.init) }
        var isFirst = true
        return try forEach(names, session) { name throws(CommandFailure) in
            let reply = try session.ask(.show(name: name), ShowReply.self)
            let lines = ExplanationText.properties(reply.properties, wanted, values: value, session.output)
            session.show((isFirst || lines.isEmpty ? [] : [""]) + lines)
            isFirst = false
            return .ok
        }
    }
}

struct EventsCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "events", abstract: "Follow what happens, until ^C.",
        discussion:
            "Starts, states, phases of swaps, failures. Ends with 0 on ^C, and with 4 when the daemon goes away for good."
    )
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Units; all if none is named.", completion: .units) var names: [String] = []

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        var hasBegun = false
        return try session.follow(names) { event, _ in
            if event.kind == .begin {
                if hasBegun { complain("the supervisor was restarted; what happened meanwhile is not shown") }
                hasBegun = true
            }
            session.show(ExplanationText.event(event, session.output, localTime: LocalTime.string).map { [$0] } ?? [])
            return nil
        }
    }
}

struct WaitCommand: ControlCommand {
    /// The condition to wait for.
    enum Goal: String, ExpressibleByArgument, CaseIterable {
        case ready, stopped, drained, swapped
    }

    static let configuration = CommandConfiguration(
        commandName: "wait", abstract: "Wait until a unit is ready, stopped, drained or swapped.",
        discussion: """
            Driven by events, so it comes back at once when it is so. Ends with 3 if the unit fails while it waits for \
            ready or swapped, and with 1 if --timeout passes.

            Example: holdfastctl wait app --for ready --timeout 30 && ./smoke-test
            """)
    @OptionGroup var global: GlobalOptions
    @Option(
        name: .customLong("for"), help: "ready, stopped, drained (nothing drains) or swapped (no swap is under way).")
    var goal = Goal.ready
    @Option(help: "Seconds after which to give up; without it, it waits for as long as it takes.") var timeout: Double?
    @Argument(help: oneName, completion: .units) var name: String

    func validate() throws {
        if let timeout, !(timeout >= 0 && timeout <= 1e9) { throw ValidationError("--timeout must not be negative.") }
    }

    static func exitStatus(for refusal: ControlError) -> CommandStatus { StatusCommand.exitStatus(for: refusal) }

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        // Subscribes before the first look at the status, so that a change in between is seen as an event.
        let asking = session.quietly
        let status = try session.quietly.follow([name], timeout: timeout) { _, _ throws(CommandFailure) in
            guard let unit = try asking.askStatus([name]).units.first else { return .failure }
            return Self.verdict(unit, goal)
        }
        switch status {
        case nil:
            complain("\(Text.harmless(name)) is not \(goal.rawValue) within \(Text.coarse(timeout ?? 0))")
            return .failure
        case .notRunning?:
            complain("\(Text.harmless(name)) has failed; holdfastctl why \(Text.harmless(name)) says more")
        default: break
        }
        if status == .ok { session.show([Text.harmless("\(name): \(goal.rawValue)")]) }
        return status ?? .failure
    }

    /// The exit status for this state; nil to keep waiting.
    static func verdict(_ unit: UnitStatus, _ goal: Goal) -> CommandStatus? {
        let drains = unit.generations.contains { $0.role == .draining || $0.role == .stopping }
        switch goal {
        case .ready:
            if unit.state == .running || unit.state == .swapping { return isReady(unit) ? .ok : nil }
            return unit.state == .failed ? .notRunning : nil
        case .stopped: return unit.state == .stopped || unit.state == .failed ? .ok : nil
        case .drained: return drains ? nil : .ok
        case .swapped:
            if unit.state == .failed { return .notRunning }
            return unit.state == .running && !drains ? .ok : nil
        }
    }

    private static func isReady(_ unit: UnitStatus) -> Bool {
        guard let serving = unit.generations.first(where: { $0.role == .serving }) else { return false }
        return serving.services.allSatisfy { $0.ready || $0.state == .exited }
    }
}
