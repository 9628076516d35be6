/// Writes JSON text into one buffer, without building anything else. For replies that are large and frequent: with a
/// thousand services, `JSONEncoder` takes longer than the rest of `status` together.
///
/// The caller keeps to the grammar: members only inside an object, each once, with names of plain letters.
struct JSONWriter {
    private(set) var bytes: [UInt8] = []
    /// The next value or member is the first of its container.
    private var isFirst = true

    init(capacity: Int = 256) { bytes.reserveCapacity(capacity) }

    mutating func object(_ body: (inout JSONWriter) -> Void) {
        open(UInt8(ascii: "{"))
        body(&self)
        close(UInt8(ascii: "}"))
    }

    mutating func array<Item>(_ name: StaticString, _ items: [Item], _ body: (Item, inout JSONWriter) -> Void) {
        key(name)
        open(UInt8(ascii: "["))
        for item in items {
            separate()
            isFirst = true
            body(item, &self)
            isFirst = false
        }
        close(UInt8(ascii: "]"))
    }

    mutating func member(_ name: StaticString, _ value: String?) {
        guard let value else { return }
        key(name)
        string(value)
    }

    mutating func member(_ name: StaticString, _ value: Int?) {
        guard let value else { return }
        key(name)
        integer(value)
    }

    mutating func member(_ name: StaticString, _ value: Bool?) {
        guard let value else { return }
        key(name)
        literal(value ? "true" : "false")
    }

    /// Writes a number, or nothing if it is nil or not finite: JSON has no such number, and it counts as not known.
    mutating func member(_ name: StaticString, _ value: Double?) {
        guard let value, value.isFinite else { return }
        key(name)
        if let whole = Int(exactly: value), abs(whole) < 1 << 53 {
            integer(whole)
        } else {
            bytes += "\(value)".utf8
        }
    }

    mutating func member(_ name: StaticString, _ value: some RawRepresentable<String>) {
        key(name)
        string(value.rawValue)
    }

    mutating func member(_ name: StaticString, _ value: (some RawRepresentable<String>)?) {
        guard let value else { return }
        member(name, value)
    }

    // MARK: -

    private mutating func open(_ bracket: UInt8) {
        bytes.append(bracket)
        isFirst = true
    }

    private mutating func close(_ bracket: UInt8) {
        bytes.append(bracket)
        isFirst = false
    }

    private mutating func separate() {
        if !isFirst { bytes.append(UInt8(ascii: ",")) }
        isFirst = false
    }

    private mutating func key(_ name: StaticString) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        literal(name)
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
    }

    private mutating func literal(_ text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    private mutating func integer(_ value: Int) {
        // Most numbers are short; `description` would make a string for each.
        guard value > 0 else {
            bytes += "\(value)".utf8
            return
        }
        var divisor = 1
        while value / divisor >= 10 { divisor *= 10 }
        var rest = value
        while divisor > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(rest / divisor))
            rest %= divisor
            divisor /= 10
        }
    }

    mutating func string(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { utf8 in
            var start = 0
            for index in utf8.indices where JSONText.needsEscape(utf8[index]) {
                bytes.append(contentsOf: utf8[start..<index])
                bytes += JSONText.escape(utf8[index])
                start = index + 1
            }
            bytes.append(contentsOf: utf8[start...])
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
