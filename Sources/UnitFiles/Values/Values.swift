// Values that several directives share: booleans, integers, sizes, modes, limits, names of users.

/// Parsers of single values. Each takes the value as written (white space around it already gone) and says what it expected.
public enum Value {
    /// `1 yes y true t on` and `0 no n false f off`, in any case.
    public static func boolean(_ text: String) throws(ValueError) -> Bool {
        switch text.lowercased() {
        case "1", "yes", "y", "true", "t", "on": return true
        case "0", "no", "n", "false", "f", "off": return false
        default: throw ValueError("expected \"yes\" or \"no\", not \"\(text)\"")
        }
    }

    /// A decimal number with optional sign, within the range.
    public static func integer<Number: FixedWidthInteger>(
        _ text: String, in range: ClosedRange<Number>
    ) throws(ValueError) -> Number {
        guard let number = Number(text), range.contains(number) else {
            throw ValueError("expected a number from \(range.lowerBound) to \(range.upperBound), not \"\(text)\"")
        }
        return number
    }

    /// A size in bytes: `4096`, `64K`, `1.5G`; the suffixes K M G T P E count by 1024.
    public static func size(_ text: String) throws(ValueError) -> UInt64 {
        let expected = "expected a size such as \"4096\", \"64K\" or \"1.5G\", not \"\(text)\""
        var digits = Substring(text)
        var shift: UInt64 = 0
        if let last = text.utf8.last, !Ascii.isDigit(last) {
            guard let power = Array("BKMGTPE".utf8).firstIndex(of: last) else { throw ValueError(expected) }
            shift = 10 * UInt64(power)
            digits = Ascii.trimmed(text.dropLast())
        }
        let parts = digits.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, first.utf8.allSatisfy(Ascii.isDigit), let whole = UInt64(first),
            whole <= UInt64.max >> shift
        else { throw ValueError(expected) }
        var result = whole << shift
        if parts.count == 2 {
            guard !parts[1].isEmpty, parts[1].utf8.allSatisfy(Ascii.isDigit) else { throw ValueError(expected) }
            var scale = UInt64(1) << shift
            for digit in parts[1].utf8.prefix(18) {
                let sum = result.addingReportingOverflow(
                    (scale / 10) * UInt64(digit - 48) + (scale % 10) * UInt64(digit - 48) / 10)
                guard !sum.overflow else { throw ValueError(expected) }
                result = sum.partialValue
                scale /= 10
            }
        }
        return result
    }

    /// As `size`, or nil for `infinity`.
    public static func sizeOrInfinity(_ text: String) throws(ValueError) -> UInt64? {
        text == "infinity" ? nil : try size(text)
    }

    /// A file mode in octal: `0660`.
    public static func mode(_ text: String) throws(ValueError) -> UInt16 {
        guard text.utf8.allSatisfy({ $0 &- 48 < 8 }), let mode = UInt16(text, radix: 8), mode <= 0o7777 else {
            throw ValueError("expected an octal mode such as \"0660\", not \"\(text)\"")
        }
        return mode
    }

    /// A user or group: a name or a number. Whether it exists is not asked here.
    public static func account(_ text: String) throws(ValueError) -> String {
        let bad = text.utf8.contains { $0 <= 0x20 || $0 == 0x7F || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "/") }
        guard !text.isEmpty, text.utf8.count <= 256, !bad, text.utf8.first != UInt8(ascii: "-") else {
            throw ValueError("expected the name or number of a user or group, not \"\(text)\"")
        }
        return text
    }

    /// An absolute path without control characters; repeated and trailing slashes are removed.
    public static func absolutePath(_ text: String) throws(ValueError) -> String {
        guard text.utf8.first == UInt8(ascii: "/"), !Ascii.hasControlCharacter(text) else {
            throw ValueError("expected an absolute path, not \"\(text)\"")
        }
        guard text.utf8.count < 4096 else { throw ValueError("the path is longer than 4095 bytes") }
        return simplified(text)
    }

    /// A path below a directory: no leading `/`, no `..`, no control characters.
    static func relativePath(_ text: String) throws(ValueError) -> String {
        let parts = text.utf8.split(separator: UInt8(ascii: "/")).compactMap { String($0) }.filter { $0 != "." }
        let isRelative = text.utf8.first != UInt8(ascii: "/") && !parts.contains("..")
        guard isRelative, !parts.isEmpty, !Ascii.hasControlCharacter(text), text.utf8.count < 4000 else {
            throw ValueError("expected a relative path without \"..\", not \"\(text)\"")
        }
        return parts.joined(separator: "/")
    }

    /// Removes repeated and trailing slashes and `.` components, as systemd's path_simplify.
    static func simplified(_ path: String) -> String {
        guard path.contains("//") || path.contains("/.") || path.utf8.last == UInt8(ascii: "/") else { return path }
        let parts = path.utf8.split(separator: UInt8(ascii: "/")).compactMap { String($0) }.filter { $0 != "." }
        return "/" + parts.joined(separator: "/")
    }
}

/// One variable of the environment.
public struct EnvironmentAssignment: Sendable, Hashable {
    public var name: String
    public var value: String

    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }

    /// Reads one unquoted word `NAME=value`.
    public static func parse(_ word: String) throws(ValueError) -> EnvironmentAssignment {
        guard let equals = word.utf8.firstIndex(of: UInt8(ascii: "=")) else {
            throw ValueError("expected NAME=value, not \"\(word)\"")
        }
        let name = String(word[..<equals])
        guard isValidName(name) else {
            throw ValueError("\"\(name)\" is not the name of a variable (letters, digits, _; no digit first)")
        }
        let value = String(word[word.utf8.index(after: equals)...])
        guard isValidValue(value) else { throw ValueError("the value of \(name) contains control characters") }
        return EnvironmentAssignment(name: name, value: value)
    }

    /// ASCII letters, digits and underscores, no digit first (systemd.exec(5), Environment=).
    public static func isValidName(_ name: String) -> Bool {
        guard let first = name.utf8.first, !Ascii.isDigit(first) else { return false }
        return name.utf8.allSatisfy { Ascii.isLetter($0) || Ascii.isDigit($0) || $0 == UInt8(ascii: "_") }
    }

    static func isValidValue(_ value: String) -> Bool {
        value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == Ascii.tab || $0 == Ascii.newline }
    }
}
