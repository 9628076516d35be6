/// Walks JSON text (RFC 8259) without recursion and without building values. Proves it sound and bounded before a
/// decoder sees it, and finds the positions of an object's members.
struct JSONScanner {
    let bytes: [UInt8]
    private(set) var position = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// One member of an object: its decoded name and the position of its value.
    struct Member {
        var name: String
        var value: Range<Int>
    }

    /// The members of the object that makes up the whole text.
    /// - Throws: `malformed` if the text is not one JSON object or a name occurs twice, `tooDeep` beyond the limit.
    static func members(of bytes: [UInt8]) throws(MessageError) -> [Member] {
        guard String(validating: bytes, as: UTF8.self) != nil else { throw .malformed(offset: 0) }
        var scanner = JSONScanner(bytes)
        let members = try scanner.object()
        scanner.skipSpace()
        guard scanner.position == bytes.count else { throw scanner.malformed }
        return members
    }

    private var malformed: MessageError { .malformed(offset: position) }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private mutating func expect(_ byte: UInt8) throws(MessageError) {
        guard current == byte else { throw malformed }
        position += 1
    }

    /// Scans the outermost object and returns its members.
    private mutating func object() throws(MessageError) -> [Member] {
        skipSpace()
        try expect(UInt8(ascii: "{"))
        skipSpace()
        var members: [Member] = []
        if current == UInt8(ascii: "}") {
            position += 1
            return members
        }
        while true {
            skipSpace()
            let name = try name()
            // Two readers that disagree about which of two equal names counts let a message pass a filter.
            guard !members.contains(where: { $0.name == name }) else { throw malformed }
            skipSpace()
            try expect(UInt8(ascii: ":"))
            skipSpace()
            let from = position
            try skipValue(depth: 1)
            members.append(Member(name: name, value: from..<position))
            // No envelope and no parameters are this wide; the check above is quadratic.
            guard members.count <= 64 else { throw malformed }
            skipSpace()
            switch current {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "}"):
                position += 1
                return members
            default: throw malformed
            }
        }
    }

    private mutating func name() throws(MessageError) -> String {
        let from = position
        try skipString()
        let raw = bytes[(from + 1)..<(position - 1)]
        // Varlink names are plain letters and digits; no known name needs an escape.
        guard !raw.contains(UInt8(ascii: "\\")) else { throw .malformed(offset: from) }
        return String(decoding: raw, as: UTF8.self)
    }

    /// Skips one value of any kind. `open` has one bit for each open container: 1 for an object, 0 for an array.
    private mutating func skipValue(depth outer: Int) throws(MessageError) {
        var open: [Bool] = []
        while true {
            skipSpace()
            var opened = false
            switch current {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                let isObject = current == UInt8(ascii: "{")
                guard outer + open.count < MessageLimit.depth else { throw .tooDeep }
                position += 1
                skipSpace()
                if current == UInt8(ascii: isObject ? "}" : "]") {
                    position += 1
                } else {
                    open.append(isObject)
                    opened = true
                    if isObject { try skipName() }
                }
            case UInt8(ascii: "\""): try skipString()
            case UInt8(ascii: "t"): try skipLiteral("true")
            case UInt8(ascii: "f"): try skipLiteral("false")
            case UInt8(ascii: "n"): try skipLiteral("null")
            default: try skipNumber()
            }
            if opened { continue }
            if try closeContainers(&open) { return }
        }
    }

    /// Steps over closing brackets after a value, and to the next element. True when no container is open.
    private mutating func closeContainers(_ open: inout [Bool]) throws(MessageError) -> Bool {
        while let isObject = open.last {
            skipSpace()
            if current == UInt8(ascii: ",") {
                position += 1
                skipSpace()
                if isObject { try skipName() }
                return false
            }
            try expect(UInt8(ascii: isObject ? "}" : "]"))
            open.removeLast()
        }
        return true
    }

    private mutating func skipName() throws(MessageError) {
        try skipString()
        skipSpace()
        try expect(UInt8(ascii: ":"))
    }

    private mutating func skipString() throws(MessageError) {
        try expect(UInt8(ascii: "\""))
        while let byte = current {
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return
            case UInt8(ascii: "\\"):
                guard let escaped = current else { throw malformed }
                position += 1
                switch escaped {
                case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"),
                    UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
                    break
                case UInt8(ascii: "u"):
                    for _ in 0..<4 {
                        guard let digit = current, isHexDigit(digit) else { throw malformed }
                        position += 1
                    }
                default: throw malformed
                }
            case 0..<0x20: throw malformed
            default: break
            }
        }
        throw malformed
    }

    private mutating func skipLiteral(_ literal: StaticString) throws(MessageError) {
        for offset in 0..<literal.utf8CodeUnitCount { try expect(literal.utf8Start[offset]) }
    }

    private mutating func skipNumber() throws(MessageError) {
        if current == UInt8(ascii: "-") { position += 1 }
        if current == UInt8(ascii: "0") { position += 1 } else { try skipDigits() }
        if current == UInt8(ascii: ".") {
            position += 1
            try skipDigits()
        }
        if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
            position += 1
            if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { position += 1 }
            try skipDigits()
        }
    }

    private mutating func skipDigits() throws(MessageError) {
        guard let first = current, isDigit(first) else { throw malformed }
        while let byte = current, isDigit(byte) { position += 1 }
    }

    private func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private func isHexDigit(_ byte: UInt8) -> Bool {
        isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20)
    }
}
