/// Cuts a stream into lines, whatever the sizes in which it arrives. A line longer than the bound is cut with a mark.
struct LineSplitter {
    static let mark: StaticString = " [cut]"
    let maximumLine: Int
    private var partial: [UInt8] = []
    /// The rest of a line that was cut is passed over up to its end.
    private var skipping = false

    init(maximumLine: Int = 16 << 10) { self.maximumLine = maximumLine }

    /// Whether a line has begun and not ended.
    var isInLine: Bool { !partial.isEmpty || skipping }

    /// Calls `line` for each line that is complete now, without its newline.
    mutating func feed(_ bytes: UnsafeRawBufferPointer, _ line: (UnsafeRawBufferPointer) -> Void) {
        var start = 0
        while start < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
            guard let newline = rest.firstIndex(of: UInt8(ascii: "\n")) else {
                keep(rest, line)
                return
            }
            end(UnsafeRawBufferPointer(rebasing: rest[..<newline]), line)
            start += newline + 1
        }
    }

    /// The last line of a stream that ended without a newline.
    mutating func finish(_ line: (UnsafeRawBufferPointer) -> Void) {
        if !partial.isEmpty { end(UnsafeRawBufferPointer(start: nil, count: 0), line) }
        skipping = false
    }

    private mutating func keep(_ piece: UnsafeRawBufferPointer, _ line: (UnsafeRawBufferPointer) -> Void) {
        if skipping { return }
        let room = maximumLine - partial.count
        partial.append(contentsOf: piece.prefix(room))
        if piece.count > room { cut(line) }
    }

    private mutating func end(_ piece: UnsafeRawBufferPointer, _ line: (UnsafeRawBufferPointer) -> Void) {
        if skipping {
            skipping = false
        } else if partial.isEmpty && piece.count <= maximumLine {
            // The common case copies nothing.
            line(piece)
        } else {
            keep(piece, line)
            if !skipping { flush(line) }
            skipping = false
        }
    }

    private mutating func cut(_ line: (UnsafeRawBufferPointer) -> Void) {
        Self.mark.withUTF8Buffer { partial.append(contentsOf: $0) }
        flush(line)
        skipping = true
    }

    private mutating func flush(_ line: (UnsafeRawBufferPointer) -> Void) {
        partial.withUnsafeBytes(line)
        partial.removeAll(keepingCapacity: true)
    }
}
