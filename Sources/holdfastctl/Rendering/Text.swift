// Helpers for text that all renderings use.

enum Text {
    /// Text from outside without the characters that control a terminal: a service's log line or status must not move
    /// the cursor or change the title of the reader's terminal.
    static func harmless(_ text: String, keep: Set<Unicode.Scalar> = []) -> String {
        guard text.unicodeScalars.contains(where: { isControl($0) && !keep.contains($0) }) else { return text }
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if isControl(scalar) && !keep.contains(scalar) {
                result.append(contentsOf: scalar == "\t" ? " ".unicodeScalars : "?".unicodeScalars)
            } else {
                result.append(scalar)
            }
        }
        return String(result)
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
            // Marks that reorder text (U+202A…, U+2066…) can make a line read differently from its content.
            || (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
    }

    /// The width of a text in terminal columns: East Asian wide characters and emoji take two.
    static func columns(_ text: String) -> Int {
        text.utf8.allSatisfy { $0 < 0x80 } ? text.utf8.count : text.reduce(0) { $0 + columns($1) }
    }

    static func columns(_ character: Character) -> Int {
        guard let scalar = character.unicodeScalars.first else { return 0 }
        switch scalar.value {
        case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
            0x1F300...0x1FAFF, 0x20000...0x3FFFD:
            return 2
        default: return 1
        }
    }

    /// Words in columns, read downwards as in ls(1), two blanks apart.
    static func inColumns(_ words: [String], _ width: Int) -> [String] {
        guard let longest = words.map({ columns($0) }).max() else { return [] }
        let across = max(1, (width + 1) / (longest + 2))
        let down = (words.count + across - 1) / across
        return (0..<down).map { row in
            let line = stride(from: row, to: words.count, by: down).map { words[$0] }
            return line.dropLast().map { padded($0, longest + 2) }.joined() + (line.last ?? "")
        }
    }

    static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    static func rightAligned(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    /// At most `width` characters; a cut text ends with a mark.
    static func cut(_ text: String, _ width: Int?) -> String {
        guard let width, text.count > width else { return text }
        return width <= 1 ? String(text.prefix(max(0, width))) : text.prefix(width - 1) + "…"
    }

    /// `text` broken between words into lines of at most `width` characters; a longer word gets a line of its own.
    static func wrapped(_ text: String, _ width: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ", omittingEmptySubsequences: true) {
            if line.isEmpty {
                line = String(word)
            } else if line.count + 1 + word.count <= width {
                line += " " + word
            } else {
                lines.append(line)
                line = String(word)
            }
        }
        if !line.isEmpty || lines.isEmpty { lines.append(line) }
        return lines
    }

    /// An uptime in supervisorctl's form: `0:01:07`, `2 days, 0:01:07`.
    static func uptime(_ seconds: Double) -> String {
        let total = whole(seconds)
        let (days, rest) = (total / 86_400, total % 86_400)
        let clock = "\(rest / 3600):\(twoDigits(rest % 3600 / 60)):\(twoDigits(rest % 60))"
        return days == 0 ? clock : "\(days) \(days == 1 ? "day" : "days"), \(clock)"
    }

    /// A duration: `0.4 s`, `1 min 5 s`.
    static func duration(_ seconds: Double) -> String {
        let bounded = seconds.isFinite ? max(0, seconds) : 0
        if bounded < 59.95 {
            let tenths = Int((bounded * 10).rounded())
            return "\(tenths / 10).\(tenths % 10) s"
        }
        return coarse(bounded)
    }

    /// A remaining time, without tenths, which would only flicker: `57 s`, `1 min 5 s`, `2 h 3 min`.
    static func coarse(_ seconds: Double) -> String {
        let total = whole(seconds.rounded(.up))
        if total < 60 { return "\(total) s" }
        if total < 3600 { return "\(total / 60) min" + (total % 60 == 0 ? "" : " \(total % 60) s") }
        return "\(total / 3600) h" + (total % 3600 / 60 == 0 ? "" : " \(total % 3600 / 60) min")
    }

    /// A size: `12.3 MB`.
    static func bytes(_ count: Int) -> String {
        var value = Double(max(0, count))
        for unit in ["B", "kB", "MB", "GB"] {
            if value < 1000 || unit == "GB" {
                let tenths = Int((value * 10).rounded())
                return unit == "B" ? "\(count) B" : "\(tenths / 10).\(tenths % 10) \(unit)"
            }
            value /= 1000
        }
        return "\(count) B"
    }

    static func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

    /// `site@v3` for `site@v3.target`: with a release the suffix is redundant.
    static func shortName(_ unit: String) -> String {
        guard let at = unit.firstIndex(of: "@"), let dot = unit.lastIndex(of: "."), unit.index(after: at) < dot else {
            return unit
        }
        return String(unit[..<dot])
    }

    /// `site@v2`, given `site@v3.target` and the release `v2`.
    static func shortName(_ unit: String, release: String?) -> String {
        guard let release, let at = unit.firstIndex(of: "@") else { return shortName(unit) }
        return unit[...at] + release
    }

    static func twoDigits(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }

    /// Bounds numbers from outside, which may be anything; no useful time exceeds the bound.
    private static func whole(_ seconds: Double) -> Int {
        seconds.isFinite ? Int(min(max(0, seconds), 1e12)) : 0
    }
}

/// Lines of cells in columns that are as wide as their widest cell.
struct Table {
    struct Column {
        var title: String
        var right = false
        /// The order in which columns are dropped on a narrow screen, lowest first; nil for a column that must stay.
        var dropOrder: Int?
    }

    struct Cell {
        var text: String
        var paint: Screen.Paint?
    }

    var columns: [Column]
    var rows: [[Cell]] = []
    /// Texts shown below rows, keyed by the row's index.
    private var notes: [Int: String] = [:]

    init(_ columns: [Column]) {
        self.columns = columns
    }

    mutating func add(_ cells: [Cell]) {
        rows.append(cells.map { Cell(text: Text.harmless($0.text), paint: $0.paint) })
    }

    mutating func add(_ texts: [String]) {
        add(texts.map { Cell(text: $0) })
    }

    /// Adds a text below the last row.
    mutating func note(_ text: String) { notes[rows.count - 1] = Text.harmless(text) }

    /// The table without the columns that do not fit the screen.
    private func fitting(_ screen: Screen) -> Table {
        var table = self
        guard let width = screen.width else { return table }
        // A part of the last column is enough.
        while table.widths.dropLast().reduce(0, { $0 + $1 + 2 }) + min(12, table.widths.last ?? 0) > width {
            let droppable = table.columns.indices.filter { table.columns[$0].dropOrder != nil }
            guard let least = droppable.min(by: { table.columns[$0].dropOrder ?? 0 < table.columns[$1].dropOrder ?? 0 })
            else {
                break
            }
            table.columns.remove(at: least)
            for row in table.rows.indices { table.rows[row].remove(at: least) }
        }
        return table
    }

    private var widths: [Int] {
        columns.indices.map { index in
            max(columns[index].title.count, rows.map { $0[index].text.count }.max() ?? 0)
        }
    }

    func lines(_ screen: Screen) -> [String] { fitting(screen).allLines(screen) }

    /// All lines. The last column takes the rest of the screen and is cut there; it is not padded.
    private func allLines(_ screen: Screen) -> [String] {
        let widths = widths
        func line(_ cells: [Cell]) -> String {
            var line = ""
            var used = 0
            for (index, cell) in cells.enumerated() {
                let isLast = index == cells.count - 1
                var text = cell.text
                if columns[index].right {
                    text = Text.rightAligned(text, widths[index])
                } else if !isLast {
                    text = Text.padded(text, widths[index])
                }
                if isLast, let width = screen.width { text = Text.cut(text, max(8, width - used)) }
                line += screen.paint(text, cell.paint) + (isLast ? "" : "  ")
                used += widths[index] + 2
            }
            // Painted cells keep their padding; the padding before an empty last cell is removed.
            while line.hasSuffix(" ") { line.removeLast() }
            return line
        }
        return [line(columns.map { Cell(text: $0.title, paint: .bold) })]
            + rows.enumerated().flatMap { index, row in
                let note = notes[index].map { Text.wrapped($0, (screen.width ?? .max) - 6) } ?? []
                return [line(row)] + note.map { "      " + screen.paint($0, .dim) }
            }
    }
}
