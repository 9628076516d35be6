/// A word of a value without its quotes, and its byte offset in the value.
public struct Word: Sendable, Hashable {
    public var text: String
    public var offset: Int
    /// Whether any part of the word was in quotes; a quoted `;` is no separator.
    public var wasQuoted = false

    public init(_ text: String, offset: Int, wasQuoted: Bool = false) {
        self.text = text
        self.offset = offset
        self.wasQuoted = wasQuoted
    }
}

/// A value that cannot be parsed. `offset` is the byte in the value that the message is about.
public struct ValueError: Error, Sendable, Hashable, CustomStringConvertible {
    public var message: String
    public var offset: Int
    public var code: DiagnosticCode
    public var suggestion: String?

    public init(
        _ message: String, at offset: Int = 0, code: DiagnosticCode = .invalidValue, suggestion: String? = nil
    ) {
        self.message = message
        self.offset = offset
        self.code = code
        self.suggestion = suggestion
    }

    public var description: String { message }
}

/// Splits values into words: quotes and C escapes of systemd.syntax(7).
///
/// The manual page allows quotes only around whole words. systemd 252 also removes them inside words (`A='b c'` is the
/// word `A=b c`; checked with its own tools), and existing units rely on it; so does this reader.
public struct WordReader {
    public enum Escapes: Sendable {
        /// C escapes are replaced (commands, environment).
        case interpreted
        /// Backslashes stay (unit names, where `\x2d` belongs to the name).
        case retained
        /// A backslash is removed and the next character is taken literally; the end of the text closes an open quote.
        /// systemd splits the value of a variable like this, because it could no longer report an error.
        case relaxed
    }

    private let bytes: [UInt8]
    private var position = 0
    private let escapes: Escapes
    /// Whether an escape may stand for the byte 0, as in data, which may hold any byte.
    private var acceptsNull = false
    /// Offsets of escapes that are not in the table; they were kept as written.
    public private(set) var unknownEscapes: [Int] = []

    public init(_ value: String, escapes: Escapes = .interpreted) {
        bytes = Array(value.utf8)
        self.escapes = escapes
    }

    /// All words of a value.
    public static func words(_ value: String, escapes: Escapes = .interpreted) throws(ValueError) -> [Word] {
        var reader = WordReader(value, escapes: escapes)
        var words: [Word] = []
        while let word = try reader.next() { words.append(word) }
        return words
    }

    /// Replaces the escapes of a whole value and keeps its quotes: for free text, not for words.
    static func unescaped(_ value: String) throws(ValueError) -> String {
        guard let result = String(validating: try bytes(of: value, acceptsNull: false), as: UTF8.self) else {
            throw ValueError("the escapes do not form valid UTF-8")
        }
        return result
    }

    /// Like `unescaped`, for data, which may hold any byte, including 0.
    static func unescapedBytes(_ value: String) throws(ValueError) -> [UInt8] {
        try bytes(of: value, acceptsNull: true)
    }

    private static func bytes(of value: String, acceptsNull: Bool) throws(ValueError) -> [UInt8] {
        var reader = WordReader(value)
        reader.acceptsNull = acceptsNull
        var text: [UInt8] = []
        while reader.position < reader.bytes.count {
            if reader.bytes[reader.position] == Ascii.backslash {
                try reader.readEscape(into: &text)
            } else {
                text.append(reader.bytes[reader.position])
                reader.position += 1
            }
        }
        return text
    }

    /// Skips white space and the separator if it is the next word: the bare `;` and `\;` of command lines.
    mutating func skipSeparator(_ text: String) -> Bool {
        skipSpace()
        let separator = Array(text.utf8)
        guard bytes[position...].starts(with: separator) else { return false }
        let end = position + separator.count
        guard end == bytes.count || Ascii.isSpace(bytes[end]) else { return false }
        position = end
        return true
    }

    /// Byte offset of the reader's position.
    var offset: Int { position }

    private mutating func skipSpace() {
        while position < bytes.count, Ascii.isSpace(bytes[position]) { position += 1 }
    }

    /// The next word; nil at the end.
    public mutating func next() throws(ValueError) -> Word? {
        skipSpace()
        guard position < bytes.count else { return nil }
        let start = position
        var text: [UInt8] = []
        var quote: (byte: UInt8, offset: Int)?
        var wasQuoted = false
        while position < bytes.count {
            let byte = bytes[position]
            if byte == Ascii.backslash, escapes == .interpreted {
                try readEscape(into: &text)
                continue
            }
            position += 1
            if byte == Ascii.backslash, escapes == .relaxed, position < bytes.count {
                text.append(bytes[position])
                position += 1
            } else if let open = quote {
                if byte == open.byte { quote = nil } else { text.append(byte) }
            } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                quote = (byte, position - 1)
                wasQuoted = true
            } else if Ascii.isSpace(byte) {
                break
            } else {
                text.append(byte)
            }
        }
        if let quote, escapes != .relaxed { throw ValueError("this quotation mark is not closed", at: quote.offset) }
        guard let result = String(validating: text, as: UTF8.self) else {
            throw ValueError("the escapes in this word do not form valid UTF-8", at: start)
        }
        return Word(result, offset: start, wasQuoted: wasQuoted)
    }

    private mutating func readEscape(into text: inout [UInt8]) throws(ValueError) {
        let start = position
        guard position + 1 < bytes.count else {
            throw ValueError("expected a character after the backslash", at: start)
        }
        let kind = bytes[position + 1]
        position += 2
        let simple: UInt8? =
            switch kind {
            case UInt8(ascii: "a"): 7
            case UInt8(ascii: "b"): 8
            case UInt8(ascii: "f"): 12
            case UInt8(ascii: "n"): 10
            case UInt8(ascii: "r"): 13
            case UInt8(ascii: "t"): 9
            case UInt8(ascii: "v"): 11
            case UInt8(ascii: "s"): 32
            case Ascii.backslash, UInt8(ascii: "\""), UInt8(ascii: "'"): kind
            default: nil
            }
        if let simple { return text.append(simple) }
        let scalar: UInt32?
        switch kind {
        case UInt8(ascii: "x"):
            // The escape is one byte, not one scalar: é may be written as \xc3\xa9.
            if let value = number(digits: 2, radix: 16, from: position), value != 0 || acceptsNull {
                position += 2
                return text.append(UInt8(truncatingIfNeeded: value))
            }
            scalar = nil
        case UInt8(ascii: "u"): scalar = number(digits: 4, radix: 16, from: position)
        case UInt8(ascii: "U"): scalar = number(digits: 8, radix: 16, from: position)
        case UInt8(ascii: "0")...UInt8(ascii: "7"):
            if let value = number(digits: 3, radix: 8, from: position - 1), value != 0 || acceptsNull, value < 256 {
                position += 2
                return text.append(UInt8(truncatingIfNeeded: value))
            }
            scalar = nil
        default: scalar = nil
        }
        if let scalar, scalar != 0, let value = Unicode.Scalar(scalar) {
            position += kind == UInt8(ascii: "u") ? 4 : 8
            text.append(contentsOf: UTF8.encode(value).map { Array($0) } ?? [])
            return
        }
        // As in systemd, an unknown escape is kept as written, with a warning.
        unknownEscapes.append(start)
        text.append(Ascii.backslash)
        position = start + 1
        // The next byte is then an ordinary one; an escaped quote was handled above.
        text.append(kind)
        position += 1
    }

    private func number(digits: Int, radix: UInt32, from start: Int) -> UInt32? {
        guard start + digits <= bytes.count else { return nil }
        var value: UInt32 = 0
        for byte in bytes[start..<(start + digits)] {
            guard let digit = Ascii.hexDigit(byte), UInt32(digit) < radix else { return nil }
            value = value &* radix &+ UInt32(digit)
        }
        return value
    }
}
