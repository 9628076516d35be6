import ArgumentParser
import ControlProtocol
import Glibc
import Linux
import UnitStore

/// The directory option of commands that read logs.
struct LogOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("The log directory, if the daemon cannot be reached.", valueName: "directory"))
    var logDir: String?

    /// The directory that the daemon reports, else the standard one: logs can be read also while the daemon is down.
    func directory(_ session: Session, _ global: GlobalOptions) -> LogDirectory {
        if let logDir { return LogDirectory(path: logDir) }
        if let reply = try? session.quiet.ask(.describe, DescribeReply.self) {
            return LogDirectory(path: reply.logDirectory)
        }
        let isUser = global.user || geteuid() != 0 && session.path != Configuration.system.controlSocket
        return LogDirectory(
            path: isUser
                ? Configuration.user(environment: userEnvironment).logDirectory : Configuration.system.logDirectory)
    }

    private var userEnvironment: [String: String] {
        let names = ["HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME"]
        return Dictionary(uniqueKeysWithValues: names.compactMap { name in environment(name).map { (name, $0) } })
    }
}

struct LogsCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs", abstract: "Show the output of services, merged by time.",
        discussion: """
            Names are units, groups, GROUP:*, patterns ("app*") or all. Each line shows its time, its unit with the \
            generation, and "|" for standard output, "!" for standard error, "=" for messages of Holdfast. \
            Rotated files are included. With --follow, ^C ends with status 130.

            Examples:
              holdfastctl logs -f site                    output of site, also after its next swap
              holdfastctl logs --since -10min --grep 502  recent lines with 502
            """)
    @OptionGroup var global: GlobalOptions
    @OptionGroup var options: LogOptions
    @Flag(name: .shortAndLong, help: "Print new lines as they are written, over rotations and swaps.") var follow =
        false
    @Option(
        name: [.customShort("n"), .long],
        help: "Number of lines, or \"all\". Default: 100, with --follow 10, with --since all.")
    var lines: String?
    @Option(
        parsing: .unconditional,
        help: "Lines since this time: \"2026-01-02 03:04:05\", \"03:04\", today, -10min, \"2h ago\".")
    var since: String?
    @Option(parsing: .unconditional, help: "Lines before this time.") var until: String?
    @Option(help: "Lines of this generation only.") var generation: Int?
    @Option(parsing: .unconditional, help: "Only lines that match this extended regular expression.") var grep: String?
    @Flag(name: .shortAndLong, help: "Ignore case in --grep.") var ignoreCase = false
    @Option(help: "Lines of one stream only: out or err.") var stream: String?
    @Option(name: .shortAndLong, help: "short, cat (only the text) or json.") var output = "short"
    @Argument(help: "Units, groups or patterns; all if none is named.") var names: [String] = []

    func validate() throws {
        if let lines, lines != "all", Int(lines).map({ $0 < 0 }) ?? true {
            throw ValidationError("--lines takes a number or \"all\", not \"\(lines)\".")
        }
        if let stream, !["out", "err", "log"].contains(stream) {
            throw ValidationError("--stream takes out or err, not \"\(stream)\".")
        }
        if LogText.Format(rawValue: output) == nil {
            throw ValidationError("--output takes short, cat or json, not \"\(output)\".")
        }
        _ = try filter()
    }

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let directory = options.directory(session, global)
        let status = (try? session.quiet.ask(.status(names: nil), StatusReply.self))?.units ?? []
        let files = try reading { () throws(SystemError) in try directory.units() }
        let selection = try LogSelection(names, status: status, files: files)
        guard let filter = try? filter() else { return .badInvocation }
        let format = session.json ? .json : LogText.Format(rawValue: output) ?? .short
        let isOne = selection.units.count <= 1 && !selection.patterns.contains { $0.contains("*") }
        var view = LogView(
            directory: directory, selection: selection, filter: filter,
            text: LogText(format, session.output, showsUnit: !isOne))
        for unit in selection.units where isOne && !files.contains(unit) {
            printError(Self.noFile(unit))
        }
        return try reading { () throws(SystemError) in
            if follow { return try view.follow(count(10)) }
            try view.show(count(100))
            return .ok
        }
    }

    static func noFile(_ unit: String) -> String {
        let unit = Text.harmless(unit)
        return "\(unit): no log file; if it prints to the journal: journalctl HOLDFAST_UNIT=\(unit)"
    }

    /// The number of lines; nil for all.
    private func count(_ usual: Int) -> Int? {
        guard let lines else { return since == nil ? usual : nil }
        return lines == "all" ? nil : Int(lines)
    }

    private func filter() throws -> LogFilter {
        var filter = LogFilter()
        filter.since = try moment(since, "--since")
        filter.until = try moment(until, "--until")
        filter.generation = generation
        filter.stream = stream
        if let grep {
            var reason = ""
            guard let pattern = RegularExpression(grep, ignoreCase: ignoreCase, reason: &reason) else {
                throw ValidationError("--grep: \(reason): \"\(grep)\".")
            }
            filter.pattern = pattern
        }
        return filter
    }

    private func moment(_ text: String?, _ option: String) throws -> Int64? {
        guard let text else { return nil }
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        let now = Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
        guard let moment = PointInTime.parse(text, now: now) else {
            throw ValidationError(
                "\(option) takes a time such as \"2026-01-02 03:04:05\", \"03:04\", today or \"10min ago\", not \"\(text)\"."
            )
        }
        return moment
    }
}

/// Turns an error of log files into a failure of the command.
func reading<T>(_ body: () throws(SystemError) -> T) throws(CommandFailure) -> T {
    do throws(SystemError) {
        return try body()
    } catch {
        let hint = error.errno == .permissionDenied ? " (root and group holdfast-read may read logs)" : ""
        throw .failed("\(error)\(hint)")
    }
}
