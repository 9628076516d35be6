/// Splits a command as a shell would, without anything else that a shell does (Python's `shlex.split`, which Supervisor uses).
enum ShellWords {
    /// Nil if a quote or an escape is not finished.
    static func split(_ text: String) -> [String]? {
        var words: [String] = []
        var word: String?
        var quote: Character?
        var iterator = text.makeIterator()
        while let character = iterator.next() {
            switch (quote, character) {
            case (nil, " "), (nil, "\t"), (nil, "\n"):
                if let finished = word { words.append(finished) }
                word = nil
            case (nil, "'"), (nil, "\""):
                quote = character
                word = word ?? ""
            case (nil, "\\"):
                guard let next = iterator.next() else { return nil }
                word = (word ?? "") + String(next)
            case ("\"", "\\"):
                guard let next = iterator.next() else { return nil }
                // Within double quotes a backslash stays, except before what would end or escape.
                word = (word ?? "") + (next == "\"" || next == "\\" ? String(next) : "\\" + String(next))
            case (let open?, _) where open == character: quote = nil
            default: word = (word ?? "") + String(character)
            }
        }
        guard quote == nil else { return nil }
        if let word { words.append(word) }
        return words
    }

    /// Whether it takes a shell to run this: pipes, lists, redirections, substitutions, patterns, variables.
    static func needsShell(_ text: String) -> Bool { text.contains { "|&;<>()$`*?[]#~={}!\\\n".contains($0) } }
}
