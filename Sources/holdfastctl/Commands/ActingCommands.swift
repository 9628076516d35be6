import ArgumentParser
import ControlProtocol
import Glibc

struct SignalCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "signal", abstract: "Send a signal to units.",
        discussion: "Example: holdfastctl signal HUP worker")
    @OptionGroup var global: GlobalOptions
    @Flag(help: "To every process of the unit, not only the main one.") var all = false
    @Argument(help: "SIGHUP, HUP or 1.") var signal: String
    @Argument(help: "Units; the suffix may be left out.") var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> ExitStatus {
        try forEach(names, session) { name throws(CommandFailure) in
            let request = Request.signal(name: name, signal: signal, who: all ? .all : .main)
            _ = try session.ask(request, SignalReply.self)
            session.show(["\(Text.harmless(name)): signalled"])
            return .ok
        }
    }
}

struct UpdateCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Read the unit files again.",
        discussion: "What runs keeps the definition that it was started with until its next start or swap.")
    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws(CommandFailure) -> ExitStatus {
        let reply = try session.ask(.update, UpdateReply.self)
        session.show(InventoryText.update(reply))
        for diagnostic in reply.diagnostics {
            emit(InventoryText.diagnostic(diagnostic, session.errors) + "\n", to: STDERR_FILENO)
        }
        return reply.diagnostics.contains { $0.severity == .error } ? .failure : .ok
    }
}

struct ShutdownCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "shutdown", abstract: "Drain and stop everything, then end the supervisor.")
    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws(CommandFailure) -> ExitStatus {
        let reply = try session.shutdown()
        session.show((reply.stopped ?? []).map { Text.harmless("\($0): stopped") } + ["Shut down"])
        return .ok
    }
}
