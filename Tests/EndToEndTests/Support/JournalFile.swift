import Foundation
import Testing

/// The supervisor's journal as a file of records (`Linux.RecordFile`), for tests that truncate it.
struct JournalFile {
    let path: String

    /// Keys of all records with their offsets, in the order of writing.
    func records() throws -> [(key: String, offset: Int)] {
        let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        func number(_ offset: Int, _ size: Int) -> Int {
            (0..<size).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
        }
        var found: [(key: String, offset: Int)] = []
        var offset = 0
        while offset + 11 <= bytes.count {
            let end = offset + 8 + number(offset, 4)
            guard end <= bytes.count else { break }
            let key = bytes[(offset + 11)..<(offset + 11 + number(offset + 9, 2))]
            found.append((String(decoding: key, as: UTF8.self), offset))
            offset = end
        }
        return found
    }

    /// Replaces a text in the records by another one of the same length.
    func replace(_ text: String, by other: String) throws {
        var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        let (old, new) = (Array(text.utf8), Array(other.utf8))
        #expect(old.count == new.count)
        var offset = 0
        while offset + 11 <= bytes.count {
            let length = (0..<4).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
            let body = (offset + 8)..<(offset + 8 + length)
            var index = body.lowerBound
            while index + old.count <= body.upperBound {
                if bytes[index] == old[0], bytes[index..<index + old.count].elementsEqual(old) {
                    bytes.replaceSubrange(index..<index + old.count, with: new)
                }
                index += 1
            }
            var hash: UInt32 = 0x811c_9dc5
            for byte in bytes[body] { hash = (hash ^ UInt32(byte)) &* 0x0100_0193 }
            for byte in 0..<4 { bytes[offset + 4 + byte] = UInt8(truncatingIfNeeded: hash >> (8 * UInt32(byte))) }
            offset = body.upperBound
        }
        try Data(bytes).write(to: URL(fileURLWithPath: path))
    }

    /// Truncates the journal to its state before the last process was recorded.
    func forgetLastProcess() throws {
        let last = try #require(try records().last { $0.key.hasPrefix("p") })
        #expect(truncate(path, last.offset) == 0)
    }
}
