/// One line during editing. A value: keys in, edits out; ``rendering(width:)`` gives the text for the terminal.
///
/// The keys are those of readline's Emacs mode, which users know from their shells.
struct LineEditor: Equatable {
    /// The effect of a key.
    enum Outcome: Equatable {
        /// The line must be drawn again.
        case edited
        case accepted(String)
        /// ^C: the line is discarded.
        case interrupted
        /// ^D on an empty line.
        case endOfInput
        /// Tab: the caller has the candidates for completion.
        case completes
        case clearsScreen
        /// The key changes nothing: the terminal may ring its bell.
        case refused
    }

    let prompt: String
    private(set) var line: [Character] = []
    private(set) var cursor = 0
    /// Earlier lines, oldest first.
    let history: [String]
    /// The index of the entry shown; `history.count` is the new line.
    private var entry: Int
    /// The new line, kept while the history is shown.
    private var draft: [Character] = []
    private var killed: [Character] = []
    private var search: Search?
    /// The longest line; a longer one is a paste by mistake.
    static let maximumLength = 4096

    private struct Search: Equatable {
        var query: [Character] = []
        /// The entry found, after which all later entries were searched.
        var entry: Int
        var before: [Character]
    }

    init(prompt: String, history: [String] = []) {
        self.prompt = prompt
        self.history = history
        entry = history.count
    }

    var text: String { String(line) }

    mutating func handle(_ key: Key) -> Outcome {
        if search != nil, let outcome = handleInSearch(key) { return outcome }
        switch key {
        case .character(let character): return insert([character])
        case .enter: return .accepted(text)
        case .interrupt: return .interrupted
        case .tab: return .completes
        case .clearScreen: return .clearsScreen
        case .endOfInput: return line.isEmpty ? .endOfInput : remove(cursor..<min(cursor + 1, line.count))
        case .backspace: return remove(max(0, cursor - 1)..<cursor)
        case .delete: return remove(cursor..<min(cursor + 1, line.count))
        case .left: return move(to: cursor - 1)
        case .right: return move(to: cursor + 1)
        case .home: return move(to: 0)
        case .end: return move(to: line.count)
        case .wordLeft: return move(to: wordStart)
        case .wordRight: return move(to: wordEnd)
        case .up: return showEntry(entry - 1)
        case .down: return showEntry(entry + 1)
        case .killToEnd: return kill(cursor..<line.count)
        case .killToStart: return kill(0..<cursor)
        case .killWord: return kill(blankStart..<cursor)
        case .killWordRight: return kill(cursor..<wordEnd)
        case .yank: return insert(killed)
        case .transpose: return transpose()
        case .search:
            search = Search(entry: history.count, before: line)
            return .edited
        case .escape, .unknown: return .refused
        }
    }

    // MARK: - Edits

    private mutating func insert(_ characters: [Character]) -> Outcome {
        guard !characters.isEmpty, line.count + characters.count <= Self.maximumLength else { return .refused }
        line.insert(contentsOf: characters, at: cursor)
        cursor += characters.count
        return .edited
    }

    private mutating func remove(_ range: Range<Int>) -> Outcome {
        guard !range.isEmpty else { return .refused }
        line.removeSubrange(range)
        cursor = range.lowerBound
        return .edited
    }

    private mutating func kill(_ range: Range<Int>) -> Outcome {
        guard !range.isEmpty else { return .refused }
        killed = Array(line[range])
        return remove(range)
    }

    private mutating func move(to position: Int) -> Outcome {
        guard position >= 0, position <= line.count, position != cursor else { return .refused }
        cursor = position
        return .edited
    }

    private mutating func transpose() -> Outcome {
        let right = min(cursor, line.count - 1)
        guard right > 0 else { return .refused }
        line.swapAt(right - 1, right)
        cursor = right + 1
        return .edited
    }

    private static func isWord(_ character: Character) -> Bool { character.isLetter || character.isNumber }

    private var wordStart: Int {
        var position = cursor
        while position > 0, !Self.isWord(line[position - 1]) { position -= 1 }
        while position > 0, Self.isWord(line[position - 1]) { position -= 1 }
        return position
    }

    private var wordEnd: Int {
        var position = cursor
        while position < line.count, !Self.isWord(line[position]) { position += 1 }
        while position < line.count, Self.isWord(line[position]) { position += 1 }
        return position
    }

    /// The start of the word before the cursor, which ^W removes.
    private var blankStart: Int {
        var position = cursor
        while position > 0, line[position - 1] == " " { position -= 1 }
        while position > 0, line[position - 1] != " " { position -= 1 }
        return position
    }

    // MARK: - History

    private mutating func showEntry(_ wanted: Int) -> Outcome {
        guard wanted >= 0, wanted <= history.count, wanted != entry else { return .refused }
        if entry == history.count { draft = line }
        entry = wanted
        line = wanted == history.count ? draft : Array(history[wanted])
        cursor = line.count
        return .edited
    }

    /// Handles a key in the search; nil if the key ends the search and is to be handled outside.
    private mutating func handleInSearch(_ key: Key) -> Outcome? {
        guard var current = search else { return nil }
        switch key {
        case .character(let character):
            current.query.append(character)
            return searchBackward(current, from: min(current.entry, history.count - 1))
        case .search: return searchBackward(current, from: current.entry - 1)
        case .backspace:
            guard current.query.popLast() != nil else { return .refused }
            return searchBackward(current, from: history.count - 1)
        case .interrupt, .escape:
            line = current.before
            cursor = line.count
            search = nil
            return .edited
        default:
            // The entry found becomes the line, and the key has its usual effect.
            search = nil
            return nil
        }
    }

    private mutating func searchBackward(_ wanted: Search, from start: Int) -> Outcome {
        var current = wanted
        var index = start
        let query = String(current.query)
        while index >= 0, index < history.count, !query.isEmpty {
            if history[index].contains(query) {
                current.entry = index
                line = Array(history[index])
                cursor = line.count
                search = current
                return .edited
            }
            index -= 1
        }
        // The query stays as typed; the unchanged line shows that there is no match.
        search = current
        return query.isEmpty ? .edited : .refused
    }

    // MARK: - Completion

    /// The words before the cursor; the last one, perhaps empty, is the one to complete.
    var wordsToCursor: [String] {
        var words = String(line[..<cursor]).split(separator: " ", omittingEmptySubsequences: true).map(String.init)
        if cursor == 0 || line[cursor - 1] == " " { words.append("") }
        return words
    }

    /// Completes the last word before the cursor, as far as all candidates agree; a single one gets a space.
    /// - Returns: the candidates to list, if there are several and nothing could be added.
    mutating func complete(_ candidates: [String]) -> [String] {
        let typed = wordsToCursor.last ?? ""
        let fitting = candidates.filter { $0.hasPrefix(typed) }.sorted()
        guard let first = fitting.first else { return [] }
        if fitting.count == 1 {
            // The user still has to type a release or value.
            let ending = first.hasSuffix("@") || first.hasSuffix("=") ? "" : " "
            _ = insert(Array(first.dropFirst(typed.count) + ending))
            return []
        }
        let common = fitting.dropFirst().reduce(first) { String(zip($0, $1).prefix { $0 == $1 }.map(\.0)) }
        guard common.count > typed.count else { return fitting }
        _ = insert(Array(common.dropFirst(typed.count)))
        return []
    }

    // MARK: - Looks

    /// The text for the terminal's line, and the column of the cursor, from 0. A line longer than the terminal's width
    /// is shown in part, around the cursor, so that there is only one line to draw.
    func rendering(width: Int) -> (text: String, column: Int) {
        // A query too long to show is cut to its end.
        let head = search.map { "(search) \(String($0.query.suffix(max(1, (width - 20) / 2)))): " } ?? prompt
        // The last column stays free: filling it makes some terminals wrap.
        let room = max(8, width - 1 - Text.columns(head))
        let widths = line.map { Text.columns($0) }
        var start = cursor
        var before = 0
        while start > 0, before + widths[start - 1] < room {
            start -= 1
            before += widths[start]
        }
        var end = start
        var used = 0
        while end < line.count, used + widths[end] <= room {
            used += widths[end]
            end += 1
        }
        return (head + String(line[start..<end]), Text.columns(head) + before)
    }
}
