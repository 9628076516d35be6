import ArgumentParser
import ControlProtocol

struct ReexecCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "daemon-reexec",
        abstract: "Let the installed holdfastd go on in the place of the running one.",
        discussion: """
            After an upgrade. Services, their sockets and what is under way stay as they are; nothing is restarted. If the \
            installed program cannot go on from the state of the running one, that one stays and says why.
            """)
    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus { try Self.perform(session) }

    static func perform(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let reply = try session.ask(.reexec, ReexecReply.self)
        let from = reply.previousVersion == reply.version ? "" : " (was \(reply.previousVersion))"
        session.show([Text.harmless("holdfastd \(reply.version) goes on\(from)")])
        return .ok
    }
}
