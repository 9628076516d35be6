import ArgumentParser
import ControlProtocol
import Glibc
import Linux
import Logging
import Supervisor
import UnitStore

struct Daemon: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "holdfastd",
        abstract: "Supervises services and swaps them without losing a request.",
        discussion: """
            Reads systemd-style unit files, holds their listening sockets, and starts, watches and swaps their services. \
            Stays in the foreground and logs to standard error. SIGTERM drains everything and ends; a second one ends \
            what still drains. SIGHUP reads the unit files again, like "holdfastctl update".
            """,
        version: Holdfast.version)

    @Option(
        name: .long,
        help: ArgumentHelp(
            "A directory with unit files; repeat it, highest precedence first.", valueName: "directory"))
    var units: [String] = []

    @Option(name: .long, help: ArgumentHelp("Control socket and state of this run.", valueName: "directory"))
    var runtimeDir: String?

    @Option(name: .long, help: ArgumentHelp("History and remembered releases.", valueName: "directory"))
    var stateDir: String?

    @Option(name: .long, help: ArgumentHelp("Captured output of services.", valueName: "directory"))
    var logDir: String?

    @Flag(name: .long, help: "Run for one user, with the XDG directories as defaults.")
    var user = false

    @Flag(name: .shortAndLong, help: "Log every state of every service.")
    var verbose = false

    @Option(name: .long, help: .hidden)
    var checkState: Int32?

    func run() throws {
        var environment = Self.environment()
        var configuration = user ? Configuration.user(environment: environment) : Configuration.system
        if !units.isEmpty { configuration.unitDirectories = units.map(Self.absolute) }
        if let runtimeDir { configuration.runtimeDirectory = Self.absolute(runtimeDir) }
        if let stateDir { configuration.stateDirectory = Self.absolute(stateDir) }
        if let logDir { configuration.logDirectory = Self.absolute(logDir) }
        guard configuration.controlSocket.utf8.count < 108 else {
            throw ValidationError(
                "the runtime directory's path is too long for a socket: \(configuration.controlSocket)")
        }
        if let checkState {
            if let problem = StateFile.problem(checkState, configuration, environment) {
                throw ValidationFailure(description: problem)
            }
            return
        }
        // For nobody else: neither services nor a successor are to find a number there that means something else by then.
        unsetenv(StateFile.variable)
        let inherited = environment.removeValue(forKey: StateFile.variable).flatMap(Int32.init)
        // A supervisor with a thousand services needs a descriptor or two for each; its services get the old limit.
        let limit = FileLimit.raise()
        var logger = Logger(label: "holdfastd") { _ in StandardErrorLog() }
        logger.logLevel = verbose ? .debug : .info
        let code: Int32
        do {
            code = try Self.supervise(configuration, environment, limit, inherited, logger)
        } catch {
            logger.critical("cannot start: \(error)")
            throw ExitCode(1)
        }
        throw ExitCode(code)
    }

    private static func supervise(
        _ configuration: Configuration, _ environment: [String: String], _ limit: SpawnPlan.Limit,
        _ inherited: Int32?, _ logger: Logger
    ) throws -> Int32 {
        let loop = try EventLoop()
        let supervisor = try Supervisor(
            loop: loop, configuration: configuration, environment: environment, fileLimit: limit,
            program: Reexecution.ownProgram(), arguments: CommandLine.arguments, inherited: inherited, logger: logger)
        let started = supervisor.assumeIsolated { supervisor in
            Result { () throws(SystemError) in try supervisor.start() }
        }
        try started.get()
        loop.enableWatchdog()
        notifyParent("READY=1")
        MemoryTrim.release()
        return try loop.run()
    }

    private static func absolute(_ path: String) -> String {
        guard !path.hasPrefix("/") else { return path }
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard getcwd(&buffer, buffer.count) != nil else { return path }
        return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self) + "/" + path
    }

    private static func environment() -> [String: String] {
        var result: [String: String] = [:]
        var next = environ
        while let entry = next.pointee {
            let text = String(cString: entry)
            if let equals = text.firstIndex(of: "=") {
                result[String(text[..<equals])] = String(text[text.index(after: equals)...])
            }
            next += 1
        }
        return result
    }
}

/// A sentence that goes to standard error as it is.
struct ValidationFailure: Error, CustomStringConvertible {
    let description: String
}

/// RLIMIT_NOFILE: raised to its hard limit for ourselves.
enum FileLimit {
    /// Answers what it was before, for services.
    static func raise() -> SpawnPlan.Limit {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(UInt32(7)), &limit)
        let before = SpawnPlan.Limit(resource: 7, soft: UInt64(limit.rlim_cur), hard: UInt64(limit.rlim_max))
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(UInt32(7)), &limit)
        return before
    }
}

/// One line a message on standard error; with the priority prefix of sd-daemon(3) if the journal reads it.
struct StandardErrorLog: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .info
    private let isJournal = getenv("JOURNAL_STREAM") != nil

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let prefix = isJournal ? "<\(priority(event.level))>" : level(event.level)
        var text = prefix
        // One line, whatever is in it: neither a second one with a priority of its own nor a terminal's commands.
        for scalar in "\(event.message)".unicodeScalars.prefix(Self.maximumLine) {
            let isControl = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
            text.unicodeScalars.append(isControl ? " " : scalar)
        }
        text += "\n"
        // Standard error may be a pipe whose reader is slow; a daemon that waits for it is worse than a lost line. Asked
        // first and not made non-blocking, which would reach everybody who shares it: a shell, our parent.
        var ready = pollfd(fd: 2, events: Int16(POLLOUT), revents: 0)
        guard poll(&ready, 1, 0) > 0 else { return }
        text.withUTF8 { _ = write(2, $0.baseAddress, min($0.count, Int(PIPE_BUF))) }
    }

    /// With four bytes a scalar what a pipe takes without waiting, once poll(2) says so.
    private static let maximumLine = Int(PIPE_BUF) / 4 - 8

    private func priority(_ level: Logger.Level) -> Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }

    private func level(_ level: Logger.Level) -> String {
        switch level {
        case .trace, .debug: "debug: "
        case .info, .notice: ""
        case .warning: "warning: "
        case .error: "error: "
        case .critical: "fatal: "
        }
    }
}
