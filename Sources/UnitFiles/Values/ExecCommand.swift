/// One command line of an `Exec...=` directive (systemd.service(5), "Command lines").
public struct ExecCommand: Sendable, Hashable {
    /// The special characters before the program.
    public struct Prefixes: Sendable, Hashable {
        /// The parts of the service's credentials and restrictions that apply.
        public enum Privileges: Sendable, Hashable {
            /// All of them.
            case restricted
            /// `+`: none.
            case full
            /// `!`: all except user and group.
            case keepUser
            /// `!!`: like `!` where the kernel has no ambient capabilities.
            case ambient
        }
        /// `-`: a failure counts as success.
        public var ignoreFailure = false
        /// `:`: no `$` expansion.
        public var literal = false
        public var privileges = Privileges.restricted

        public init(ignoreFailure: Bool = false, literal: Bool = false, privileges: Privileges = .restricted) {
            self.ignoreFailure = ignoreFailure
            self.literal = literal
            self.privileges = privileges
        }
    }

    public var prefixes: Prefixes
    /// An absolute path, or a name without slashes that is looked up when the command runs.
    public var path: String
    /// `@`: the program's argv[0]; nil means `path`.
    public var argv0: String?
    /// Arguments without argv[0]; specifiers are replaced, `$` is not yet.
    public var arguments: [String]
    /// The place of the command.
    public var location: SourceLocation

    public init(
        prefixes: Prefixes = Prefixes(), path: String, argv0: String? = nil, arguments: [String] = [],
        location: SourceLocation = SourceLocation(file: "")
    ) {
        self.prefixes = prefixes
        self.path = path
        self.argv0 = argv0
        self.arguments = arguments
        self.location = location
    }

    /// The argument vector, including argv[0], with `$VAR`, `${VAR}` and `$$` replaced.
    ///
    /// `$VAR` as a word of its own is split at white space and may vanish (quotes in the value are respected and
    /// removed); `${VAR}` is replaced inside a word. Unset variables are empty. The program itself is never a variable.
    public func expanded(with environment: [String: String]) -> [String] {
        var result = [argv0 ?? path]
        for argument in arguments {
            if prefixes.literal || !argument.utf8.contains(UInt8(ascii: "$")) {
                result.append(argument)
            } else if let name = Self.wholeVariable(argument) {
                result += Self.split(environment[name] ?? "")
            } else {
                result.append(Self.replaceVariables(argument, environment))
            }
        }
        return result
    }

    /// The variable that is the whole word. systemd 252 treats any word that starts with a single `$` as a variable.
    private static func wholeVariable(_ word: String) -> String? {
        guard word.hasPrefix("$"), word.utf8.count > 1 else { return nil }
        let second = word.utf8[word.utf8.index(after: word.utf8.startIndex)]
        guard second != UInt8(ascii: "{"), second != UInt8(ascii: "$") else { return nil }
        return String(word.dropFirst())
    }

    private static func split(_ value: String) -> [String] {
        // Relaxed splitting accepts every text: quotes may stay open, and no escape can produce bytes that are not
        // UTF-8.
        ((try? WordReader.words(value, escapes: .relaxed)) ?? []).map(\.text)
    }

    private static func replaceVariables(_ word: String, _ environment: [String: String]) -> String {
        let bytes = Array(word.utf8)
        var result: [UInt8] = []
        var index = 0
        while index < bytes.count {
            guard bytes[index] == UInt8(ascii: "$"), index + 1 < bytes.count else {
                result.append(bytes[index])
                index += 1
                continue
            }
            if bytes[index + 1] == UInt8(ascii: "$") {
                result.append(bytes[index])
                index += 2
            } else if bytes[index + 1] == UInt8(ascii: "{"),
                let close = bytes[index...].firstIndex(of: UInt8(ascii: "}"))
            {
                let name = Ascii.string(bytes[(index + 2)..<close])
                result.append(contentsOf: (environment[name] ?? "").utf8)
                index = close + 1
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return Ascii.string(result)
    }
}

/// Reads the value of an `Exec...=` directive.
struct ExecCommandReader {
    /// The commands, in order; several are separated by a bare `;`.
    private(set) var commands: [ExecCommand] = []
    /// Offsets of escapes that are not in the table of systemd.syntax(7).
    private(set) var unknownEscapes: [Int] = []

    init(_ assignment: Assignment, _ expander: SpecifierExpander) throws(ValueError) {
        var reader = WordReader(assignment.value)
        while let first = try reader.next() {
            // As under systemd, two separators with nothing between them make no command.
            if first.text == ";", !first.wasQuoted { continue }
            var (prefixes, ownName, rest) = try Self.prefixes(first)
            rest.text = try expander.expand(rest)
            let path = try Self.program(rest)
            var command = ExecCommand(
                prefixes: prefixes, path: path, location: assignment.location(at: first.offset))
            // The program's argv[0] is its name as written.
            if path != rest.text { command.argv0 = rest.text }
            if ownName {
                guard !reader.skipSeparator(";"), let word = try reader.next() else {
                    throw ValueError(
                        "expected the name for argv[0] after the program, because of \"@\"", at: rest.offset)
                }
                command.argv0 = try expander.expand(word)
            }
            while !reader.skipSeparator(";") {
                if reader.skipSeparator("\\;") {
                    command.arguments.append(";")
                    continue
                }
                guard let word = try reader.next() else { break }
                command.arguments.append(try expander.expand(word))
            }
            commands.append(command)
        }
        unknownEscapes = reader.unknownEscapes
    }

    private static func prefixes(
        _ word: Word
    ) throws(ValueError) -> (ExecCommand.Prefixes, ownName: Bool, rest: Word) {
        var prefixes = ExecCommand.Prefixes()
        var ownName = false
        var used = 0
        loop: for byte in word.text.utf8 {
            switch byte {
            case UInt8(ascii: "-") where !prefixes.ignoreFailure: prefixes.ignoreFailure = true
            case UInt8(ascii: "@") where !ownName: ownName = true
            case UInt8(ascii: ":") where !prefixes.literal: prefixes.literal = true
            case UInt8(ascii: "+") where prefixes.privileges == .restricted: prefixes.privileges = .full
            case UInt8(ascii: "!") where prefixes.privileges == .restricted: prefixes.privileges = .keepUser
            case UInt8(ascii: "!") where prefixes.privileges == .keepUser: prefixes.privileges = .ambient
            default: break loop
            }
            used += 1
        }
        let rest = String(word.text.utf8.dropFirst(used)) ?? ""
        guard !rest.isEmpty else { throw ValueError("expected a program after the prefix", at: word.offset) }
        return (prefixes, ownName, Word(rest, offset: word.offset + used))
    }

    private static func program(_ word: Word) throws(ValueError) -> String {
        let text = word.text
        guard !text.isEmpty else { throw ValueError("expected a program", at: word.offset) }
        guard !Ascii.hasControlCharacter(text) else {
            throw ValueError("the program's name contains control characters", at: word.offset)
        }
        guard text.utf8.last != UInt8(ascii: "/") else {
            throw ValueError("expected a program, not the directory \"\(text)\"", at: word.offset)
        }
        if text.utf8.first == UInt8(ascii: "/") {
            guard text.utf8.count < 4096 else {
                throw ValueError("the path is longer than 4095 bytes", at: word.offset)
            }
            guard text.utf8.split(separator: UInt8(ascii: "/")).allSatisfy({ $0.count <= 255 }) else {
                throw ValueError("a component of the path is longer than 255 bytes", at: word.offset)
            }
            return Value.simplified(text)
        }
        guard !text.utf8.contains(UInt8(ascii: "/")), text != ".", text != "..", text.utf8.count <= 255 else {
            throw ValueError("expected an absolute path or a plain name, not \"\(text)\"", at: word.offset)
        }
        return text
    }
}
