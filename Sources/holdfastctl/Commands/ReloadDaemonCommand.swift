import ArgumentParser
import ControlProtocol

/// `reload` has two meanings: "restart the daemon" in supervisorctl, "run ExecReload= of these units" in systemctl. The
/// presence of unit names decides between them.
struct ReloadDaemonCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload", abstract: "Without names the same as daemon-reexec; with names, as reload-or-restart.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: severalNames, completion: .units) var names: [String] = []

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        guard !names.isEmpty else { return try ReexecCommand.perform(session) }
        return try forEach(session.operands(names, .runningOnly), session) { name throws(CommandFailure) in
            try session.operate(.reload(name: name), .reload, name)
        }
    }
}
