import ArgumentParser
import ControlProtocol
import Glibc

struct StatusCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show units with their generations and services.",
        discussion: """
            Exit status 3: a listed unit has failed or is crash-looping; 4: a unit is unknown, or the daemon cannot be \
            reached. A unit that was stopped on purpose is no failure, unless --strict.
            """)
    static let operands = OperandKind.unitsOrAll
    @OptionGroup var global: GlobalOptions
    @OptionGroup var watching: WatchOption
    @Flag(help: "Exit status 3 also for a stopped unit.") var strict = false
    @Argument(help: "Units; all if none is named.", completion: .units) var names: [String] = []

    static func exitStatus(for refusal: ControlError) -> CommandStatus {
        if case .noSuchUnit = refusal { return .unreachable }
        return .failure
    }

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        try session.showList(watch: watching, names) { session throws(CommandFailure) in
            try Self.fetch(session, names, strict: strict)
        }
    }

    private static func fetch(
        _ session: Session, _ names: [String], strict: Bool
    ) throws(CommandFailure) -> (lines: [String], status: CommandStatus) {
        let (reply, unknown) = try session.askSkippingUnknown(names, refusal: exitStatus(for:)) {
            names throws(CommandFailure) in
            try session.askStatus(names)
        }
        let notes = (reply.notes ?? []).map { session.output.paint("note: ", .red) + Text.harmless($0) }
        let lines = notes + StatusText.lines(reply.units, session.output, localTime: LocalTime.string)
        return (lines, unknown == .ok ? StatusText.exitStatus(reply.units, strict: strict) : unknown)
    }

    /// Runs `status` without arguments.
    static func runWithoutParsing() -> CommandStatus {
        let session = Session(
            path: GlobalOptions.socketPath(option: nil, user: false), json: false, output: Screen(descriptor: 1),
            errors: Screen(descriptor: 2))
        do throws(CommandFailure) {
            let (lines, status) = try fetch(session, [], strict: false)
            session.show(lines)
            return status
        } catch {
            return session.report(error, refusal: exitStatus(for:))
        }
    }
}

struct HistoryCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", abstract: "Show past operations: who, when, what, and the outcome; the newest first.")
    @OptionGroup var global: GlobalOptions
    @OptionGroup var watching: WatchOption
    @Option(name: [.customShort("n"), .long], help: "Largest number of entries; 0 for all.") var lines = 20
    @Argument(help: "A unit; all if none is named.", completion: .units) var name: String?

    func validate() throws {
        if lines < 0 { throw ValidationError("--lines must not be negative.") }
    }

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        try session.showList(watch: watching, name.map { [$0] } ?? []) { session throws(CommandFailure) in
            let reply = try session.ask(.history(name: name, limit: lines == 0 ? nil : lines), HistoryReply.self)
            return (InventoryText.history(reply.entries, session.output, localTime: LocalTime.string), .ok)
        }
    }
}

struct GenerationsCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "generations", abstract: "Show the existing generations.")
    @OptionGroup var global: GlobalOptions
    @OptionGroup var watching: WatchOption
    @Argument(help: "A swap unit; all if none is named.", completion: .units) var name: String?

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        try session.showList(watch: watching, name.map { [$0] } ?? []) { session throws(CommandFailure) in
            let reply = try session.ask(.generations(name: name), GenerationsReply.self)
            return (InventoryText.generations(reply.units, session.output), .ok)
        }
    }
}

struct SocketsCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "sockets",
        abstract: "Show the held sockets, their waiting connections, and the services that have them.")
    static let operands = OperandKind.none
    @OptionGroup var global: GlobalOptions
    @OptionGroup var watching: WatchOption

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        try session.showList(watch: watching) { session throws(CommandFailure) in
            let reply = try session.ask(.sockets, SocketsReply.self)
            return (InventoryText.sockets(reply.sockets, session.output), .ok)
        }
    }
}

struct CatCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "cat", abstract: "Print the files that describe units, drop-ins included.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Units, with or without their suffix.", completion: .units) var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        try forEach(names, session) { name throws(CommandFailure) in
            let reply = try session.ask(.cat(name: name), CatReply.self)
            session.show(InventoryText.cat(reply.files, session.output))
            return .ok
        }
    }
}

struct VersionCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Print the versions of holdfastctl and of the daemon.")
    static let operands = OperandKind.none
    @OptionGroup var global: GlobalOptions

    /// Without a daemon there is still a version to print, so that is no failure.
    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        session.show(["holdfastctl \(Holdfast.version)"])
        do throws(CommandFailure) {
            let daemon = try session.ask(.describe, DescribeReply.self)
            let since = Timestamp.unixSeconds(daemon.startedAt).map(LocalTime.string) ?? daemon.startedAt
            session.show([Text.harmless("holdfastd \(daemon.version), pid \(daemon.pid), since \(since)")])
        } catch {
            guard case .connection = error, !session.json else { throw error }
            session.show(["cannot reach holdfastd at \(session.path)"])
        }
        return .ok
    }
}

/// Points in time in the local time zone.
enum LocalTime {
    /// `2026-11-23 06:02:57`.
    static func string(unixSeconds: Int64) -> String {
        var time = time_t(unixSeconds)
        var parts = tm()
        guard localtime_r(&time, &parts) != nil else { return Timestamp.string(unixSeconds: unixSeconds) }
        let two = Text.twoDigits
        let date = "\(parts.tm_year + 1900)-\(two(Int(parts.tm_mon) + 1))-\(two(Int(parts.tm_mday)))"
        return date + " \(two(Int(parts.tm_hour))):\(two(Int(parts.tm_min))):\(two(Int(parts.tm_sec)))"
    }
}
