import Glibc

/// Cuts a stream into lines, in pieces of any size. A line longer than the limit is cut and marked.
///
/// It copies and keeps nothing: an unfinished line stays in its source, unless `carry` takes it.
struct LineSplitter {
    static let mark: StaticString = " [cut]"
    let maximumLine: Int
    /// The beginning of an unfinished line that could not stay in the pipe.
    private var carried: [UInt8] = []
    /// Whether the rest of a cut line is being skipped.
    private var skipping = false

    init(maximumLine: Int = 16 << 10) { self.maximumLine = maximumLine }

    /// Calls `line` for each complete line, without its newline, until it returns false ("not now").
    /// - Returns: the number of bytes consumed. The rest must precede the next bytes.
    mutating func feed(_ bytes: UnsafeRawBufferPointer, _ line: (UnsafeRawBufferPointer) -> Bool) -> Int {
        var start = 0
        while start < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
            guard let newline = Self.newline(in: rest) else {
                return start + skipOverlong(rest, line)
            }
            guard endLine(UnsafeRawBufferPointer(rebasing: rest[..<newline]), line) else { return start }
            start += newline + 1
        }
        return start
    }

    /// Keeps the beginning of a line here; `bytes` are then consumed.
    mutating func carry(_ bytes: UnsafeRawBufferPointer) { carried.append(contentsOf: bytes) }

    /// Passes the last line of a stream that ended without a newline: the carried bytes and these.
    mutating func finish(_ bytes: UnsafeRawBufferPointer, _ line: (UnsafeRawBufferPointer) -> Bool) {
        if !skipping, carried.count + bytes.count > 0 { _ = endLine(bytes, line) }
        carried = []
        skipping = false
    }

    /// The unfinished line so far: the carried bytes and these.
    func unfinished(_ bytes: UnsafeRawBufferPointer) -> [UInt8] { skipping ? [] : carried + bytes }

    private static func newline(in bytes: UnsafeRawBufferPointer) -> Int? {
        guard let base = bytes.baseAddress, let found = memchr(base, Int32(UInt8(ascii: "\n")), bytes.count) else {
            return nil
        }
        return UnsafeRawPointer(found) - base
    }

    /// Handles an unfinished line, of which only a part over the limit is consumed.
    private mutating func skipOverlong(_ piece: UnsafeRawBufferPointer, _ line: (UnsafeRawBufferPointer) -> Bool) -> Int
    {
        if skipping { return piece.count }
        guard carried.count + piece.count > maximumLine, emitCut(piece, line) else { return 0 }
        skipping = true
        return piece.count
    }

    private mutating func endLine(_ piece: UnsafeRawBufferPointer, _ line: (UnsafeRawBufferPointer) -> Bool) -> Bool {
        if skipping {
            skipping = false
            return true
        }
        if carried.count + piece.count > maximumLine { return emitCut(piece, line) }
        if carried.isEmpty { return line(piece) }
        let whole = carried + piece
        guard whole.withUnsafeBytes(line) else { return false }
        carried = []
        return true
    }

    private mutating func emitCut(_ piece: UnsafeRawBufferPointer, _ line: (UnsafeRawBufferPointer) -> Bool) -> Bool {
        var whole = carried
        whole.append(contentsOf: piece.prefix(max(0, maximumLine - carried.count)))
        Self.mark.withUTF8Buffer { whole.append(contentsOf: $0) }
        guard whole.withUnsafeBytes(line) else { return false }
        carried = []
        return true
    }
}
