import ArgumentParser
import ControlProtocol

private let oneSocket: ArgumentHelp = "A socket unit; the suffix is optional if no other unit has the name."

struct PauseCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause",
        abstract: "Hold new connections to a socket: none is refused, and none starts a service.",
        discussion: """
            If no service accepts from the socket, connections queue in it. While services accept from it themselves, new \
            TCP connections wait at their clients, which retry until it is resumed; other kinds of sockets cannot be paused \
            then.
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: oneSocket) var name: String

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        try session.operate(.pause(name: name), .pause, name)
    }
}

struct ResumeCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Accept connections to a paused socket again.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: oneSocket) var name: String

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        try session.operate(.resume(name: name), .resume, name)
    }
}
