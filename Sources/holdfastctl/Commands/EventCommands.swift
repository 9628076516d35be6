import ArgumentParser
import ControlProtocol

struct WhyCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "why",
        abstract: "Explain the state of a unit: what it waits for, or what failed and why.",
        discussion: "Exit status 3: the unit has failed or is crash-looping.")
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
        commandName: "show",
        abstract: "Show every property of units: run-time properties, then those of the unit files.",
        discussion: """
            One `NAME=value` per line, as in systemctl show; a list has one line per value. Blank lines separate units.

            Examples:
              holdfastctl show app
              holdfastctl show --property MainPID --value app
            """)
    @OptionGroup var global: GlobalOptions
    @Option(name: [.customShort("p"), .long], help: "Only these properties; may be repeated, or separated by commas.")
    var property: [String] = []
    @Flag(help: "Print the values without their names.") var value = false
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
        commandName: "events", abstract: "Print events as they happen, until ^C.",
        discussion:
            "Starts, state changes, phases of swaps, failures. Exit status 0 after ^C, 4 if the daemon ends and none follows."
    )
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Units; all if none is named.", completion: .units) var names: [String] = []

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        var hasBegun = false
        return try session.follow(names) { event, _ in
            if event.kind == .begin {
                if hasBegun { printError("the supervisor was restarted; events in between are not shown") }
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
        case ready, stopped, cutover, drained, swapped
    }

    static let configuration = CommandConfiguration(
        commandName: "wait", abstract: "Wait until a unit is ready, stopped, cut over or drained.",
        discussion: """
            Returns as soon as the condition holds. Exit status 3: the unit failed during the wait for ready or cutover; \
            1: --timeout elapsed.

            Example: holdfastctl wait app --for ready --timeout 30 && ./smoke-test
            """)
    @OptionGroup var global: GlobalOptions
    @Option(
        name: .customLong("for"),
        help: "ready, stopped, cutover (no swap runs; swapped is the same) or drained (no generation drains).")
    var goal = Goal.ready
    @Option(help: "Seconds after which to give up; without it, there is no limit.") var timeout: Double?
    @Argument(help: oneName, completion: .units) var name: String

    func validate() throws {
        if let timeout, !(timeout >= 0 && timeout <= 1e9) { throw ValidationError("--timeout must not be negative.") }
    }

    static func exitStatus(for refusal: ControlError) -> CommandStatus { StatusCommand.exitStatus(for: refusal) }

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        // Subscribes before the first look at the status, so that a change in between is seen as an event.
        let asking = session.quiet
        let status = try session.quiet.follow([name], timeout: timeout) { _, _ throws(CommandFailure) in
            guard let unit = try asking.askStatus([name]).units.first else { return .failure }
            return Self.verdict(unit, goal)
        }
        switch status {
        case nil:
            printError("timed out after \(Text.coarse(timeout ?? 0)): \(Text.harmless(name)) is not \(goal.rawValue)")
            return .failure
        case .notRunning?:
            printError("\(Text.harmless(name)) has failed; see holdfastctl why \(Text.harmless(name))")
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
        case .cutover, .swapped:
            if unit.state == .failed { return .notRunning }
            return unit.state == .running ? .ok : nil
        }
    }

    private static func isReady(_ unit: UnitStatus) -> Bool {
        guard let serving = unit.generations.first(where: { $0.role == .serving }) else { return false }
        return serving.services.allSatisfy { $0.ready || $0.state == .exited }
    }
}
