/// The file that `EnvironmentFile=` names (systemd.exec(5)): shell-like assignments, without a shell's expansions.
public enum EnvironmentFile {
    private enum State {
        case beforeKey, key, beforeValue, value, valueEscape, singleQuoted, doubleQuoted, doubleEscape, comment
    }

    /// The assignments in order (a later one of the same name wins), and what was skipped. Locations use `path`.
    public static func parse(
        _ text: String, path: String
    ) -> (assignments: [EnvironmentAssignment], diagnostics: [Diagnostic]) {
        guard text.utf8.count <= UnitFileLimits.fileSize else {
            let message = "the file has \(text.utf8.count) bytes, at most \(UnitFileLimits.fileSize) are read"
            return ([], [Diagnostic(.error, .fileTooLarge, at: SourceLocation(file: path), message)])
        }
        var reader = Reader(path: path)
        for byte in text.utf8 { reader.take(byte) }
        reader.finish()
        return (reader.assignments, reader.diagnostics)
    }

    /// A state machine over bytes; unquoted, single and double quoted pieces of a value follow each other.
    private struct Reader {
        let path: String
        var assignments: [EnvironmentAssignment] = []
        var diagnostics: [Diagnostic] = []
        private var state = State.beforeKey
        private var line = 1
        private var keyLine = 1
        private var key: [UInt8] = []
        private var value: [UInt8] = []
        /// Length of `value` up to the last byte that trimming may not take.
        private var kept = 0

        init(path: String) { self.path = path }

        mutating func take(_ byte: UInt8) {
            defer { if byte == Ascii.newline { line += 1 } }
            switch state {
            case .beforeKey:
                if byte == UInt8(ascii: "#") || byte == UInt8(ascii: ";") {
                    state = .comment
                } else if !Ascii.isSpace(byte) {
                    state = .key
                    keyLine = line
                    key = [byte]
                    value = []
                    kept = 0
                }
            case .key:
                if byte == Ascii.newline {
                    report("expected NAME=value, the line is ignored")
                    state = .beforeKey
                } else if byte == UInt8(ascii: "=") {
                    state = .beforeValue
                } else {
                    key.append(byte)
                }
            case .beforeValue: beforeValue(byte)
            case .value:
                if byte == Ascii.newline {
                    finishAssignment()
                } else if byte == Ascii.backslash {
                    state = .valueEscape
                } else {
                    value.append(byte)
                    if !Ascii.isSpace(byte) { kept = value.count }
                }
            case .valueEscape:
                state = .value
                if byte != Ascii.newline { keep(byte) }
            case .singleQuoted:
                if byte == UInt8(ascii: "'") { state = .beforeValue } else { keep(byte) }
            case .doubleQuoted:
                if byte == UInt8(ascii: "\"") {
                    state = .beforeValue
                } else if byte == Ascii.backslash {
                    state = .doubleEscape
                } else {
                    keep(byte)
                }
            case .doubleEscape:
                state = .doubleQuoted
                // Only what a shell would have to escape there loses its backslash.
                if byte == UInt8(ascii: "\"") || byte == Ascii.backslash || byte == UInt8(ascii: "$")
                    || byte == UInt8(ascii: "`")
                {
                    keep(byte)
                } else if byte != Ascii.newline {
                    keep(Ascii.backslash)
                    keep(byte)
                }
            case .comment:
                if byte == Ascii.newline { state = .beforeKey }
            }
        }

        private mutating func beforeValue(_ byte: UInt8) {
            switch byte {
            case Ascii.newline: finishAssignment()
            case UInt8(ascii: "'"): state = .singleQuoted
            case UInt8(ascii: "\""): state = .doubleQuoted
            case Ascii.backslash: state = .valueEscape
            case _ where Ascii.isSpace(byte): break
            default:
                state = .value
                keep(byte)
            }
        }

        mutating func finish() {
            switch state {
            case .beforeKey, .comment: break
            case .key: report("expected NAME=value, the line is ignored")
            case .beforeValue, .value, .valueEscape: finishAssignment()
            case .singleQuoted, .doubleQuoted, .doubleEscape:
                report("the quotation mark of this value has no partner, the value ends with the file")
                finishAssignment()
            }
        }

        private mutating func keep(_ byte: UInt8) {
            value.append(byte)
            kept = value.count
        }

        private mutating func finishAssignment() {
            state = .beforeKey
            let name = Ascii.trimmed(Ascii.string(key))
            value.removeLast(value.count - kept)
            guard EnvironmentAssignment.isValidName(name) else {
                return report("\"\(name.prefix(64))\" is not the name of a variable, the line is ignored")
            }
            guard !value.contains(0), let text = String(validating: value, as: UTF8.self) else {
                return report("the value of \(name) contains NUL, the line is ignored")
            }
            assignments.append(EnvironmentAssignment(name: name, value: text))
        }

        private mutating func report(_ message: String) {
            guard diagnostics.count < UnitFileLimits.diagnosticsPerFile else { return }
            let location = SourceLocation(file: path, line: keyLine, column: 1)
            diagnostics.append(Diagnostic(.warning, .invalidSyntax, at: location, message))
        }
    }
}
