/// Text of files that should be UTF-8 and may not be.
///
/// A byte that is not UTF-8 makes its line invalid, but is harmless in a comment. The text is therefore decoded all the
/// same, with a scalar in place of the byte that cannot occur in valid text. systemd refuses such scalars (Unicode's
/// noncharacters) just as it refuses bytes that are not UTF-8. The mark can therefore stay in the text: in the journal,
/// and when the text is parsed again.
public enum FileText {
    /// Replacement of a byte that is not UTF-8: U+FDD0, a noncharacter.
    static let invalidByteMark = Unicode.Scalar(0xFDD0 as UInt16)

    static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    /// Decodes the bytes and replaces each byte that is not UTF-8 by `invalidByteMark`.
    public static func decode(_ bytes: [UInt8]) -> String {
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        var text = ""
        var decoder = UTF8()
        var iterator = bytes.makeIterator()
        while true {
            switch decoder.decode(&iterator) {
            case .scalarValue(let scalar): text.unicodeScalars.append(scalar)
            case .error: invalidByteMark.map { text.unicodeScalars.append($0) }
            case .emptyInput: return text
            }
        }
    }

    /// The text for display: U+FFFD, the replacement character, in place of `invalidByteMark`.
    public static func displayText(_ text: String) -> String {
        guard let mark = invalidByteMark, text.unicodeScalars.contains(mark) else { return text }
        var shown = ""
        for scalar in text.unicodeScalars { shown.unicodeScalars.append(scalar == mark ? "\u{FFFD}" : scalar) }
        return shown
    }

    /// Whether the bytes are UTF-8 without noncharacters, as systemd's utf8_is_valid() requires.
    static func isValid(_ bytes: [UInt8]) -> Bool {
        guard String(validating: bytes, as: UTF8.self) != nil else { return false }
        return bytes.withUnsafeBufferPointer { firstNoncharacter(in: $0[...]) } == nil
    }

    /// Offset of the first noncharacter (U+FDD0 to U+FDEF, and the last two code points of each plane).
    static func firstNoncharacter(in bytes: Slice<UnsafeBufferPointer<UInt8>>) -> Int? {
        for index in bytes.indices where bytes[index] >= 0xEF {
            guard index + 2 < bytes.endIndex else { return nil }
            let (second, third) = (bytes[index + 1], bytes[index + 2])
            if bytes[index] == 0xEF {
                if second == 0xB7, third >= 0x90, third <= 0xAF { return index }
                if second == 0xBF, third >= 0xBE { return index }
            } else if index + 3 < bytes.endIndex, second & 0xF == 0xF, third == 0xBF, bytes[index + 3] >= 0xBE {
                return index
            }
        }
        return nil
    }
}
