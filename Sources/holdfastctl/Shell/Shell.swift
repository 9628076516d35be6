import ArgumentParser
import ControlProtocol
import Glibc

/// `holdfastctl` without a command: a shell with one command a line, as in `supervisorctl`.
struct Shell {
    static let prompt = "holdfast> "
    /// Commands of the shell itself.
    static let builtins = ["exit", "help", "open", "quit"]

    /// Options on the command line of `holdfastctl`, used for every command.
    private var options: [String]
    private var history: ShellHistory

    init(options: [String]) {
        self.options = options
        history = ShellHistory(path: ShellHistory.path(environment: environment))
    }

    /// Runs commands until `quit`, ^D or the end of the input.
    /// - Returns: the exit status of the last command.
    mutating func run() -> CommandStatus {
        guard isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1 else { return runPiped(prompt: nil) }
        Interrupts.install()
        _ = Holdfastctl.start(["status"] + options)
        guard (environment("TERM") ?? "dumb") != "dumb" else { return runPiped(prompt: Self.prompt) }
        Resizes.install()
        var status = CommandStatus.ok
        while true {
            let options = self.options
            let reader = LineReader { words in ShellCompletion.candidates(words, options: options) }
            switch reader.read(prompt: Self.prompt, history: history.lines) {
            case .end: return status
            case .interrupted: continue
            case .text(let line):
                history.add(line)
                guard let next = perform(line) else { return status }
                status = next
            }
        }
    }

    /// Runs lines from a pipe, a file, or a terminal without line editing.
    private mutating func runPiped(prompt: String?) -> CommandStatus {
        var status = CommandStatus.ok
        while true {
            if let prompt { emit(prompt) }
            guard let line = readLine(strippingNewline: true) else {
                if prompt != nil { emit("\n") }
                return status
            }
            guard let next = perform(line) else { return status }
            status = next
        }
    }

    /// Runs one line.
    /// - Returns: its exit status; nil to leave the shell.
    private mutating func perform(_ line: String) -> CommandStatus? {
        var words: [String]
        do throws(CommandWords.Unfinished) {
            words = try CommandWords.split(line)
        } catch {
            printError("the closing \(error.quote) is missing")
            return .badInvocation
        }
        // The line may have been copied from a manual.
        if words.first == "holdfastctl" { words.removeFirst() }
        guard let command = words.first, !command.hasPrefix("#") else { return .ok }
        Interrupts.clear()
        switch command {
        case "quit", "exit": return nil
        case "?": return Holdfastctl.start(["help"] + words.dropFirst())
        case "help" where words.count == 1:
            emit(Self.help(Screen(descriptor: STDOUT_FILENO)))
            return .ok
        case "open":
            guard words.count == 2 else {
                printError("open: expected the path of a control socket")
                return .badInvocation
            }
            options = ["--socket", words[1]]
            return Holdfastctl.start(["status"] + options)
        default: return Holdfastctl.start(words + options)
        }
    }

    /// The commands in columns, as in supervisorctl.
    static func help(_ screen: Screen) -> String {
        let names = (Holdfastctl.commandNames + builtins).sorted()
        let lines = Text.inColumns(names, screen.width ?? 80)
        return "Commands (help NAME shows the details):\n" + lines.joined(separator: "\n") + "\n"
    }
}

/// Completion on Tab in the shell's line.
enum ShellCompletion {
    static func candidates(_ words: [String], options: [String]) -> [String] {
        guard let typed = words.last, let command = words.first, words.count > 1 else {
            return Holdfastctl.commandNames + Shell.builtins
        }
        if command == "help" { return Holdfastctl.commandNames }
        if typed.hasPrefix("-") { return optionNames(of: command) }
        let before = words[words.count - 2]
        if before == "--for" { return WaitCommand.Goal.allCases.map(\.rawValue) }
        if command == "signal", words.filter({ !$0.hasPrefix("-") }).count == 2 { return signals }
        guard let operands = Holdfastctl.command(named: command)?.operands, operands != .none else { return [] }
        let path = socketPath(words + options)
        return UnitCompletion.candidates(path: path, prefix: typed) + (operands == .unitsOrAll ? ["all"] : [])
    }

    static let signals = ["HUP", "INT", "QUIT", "USR1", "USR2", "TERM", "KILL", "CONT", "STOP", "WINCH"]

    /// The options of a command, such as `--strict`, from the parser's help text.
    static func optionNames(of command: String) -> [String] {
        guard let type = Holdfastctl.command(named: command) else { return [] }
        let help = type.helpMessage(columns: 200)
        var names: Set<String> = []
        for word in help.split(whereSeparator: { " \n\t,[]/()=<>".contains($0) }) where word.hasPrefix("--") {
            let name = word.prefix { $0.isLetter || $0 == "-" }
            if name.count > 2 { names.insert(String(name)) }
        }
        return names.sorted()
    }

    private static func socketPath(_ words: [String]) -> String {
        var option: String?
        for (index, word) in words.enumerated() where word == "--socket" && index + 1 < words.count {
            option = words[index + 1]
        }
        return GlobalOptions.socketPath(option: option, user: words.contains("--user"))
    }
}
