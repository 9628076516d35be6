/// A `Key=value` of a unit file, with its place.
public struct Assignment: Sendable, Hashable {
    /// Name of the section without brackets.
    public var section: String
    public var key: String
    /// The value with continuation lines joined and surrounding white space removed, but with its quotes and escapes.
    public var value: String
    public var file: String
    /// Line and column of the key, from 1.
    public var line: Int
    public var column: Int
    /// The places of the value's pieces; more than one only with continuation lines.
    var segments: Segments

    /// The start of a piece of the value: byte offset in the value, and its place in the file.
    struct Segment: Sendable, Hashable {
        var offset: Int32
        var line: Int32
        var column: Int32
        /// Whether the piece has as many columns as bytes.
        var isASCII: Bool
    }

    /// Bytes of a non-ASCII piece in which columns are counted; a byte behind them gets the column of the last one
    /// counted. Without this bound, finding the places of all words of a long line would take quadratic time.
    private static let countedBytes = 4096

    /// The pieces of a value. Nearly every value is a single piece, which needs no array.
    enum Segments: Sendable, Hashable {
        case one(Segment)
        case many([Segment])
    }

    /// The place of the key.
    public var keyLocation: SourceLocation { SourceLocation(file: file, line: line, column: column) }

    /// The place of the value's start.
    public var valueLocation: SourceLocation { location(at: 0) }

    /// The place in the file of the byte `offset` of `value`.
    public func location(at offset: Int) -> SourceLocation {
        let segment: Segment
        switch segments {
        case .one(let only): segment = only
        case .many(let all): segment = all.last { Int($0.offset) <= offset } ?? all[0]
        }
        let utf8 = value.utf8
        let start = min(max(0, Int(segment.offset)), utf8.count)
        let end = min(max(start, offset), utf8.count)
        var scalars = end - start
        if !segment.isASCII {
            let counted = utf8.dropFirst(start).prefix(min(scalars, Self.countedBytes))
            scalars = counted.reduce(0) { $0 + (Ascii.startsScalar($1) ? 1 : 0) }
        }
        return SourceLocation(file: file, line: Int(segment.line), column: Int(segment.column) + scalars)
    }
}

/// A `[Section]` line.
public struct SectionHeader: Sendable, Hashable {
    public var name: String
    public var location: SourceLocation
}

/// The sections and assignments of one unit file, not yet interpreted.
public struct ParsedUnitFile: Sendable {
    public var path: String
    public var sections: [SectionHeader] = []
    public var assignments: [Assignment] = []
    public var diagnostics: [Diagnostic] = []
    /// Whether parsing stopped at an invalid section header. systemd 252 then refuses a unit file, and ignores the rest
    /// of a drop-in.
    public var isTruncated = false
}

/// Splits a text into lines as systemd's read_line() does: a line ends with a line feed, a carriage return or NUL, or
/// with one of each.
struct PhysicalLines {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var position = 0
    /// Number of the last line read, from 1.
    private(set) var count = 0

    init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    /// The next line without its end; nil at the end of the text.
    mutating func next() -> Range<Int>? {
        guard position < bytes.count else { return nil }
        count += 1
        let start = position
        while position < bytes.count, !Self.isEnd(bytes[position]) { position += 1 }
        let end = position
        var seen: [UInt8] = []
        while position < bytes.count, Self.isEnd(bytes[position]), !seen.contains(bytes[position]), seen.last != 0 {
            seen.append(bytes[position])
            position += 1
        }
        return start..<end
    }

    private static func isEnd(_ byte: UInt8) -> Bool {
        byte == Ascii.newline || byte == Ascii.carriageReturn || byte == 0
    }
}

/// Parser of the syntax of systemd.syntax(7). As lenient as systemd: a bad line becomes a diagnostic, and parsing
/// continues after it.
public struct UnitFileParser {
    /// Parses a whole file. `path` is used for locations only.
    public static func parse(_ text: String, path: String) -> ParsedUnitFile {
        var text = text
        guard text.utf8.count <= UnitFileLimits.fileSize else {
            let message = "the file has \(text.utf8.count) bytes; the limit is \(UnitFileLimits.fileSize)"
            let diagnostic = Diagnostic(.error, .fileTooLarge, at: SourceLocation(file: path), message)
            return ParsedUnitFile(path: path, diagnostics: [diagnostic])
        }
        var parser = UnitFileParser(path: path)
        text.withUTF8 { parser.parseLines($0) }
        return parser.result
    }

    /// A part of one physical line that belongs to a logical line.
    private struct Piece {
        var start: Int
        var end: Int
        var line: Int
        /// Offset of the physical line's start; columns count from it.
        var lineStart: Int
    }

    private var result: ParsedUnitFile
    private var section: String?
    private var dropped = 0

    private init(path: String) { result = ParsedUnitFile(path: path) }

    private mutating func parseLines(_ bytes: UnsafeBufferPointer<UInt8>) {
        var lines = PhysicalLines(bytes)
        var pieces: [Piece] = []
        var hasByteOrderMark = false
        while !result.isTruncated, let span = lines.next() {
            var piece = Piece(
                start: span.lowerBound, end: span.upperBound, line: lines.count, lineStart: span.lowerBound)
            // systemd drops the first byte order mark at the start of any line, not just the first: files may have been
            // concatenated.
            if !hasByteOrderMark, bytes[span].starts(with: FileText.byteOrderMark) {
                hasByteOrderMark = true
                piece.start += FileText.byteOrderMark.count
                piece.lineStart = piece.start
            }
            var first = piece.start
            while first < piece.end, Ascii.isSpace(bytes[first]) { first += 1 }
            // Comments between continued lines are removed, too, and a comment never continues itself.
            if first < piece.end, bytes[first] == UInt8(ascii: "#") || bytes[first] == UInt8(ascii: ";") { continue }
            // An odd number of backslashes at the end of the line continues it; white space behind a backslash prevents
            // that.
            var slashes = 0
            while piece.end - slashes > piece.start, bytes[piece.end - slashes - 1] == Ascii.backslash { slashes += 1 }
            if slashes % 2 == 1 {
                piece.end -= 1
                pieces.append(piece)
                continue
            }
            if pieces.isEmpty && first == piece.end { continue }
            pieces.append(piece)
            parseLogicalLine(pieces, bytes)
            pieces.removeAll(keepingCapacity: true)
        }
        if !pieces.isEmpty { parseLogicalLine(pieces, bytes) }
        if dropped > 0 {
            let message = "\(dropped) more problems in this file are not shown"
            result.diagnostics.append(
                Diagnostic(.warning, .tooManyDiagnostics, at: SourceLocation(file: result.path), message))
        }
    }

    private mutating func parseLogicalLine(_ pieces: [Piece], _ bytes: UnsafeBufferPointer<UInt8>) {
        guard let start = firstByte(pieces, bytes) else { return }
        let isHeader = bytes[start.offset] == UInt8(ascii: "[")
        for piece in pieces {
            guard let offset = FileText.firstNoncharacter(in: bytes[piece.start..<piece.end]) else { continue }
            let at = location(piece, offset, bytes)
            if isHeader { return endParsing(at, "this line is not UTF-8") }
            report(.warning, .notText, at, "this line is not UTF-8; it is ignored")
            return
        }
        if isHeader { return parseHeader(pieces, start, bytes) }
        guard let section else {
            report(
                .warning, .invalidSyntax, location(pieces[start.piece], start.offset, bytes),
                "expected a [Section] before the first assignment")
            return
        }
        parseAssignment(pieces, start, section, bytes)
    }

    /// Ends parsing at an invalid section header: the lines after it belong to no section.
    private mutating func endParsing(_ location: SourceLocation, _ message: String) {
        result.isTruncated = true
        report(.error, .invalidSyntax, location, "\(message); the rest of the file is ignored")
    }

    private mutating func parseHeader(
        _ pieces: [Piece], _ start: (piece: Int, offset: Int), _ bytes: UnsafeBufferPointer<UInt8>
    ) {
        let piece = pieces[start.piece]
        let at = location(piece, start.offset, bytes)
        var end = piece.end
        while end > start.offset, Ascii.isSpace(bytes[end - 1]) { end -= 1 }
        guard start.piece == pieces.count - 1, end - start.offset > 1, bytes[end - 1] == UInt8(ascii: "]") else {
            return endParsing(at, "expected \"[Section]\"")
        }
        let name = Ascii.string(bytes[(start.offset + 1)..<(end - 1)])
        guard !Ascii.hasControlCharacter(name) else {
            return endParsing(at, "the name of the section contains control characters")
        }
        section = name
        result.sections.append(SectionHeader(name: name, location: at))
    }

    private mutating func parseAssignment(
        _ pieces: [Piece], _ start: (piece: Int, offset: Int), _ section: String, _ bytes: UnsafeBufferPointer<UInt8>
    ) {
        let head = pieces[start.piece]
        let at = location(head, start.offset, bytes)
        guard let equals = (start.offset..<head.end).first(where: { bytes[$0] == UInt8(ascii: "=") }) else {
            report(.warning, .invalidSyntax, at, "expected \"Directive=value\"; the line is ignored")
            return
        }
        var keyEnd = equals
        while keyEnd > start.offset, Ascii.isSpace(bytes[keyEnd - 1]) { keyEnd -= 1 }
        guard keyEnd > start.offset else {
            report(.warning, .invalidSyntax, at, "expected the name of a directive before \"=\"")
            return
        }
        let key = Ascii.string(bytes[start.offset..<keyEnd])
        var valuePieces = Array(pieces[start.piece...])
        valuePieces[0].start = equals + 1
        let (value, segments) = join(valuePieces, bytes)
        result.assignments.append(
            Assignment(
                section: section, key: key, value: value, file: result.path, line: at.line, column: at.column,
                segments: segments))
    }

    /// Joins the pieces of a value with spaces (the backslash "is replaced by a space") and removes surrounding white
    /// space.
    private func join(_ pieces: [Piece], _ bytes: UnsafeBufferPointer<UInt8>) -> (String, Assignment.Segments) {
        var pieces = pieces
        // Leading white space may cover whole pieces.
        while true {
            while pieces[0].start < pieces[0].end, Ascii.isSpace(bytes[pieces[0].start]) { pieces[0].start += 1 }
            guard pieces[0].start == pieces[0].end, pieces.count > 1 else { break }
            pieces.removeFirst()
        }
        while true {
            let last = pieces.count - 1
            while pieces[last].end > pieces[last].start, Ascii.isSpace(bytes[pieces[last].end - 1]) {
                pieces[last].end -= 1
            }
            guard pieces[last].start == pieces[last].end, pieces.count > 1 else { break }
            pieces.removeLast()
        }
        func segment(_ piece: Piece, offset: Int) -> Assignment.Segment {
            let place = location(piece, piece.start, bytes)
            let isASCII = bytes[piece.start..<piece.end].allSatisfy { $0 < 0x80 }
            return Assignment.Segment(
                offset: Int32(offset), line: Int32(place.line), column: Int32(place.column), isASCII: isASCII)
        }
        if pieces.count == 1 {
            return (Ascii.string(bytes[pieces[0].start..<pieces[0].end]), .one(segment(pieces[0], offset: 0)))
        }
        var joined: [UInt8] = []
        var segments: [Assignment.Segment] = []
        for (index, piece) in pieces.enumerated() {
            if index > 0 { joined.append(Ascii.space) }
            segments.append(segment(piece, offset: joined.count))
            joined.append(contentsOf: bytes[piece.start..<piece.end])
        }
        return (Ascii.string(joined), .many(segments))
    }

    private func firstByte(_ pieces: [Piece], _ bytes: UnsafeBufferPointer<UInt8>) -> (piece: Int, offset: Int)? {
        for (index, piece) in pieces.enumerated() {
            if let offset = (piece.start..<piece.end).first(where: { !Ascii.isSpace(bytes[$0]) }) {
                return (index, offset)
            }
        }
        return nil
    }

    private func location(_ piece: Piece, _ offset: Int, _ bytes: UnsafeBufferPointer<UInt8>) -> SourceLocation {
        var column = 1
        for index in piece.lineStart..<offset where Ascii.startsScalar(bytes[index]) { column += 1 }
        return SourceLocation(file: result.path, line: piece.line, column: column)
    }

    private mutating func report(
        _ severity: Diagnostic.Severity, _ code: DiagnosticCode, _ location: SourceLocation, _ message: String
    ) {
        let diagnostic = Diagnostic(severity, code, at: location, message)
        guard result.diagnostics.count >= UnitFileLimits.diagnosticsPerFile else {
            return result.diagnostics.append(diagnostic)
        }
        dropped += 1
        // The first error is the reason why the file is unusable: it is kept, in place of a warning.
        if severity == .error { result.diagnostics[result.diagnostics.count - 1] = diagnostic }
    }
}
