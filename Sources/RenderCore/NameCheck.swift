/// Checks that every name in a template exists where it is used.
///
/// Sections that would not be rendered are skipped. Within a section over a list, plain names are the members of an
/// item and are not checked; names with dots, and plain names elsewhere, must exist.
struct NameCheck {
    private let file: String
    private let context: [String: Any]
    /// The open sections: whether the contents are rendered, and whether plain names may be those of an item.
    private var sections: [(isRendered: Bool, hasItem: Bool)] = []

    static func check(_ text: String, _ context: [String: Any], file: String) throws(RenderError) {
        var check = NameCheck(file: file, context: context)
        try check.checkTags(text)
    }

    private init(file: String, context: [String: Any]) {
        self.file = file
        self.context = context
    }

    private mutating func checkTags(_ text: String) throws(RenderError) {
        var rest = text[...]
        var line = 1
        var column = 1
        func advance(over part: Substring) {
            for character in part {
                if character.isNewline {
                    line += 1
                    column = 1
                } else {
                    column += 1
                }
            }
        }
        while let open = rest.firstRange(of: "{{") {
            advance(over: rest[..<open.lowerBound])
            let after = rest[open.upperBound...]
            guard let close = after.firstRange(of: "}}") else { return }
            let tag = after[..<close.lowerBound]
            // After a change of delimiters, rare in configuration files, the rest is not checked.
            guard try check(tag, line, column) else { return }
            advance(over: rest[open.lowerBound..<close.upperBound])
            rest = after[close.upperBound...]
            if tag.hasPrefix("{"), rest.hasPrefix("}") {
                rest = rest.dropFirst()
                column += 1
            }
        }
    }

    /// Checks one tag. False if the delimiters change.
    private mutating func check(_ tag: Substring, _ line: Int, _ column: Int) throws(RenderError) -> Bool {
        let kind = tag.first
        let name = trimmed(tag.dropFirst(kind.map { "#^/!>&{=<$%".contains($0) } == true ? 1 : 0))
        switch kind {
        case "#", "^":
            let value = findValue(of: name)
            let isTrue = isTruthy(value) == (kind == "#")
            sections.append((isTrue, kind == "#" && (value is [Any] || value is [String: Any])))
        case "/": _ = sections.popLast()
        case "=": return false
        case "!", "%", "$": break
        case ">", "<":
            throw RenderError(file, line: line, column: column, "a template cannot include another: \(name)")
        default:
            guard sections.allSatisfy(\.isRendered), !name.contains("("), name != "." else { return true }
            if !name.contains("."), sections.contains(where: \.hasItem) { return true }
            // A name of an item: items are not known here.
            if context[firstComponent(of: name)] == nil, sections.contains(where: \.hasItem) { return true }
            guard findValue(of: name) == nil else { return true }
            throw RenderError(file, line: line, column: column, "there is no \(name)\(hint(name))")
        }
        return true
    }

    private func firstComponent(of name: String) -> String { name.split(separator: ".").first.map(String.init) ?? name }

    private func trimmed(_ text: Substring) -> String {
        var text = text
        while let first = text.first, first.isWhitespace { text = text.dropFirst() }
        while let last = text.last, last.isWhitespace || last == "}" { text = text.dropLast() }
        return String(text)
    }

    private func findValue(of name: String) -> Any? {
        var value: Any? = context
        for part in name.split(separator: ".") { value = (value as? [String: Any])?[String(part)] }
        return value
    }

    private func isTruthy(_ value: Any?) -> Bool {
        switch value {
        case nil: false
        case let list as [Any]: !list.isEmpty
        default: true
        }
    }

    /// The names that exist at the place where the lookup fails.
    private func hint(_ name: String) -> String {
        var value: Any? = context
        for part in name.split(separator: ".") {
            guard let dictionary = value as? [String: Any] else { return "" }
            if let next = dictionary[String(part)] {
                value = next
            } else {
                // An environment has dozens of names, and some of them are secret.
                let names = dictionary.keys.sorted()
                return names.isEmpty || names.count > 12 ? "" : " (there is: \(names.joined(separator: ", ")))"
            }
        }
        return ""
    }
}
