import Glibc

/// Cuts a stream into lines, whatever the sizes in which it arrives. A line longer than the bound is cut with a mark.
///
/// It copies nothing and keeps nothing: an unfinished line stays where the bytes come from, unless `carry` takes it.
struct LineSplitter {
    static let mark: StaticString = " [cut]"
    let maximumLine: Int
    /// The beginning of a line whose rest has yet to come, where it could not stay in the pipe.
    private var carried: [UInt8] = []
    /// The rest of a line that was cut is passed over up to its end.
    private var skipping = false

    init(maximumLine: Int = 16 << 10) { self.maximumLine = maximumLine }

    /// Calls `line` for each line that is complete, without its newline, until it answers false ("not now").
    /// - Returns: how many bytes are done with. What follows them belongs in front of what comes next.
    mutating func feed(_ bytes: UnsafeRawBufferPointer, _ line: (UnsafeRawBufferPointer) -> Bool) -> Int {
        var start = 0
        while start < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
            guard let newline = Self.newline(in: rest) else {
                return start + passOver(rest, line)
            }
            guard end(UnsafeRawBufferPointer(rebasing: rest[..<newline]), line) else { return start }
            start += newline + 1
        }
        return start
    }

    /// Keeps the beginning of a line itself; `bytes` are then done with.
    mutating func carry(_ bytes: UnsafeRawBufferPointer) { carried.append(contentsOf: bytes) }

    /// The last line of a stream that ended without a newline: what was carried, and these.
    mutating func finish(_ bytes: UnsafeRawBufferPointer, _ line: (UnsafeRawBufferPointer) -> Bool) {
        if !skipping, carried.count + bytes.count > 0 { _ = end(bytes, line) }
        carried = []
        skipping = false
    }

    /// What is there of a line whose rest has yet to come: what was carried, and these.
    func unfinished(_ bytes: UnsafeRawBufferPointer) -> [UInt8] { skipping ? [] : carried + bytes }

    private static func newline(in bytes: UnsafeRawBufferPointer) -> Int? {
        guard let base = bytes.baseAddress, let found = memchr(base, Int32(UInt8(ascii: "\n")), bytes.count) else {
            return nil
        }
        return UnsafeRawPointer(found) - base
    }

    /// An unfinished line, of which only what is too long is done with.
    private mutating func passOver(_ piece: UnsafeRawBufferPointer, _ line: (UnsafeRawBufferPointer) -> Bool) -> Int {
        if skipping { return piece.count }
        guard carried.count + piece.count > maximumLine, cut(piece, line) else { return 0 }
        skipping = true
        return piece.count
    }

    private mutating func end(_ piece: UnsafeRawBufferPointer, _ line: (UnsafeRawBufferPointer) -> Bool) -> Bool {
        if skipping {
            skipping = false
            return true
        }
        if carried.count + piece.count > maximumLine { return cut(piece, line) }
        if carried.isEmpty { return line(piece) }
        let whole = carried + piece
        guard whole.withUnsafeBytes(line) else { return false }
        carried = []
        return true
    }

    private mutating func cut(_ piece: UnsafeRawBufferPointer, _ line: (UnsafeRawBufferPointer) -> Bool) -> Bool {
        var whole = carried
        whole.append(contentsOf: piece.prefix(max(0, maximumLine - carried.count)))
        Self.mark.withUTF8Buffer { whole.append(contentsOf: $0) }
        guard whole.withUnsafeBytes(line) else { return false }
        carried = []
        return true
    }
}
