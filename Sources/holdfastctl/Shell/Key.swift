/// A key of the line editor.
enum Key: Equatable {
    case character(Character)
    case enter, tab, backspace, delete
    case left, right, up, down, home, end
    case wordLeft, wordRight
    case killToEnd, killToStart, killWord, killWordRight, yank, transpose
    case clearScreen, interrupt, endOfInput, search, escape
    /// An escape sequence or control character without a function here.
    case unknown
}

/// Decodes keys from the bytes that a terminal sends (ECMA-48 and the sequences of xterm, the Linux console and tmux).
///
/// A value: bytes in, keys out; an escape sequence or a UTF-8 character may arrive in pieces.
struct KeyDecoder {
    private var pending: [UInt8] = []
    /// The longest sequence, in bytes.
    private static let maximumLength = 32

    /// An escape is pending that may be a key or begin a sequence: wait briefly for more, then ``flush()``.
    var waitsForMore: Bool { !pending.isEmpty }

    mutating func decode(_ bytes: some Sequence<UInt8>) -> [Key] {
        pending += bytes
        var keys: [Key] = []
        while let (key, length) = Self.first(pending[...]) {
            keys.append(key)
            pending.removeFirst(length)
        }
        if pending.count > Self.maximumLength {
            pending = []
            keys.append(.unknown)
        }
        return keys
    }

    /// Takes a lone pending escape as the key, after no more input has arrived.
    mutating func flush() -> [Key] {
        guard !pending.isEmpty else { return [] }
        defer { pending = [] }
        return [pending == [0x1B] ? .escape : .unknown]
    }

    /// The first key and its length in bytes; nil if it is not complete.
    private static func first(_ bytes: ArraySlice<UInt8>) -> (Key, Int)? {
        guard let byte = bytes.first else { return nil }
        switch byte {
        case 0x1B: return escape(bytes)
        case 0..<0x20, 0x7F: return (control(byte), 1)
        case 0x20..<0x7F: return (.character(Character(Unicode.Scalar(byte))), 1)
        default: return character(bytes)
        }
    }

    private static func control(_ byte: UInt8) -> Key {
        switch byte {
        case 0x01: .home
        case 0x02: .left
        case 0x03: .interrupt
        case 0x04: .endOfInput
        case 0x05: .end
        case 0x06: .right
        case 0x08, 0x7F: .backspace
        case 0x09: .tab
        case 0x0A, 0x0D: .enter
        case 0x0B: .killToEnd
        case 0x0C: .clearScreen
        case 0x0E: .down
        case 0x10: .up
        case 0x12: .search
        case 0x14: .transpose
        case 0x15: .killToStart
        case 0x17: .killWord
        case 0x19: .yank
        default: .unknown
        }
    }

    private static func character(_ bytes: ArraySlice<UInt8>) -> (Key, Int)? {
        guard let first = bytes.first else { return nil }
        let length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1
        guard bytes.count >= length else { return nil }
        guard let text = String(validating: bytes.prefix(length), as: UTF8.self), let character = text.first else {
            return (.unknown, 1)
        }
        return (.character(character), length)
    }

    private static func escape(_ bytes: ArraySlice<UInt8>) -> (Key, Int)? {
        let rest = bytes.dropFirst()
        guard let kind = rest.first else { return nil }
        switch kind {
        case UInt8(ascii: "["): return sequence(rest.dropFirst())
        case UInt8(ascii: "O"):
            guard let final = rest.dropFirst().first else { return nil }
            return (final == UInt8(ascii: "H") ? .home : final == UInt8(ascii: "F") ? .end : arrow(final), 3)
        case UInt8(ascii: "b"): return (.wordLeft, 2)
        case UInt8(ascii: "f"): return (.wordRight, 2)
        case UInt8(ascii: "d"): return (.killWordRight, 2)
        case 0x7F, 0x08: return (.killWord, 2)
        case 0x1B: return (.escape, 1)
        default: return (.unknown, 2)
        }
    }

    /// Decodes a sequence after `ESC [`: parameters, then one final byte.
    private static func sequence(_ bytes: ArraySlice<UInt8>) -> (Key, Int)? {
        guard let end = bytes.firstIndex(where: { (0x40...0x7E).contains($0) }) else { return nil }
        let parameters = String(decoding: bytes[..<end], as: UTF8.self)
        let length = 3 + (end - bytes.startIndex)
        // 5 is Ctrl, 3 is Alt: both mean "by words".
        let byWords = parameters.hasSuffix(";5") || parameters.hasSuffix(";3")
        switch bytes[end] {
        case UInt8(ascii: "H"): return (.home, length)
        case UInt8(ascii: "F"): return (.end, length)
        case UInt8(ascii: "C") where byWords: return (.wordRight, length)
        case UInt8(ascii: "D") where byWords: return (.wordLeft, length)
        case UInt8(ascii: "~"):
            switch parameters {
            case "1", "7": return (.home, length)
            case "4", "8": return (.end, length)
            case "3": return (.delete, length)
            default: return (.unknown, length)
            }
        default: return (arrow(bytes[end]), length)
        }
    }

    private static func arrow(_ final: UInt8) -> Key {
        switch final {
        case UInt8(ascii: "A"): .up
        case UInt8(ascii: "B"): .down
        case UInt8(ascii: "C"): .right
        case UInt8(ascii: "D"): .left
        default: .unknown
        }
    }
}
