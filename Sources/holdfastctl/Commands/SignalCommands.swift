import ArgumentParser
import ControlProtocol
import Glibc

struct SignalCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "signal", abstract: "Send a signal to units.",
        discussion: "Example: holdfastctl signal HUP worker")
    static let operands = OperandKind.unitsOrAll
    @OptionGroup var global: GlobalOptions
    @Flag(help: "Signal every process of the unit, not only the main process.") var all = false
    @Argument(help: "SIGHUP, HUP or 1.") var signal: String
    @Argument(help: severalNames, completion: .units) var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        var targets: [String] = []
        for name in names {
            guard Names.isPattern(name) else {
                targets.append(name)
                continue
            }
            // A member gets the signal alone: its operand would be the whole target.
            let listed = try session.quiet.ask(.list(names: [name], sockets: false), ListReply.self)
            let isWhole = Names.isFullName(name, of: listed.units)
            targets += isWhole ? [name] : listed.units.filter { !$0.mainPids.isEmpty }.map(\.unit)
        }
        return try forEach(session.distinct(targets), session) { name throws(CommandFailure) in
            let request = Request.signal(name: name, signal: signal, who: all ? .all : .main)
            _ = try session.ask(request, SignalReply.self)
            session.show(["\(Text.harmless(name)): signalled"])
            return .ok
        }
    }
}

struct ShutdownCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "shutdown", abstract: "Drain and stop all units, then end the supervisor.")
    static let operands = OperandKind.none
    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let reply = try session.shutdown()
        let stopped = (reply.stopped ?? []).map { Text.harmless("\($0): stopped") }
        let unknown = (reply.unknown ?? []).map { Text.harmless("\($0): UNKNOWN, its processes keep running") }
        session.show(stopped + unknown + ["Shut down"])
        return .ok
    }
}
