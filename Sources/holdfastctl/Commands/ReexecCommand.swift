import ArgumentParser
import ControlProtocol

struct ReexecCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "daemon-reexec",
        abstract: "Replace the running holdfastd with the installed one, without stopping services.",
        discussion: """
            For upgrades. Services, sockets and operations are unaffected; nothing is restarted. If the installed program \
            cannot read the state of the running one, the running one keeps running and reports the reason.
            """)
    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus { try Self.perform(session) }

    static func perform(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let reply = try session.ask(.reexec, ReexecReply.self)
        let from = reply.previousVersion == reply.version ? "" : " (was \(reply.previousVersion))"
        session.show([Text.harmless("holdfastd \(reply.version) has taken over\(from)")])
        return .ok
    }
}
