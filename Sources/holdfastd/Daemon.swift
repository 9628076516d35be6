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

    @Option(name: .long, help: .hidden)
    var checkCondition: [String] = []

    func run() throws {
        var environment = Self.environment()
        var configuration = user ? Configuration.user(environment: environment) : Configuration.system
        if !units.isEmpty { configuration.unitDirectories = try units.map(Self.absolute) }
        if let runtimeDir { configuration.runtimeDirectory = try Self.absolute(runtimeDir) }
        configuration.runtimeDirectory = Self.resolved(configuration.runtimeDirectory)
        if let stateDir { configuration.stateDirectory = try Self.absolute(stateDir) }
        if let logDir { configuration.logDirectory = try Self.absolute(logDir) }
        guard configuration.controlSocket.utf8.count < 108 else {
            throw ValidationError(
                "the runtime directory's path is too long for a socket: \(configuration.controlSocket)")
        }
        if let multibinder { configuration.multibinderSocket = try Self.absolute(multibinder) }
        if let checkState {
            if let problem = StateFile.problem(checkState, configuration, environment) {
                throw ValidationFailure(description: problem)
            }
            return
        }
        if !checkCondition.isEmpty { return Self.check(checkCondition) }
        // Removed, because by then the number means another descriptor to a service or successor that reads it.
        unsetenv(StateFile.variable)
        let inherited = environment.removeValue(forKey: StateFile.variable).flatMap(Int32.init)
        // The numbers of descriptors that systemd stored for us (`ManagerStore`): a successor in this process, with
        // this pid, would take any descriptors open under them for its own.
        for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { environment[name] = nil }
        // The state names the descriptors that an earlier program of this process has passed on.
        if inherited == nil { StarterTraits.closeUnknownDescriptors() }
        let arguments = try Self.absoluteArguments()
        // A working directory elsewhere would keep its file system busy.
        chdir("/")
        // A supervisor with a thousand services needs a descriptor or two for each; its services get the old limits.
        let limits = OwnLimits.raise()
        let file = MainLogFile(
            configuration.logDirectory + "/holdfastd.log", group: configuration.logReaders)
        var logger = Logger(label: "holdfastd") { _ in MainLog(file: file) }
        logger.logLevel = verbose ? .debug : .info
        let code: Int32
        do {
            code = try Self.supervise(configuration, environment, arguments, limits, inherited, logger)
        } catch {
            logger.critical("cannot start: \(error)")
            throw ExitCode(1)
        }
        throw ExitCode(code)
    }

    /// Looks at conditions for a supervisor that must not wait for the answers.
    private static func check(_ conditions: [String]) {
        let host = ConditionEvaluator(environment: [:])
        for text in conditions { print(host.holds(text) ? "1" : "0") }
    }

    private static func supervise(
        _ configuration: Configuration, _ environment: [String: String], _ arguments: [String],
        _ limits: [SpawnPlan.Limit], _ inherited: Int32?, _ logger: Logger
    ) throws -> Int32 {
        let loop = try EventLoop()
        let supervisor = try SupervisorActor(
            loop: loop, configuration: configuration, environment: environment, limits: limits,
            program: Reexecution.ownProgram(), arguments: arguments, inherited: inherited, logger: logger)
        let started = supervisor.assumeIsolated { supervisor in
            Result { () throws(SystemError) in try supervisor.start() }
        }
        try started.get()
        loop.enableWatchdog()
        notifyParent("READY=1")
        return try loop.run()
    }

    /// The command line for a successor, whose working directory is "/".
    private static func absoluteArguments() throws -> [String] {
        let options = ["--units", "--runtime-dir", "--state-dir", "--log-dir", "--multibinder"]
        var result: [String] = []
        for argument in CommandLine.arguments {
            if let last = result.last, options.contains(last) {
                result.append(try absolute(argument))
            } else if let option = options.first(where: { argument.hasPrefix($0 + "=") }) {
                result += [option, try absolute(String(argument.dropFirst(option.count + 1)))]
            } else {
                result.append(argument)
            }
        }
        return result
    }

    private static func absolute(_ path: String) throws -> String {
        guard !path.hasPrefix("/") else { return path }
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard getcwd(&buffer, buffer.count) != nil else {
            throw ValidationError("\(path) is relative to a working directory that does not exist any more")
        }
        return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self) + "/" + path
    }

    /// The path without links: control groups have their names from it, by which a successor finds what runs.
    private static func resolved(_ path: String) -> String {
        if let real = realpath(path, nil) {
            defer { free(real) }
            return String(cString: real)
        }
        // A directory that is made at the start.
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return path }
        return resolved(String(path[..<slash])) + path[slash...]
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

/// An error whose sentence is printed on standard error unchanged.
struct ValidationFailure: Error, CustomStringConvertible {
    let description: String
}
