/// Escapes text for literal use in a unit file (systemd.syntax(7), systemd.service(5) "Command lines").
enum UnitSyntax {
    /// Placeholder of an environment variable in the text of a command, until `argument` writes it as `${NAME}`. Its
    /// private-use characters do not occur in real texts, and neither splitting nor quoting affects them.
    static func variable(_ name: String) -> String { "\u{E000}\(name)\u{E001}" }

    /// Placeholder of a template's instance, until it is written as `%i`.
    static let instance = "\u{E002}"

    static func hasVariable(_ text: String) -> Bool { text.unicodeScalars.contains("\u{E000}") }

    /// A word of a command line. The first word must not contain variables.
    static func argument(_ word: String) -> String {
        let escaped = escape(word)
        var result = ""
        for scalar in escaped.unicodeScalars {
            switch scalar {
            case "$": result += "$$"
            case "\u{E000}": result += "${"
            case "\u{E001}": result += "}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        let isPlain =
            !word.isEmpty && word != ";" && !word.unicodeScalars.contains { " \t\n\r\"'\\".unicodeScalars.contains($0) }
        return isPlain ? result : "\"\(result)\""
    }

    static func commandLine(_ words: [String]) -> String { words.map(argument).joined(separator: " ") }

    /// The value of `Environment=` for one variable.
    static func environment(_ name: String, _ value: String) -> String {
        let text = escape("\(name)=\(value)")
        let isPlain = !value.unicodeScalars.contains { " \t\n\r\"'\\".unicodeScalars.contains($0) }
        return isPlain ? text : "\"\(text)\""
    }

    /// A path or another single value, in which only specifiers are replaced.
    static func value(_ text: String) -> String {
        String(text.flatMap { $0 == "%" ? "%%" : String($0) == instance ? "%i" : String($0) })
    }

    private static func escape(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "%": result += "%%"
            case "\u{E002}": result += "%i"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// The text with `-` in place of the characters that a unit's name must not contain.
    static func unitName(_ text: String) -> String {
        let allowed = String(
            text.unicodeScalars.prefix(200).map { scalar in
                let isPlain = scalar.isASCII && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil)
                return isPlain || ":-_.".unicodeScalars.contains(scalar) ? Character(scalar) : "-"
            })
        return allowed.isEmpty ? "unnamed" : allowed
    }
}
