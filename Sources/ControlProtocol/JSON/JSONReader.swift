/// Reads JSON text member by member, in place. ``JSONScanner`` has proved the text sound before; even so, no input
/// makes the reader leave the text.
///
/// The counterpart of ``JSONWriter``: the caller decides which members to read, and skips the others.
struct JSONReader {
    private let bytes: [UInt8]
    private var position: Int

    /// A member that exists, with another type than the caller wants.
    struct Mismatch: Error { var name: String }

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        position = 0
    }

    /// Calls `body` for each member, which must read its value with one of the functions below, or ``skip()`` it.
    mutating func object(_ body: (String, inout JSONReader) throws(Mismatch) -> Void) throws(Mismatch) {
        try expect(UInt8(ascii: "{"))
        if take(UInt8(ascii: "}")) { return }
        repeat {
            let name = try string()
            try expect(UInt8(ascii: ":"))
            // Null counts as absent.
            if peek() == UInt8(ascii: "n") { skip() } else { try named(name, body) }
        } while take(UInt8(ascii: ","))
        try expect(UInt8(ascii: "}"))
    }

    private mutating func named(
        _ name: String, _ body: (String, inout JSONReader) throws(Mismatch) -> Void
    ) throws(Mismatch) {
        do throws(Mismatch) {
            try body(name, &self)
        } catch {
            throw Mismatch(name: error.name.isEmpty ? name : error.name)
        }
    }

    mutating func array<Item>(_ body: (inout JSONReader) throws(Mismatch) -> Item) throws(Mismatch) -> [Item] {
        try expect(UInt8(ascii: "["))
        var items: [Item] = []
        if take(UInt8(ascii: "]")) { return items }
        repeat { items.append(try body(&self)) } while take(UInt8(ascii: ","))
        try expect(UInt8(ascii: "]"))
        return items
    }

    mutating func string() throws(Mismatch) -> String {
        skipSpace()
        guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else { throw Mismatch(name: "") }
        let start = position + 1
        position = start
        var isPlain = true
        while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
            if bytes[position] == UInt8(ascii: "\\") {
                isPlain = false
                position += 1
            }
            position += 1
        }
        guard position < bytes.count else { throw Mismatch(name: "") }
        let raw = bytes[start..<position]
        position += 1
        if isPlain { return String(decoding: raw, as: UTF8.self) }
        guard let text = JSONText.unescaped(raw) else { throw Mismatch(name: "") }
        return text
    }

    mutating func bool() throws(Mismatch) -> Bool {
        let text = word()
        if text.elementsEqual("true".utf8) { return true }
        if text.elementsEqual("false".utf8) { return false }
        throw Mismatch(name: "")
    }

    mutating func integer() throws(Mismatch) -> Int {
        let text = word()
        if let value = Int(String(decoding: text, as: UTF8.self)) { return value }
        // `4e1` and `40.0` are whole numbers, too.
        guard let value = Double(String(decoding: text, as: UTF8.self)), let whole = Int(exactly: value) else {
            throw Mismatch(name: "")
        }
        return whole
    }

    mutating func double() throws(Mismatch) -> Double {
        guard let value = Double(String(decoding: word(), as: UTF8.self)) else { throw Mismatch(name: "") }
        return value
    }

    mutating func value<V: RawRepresentable<String>>(_: V.Type) throws(Mismatch) -> V {
        guard let value = V(rawValue: try string()) else { throw Mismatch(name: "") }
        return value
    }

    /// Skips a value of any kind.
    mutating func skip() {
        var depth = 0
        repeat {
            skipSpace()
            guard position < bytes.count else { return }
            switch bytes[position] {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                position += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                position += 1
            case UInt8(ascii: ","), UInt8(ascii: ":"): position += 1
            case UInt8(ascii: "\""): if (try? string()) == nil { position = bytes.count }
            default: _ = word()
            }
        } while depth > 0
    }

    // MARK: -

    private mutating func skipSpace() {
        while position < bytes.count, bytes[position] <= 0x20 { position += 1 }
    }

    private mutating func peek() -> UInt8? {
        skipSpace()
        return position < bytes.count ? bytes[position] : nil
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard peek() == byte else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ byte: UInt8) throws(Mismatch) {
        guard take(byte) else { throw Mismatch(name: "") }
    }

    /// Reads a number or literal up to the byte that ends it; at least one byte, so that ``skip()`` advances.
    private mutating func word() -> ArraySlice<UInt8> {
        skipSpace()
        let start = position
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: ","), UInt8(ascii: "}"), UInt8(ascii: "]"), UInt8(ascii: ":"), 0...0x20:
                if position == start { position += 1 }
                return bytes[start..<position]
            default: position += 1
            }
        }
        return bytes[start..<position]
    }
}
