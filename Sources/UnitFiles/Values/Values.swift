// Values common to several directives: booleans, integers, sizes, modes, limits, names of users.

/// Parsers of single values. Each takes the value as written, without surrounding white space, and reports the form it
/// expected.
public enum Value {
    /// Parses `1 yes y true t on` and `0 no n false f off`, in any case.
    public static func boolean(_ text: String) throws(ValueError) -> Bool {
        switch text.lowercased() {
        case "1", "yes", "y", "true", "t", "on": return true
        case "0", "no", "n", "false", "f", "off": return false
        default: throw ValueError("expected \"yes\" or \"no\", not \"\(text)\"")
        }
    }

    /// Parses a number within the range, in systemd's notations: decimal, `0x10`, `0b101`, `0o17`, or octal with a
    /// leading 0; a sign is allowed.
    public static func integer<Number: FixedWidthInteger>(
        _ text: String, in range: ClosedRange<Number>
    ) throws(ValueError) -> Number {
        let expected = "expected a number from \(range.lowerBound) to \(range.upperBound), not \"\(text)\""
        guard let (isNegative, magnitude) = magnitude(text), let size = Int128(exactly: magnitude),
            let number = Number(exactly: isNegative ? -size : size), range.contains(number)
        else { throw ValueError(expected) }
        return number
    }

    /// Parses a whole text like strtoul(3) with base 0, and with Python's prefixes `0b` and `0o`, which systemd adds.
    static func magnitude(_ text: some StringProtocol) -> (isNegative: Bool, UInt64)? {
        var rest = Array(text.utf8)[...]
        var base: UInt64?
        if let first = rest.first, first == UInt8(ascii: "0"), let second = rest.dropFirst().first {
            if second | 0x20 == UInt8(ascii: "b") { base = 2 }
            if second | 0x20 == UInt8(ascii: "o") { base = 8 }
            if base != nil { rest = rest.dropFirst(2) }
        }
        let isNegative = rest.first == UInt8(ascii: "-")
        if isNegative || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
        if base == nil, rest.first == UInt8(ascii: "0"), rest.count > 1 {
            let isHexadecimal = rest[rest.startIndex + 1] | 0x20 == UInt8(ascii: "x")
            base = isHexadecimal ? 16 : 8
            rest = rest.dropFirst(isHexadecimal ? 2 : 1)
        }
        return digits(rest, base: base ?? 10).map { (isNegative, $0) }
    }

    private static func digits(_ bytes: ArraySlice<UInt8>, base: UInt64) -> UInt64? {
        guard !bytes.isEmpty else { return nil }
        var value: UInt64 = 0
        for byte in bytes {
            guard let digit = Ascii.hexDigit(byte), UInt64(digit) < base else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: base)
            let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
            guard !overflow, !carry else { return nil }
            value = sum
        }
        return value
    }

    /// Parses a size in bytes: `4096`, `64K`, `1.5G`, `1M 512K`; the suffixes B K M G T P E are powers of 1024.
    public static func size(_ text: String) throws(ValueError) -> UInt64 {
        let expected = ValueError("expected a size such as \"4096\", \"64K\" or \"1.5G\", not \"\(text)\"")
        var rest = Array(text.utf8)[...]
        var total: UInt64 = 0
        // Each part must have a smaller suffix than the one before; no suffix is the smallest.
        var suffixes = Array("EPTGMKB".utf8)[...]
        var isOpen = true
        repeat {
            guard isOpen, let part = sizePart(&rest, suffixes) else { throw expected }
            let sum = total.addingReportingOverflow(part.bytes)
            guard !sum.overflow else { throw expected }
            total = sum.partialValue
            if let suffix = part.suffix { suffixes = suffixes[(suffix + 1)...] } else { isOpen = false }
        } while !rest.isEmpty
        return total
    }

    /// Reads a number with its suffix; `suffix` is its position in the list, nil if there is none.
    private static func sizePart(
        _ rest: inout ArraySlice<UInt8>, _ suffixes: ArraySlice<UInt8>
    ) -> (bytes: UInt64, suffix: Int?)? {
        rest = rest.drop { Ascii.isSpace($0) }
        if rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
        let whole = rest.prefix { Ascii.isDigit($0) }
        guard let number = digits(whole, base: 10) else { return nil }
        rest = rest[whole.endIndex...]
        // A point without decimals, as in "10.M", is valid.
        var share = 0.0
        if rest.first == UInt8(ascii: ".") {
            let fraction = rest.dropFirst().prefix { Ascii.isDigit($0) }
            rest = rest[fraction.endIndex...]
            guard let numerator = fraction.isEmpty ? 0 : digits(fraction, base: 10) else { return nil }
            share = fraction.reduce(Double(numerator)) { share, _ in share / 10 }
        }
        rest = rest.drop { Ascii.isSpace($0) }
        let suffix = rest.first.flatMap { suffixes.firstIndex(of: $0) }
        if suffix != nil { rest = rest.dropFirst() }
        let shift = 10 * UInt64(suffix.map { 6 - $0 } ?? 0)
        guard number <= (UInt64.max >> shift) - (share > 0 ? 1 : 0) else { return nil }
        return (number << shift + UInt64(share * Double(UInt64(1) << shift)), suffix)
    }

    /// Like `size`; nil for `infinity`.
    public static func sizeOrInfinity(_ text: String) throws(ValueError) -> UInt64? {
        text == "infinity" ? nil : try size(text)
    }

    /// Parses a file mode in octal: `0660`.
    public static func mode(_ text: String) throws(ValueError) -> UInt16 {
        guard let mode = digits(Array(text.utf8)[...], base: 8).flatMap({ UInt16(exactly: $0) }), mode <= 0o7777 else {
            throw ValueError("expected an octal mode such as \"0660\", not \"\(text)\"")
        }
        return mode
    }

    /// Checks a user or group: a name or a number, which need not exist.
    public static func account(_ text: String) throws(ValueError) -> String {
        let bad = text.utf8.contains { $0 <= 0x20 || $0 == 0x7F || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "/") }
        let isPath = text == "." || text == ".."
        guard !text.isEmpty, text.utf8.count <= 256, !bad, !isPath, text.utf8.first != UInt8(ascii: "-") else {
            throw ValueError("expected the name or number of a user or group, not \"\(text)\"")
        }
        guard text.utf8.allSatisfy(Ascii.isDigit) else { return text }
        // The kernel takes 65535 and its 32-bit counterpart as "none".
        guard let number = UInt32(text), "\(number)" == text, number != 65_535, number != .max else {
            throw ValueError("\"\(text)\" is not the number of a user or group")
        }
        return text
    }

    /// Checks an absolute path without control characters; removes repeated and trailing slashes.
    public static func absolutePath(_ text: String) throws(ValueError) -> String {
        guard text.utf8.first == UInt8(ascii: "/"), !Ascii.hasControlCharacter(text) else {
            throw ValueError("expected an absolute path, not \"\(text)\"")
        }
        guard text.utf8.count < 4096 else { throw ValueError("the path is longer than 4095 bytes") }
        for part in text.utf8.split(separator: UInt8(ascii: "/")) {
            guard !part.elementsEqual("..".utf8) else { throw ValueError("the path contains \"..\"") }
            guard part.count <= 255 else { throw ValueError("a component of the path is longer than 255 bytes") }
        }
        return simplified(text)
    }

    /// Checks a relative path: no leading `/`, no `..`, no control characters.
    static func relativePath(_ text: String) throws(ValueError) -> String {
        let parts = text.utf8.split(separator: UInt8(ascii: "/")).compactMap { String($0) }.filter { $0 != "." }
        let isRelative = text.utf8.first != UInt8(ascii: "/") && !parts.contains("..")
        guard isRelative, !parts.isEmpty, !Ascii.hasControlCharacter(text), text.utf8.count < 4000 else {
            throw ValueError("expected a relative path without \"..\", not \"\(text)\"")
        }
        return parts.joined(separator: "/")
    }

    /// Whether the text is a reference to documentation (systemd.unit(5), `Documentation=`).
    static func isDocumentation(_ text: String) -> Bool {
        let kinds = ["man:", "info:", "http://", "https://", "file:/"]
        return kinds.contains { text.hasPrefix($0) && ($0 == "file:/" || text.utf8.count > $0.utf8.count) }
            && text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }

    /// Removes repeated and trailing slashes and `.` components, like systemd's path_simplify.
    static func simplified(_ path: String) -> String {
        guard path.contains("//") || path.contains("/.") || path.utf8.last == UInt8(ascii: "/") else { return path }
        let parts = path.utf8.split(separator: UInt8(ascii: "/")).compactMap { String($0) }.filter { $0 != "." }
        return "/" + parts.joined(separator: "/")
    }

    /// Resolves `..` components textually, without looking at symbolic links.
    static func withoutParents(_ path: String) -> String {
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
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

    /// Parses an unquoted word `NAME=value`.
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

    /// Whether the name consists of ASCII letters, digits and underscores and does not start with a digit
    /// (systemd.exec(5), Environment=).
    public static func isValidName(_ name: String) -> Bool {
        guard let first = name.utf8.first, !Ascii.isDigit(first) else { return false }
        return name.utf8.allSatisfy { Ascii.isLetter($0) || Ascii.isDigit($0) || $0 == UInt8(ascii: "_") }
    }

    static func isValidValue(_ value: String) -> Bool {
        value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == Ascii.tab || $0 == Ascii.newline }
    }
}
