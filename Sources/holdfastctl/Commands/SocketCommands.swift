import ArgumentParser
import ControlProtocol

private let oneSocket: ArgumentHelp = "A socket unit; the suffix may be left out if nothing else has the name."

struct PauseCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause",
        abstract: "Let new connections to a socket wait; none is refused, and none starts anything.",
        discussion: """
            With no service behind it connections queue in the socket. While services accept from it themselves, new TCP \
            connections are held back at their clients, which ask again until it is resumed; other kinds cannot be held back.
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: oneSocket) var name: String

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        try session.operate(.pause(name: name), .pause, name)
    }
}

struct ResumeCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Take connections to a paused socket again.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: oneSocket) var name: String

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        try session.operate(.resume(name: name), .resume, name)
    }
}
