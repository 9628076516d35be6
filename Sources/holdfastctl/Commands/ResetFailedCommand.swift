import ArgumentParser
import ControlProtocol

struct ResetFailedCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "reset-failed",
        abstract: "Forget that units failed, and how often they were started.",
        discussion: """
            A unit that was started too often (StartLimitBurst=) may be started again at once. What runs goes on. Without a
            name: of all units that failed.
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: severalNames, completion: .units) var names: [String] = []

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let (reply, unknown) = try session.askAboutKnown(names) { names throws(CommandFailure) in
            try session.ask(.resetFailed(names: names.isEmpty ? nil : names), ListReply.self)
        }
        session.show(reply.units.filter { $0.state == .failed }.map { Text.harmless("\($0.unit): reset") })
        return unknown
    }
}
