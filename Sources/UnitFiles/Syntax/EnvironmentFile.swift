/// Parser of the files named by `EnvironmentFile=` (systemd.exec(5)): shell-like assignments without a shell's
/// expansions.
///
/// Where the manual page is silent, it does the same as systemd 252 (its parse_env_file_internal());
/// Tests/Differential/environment.json records the results of systemd for 60 files.
public enum EnvironmentFile {
    private enum State {
        case beforeKey, key, beforeValue, value, valueEscape, singleQuoted, doubleQuoted, doubleEscape
        case comment, commentEscape
    }

    /// The assignments in order (a later one of the same name wins), and a diagnostic for every ignored line. Locations
    /// use `path`. As under systemd, an assignment that is not UTF-8, or a NUL anywhere, invalidates the whole file.
    public static func parse(
        _ text: String, path: String
    ) throws(UnitFileReadError) -> (assignments: [EnvironmentAssignment], diagnostics: [Diagnostic]) {
        guard text.utf8.count <= UnitFileLimits.fileSize else { throw .tooLarge(text.utf8.count) }
        var text = text
        var reader = Reader(path: path)
        text.withUTF8 { bytes in
            for byte in bytes {
                reader.read(byte)
                if reader.failure != nil { break }
            }
        }
        if reader.failure == nil { reader.finish() }
        if let failure = reader.failure { throw failure }
        return (reader.assignments, reader.diagnostics)
    }

    /// A state machine over bytes; a value is a sequence of unquoted, single-quoted and double-quoted pieces.
    private struct Reader {
        let path: String
        var assignments: [EnvironmentAssignment] = []
        var diagnostics: [Diagnostic] = []
        /// The error that makes the whole file unusable.
        var failure: UnitFileReadError?
        private var state = State.beforeKey
        private var line = 1
        private var keyLine = 1
        private var key: [UInt8] = []
        private var value: [UInt8] = []
        /// Length of `value` that trimming must keep.
        private var untrimmedLength = 0
        private var lastByte: UInt8 = 0
        /// Line of the comment whose last line ended with a backslash, until other text follows.
        private var continuedComment: Int?

        init(path: String) { self.path = path }

        private static func isNewline(_ byte: UInt8) -> Bool {
            byte == Ascii.newline || byte == Ascii.carriageReturn
        }

        mutating func read(_ byte: UInt8) {
            guard byte != 0 else {
                failure = .unreadable("line \(line) contains NUL")
                return
            }
            defer {
                let isPair = byte == Ascii.newline && lastByte == Ascii.carriageReturn
                if Self.isNewline(byte), !isPair { line += 1 }
                lastByte = byte
            }
            switch state {
            case .beforeKey: readBeforeKey(byte)
            case .key: readInKey(byte)
            case .beforeValue: readBeforeValue(byte)
            case .value:
                if Self.isNewline(byte) {
                    finishAssignment()
                } else if byte == Ascii.backslash {
                    state = .valueEscape
                    // White space before a backslash stays.
                    untrimmedLength = value.count
                } else {
                    value.append(byte)
                    if !Ascii.isSpace(byte) { untrimmedLength = value.count }
                }
            case .valueEscape:
                state = .value
                if !Self.isNewline(byte) { appendToValue(byte) }
            case .singleQuoted:
                if byte == UInt8(ascii: "'") { state = .beforeValue } else { appendToValue(byte) }
            case .doubleQuoted:
                if byte == UInt8(ascii: "\"") {
                    state = .beforeValue
                } else if byte == Ascii.backslash {
                    state = .doubleEscape
                } else {
                    appendToValue(byte)
                }
            case .doubleEscape: readDoubleEscape(byte)
            case .comment: readInComment(byte)
            case .commentEscape:
                state = .comment
                if Self.isNewline(byte) { continuedComment = line + 1 }
            }
        }

        private mutating func readBeforeKey(_ byte: UInt8) {
            if byte == UInt8(ascii: "#") || byte == UInt8(ascii: ";") {
                state = .comment
            } else if !Ascii.isSpace(byte) {
                state = .key
                keyLine = line
                key = [byte]
                value = []
                untrimmedLength = 0
            }
        }

        private mutating func readInKey(_ byte: UInt8) {
            if Self.isNewline(byte) {
                report("expected NAME=value; the line is ignored")
                state = .beforeKey
            } else if byte == UInt8(ascii: "=") {
                state = .beforeValue
            } else {
                key.append(byte)
            }
        }

        private mutating func readBeforeValue(_ byte: UInt8) {
            switch byte {
            case _ where Self.isNewline(byte): finishAssignment()
            case UInt8(ascii: "'"): state = .singleQuoted
            case UInt8(ascii: "\""): state = .doubleQuoted
            case Ascii.backslash: state = .valueEscape
            case _ where Ascii.isSpace(byte): break
            default:
                state = .value
                appendToValue(byte)
            }
        }

        /// Removes the backslash only before characters that a shell requires to be escaped between double quotes.
        private mutating func readDoubleEscape(_ byte: UInt8) {
            state = .doubleQuoted
            if byte == UInt8(ascii: "\"") || byte == Ascii.backslash || byte == UInt8(ascii: "$")
                || byte == UInt8(ascii: "`")
            {
                appendToValue(byte)
            } else if byte != Ascii.newline {
                appendToValue(Ascii.backslash)
                appendToValue(byte)
            }
        }

        /// Unlike in a unit file, a backslash at the end of a comment continues it in the next line.
        private mutating func readInComment(_ byte: UInt8) {
            if Self.isNewline(byte) {
                state = .beforeKey
                continuedComment = nil
            } else if byte == Ascii.backslash {
                state = .commentEscape
            } else if let continued = continuedComment, !Ascii.isSpace(byte) {
                continuedComment = nil
                if byte == UInt8(ascii: "#") || byte == UInt8(ascii: ";") { return }
                keyLine = continued
                report("the line is ignored: the comment before it ends with a backslash and continues here")
            }
        }

        mutating func finish() {
            switch state {
            case .beforeKey, .comment, .commentEscape: break
            case .key: report("expected NAME=value; the line is ignored")
            case .beforeValue, .value, .valueEscape: finishAssignment()
            case .singleQuoted, .doubleQuoted, .doubleEscape:
                report("this value has no closing quotation mark; it ends with the file")
                finishAssignment()
            }
        }

        private mutating func appendToValue(_ byte: UInt8) {
            value.append(byte)
            untrimmedLength = value.count
        }

        private mutating func finishAssignment() {
            state = .beforeKey
            value.removeLast(value.count - untrimmedLength)
            guard FileText.isValid(key), FileText.isValid(value) else {
                failure = .notText(line: keyLine)
                return
            }
            let name = Ascii.trimmed(Ascii.string(key))
            guard EnvironmentAssignment.isValidName(name) else {
                if key.starts(with: FileText.byteOrderMark) {
                    return report(
                        "the line is ignored because it starts with a byte order mark; save the file without one")
                }
                return report("\"\(name.prefix(64))\" is not the name of a variable; the line is ignored")
            }
            assignments.append(EnvironmentAssignment(name: name, value: Ascii.string(value)))
        }

        private mutating func report(_ message: String) {
            guard diagnostics.count < UnitFileLimits.diagnosticsPerFile else { return }
            let location = SourceLocation(file: path, line: keyLine, column: 1)
            diagnostics.append(Diagnostic(.warning, .invalidSyntax, at: location, message))
        }
    }
}
