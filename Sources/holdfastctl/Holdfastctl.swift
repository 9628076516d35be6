import ArgumentParser
import ControlProtocol
import Glibc

/// The root of the command line.
struct Holdfastctl: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "holdfastctl",
        abstract: "Control Holdfast: start, stop and swap services without losing a request.",
        discussion: """
            Without a command, starts an interactive shell.

            Examples:
              holdfastctl status                 units and their states
              holdfastctl swap site@v3           swap site to release v3
              holdfastctl swap --hold site@v3    the same, but pause before cutover
              holdfastctl promote site           continue the held swap
              holdfastctl rollback site          swap back to the previous release
              holdfastctl history site           past operations and their outcomes

            Exit codes:
              0    success (also if nothing had to be done)
              1    any other failure; an unknown command or unit
              2    invalid command line
              3    status: a listed unit has failed or is crash-looping
              4    the daemon cannot be reached; status: unknown unit
              5    not begun: the supervisor ended first; try again
              6    outcome unknown: the supervisor ended during the request
              7    a start failed, or a swap was rolled back or aborted
              8    a swap was cut over, but the new generation no longer serves
              130  ^C; operations continue
            """,
        version: "holdfastctl \(Holdfast.version)",
        // One subcommand a line, so that parallel changes do not conflict.
        subcommands: [
            StatusCommand.self,
            StartCommand.self,
            StopCommand.self,
            RestartCommand.self,
            ReloadCommand.self,
            SignalCommand.self,
            PidCommand.self,
            SwapCommand.self,
            PromoteCommand.self,
            AbortCommand.self,
            RollbackCommand.self,
            DrainCommand.self,
            AdoptCommand.self,
            HistoryCommand.self,
            GenerationsCommand.self,
            SocketsCommand.self,
            VerifyCommand.self,
            CatCommand.self,
            RereadCommand.self,
            UpdateCommand.self,
            AddCommand.self,
            RemoveCommand.self,
            ResetFailedCommand.self,
            AvailCommand.self,
            EditCommand.self,
            DependenciesCommand.self,
            TopCommand.self,
            WhyCommand.self,
            ShowCommand.self,
            EventsCommand.self,
            WaitCommand.self,
            ShutdownCommand.self,
            VersionCommand.self,
            ReexecCommand.self,
            ReloadDaemonCommand.self,
            ImportCommand.self,
            LogsCommand.self,
            TailCommand.self,
            MaintailCommand.self,
            ClearCommand.self,
            ForegroundCommand.self,
            EnableCommand.self,
            DisableCommand.self,
            IsEnabledCommand.self,
            MaskCommand.self,
            UnmaskCommand.self,
            PauseCommand.self,
            ResumeCommand.self,
        ])

    @OptionGroup var global: GlobalOptions

    /// Runs one command.
    /// - Parameter arguments: the command line without the program's name.
    static func start(_ arguments: [String]) -> CommandStatus {
        let ordered = numericOption(globalOptionsLast(arguments))
        // Only options that every command has: there is no command, so the shell starts.
        if ordered.isEmpty || isGlobalOptions(ordered) {
            var shell = Shell(options: ordered)
            return shell.run()
        }
        if let command = ordered.first, !command.hasPrefix("-"), command != "help", !commandNames.contains(command) {
            let nearest = nearestName(to: command, in: commandNames)
            printError("unknown command: \(command)" + (nearest.map { " (did you mean \($0)?)" } ?? ""))
            return .failure
        }
        // Monitoring calls this again and again: there is nothing to parse, and the parser takes longer than the rest.
        if ordered == ["status"] { return StatusCommand.runWithoutParsing() }
        do {
            var command = try parseAsRoot(ordered)
            guard let known = command as? any ControlCommand else {
                try command.run()
                return .ok
            }
            return known.perform()
        } catch {
            let text = fullMessage(for: error)
            if exitCode(for: error) == .success {
                emit(text + "\n")
                return .ok
            }
            emit(text + "\n", to: 2)
            return .badInvocation
        }
    }

    static let commandNames = configuration.subcommands.compactMap { $0.configuration.commandName }

    static func command(named name: String) -> (any ControlCommand.Type)? {
        configuration.subcommands.first { $0.configuration.commandName == name } as? any ControlCommand.Type
    }

    /// Turns `tail -100` into `tail --bytes 100`, which the parser knows.
    static func numericOption(_ arguments: [String]) -> [String] {
        guard let command = arguments.first, command == "tail" || command == "maintail" else { return arguments }
        return arguments.flatMap { argument in
            let number = argument.dropFirst()
            return argument.hasPrefix("-") && !number.isEmpty && number.allSatisfy(\.isNumber)
                ? ["--bytes", String(number)] : [argument]
        }
    }

    /// Turns `--socket X status` into `status --socket X`: the parser wants options after the command.
    static func globalOptionsLast(_ arguments: [String]) -> [String] {
        var index = 0
        while index < arguments.count, arguments[index].hasPrefix("-") {
            switch arguments[index] {
            case "--socket": index += 2
            case "--user", "--json": index += 1
            case let option where option.hasPrefix("--socket="): index += 1
            default: return arguments
            }
        }
        guard index > 0, index < arguments.count else { return arguments }
        return [arguments[index]] + arguments[..<index] + arguments[(index + 1)...]
    }

    private static func isGlobalOptions(_ arguments: [String]) -> Bool {
        var rest = ArraySlice(arguments)
        while let option = rest.popFirst() {
            switch option {
            case "--user": continue
            case "--socket": guard rest.popFirst() != nil else { return false }
            default: guard option.hasPrefix("--socket=") else { return false }
            }
        }
        return true
    }

    /// The name that differs in the fewest letters; nil if none is near enough to be a misspelling.
    static func nearestName(to name: String, in names: [String]) -> String? {
        func distance(_ a: [Character], _ b: [Character]) -> Int {
            var row = Array(0...b.count)
            for (i, x) in a.enumerated() {
                var diagonal = row[0]
                row[0] = i + 1
                for (j, y) in b.enumerated() {
                    let above = row[j + 1]
                    row[j + 1] = min(diagonal + (x == y ? 0 : 1), above + 1, row[j] + 1)
                    diagonal = above
                }
            }
            return row[b.count]
        }
        let typed = Array(name.prefix(40))
        let best = names.map { (name: $0, distance: distance(typed, Array($0))) }.min { $0.distance < $1.distance }
        return best.flatMap { $0.distance <= max(1, $0.name.count / 3) ? $0.name : nil }
    }
}

/// The options that every command has.
struct GlobalOptions: ParsableArguments {
    @Option(help: "The control socket. Default: $HOLDFAST_SOCKET, else the standard path.")
    var socket: String?

    @Flag(help: "Use the supervisor of this user.")
    var user = false

    @Flag(help: "Print the protocol's JSON instead of text; streams print one object per line.")
    var json = false

    /// The control socket from the options, the environment and the standard paths.
    func socketPath() -> String { Self.socketPath(option: socket, user: user) }

    static func socketPath(option: String?, user: Bool) -> String {
        SocketPath.choose(
            option: option, user: user, environment: environment, isRoot: geteuid() == 0,
            exists: { access($0, F_OK) == 0 })
    }
}

/// A command that calls the daemon, or works without it, and ends with one of our exit statuses.
protocol ControlCommand: ParsableCommand {
    var global: GlobalOptions { get }
    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus
    /// The exit status for a refusal; `status` has its own.
    static func exitStatus(for refusal: ControlError) -> CommandStatus
    /// The operands that the shell completes.
    static var operands: OperandKind { get }
}

/// The operands of a command, for completion.
enum OperandKind {
    /// None, or no units.
    case none
    case units
    /// Units, or `all`.
    case unitsOrAll
}

extension ControlCommand {
    static func exitStatus(for refusal: ControlError) -> CommandStatus { .failure }
    static var operands: OperandKind { .units }

    func perform() -> CommandStatus {
        let session = Session(
            path: global.socketPath(), json: global.json, output: Screen(descriptor: 1), errors: Screen(descriptor: 2))
        do throws(CommandFailure) {
            return try execute(session)
        } catch {
            return session.report(error, refusal: Self.exitStatus(for:))
        }
    }

    /// Calls `body` for each name in turn, and continues after a failure: the units are independent.
    /// - Returns: the first exit status that is not 0.
    /// - Parameter untilFailure: end at the first failure.
    func forEach(
        _ names: [String], _ session: Session, untilFailure: Bool = false,
        _ body: (String) throws(CommandFailure) -> CommandStatus
    ) throws(CommandFailure) -> CommandStatus {
        var status = CommandStatus.ok
        for name in names {
            var one: CommandStatus
            do throws(CommandFailure) {
                one = try body(name)
            } catch {
                switch error {
                case .refused, .uncertain: one = session.report(error, refusal: Self.exitStatus(for:))
                case .connection, .failed, .unexpected, .interrupted, .local: throw error
                }
            }
            if status == .ok { status = one }
            if untilFailure, status != .ok { break }
        }
        return status
    }
}
