import Foundation
import Testing

/// The supervisor's journal as a file of records (`Linux.RecordFile`), for tests that make it end earlier than it does.
struct JournalFile {
    let path: String

    /// Keys of all records with the offsets at which they begin, in the order in which they were written.
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

    /// The journal as it was before the last process was written down.
    func forgetLastProcess() throws {
        let last = try #require(try records().last { $0.key.hasPrefix("p") })
        #expect(truncate(path, last.offset) == 0)
    }
}
