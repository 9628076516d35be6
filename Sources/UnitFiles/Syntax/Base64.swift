/// Decoder of Base64 (RFC 4648, section 4); white space between the letters is ignored.
enum Base64 {
    private static let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func decode(_ text: String) throws(ValueError) -> [UInt8] {
        var result: [UInt8] = []
        var buffer: UInt32 = 0
        var count = 0
        var padding = 0
        for (offset, byte) in text.utf8.enumerated() where !Ascii.isSpace(byte) {
            if byte == UInt8(ascii: "=") {
                padding += 1
                continue
            }
            guard padding == 0, let digit = letters.firstIndex(of: byte) else {
                throw ValueError("expected Base64", at: offset)
            }
            buffer = buffer << 6 | UInt32(digit)
            count += 1
            if count % 4 == 0 {
                result += [UInt8(buffer >> 16 & 255), UInt8(buffer >> 8 & 255), UInt8(buffer & 255)]
                buffer = 0
            }
        }
        switch (count % 4, padding) {
        case (0, 0): break
        case (2, 2): result.append(UInt8(buffer >> 4 & 255))
        case (3, 1): result += [UInt8(buffer >> 10 & 255), UInt8(buffer >> 2 & 255)]
        default: throw ValueError("the Base64 ends in the middle of a byte")
        }
        return result
    }
}
