/// Text that means itself in a unit file (systemd.syntax(7), systemd.service(5) "Command lines").
enum UnitSyntax {
    /// Stands for a variable of the environment in the text of a command, until `argument` writes it as `${NAME}`. Private-use
    /// characters: nothing that people write has them, and no splitting or quoting touches them.
    static func variable(_ name: String) -> String { "\u{E000}\(name)\u{E001}" }

    /// Stands for the instance of a template, until it is written as `%i`.
    static let instance = "\u{E002}"

    static func hasVariable(_ text: String) -> Bool { text.unicodeScalars.contains("\u{E000}") }

    /// One word of a command line. The first one is no place for variables.
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

    /// A path or another single value: specifiers are the only thing that is replaced there.
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

    /// Characters that a unit's name may have; others become `-`.
    static func unitName(_ text: String) -> String {
        let allowed = String(
            text.unicodeScalars.prefix(200).map { scalar in
                let isPlain = scalar.isASCII && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil)
                return isPlain || ":-_.".unicodeScalars.contains(scalar) ? Character(scalar) : "-"
            })
        return allowed.isEmpty ? "unnamed" : allowed
    }
}
