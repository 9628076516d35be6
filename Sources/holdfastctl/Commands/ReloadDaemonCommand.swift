import ArgumentParser
import ControlProtocol

/// `reload` means two things to people's fingers: to supervisorctl's users "restart the daemon", to systemctl's "run
/// ExecReload= of these". Which of them is said by whether units are named.
struct ReloadDaemonCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload", abstract: "Without names, as daemon-reexec; with names, as reload-or-restart.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: severalNames, completion: .units) var names: [String] = []

    func execute(_ session: Session) throws(CommandFailure) -> ExitStatus {
        guard !names.isEmpty else { return try ReexecCommand.perform(session) }
        return try forEach(session.operands(names, .runningOnly), session) { name throws(CommandFailure) in
            try session.operate(.reload(name: name), .reload, name)
        }
    }
}
