/// Splits a line into words as a shell does: blanks separate, quotes and backslashes protect. A backslash before any
/// character except a blank, a quote or a backslash is kept: unit names contain them (`data-my\x2dapp.service`).
enum CommandWords {
    struct Unfinished: Error, Equatable { var quote: Character }

    static func split(_ line: String) throws(Unfinished) -> [String] {
        var words: [String] = []
        var word: String?
        var quote: Character?
        var isEscaped = false
        for character in line {
            if isEscaped {
                let isSpecial = " \t\"'\\".contains(character)
                word = (word ?? "") + (isSpecial ? "" : "\\") + String(character)
                isEscaped = false
            } else if character == "\\", quote != "'" {
                isEscaped = true
            } else if let open = quote {
                if character == open { quote = nil } else { word = (word ?? "") + String(character) }
            } else if character == "\"" || character == "'" {
                quote = character
                word = word ?? ""
            } else if character == " " || character == "\t" {
                if let done = word { words.append(done) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        if let quote { throw Unfinished(quote: quote) }
        if let done = word { words.append(done) }
        return words
    }
}
