/// StateCoding: encodes `Codable` values as compact bytes and back, for the supervisor's own state.
///
/// Self-describing like JSON (every property carries its name, so that a newer version reads an older one's data, and
/// the other way round), but a thousand services are written and read within milliseconds, in one pass, without
/// intermediate trees: during that time no event is handled.
///
/// A value is a tag and its content:
///
///     0 nil   1 false   2 true   3 integer (zigzag varint)   4 unsigned beyond Int64 (varint)   5 double (8 bytes)
///     6 string (varint length, UTF-8)   7 array (4 bytes length in bytes, values)
///     8 map (4 bytes length in bytes, then entries: varint length and UTF-8 of the key, value)
///
/// Multi-byte numbers are little-endian. The length in front of arrays and maps lets a reader skip unknown content.
enum Tag {
    static let null: UInt8 = 0
    static let `false`: UInt8 = 1
    static let `true`: UInt8 = 2
    static let integer: UInt8 = 3
    static let unsigned: UInt8 = 4
    static let double: UInt8 = 5
    static let string: UInt8 = 6
    static let array: UInt8 = 7
    static let map: UInt8 = 8
}

/// The key of an element without a name, for errors.
struct IndexKey: CodingKey {
    let intValue: Int?
    var stringValue: String { intValue.map { "\($0)" } ?? "" }
    init(_ index: Int) { intValue = index }
    init?(intValue: Int) { self.intValue = intValue }
    init?(stringValue: String) { nil }
}
