import ArgumentParser
import ControlProtocol

struct ResetFailedCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "reset-failed",
        abstract: "Reset the failed state and the start counters of units.",
        discussion: """
            A unit that has reached StartLimitBurst= can be started again at once. Running units keep running. Without a \
            name, resets all failed units.
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: severalNames, completion: .units) var names: [String] = []

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let (reply, unknown) = try session.askSkippingUnknown(names) { names throws(CommandFailure) in
            try session.ask(.resetFailed(names: names.isEmpty ? nil : names), ListReply.self)
        }
        session.show(reply.units.filter { $0.state == .failed }.map { Text.harmless("\($0.unit): reset") })
        return unknown
    }
}
