import ArgumentParser
import ControlProtocol

let oneName: ArgumentHelp = "A unit; the suffix may be left out."
let severalNames: ArgumentHelp = "Units; the suffix may be left out. app*, target:* and all mean several."

struct StartCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "start", abstract: "Start units.",
        discussion: "A swap unit that runs with another release is swapped to the one named.")
    @OptionGroup var global: GlobalOptions
    @Flag(help: "If it turns out to be a swap: wait for promote or abort before the cutover.") var hold = false
    @Argument(help: severalNames, completion: .units) var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let operands = try session.operands(names, .starting)
        guard hold else { return try session.operateAll(operands, .start) { .start(name: $0, hold: false) } }
        return try forEach(operands, session) { name throws(CommandFailure) in
            try session.operate(.start(name: name, hold: true), .start, name, untilHold: true)
        }
    }
}

struct StopCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop", abstract: "Stop units: what they have accepted is finished first.")
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
            A swap unit is swapped to the release that it runs, so nothing is lost. The next one is begun when the one \
            before is ready again; a failure does not keep the others from their turn, unless --rolling.
            """)
    @OptionGroup var global: GlobalOptions
    @Flag(help: "End at the first failure, so that a bad configuration takes one down and not all.") var rolling = false
    @Flag(help: "Stop first, then start; connections wait meanwhile.") var hard = false
    @Argument(help: severalNames, completion: .units) var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let operands = try session.operands(names, .runningOnly)
        if operands.isEmpty { session.show(["Nothing to restart"]) }
        return try forEach(operands, session, untilFailure: rolling) { name throws(CommandFailure) in
            try session.operate(.restart(name: name, hard: hard), .restart, name)
        }
    }
}

struct ReloadCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload-or-restart", abstract: "Run ExecReload= of units, or restart those that have none.")
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
        commandName: "swap", abstract: "Replace what serves by a new generation, without losing a request.",
        discussion: """
            The new generation starts beside the old one on the same sockets. When it is ready the old one is told to \
            finish and leave. If it is not, it is ended, the old one never noticed, and the reason is printed (exit 7).

            Examples:
              holdfastctl swap site@v3           release v3 of site@.target
              holdfastctl swap app               new configuration or binary of app.service
              holdfastctl swap --hold site@v3    come back when ready; promote or abort
            """)
    @OptionGroup var global: GlobalOptions
    @Flag(help: "Wait for promote or abort before the cutover; this command ends when it is ready.") var hold = false
    @Flag(help: "Come back as soon as the daemon has begun.") var noWait = false
    @Argument(help: "A swap unit, with the release if it is a template.", completion: .units) var name: String

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        try session.operate(.swap(name: name, hold: hold), .swap, name, wait: !noWait, untilHold: hold)
    }
}

struct PromoteCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "promote", abstract: "Let a held generation cut over.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: oneName, completion: .units) var name: String

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        try session.operate(.promote(name: name), .promote, name)
    }
}

struct AbortCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "abort", abstract: "End a swap before its cutover; the old generation stays.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: oneName, completion: .units) var name: String

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        try session.operate(.abort(name: name), .abort, name)
    }
}

struct RollbackCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback", abstract: "Swap back to the previous release, with the unit files that it had.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: oneName, completion: .units) var name: String

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        try session.operate(.rollback(name: name), .rollback, name)
    }
}

struct AdoptCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "adopt", abstract: "Take over processes of a unit that nothing is known of.",
        discussion: """
            status shows as UNKNOWN what an earlier supervisor has started, and its journal does not account for. They go on \
            as they are and become the generation that serves; stop ends them instead.
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: oneName, completion: .units) var name: String

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        try session.operate(.adopt(name: name), .adopt, name)
    }
}

struct DrainCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Wait until nothing of a unit drains any more, or end what drains.")
    @OptionGroup var global: GlobalOptions
    @Flag(help: "Do not wait for connections: end draining generations at once.") var now = false
    @Argument(help: oneName, completion: .units) var name: String

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        try session.operate(.drain(name: name, now: now), .drain, name)
    }
}
