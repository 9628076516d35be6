import ArgumentParser
import ControlProtocol

let oneName: ArgumentHelp = "A unit, with or without its suffix."
let severalNames: ArgumentHelp = "Units, with or without their suffix; app*, target:* and all name several."

/// The moment at which a command that swaps returns.
struct SwapWait: ParsableArguments {
    enum Moment: String, ExpressibleByArgument, CaseIterable {
        /// The new generation serves, and the old one has been told to drain.
        case cutover
        /// Nothing of the old generation is left.
        case drained
    }

    @Option(
        name: .customLong("wait"),
        help: "Return at cutover or when the old generation has drained; on a terminal, show the drain until ^C.")
    var moment: Moment?
}

struct StartCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "start", abstract: "Start units.",
        discussion: "If a swap unit runs another release, it is swapped to the named one.")
    static let operands = OperandKind.unitsOrAll
    @OptionGroup var global: GlobalOptions
    @Flag(help: "If this becomes a swap, pause before cutover until promote or abort.") var hold = false
    @Argument(help: severalNames, completion: .units) var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let operands = try session.operands(names, .starting)
        guard hold else { return try session.operateAll(operands, .start) { .start(name: $0, hold: false) } }
        return try forEach(operands, session) { name throws(CommandFailure) in
            try session.operate(.start(name: name, hold: true), .start, name, until: .hold)
        }
    }
}

struct StopCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop", abstract: "Stop units, after they have finished their accepted connections.")
    static let operands = OperandKind.unitsOrAll
    @OptionGroup var global: GlobalOptions
    @Argument(help: severalNames, completion: .units) var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let operands = try session.operands(names, .runningOnly)
        return try session.operateAll(operands, .stop) { Self.request($0, of: operands) }
    }

    /// The request to stop one operand. If a socket is among the operands, the request names the others too, so that
    /// the socket starts nothing as soon as the first operand is being stopped.
    static func request(_ name: String, of operands: [String]) -> Request {
        let hasSocket = operands.contains { $0.hasSuffix(".socket") }
        return .stop(name: name, with: hasSocket ? operands.filter { $0 != name } : [])
    }
}

struct RestartCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "restart", abstract: "Restart units, one after the other.",
        discussion: """
            A swap unit is swapped to its current release, so that no request is lost. Each unit is restarted when the one \
            before it is ready. After a failure the others are still restarted, unless --rolling is given.
            """)
    static let operands = OperandKind.unitsOrAll
    @OptionGroup var global: GlobalOptions
    @Flag(help: "End at the first failure, so that a bad configuration affects one unit only.") var rolling = false
    @Flag(help: "Stop the unit first, then start it; connections wait in between.") var hard = false
    @OptionGroup var wait: SwapWait
    @Argument(help: severalNames, completion: .units) var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let operands = try session.operands(names, .runningOnly)
        if operands.isEmpty { session.show(["Nothing to restart"]) }
        return try forEach(operands, session, untilFailure: rolling) { name throws(CommandFailure) in
            // Several are not kept waiting for the drain of one.
            let moment = wait.moment ?? (operands.count > 1 ? .cutover : nil)
            return try session.operate(.restart(name: name, hard: hard), .restart, name, until: .end(moment))
        }
    }
}

struct ReloadCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload-or-restart", abstract: "Run ExecReload= of units, or restart units without it.")
    static let operands = OperandKind.unitsOrAll
    @OptionGroup var global: GlobalOptions
    @Argument(help: severalNames, completion: .units) var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        try forEach(session.operands(names, .runningOnly), session) { name throws(CommandFailure) in
            try session.operate(.reload(name: name), .reload, name)
        }
    }
}

struct SwapCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "swap", abstract: "Replace the serving generation with a new one, without losing a request.",
        discussion: """
            The new generation starts beside the old one on the same sockets. When it is ready, the old one drains, and \
            the next swap or rollback may begin. If it fails, it is stopped, the old generation still serves, unaffected, \
            and the reason is printed (exit status 7).

            Examples:
              holdfastctl swap site@v3           release v3 of site@.target
              holdfastctl swap app               new configuration or binary of app.service
              holdfastctl swap --hold site@v3    return when it is ready; then promote or abort
              holdfastctl swap --wait drained site@v3    return when the old generation has drained
            """)
    @OptionGroup var global: GlobalOptions
    @Flag(help: "Pause before cutover until promote or abort; the command ends when the new generation is ready.")
    var hold = false
    @Flag(help: "Return as soon as the daemon has begun the swap.") var noWait = false
    @OptionGroup var wait: SwapWait
    @Argument(help: "A swap unit, with the release if it is a template.", completion: .units) var name: String

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let until: Session.Until = noWait ? .begun : hold ? .hold : .end(wait.moment)
        return try session.operate(.swap(name: name, hold: hold), .swap, name, until: until)
    }
}

struct PromoteCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "promote", abstract: "Continue a held swap: cut over to the new generation.")
    @OptionGroup var global: GlobalOptions
    @OptionGroup var wait: SwapWait
    @Argument(help: oneName, completion: .units) var name: String

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        try session.operate(.promote(name: name), .promote, name, until: .end(wait.moment))
    }
}

struct AbortCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "abort", abstract: "Cancel a swap before cutover; the old generation still serves.")
    @OptionGroup var global: GlobalOptions
    @OptionGroup var wait: SwapWait
    @Argument(help: oneName, completion: .units) var name: String

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        try session.operate(.abort(name: name), .abort, name, until: .end(wait.moment))
    }
}

struct RollbackCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback", abstract: "Swap back to the previous release, with the unit files it had.")
    @OptionGroup var global: GlobalOptions
    @OptionGroup var wait: SwapWait
    @Argument(help: oneName, completion: .units) var name: String

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        try session.operate(.rollback(name: name), .rollback, name, until: .end(wait.moment))
    }
}

struct AdoptCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "adopt", abstract: "Take over the unknown processes of a unit.",
        discussion: """
            status shows a unit as UNKNOWN if an earlier supervisor started processes of it that are in no journal. They \
            keep running and become the serving generation; stop ends them instead.
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: oneName, completion: .units) var name: String

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        try session.operate(.adopt(name: name), .adopt, name)
    }
}

struct DrainCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Wait for a unit's draining generations to end, or end them.",
        discussion: "With a release in the name (site@v1), only its draining generations are meant.")
    @OptionGroup var global: GlobalOptions
    @Flag(help: "Do not wait for connections: end draining generations at once.") var now = false
    @Argument(help: oneName, completion: .units) var name: String

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        try session.operate(.drain(name: name, now: now), .drain, name)
    }
}
