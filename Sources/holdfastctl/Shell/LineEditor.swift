/// One line that is being typed. A value: keys in, edits out; what a terminal must show follows from ``rendering(width:)``.
///
/// The keys are those of readline's Emacs mode, because that is what people's fingers know from their shells.
struct LineEditor: Equatable {
    /// What a key led to.
    enum Outcome: Equatable {
        /// Show the line again.
        case edited
        case accepted(String)
        /// ^C: the line is given up.
        case interrupted
        /// ^D on an empty line.
        case endOfInput
        /// Tab: the caller knows what there is to complete.
        case completes
        case clearsScreen
        /// Nothing changed, and nothing can: a bell, where bells are liked.
        case refused
    }

    let prompt: String
    private(set) var line: [Character] = []
    private(set) var cursor = 0
    /// Oldest first.
    let history: [String]
    /// Which entry is shown; `history.count` is the line that is being typed.
    private var entry: Int
    /// The line that was being typed when the history was entered.
    private var draft: [Character] = []
    private var killed: [Character] = []
    private var search: Search?
    /// A longer line is a paste by mistake.
    static let longest = 4096

    private struct Search: Equatable {
        var query: [Character] = []
        /// The entry that was found, and all after it were looked at.
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
        case .up: return show(entry - 1)
        case .down: return show(entry + 1)
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
        guard !characters.isEmpty, line.count + characters.count <= Self.longest else { return .refused }
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

    /// Back to the white space before the cursor: what ^W removes.
    private var blankStart: Int {
        var position = cursor
        while position > 0, line[position - 1] == " " { position -= 1 }
        while position > 0, line[position - 1] != " " { position -= 1 }
        return position
    }

    // MARK: - History

    private mutating func show(_ wanted: Int) -> Outcome {
        guard wanted >= 0, wanted <= history.count, wanted != entry else { return .refused }
        if entry == history.count { draft = line }
        entry = wanted
        line = wanted == history.count ? draft : Array(history[wanted])
        cursor = line.count
        return .edited
    }

    /// nil to go on with the key outside the search.
    private mutating func handleInSearch(_ key: Key) -> Outcome? {
        guard var current = search else { return nil }
        switch key {
        case .character(let character):
            current.query.append(character)
            return find(current, from: min(current.entry, history.count - 1))
        case .search: return find(current, from: current.entry - 1)
        case .backspace:
            guard current.query.popLast() != nil else { return .refused }
            return find(current, from: history.count - 1)
        case .interrupt, .escape:
            line = current.before
            cursor = line.count
            search = nil
            return .edited
        default:
            // What was found is the line now, and the key does what it always does.
            search = nil
            return nil
        }
    }

    private mutating func find(_ wanted: Search, from start: Int) -> Outcome {
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
        // The query stays as typed; that nothing was found shows by the line that does not change.
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
    /// - Returns: the candidates to list, if there is a choice and nothing could be added.
    mutating func complete(_ candidates: [String]) -> [String] {
        let typed = wordsToCursor.last ?? ""
        let fitting = candidates.filter { $0.hasPrefix(typed) }.sorted()
        guard let first = fitting.first else { return [] }
        if fitting.count == 1 {
            // A release is still to be typed.
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

    /// What stands in the terminal's line, and in which column the cursor is, from 0. A line that is longer than the terminal
    /// is wide is shown in part, around the cursor; so there is never more than one line to draw.
    func rendering(width: Int) -> (text: String, column: Int) {
        // Of a query too long to show, its end.
        let head = search.map { "(search) \(String($0.query.suffix(max(1, (width - 20) / 2)))): " } ?? prompt
        // The last column stays free: filling it makes some terminals go to the next line.
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
