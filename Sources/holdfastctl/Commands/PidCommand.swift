import ArgumentParser
import ControlProtocol

struct PidCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "pid", abstract: "Print the process ID of the daemon, or those of units.",
        discussion: "One line per main process of the serving generation; 0, and exit status 3, for a unit without one."
    )
    static let operands = OperandKind.unitsOrAll
    @OptionGroup var global: GlobalOptions
    @Argument(help: severalNames, completion: .units) var names: [String] = []

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        guard !names.isEmpty else {
            let daemon = try session.ask(.describe, DescribeReply.self)
            session.show(["\(daemon.pid)"])
            return .ok
        }
        let (reply, unknown) = try session.askSkippingUnknown(names) { names throws(CommandFailure) in
            try session.ask(.list(names: names, sockets: false), ListReply.self)
        }
        session.show(reply.units.flatMap { $0.mainPids.isEmpty ? ["0"] : $0.mainPids.map(String.init) })
        if unknown != .ok { return unknown }
        return reply.units.contains { $0.mainPids.isEmpty } ? .notRunning : .ok
    }
}
