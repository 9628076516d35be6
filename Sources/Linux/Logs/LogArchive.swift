import Glibc
import SystemPackage

/// How files of captured output are named, for those who write and those who read them.
///
/// `UNIT.log` is written to. When it is full or old it is renamed, once and for good, to `UNIT.log.TIME`, where TIME is that of
/// the rotation (`20260102T030405.678Z`): all its lines are older, names sort as their lines do, and whoever reads while
/// files are rotated cannot mistake one for another. A moment later it is `UNIT.log.TIME.gz`.
public enum LogArchive {
    /// A file with a part of a unit's output that is no longer written to.
    public struct Segment: Comparable, Sendable {
        /// Without `.gz`.
        public var name: String
        /// Milliseconds since 1970 of the rotation.
        public var time: Int64
        /// Only as `.gz`. Where both are there the compressed one may be half done.
        public var isCompressed: Bool

        public var fileName: String { isCompressed ? name + ".gz" : name }

        public static func < (a: Segment, b: Segment) -> Bool { a.time < b.time }
    }

    public static let suffix = ".log"

    /// The name of the file that a unit's output is appended to.
    public static func fileName(_ unit: String) -> String {
        // With the time and ".gz" it must not be longer than 255 bytes. A unit's name alone may be: then its beginning, and
        // a number (FNV-1a) to tell it from others that begin so.
        guard unit.utf8.count > 220 else { return unit + suffix }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in unit.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return "\(String(decoding: unit.utf8.prefix(200), as: UTF8.self))~\(String(hash, radix: 16))\(suffix)"
    }

    /// The name that a file gets when it is rotated.
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

    /// `20260102T030405.678Z`
    private static func time(of text: Substring) -> Int64? {
        // Years have four digits, the rest two; so the text is taken apart first.
        let bytes = Array(text.utf8)
        guard LogTime.numbers(bytes, "ddddddddTdddddd.dddZ") != nil else { return nil }
        func number(_ range: Range<Int>) -> Int64 { bytes[range].reduce(0) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) } }
        let parts = [number(0..<4), number(4..<6), number(6..<8), number(9..<11), number(11..<13), number(13..<15)]
        return LogTime.seconds(parts) * 1000 + number(16..<19)
    }

    /// The file that a name of a rotated one belongs to: `UNIT.log` for `UNIT.log.20260102T030405.678Z.gz`.
    public static func file(ofSegment name: String) -> String? {
        let bare = name.hasSuffix(".gz") ? name.dropLast(3) : name[...]
        // A dot and twenty bytes of time.
        guard bare.utf8.count > 21, time(of: bare.suffix(20)) != nil else { return nil }
        let file = bare.dropLast(21)
        return file.hasSuffix(suffix) ? String(file) : nil
    }
}
