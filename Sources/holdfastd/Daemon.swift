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
            what still drains. SIGHUP reads the unit files again, like "holdfastctl reread".
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

    @Option(
        name: .long,
        help: ArgumentHelp("Speak multibinder's protocol on a Unix socket at this path.", valueName: "path"))
    var multibinder: String?

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
        configuration.multibinderSocket = multibinder.map(Self.absolute)
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
        // The numbers of descriptors that systemd kept for us (`ManagerStore`): a successor in this process, with this pid, would
        // take whatever is open under them for its own.
        for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { environment[name] = nil }
        // A supervisor with a thousand services needs a descriptor or two for each; its services get the old limit.
        let limit = FileLimit.raise()
        let file = MainLogFile(
            configuration.logDirectory + "/holdfastd.log", group: Supervisor.readers(of: configuration))
        var logger = Logger(label: "holdfastd") { _ in MainLog(file: file) }
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
