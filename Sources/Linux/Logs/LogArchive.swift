import Glibc
import SystemPackage

/// The names of files with captured output, for their writer and readers.
///
/// `UNIT.log` is the current file. When it is full or old it is renamed, once and for good, to `UNIT.log.TIME`, where
/// TIME is the time of the rotation (`20260102T030405.678Z`): all its lines are older, names sort as their lines do,
/// and a reader during rotations cannot mistake one file for another. A moment later it is `UNIT.log.TIME.gz`.
public enum LogArchive {
    /// A file with a part of a unit's output that is no longer written to.
    public struct Segment: Comparable, Sendable {
        /// The name without `.gz`.
        public var name: String
        /// The time of the rotation in milliseconds since 1970.
        public var time: Int64
        /// Whether only the `.gz` exists. If both exist, the compressed file may be incomplete.
        public var isCompressed: Bool

        public var fileName: String { isCompressed ? name + ".gz" : name }

        public static func < (a: Segment, b: Segment) -> Bool { a.time < b.time }
    }

    public static let suffix = ".log"

    /// The name of the file that a unit's output is appended to.
    public static func fileName(_ unit: String) -> String {
        // With the time and ".gz" it must not be longer than 255 bytes. The name of a unit alone may be: then its
        // beginning is used, and a number (FNV-1a) that tells it from others with the same beginning.
        guard unit.utf8.count > 220 else { return unit + suffix }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in unit.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return "\(String(decoding: unit.utf8.prefix(200), as: UTF8.self))~\(String(hash, radix: 16))\(suffix)"
    }

    /// The name of a file after its rotation.
    static func segmentName(_ file: String, _ milliseconds: Int64) -> String {
        let fraction = String(1000 + milliseconds % 1000).dropFirst()
        return "\(file).\(LogTime.text(milliseconds / 1000, "%Y%m%dT%H%M%S")).\(fraction)Z"
    }

    /// The rotated files of `file` (`UNIT.log`) among the names in its directory, the oldest first.
    public static func segments(of file: String, among names: [String]) -> [Segment] {
        var found: [String: Segment] = [:]
        for entry in names where entry.utf8.count > file.utf8.count && entry.hasPrefix(file + ".") {
            let isCompressed = entry.hasSuffix(".gz")
            let name = isCompressed ? String(entry.dropLast(3)) : entry
            guard let time = time(of: name.dropFirst(file.count + 1)) else { continue }
            if isCompressed, found[name] != nil { continue }
            found[name] = Segment(name: name, time: time, isCompressed: isCompressed)
        }
        return found.values.sorted()
    }

    /// The time in `20260102T030405.678Z`.
    private static func time(of text: Substring) -> Int64? {
        // Years have four digits and the rest two, so the text is split first.
        let bytes = Array(text.utf8)
        guard LogTime.numbers(bytes, "ddddddddTdddddd.dddZ") != nil else { return nil }
        func number(_ range: Range<Int>) -> Int64 { bytes[range].reduce(0) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) } }
        let parts = [number(0..<4), number(4..<6), number(6..<8), number(9..<11), number(11..<13), number(13..<15)]
        return LogTime.seconds(parts) * 1000 + number(16..<19)
    }

    /// The current file's name for a rotated file: `UNIT.log` for `UNIT.log.20260102T030405.678Z.gz`.
    public static func file(ofSegment name: String) -> String? {
        let bare = name.hasSuffix(".gz") ? name.dropLast(3) : name[...]
        // A dot and twenty bytes of time.
        guard bare.utf8.count > 21, time(of: bare.suffix(20)) != nil else { return nil }
        let file = bare.dropLast(21)
        return file.hasSuffix(suffix) ? String(file) : nil
    }
}
