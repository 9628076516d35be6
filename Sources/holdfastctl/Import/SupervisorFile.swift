/// Supervisor's configuration file: sections of `key = value`, parsed like Python's configparser with Supervisor's
/// options.
struct SupervisorFile {
    struct Section {
        /// The section's whole name: `program:app`.
        var name: String
        var path: String
        var settings: [(key: String, value: String, line: Int)] = []

        /// The part of the name before the colon; `title` is the part after it.
        var kind: String { String(name.prefix { $0 != ":" }) }
        var title: String { name.contains(":") ? String(name.drop { $0 != ":" }.dropFirst()) : "" }

        subscript(key: String) -> String? { settings.last { $0.key == key }?.value }
    }

    private(set) var sections: [Section] = []

    init(_ text: String, path: String) {
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            add(line.last == "\r" ? line.dropLast() : line, number: index + 1, path: path)
        }
    }

    private mutating func add(_ line: Substring, number: Int, path: String) {
        guard let first = line.first, first != "#", first != ";" else { return }
        let text = Self.trimmed(Self.withoutComment(line))
        guard !text.isEmpty else { return }
        if first.isWhitespace {
            // This line continues the value before.
            guard let last = sections.indices.last, let setting = sections[last].settings.indices.last else { return }
            sections[last].settings[setting].value += "\n" + text
        } else if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            sections.append(Section(name: Self.trimmed(text[text.index(after: text.startIndex)..<end]), path: path))
        } else if let last = sections.indices.last, let separator = text.firstIndex(where: { $0 == "=" || $0 == ":" }) {
            let key = Self.trimmed(text[..<separator]).lowercased()
            sections[last].settings.append((key, Self.trimmed(text[text.index(after: separator)...]), number))
        }
    }

    /// Removes a comment, which ` ;` starts within a line.
    private static func withoutComment(_ line: Substring) -> Substring {
        var previous: Character = "x"
        for index in line.indices {
            if line[index] == ";", previous.isWhitespace { return line[..<index] }
            previous = line[index]
        }
        return line
    }

    private static func trimmed(_ text: Substring) -> String {
        let start = text.drop(while: \.isWhitespace)
        guard let last = start.lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return String(start[...last])
    }

    private static func trimmed(_ text: String) -> String { trimmed(text[...]) }
}

/// Replaces Python's `%(name)s` in Supervisor's values.
struct SupervisorExpansion {
    var values: [String: String]

    /// Returns nil if the text names an unknown value or is malformed.
    func expand(_ text: String) -> String? {
        var result = ""
        var rest = text[...]
        while let percent = rest.firstIndex(of: "%") {
            result += rest[..<percent]
            rest = rest[percent...].dropFirst()
            if rest.first == "%" {
                result += "%"
                rest = rest.dropFirst()
                continue
            }
            guard rest.first == "(", let close = rest.firstIndex(of: ")") else { return nil }
            let name = String(rest[..<close].dropFirst())
            rest = rest[close...].dropFirst()
            let format = rest.prefix { $0.isNumber }
            rest = rest.dropFirst(format.count)
            guard let conversion = rest.first, conversion == "s" || conversion == "d" else { return nil }
            rest = rest.dropFirst()
            guard var value = value(of: name) else { return nil }
            // "%(process_num)02d". A template's instance is not a number yet, so it is not padded.
            if format.hasPrefix("0"), let width = Int(format), Int(value) != nil {
                value = String(repeating: "0", count: max(0, min(width, 20) - value.count)) + value
            }
            result += value
        }
        return result + rest
    }

    private func value(of name: String) -> String? {
        if name.hasPrefix("ENV_") { return UnitSyntax.variable(String(name.dropFirst(4))) }
        return values[name]
    }
}
