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

    /// Truncates the journal to its state before the last process was recorded.
    func forgetLastProcess() throws {
        let last = try #require(try records().last { $0.key.hasPrefix("p") })
        #expect(truncate(path, last.offset) == 0)
    }
}
