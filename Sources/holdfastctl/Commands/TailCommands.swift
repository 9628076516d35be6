import ArgumentParser
import ControlProtocol
import Linux

/// `tail`, as in supervisorctl: counts bytes, and prints no times.
struct TailCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "tail", abstract: "Show the last bytes of a service's output.",
        discussion: "\"tail -f\" runs until ^C; \"tail -100\" shows 100 bytes. \"logs\" has more options.")
    @OptionGroup var global: GlobalOptions
    @OptionGroup var options: LogOptions
    @Flag(name: .customShort("f"), help: "Print new output as it is written.") var follow = false
    @Option(help: "Number of bytes; also as -N.") var bytes = 1600
    @Argument(help: "A unit or group.") var name: String
    @Argument(help: "stdout or stderr; both if none is named.") var stream: String?

    func validate() throws {
        if bytes < 0 { throw ValidationError("--bytes must not be negative.") }
        if let stream, !["stdout", "stderr"].contains(stream) {
            throw ValidationError("\(stream) is neither stdout nor stderr.")
        }
    }

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        var filter = LogFilter()
        filter.stream = stream.map { $0 == "stdout" ? "out" : "err" }
        return try tail([name], filter, session.json ? .json : .cat, session)
    }
}

struct MaintailCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "maintail", abstract: "Show the end of the daemon's own log.")
    @OptionGroup var global: GlobalOptions
    @OptionGroup var options: LogOptions
    @Flag(name: .customShort("f"), help: "Print new output as it is written.") var follow = false
    @Option(help: "Number of bytes; also as -N.") var bytes = 1600

    func validate() throws {
        if bytes < 0 { throw ValidationError("--bytes must not be negative.") }
    }

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        try tail([LogSelection.daemon], LogFilter(), session.json ? .json : .short, session)
    }
}

/// The common part of ``TailCommand`` and ``MaintailCommand``.
private protocol Tailing: ControlCommand {
    var options: LogOptions { get }
    var follow: Bool { get }
    var bytes: Int { get }
}

extension TailCommand: Tailing {}
extension MaintailCommand: Tailing {}

extension Tailing {
    fileprivate func tail(
        _ names: [String], _ filter: LogFilter, _ format: LogText.Format, _ session: Session
    ) throws(CommandFailure) -> CommandStatus {
        let directory = options.directory(session, global)
        let status = (try? session.quiet.ask(.status(names: nil), StatusReply.self))?.units ?? []
        let files = try reading { () throws(SystemError) in try directory.units() }
        var view = LogView(
            directory: directory, selection: try LogSelection(names, status: status, files: files), filter: filter,
            text: LogText(format, session.output, showsUnit: false))
        // A line has at least one byte, so `bytes` lines are enough.
        view.lastBytes = bytes
        return try reading { () throws(SystemError) in
            if follow { return try view.follow(bytes) }
            try view.show(bytes)
            return .ok
        }
    }
}

struct ClearCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "clear", abstract: "Empty the logs of services, rotated files included.")
    @OptionGroup var global: GlobalOptions
    @OptionGroup var options: LogOptions
    @Argument(help: "Units, groups, patterns or all.") var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let directory = options.directory(session, global)
        let status = try session.quiet.askStatus([]).units
        let files = try reading { () throws(SystemError) in try directory.units() }
        let selection = try LogSelection(names, status: status, files: files)
        return try forEach(selection.units, session) { unit throws(CommandFailure) in
            _ = try session.ask(.clearLogs(name: unit), ClearLogsReply.self)
            session.show(["\(Text.harmless(unit)): cleared"])
            return .ok
        }
    }
}
