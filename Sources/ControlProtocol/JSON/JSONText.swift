/// Writes and reads JSON strings by hand, where a whole encoder would be too slow.
public enum JSONText {
    /// `text` as a JSON string with quotes.
    public static func quoted(_ text: String) -> String {
        guard text.utf8.contains(where: needsEscape) else { return "\"\(text)\"" }
        var bytes: [UInt8] = [UInt8(ascii: "\"")]
        for byte in text.utf8 {
            if needsEscape(byte) { bytes += escape(byte) } else { bytes.append(byte) }
        }
        bytes.append(UInt8(ascii: "\""))
        return String(decoding: bytes, as: UTF8.self)
    }

    static func needsEscape(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    static func escape(_ byte: UInt8) -> [UInt8] {
        let slash = UInt8(ascii: "\\")
        switch byte {
        case UInt8(ascii: "\""), slash: return [slash, byte]
        case UInt8(ascii: "\n"): return [slash, UInt8(ascii: "n")]
        case UInt8(ascii: "\t"): return [slash, UInt8(ascii: "t")]
        case UInt8(ascii: "\r"): return [slash, UInt8(ascii: "r")]
        case 0x08: return [slash, UInt8(ascii: "b")]
        case 0x0C: return [slash, UInt8(ascii: "f")]
        default:
            let digits = Array("0123456789abcdef".utf8)
            return [
                slash, UInt8(ascii: "u"), UInt8(ascii: "0"), UInt8(ascii: "0"), digits[Int(byte >> 4)],
                digits[Int(byte & 15)],
            ]
        }
    }

    /// The text between the quotes of a JSON string, with its escapes resolved; nil for half a surrogate pair or an
    /// escape that JSON does not have.
    static func unescaped(_ raw: ArraySlice<UInt8>) -> String? {
        guard raw.contains(UInt8(ascii: "\\")) else { return String(decoding: raw, as: UTF8.self) }
        var text = String.UnicodeScalarView()
        var plain = raw.startIndex
        var index = raw.startIndex
        while index < raw.endIndex {
            guard raw[index] == UInt8(ascii: "\\") else {
                index += 1
                continue
            }
            text += String(decoding: raw[plain..<index], as: UTF8.self).unicodeScalars
            guard let (scalar, length) = escaped(raw[(index + 1)...]) else { return nil }
            text.append(scalar)
            index += 1 + length
            plain = index
        }
        text += String(decoding: raw[plain...], as: UTF8.self).unicodeScalars
        return String(text)
    }

    /// The scalar of an escape, and the length of the escape in bytes without its first backslash.
    private static func escaped(_ raw: ArraySlice<UInt8>) -> (Unicode.Scalar, Int)? {
        switch raw.first {
        case UInt8(ascii: "\""): return ("\"", 1)
        case UInt8(ascii: "\\"): return ("\\", 1)
        case UInt8(ascii: "/"): return ("/", 1)
        case UInt8(ascii: "b"): return ("\u{8}", 1)
        case UInt8(ascii: "f"): return ("\u{c}", 1)
        case UInt8(ascii: "n"): return ("\n", 1)
        case UInt8(ascii: "r"): return ("\r", 1)
        case UInt8(ascii: "t"): return ("\t", 1)
        case UInt8(ascii: "u"):
            guard let unit = hexadecimal(raw.dropFirst()) else { return nil }
            if let scalar = Unicode.Scalar(unit) { return (scalar, 5) }
            // This is the first half of a surrogate pair: `\ud83d\ude00`.
            let rest = raw.dropFirst(5)
            guard unit < 0xDC00, rest.starts(with: "\\u".utf8), let low = hexadecimal(rest.dropFirst(2)),
                (0xDC00..<0xE000).contains(low),
                let scalar = Unicode.Scalar(0x10000 + (UInt32(unit - 0xD800) << 10) + UInt32(low - 0xDC00))
            else { return nil }
            return (scalar, 11)
        default: return nil
        }
    }

    private static func hexadecimal(_ digits: ArraySlice<UInt8>) -> UInt16? {
        guard digits.count >= 4 else { return nil }
        return UInt16(String(decoding: digits.prefix(4), as: UTF8.self), radix: 16)
    }
}
