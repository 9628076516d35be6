/// Splits a command into words as a shell would, without its expansions (like Python's `shlex.split`, which Supervisor
/// uses).
enum ShellWords {
    /// Returns nil if a quote or an escape is not closed.
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
                // Within double quotes a backslash is kept, except before a quote or another backslash.
                word = (word ?? "") + (next == "\"" || next == "\\" ? String(next) : "\\" + String(next))
            case (let open?, _) where open == character: quote = nil
            default: word = (word ?? "") + String(character)
            }
        }
        guard quote == nil else { return nil }
        if let word { words.append(word) }
        return words
    }

    /// Whether only a shell can run the text: pipes, lists, redirections, substitutions, patterns, variables.
    static func needsShell(_ text: String) -> Bool { text.contains { "|&;<>()$`*?[]#~={}!\\\n".contains($0) } }
}
