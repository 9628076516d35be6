/// Decodes the bytes of `StateEncoder`. The result for any bytes is a value or an error.
public enum StateDecoder {
    public static func decode<T: Decodable>(_ type: T.Type, from bytes: [UInt8]) throws -> T {
        try Reader(bytes).decode(type, at: 0, [])
    }
}

/// The bytes, read at offsets that the caller passes.
final class Reader {
    private let bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var count: Int { bytes.count }

    func corruption(_ path: [any CodingKey], _ text: String) -> DecodingError {
        .dataCorrupted(DecodingError.Context(codingPath: path, debugDescription: text))
    }

    func decode<T: Decodable>(_ type: T.Type, at offset: Int, _ path: [any CodingKey]) throws -> T {
        let value = try T(from: ValueDecoder(reader: self, offset: offset, codingPath: path))
        // The standard library traps when a sum of durations overflows; within these bounds it cannot.
        if let span = value as? Duration, let bounded = min(max(span, Self.shortestSpan), Self.longestSpan) as? T {
            return bounded
        }
        return value
    }

    private static let shortestSpan = Duration.seconds(Int64.min)
    private static let longestSpan = Duration.seconds(Int64.max)

    func tag(_ offset: Int, _ path: [any CodingKey]) throws -> UInt8 {
        guard offset >= 0, offset < bytes.count else { throw corruption(path, "the data ends too early") }
        return bytes[offset]
    }

    func varint(_ offset: inout Int, _ path: [any CodingKey]) throws -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while shift < 64 {
            let byte = try tag(offset, path)
            offset += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        throw corruption(path, "a number has no end")
    }

    /// The range of a text: a length and that many bytes.
    func range(_ offset: inout Int, _ path: [any CodingKey]) throws -> Range<Int> {
        let length = try varint(&offset, path)
        guard length <= UInt64(bytes.count - offset) else { throw corruption(path, "a text ends too early") }
        defer { offset += Int(length) }
        return offset..<offset + Int(length)
    }

    /// The content of the array or map at `offset`.
    func content(_ expected: UInt8, at offset: Int, _ path: [any CodingKey]) throws -> Range<Int> {
        guard try tag(offset, path) == expected else {
            throw corruption(path, "the value has another kind than expected")
        }
        guard bytes.count - offset >= 5 else { throw corruption(path, "the data ends too early") }
        var length = 0
        for index in 0..<4 { length |= Int(bytes[offset + 1 + index]) << (8 * index) }
        guard length <= bytes.count - offset - 5 else { throw corruption(path, "the data ends too early") }
        return offset + 5..<offset + 5 + length
    }

    /// The offset after the value at `offset`.
    func skip(_ offset: Int, _ path: [any CodingKey]) throws -> Int {
        var next = offset + 1
        switch try tag(offset, path) {
        case Tag.null, Tag.false, Tag.true: return next
        case Tag.integer, Tag.unsigned: _ = try varint(&next, path)
        case Tag.double: next += 8
        case Tag.string: _ = try range(&next, path)
        case Tag.array: next = try content(Tag.array, at: offset, path).upperBound
        case Tag.map: next = try content(Tag.map, at: offset, path).upperBound
        default: throw corruption(path, "an unknown kind of value")
        }
        guard next <= bytes.count else { throw corruption(path, "the data ends too early") }
        return next
    }

    func isKey(_ range: Range<Int>, _ name: String) -> Bool {
        let utf8 = name.utf8
        return utf8.count == range.count && utf8.elementsEqual(bytes[range])
    }

    func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

    // MARK: - Single values

    func isNull(_ offset: Int) -> Bool { offset < bytes.count && bytes[offset] == Tag.null }

    func bool(_ offset: Int, _ path: [any CodingKey]) throws -> Bool {
        switch try tag(offset, path) {
        case Tag.false: false
        case Tag.true: true
        default: throw corruption(path, "not a Boolean")
        }
    }

    func string(_ offset: Int, _ path: [any CodingKey]) throws -> String {
        guard try tag(offset, path) == Tag.string else { throw corruption(path, "not a string") }
        var next = offset + 1
        return text(try range(&next, path))
    }

    func double(_ offset: Int, _ path: [any CodingKey]) throws -> Double {
        guard try tag(offset, path) == Tag.double, bytes.count - offset >= 9 else {
            throw corruption(path, "not a number")
        }
        var bits: UInt64 = 0
        for index in 0..<8 { bits |= UInt64(bytes[offset + 1 + index]) << (8 * UInt64(index)) }
        return Double(bitPattern: bits)
    }

    func integer<T: FixedWidthInteger>(_ type: T.Type, _ offset: Int, _ path: [any CodingKey]) throws -> T {
        let tag = try tag(offset, path)
        var next = offset + 1
        let value: T?
        switch tag {
        case Tag.integer:
            let raw = try varint(&next, path)
            value = T(exactly: Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1))
        case Tag.unsigned: value = T(exactly: try varint(&next, path))
        default: throw corruption(path, "not an integer")
        }
        guard let value else { throw corruption(path, "an integer out of range") }
        return value
    }
}

private struct ValueDecoder: Decoder {
    let reader: Reader
    let offset: Int
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        let content = try reader.content(Tag.map, at: offset, codingPath)
        return KeyedDecodingContainer(MapReader<Key>(reader: reader, content: content, codingPath: codingPath))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        let content = try reader.content(Tag.array, at: offset, codingPath)
        return try ArrayReader(reader: reader, content: content, codingPath: codingPath)
    }

    func singleValueContainer() -> any SingleValueDecodingContainer {
        SingleReader(reader: reader, offset: offset, codingPath: codingPath)
    }
}

private struct SingleReader: SingleValueDecodingContainer {
    let reader: Reader
    let offset: Int
    let codingPath: [any CodingKey]

    func decodeNil() -> Bool { reader.isNull(offset) }
    func decode(_ type: Bool.Type) throws -> Bool { try reader.bool(offset, codingPath) }
    func decode(_ type: String.Type) throws -> String { try reader.string(offset, codingPath) }
    func decode(_ type: Double.Type) throws -> Double { try reader.double(offset, codingPath) }
    func decode(_ type: Float.Type) throws -> Float { Float(try reader.double(offset, codingPath)) }
    func decode(_ type: Int.Type) throws -> Int { try reader.integer(type, offset, codingPath) }
    func decode(_ type: Int8.Type) throws -> Int8 { try reader.integer(type, offset, codingPath) }
    func decode(_ type: Int16.Type) throws -> Int16 { try reader.integer(type, offset, codingPath) }
    func decode(_ type: Int32.Type) throws -> Int32 { try reader.integer(type, offset, codingPath) }
    func decode(_ type: Int64.Type) throws -> Int64 { try reader.integer(type, offset, codingPath) }
    func decode(_ type: UInt.Type) throws -> UInt { try reader.integer(type, offset, codingPath) }
    func decode(_ type: UInt8.Type) throws -> UInt8 { try reader.integer(type, offset, codingPath) }
    func decode(_ type: UInt16.Type) throws -> UInt16 { try reader.integer(type, offset, codingPath) }
    func decode(_ type: UInt32.Type) throws -> UInt32 { try reader.integer(type, offset, codingPath) }
    func decode(_ type: UInt64.Type) throws -> UInt64 { try reader.integer(type, offset, codingPath) }
    func decode<T: Decodable>(_ type: T.Type) throws -> T { try reader.decode(type, at: offset, codingPath) }
}

/// Properties are usually read in the order in which they were written: a search begins where the last one ended.
private final class MapReader<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let reader: Reader
    let content: Range<Int>
    let codingPath: [any CodingKey]
    private var cursor: Int

    init(reader: Reader, content: Range<Int>, codingPath: [any CodingKey]) {
        self.reader = reader
        self.content = content
        self.codingPath = codingPath
        cursor = content.lowerBound
    }

    var allKeys: [Key] {
        var keys: [Key] = []
        var offset = content.lowerBound
        while offset < content.upperBound {
            guard let name = try? reader.range(&offset, codingPath), let next = try? reader.skip(offset, codingPath)
            else { break }
            if let key = Key(stringValue: reader.text(name)) { keys.append(key) }
            offset = next
        }
        return keys
    }

    /// The offset of the value; nil if there is none.
    private func findOffset(of key: Key) throws -> Int? {
        let name = key.stringValue
        var offset = cursor
        var end = content.upperBound
        for _ in 0..<2 {
            while offset < end {
                let found = try reader.range(&offset, codingPath)
                let value = offset
                offset = try reader.skip(value, codingPath)
                guard offset <= content.upperBound else {
                    throw reader.corruption(codingPath, "the data ends too early")
                }
                if reader.isKey(found, name) {
                    cursor = offset
                    return value
                }
            }
            (offset, end) = (content.lowerBound, cursor)
        }
        return nil
    }

    private func requiredOffset(of key: Key) throws -> Int {
        guard let offset = try findOffset(of: key) else {
            let context = DecodingError.Context(
                codingPath: codingPath, debugDescription: "\(key.stringValue) is missing")
            throw DecodingError.keyNotFound(key, context)
        }
        return offset
    }

    func contains(_ key: Key) -> Bool { ((try? findOffset(of: key)) ?? nil) != nil }
    func decodeNil(forKey key: Key) throws -> Bool { reader.isNull(try requiredOffset(of: key)) }
    func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool {
        try reader.bool(requiredOffset(of: key), codingPath)
    }
    func decode(_ type: String.Type, forKey key: Key) throws -> String {
        try reader.string(requiredOffset(of: key), codingPath)
    }
    func decode(_ type: Double.Type, forKey key: Key) throws -> Double {
        try reader.double(requiredOffset(of: key), codingPath)
    }
    func decode(_ type: Float.Type, forKey key: Key) throws -> Float {
        Float(try reader.double(requiredOffset(of: key), codingPath))
    }
    func decode(_ type: Int.Type, forKey key: Key) throws -> Int {
        try reader.integer(type, requiredOffset(of: key), codingPath)
    }
    func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 {
        try reader.integer(type, requiredOffset(of: key), codingPath)
    }
    func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 {
        try reader.integer(type, requiredOffset(of: key), codingPath)
    }
    func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 {
        try reader.integer(type, requiredOffset(of: key), codingPath)
    }
    func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 {
        try reader.integer(type, requiredOffset(of: key), codingPath)
    }
    func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt {
        try reader.integer(type, requiredOffset(of: key), codingPath)
    }
    func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 {
        try reader.integer(type, requiredOffset(of: key), codingPath)
    }
    func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 {
        try reader.integer(type, requiredOffset(of: key), codingPath)
    }
    func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 {
        try reader.integer(type, requiredOffset(of: key), codingPath)
    }
    func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 {
        try reader.integer(type, requiredOffset(of: key), codingPath)
    }
    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
        try reader.decode(type, at: requiredOffset(of: key), codingPath)
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> {
        try ValueDecoder(reader: reader, offset: requiredOffset(of: key), codingPath: codingPath).container(
            keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try ValueDecoder(reader: reader, offset: requiredOffset(of: key), codingPath: codingPath).unkeyedContainer()
    }

    func superDecoder() throws -> any Decoder {
        throw reader.corruption(codingPath, "classes with parents are not kept")
    }

    func superDecoder(forKey key: Key) throws -> any Decoder {
        ValueDecoder(reader: reader, offset: try requiredOffset(of: key), codingPath: codingPath)
    }
}

private struct ArrayReader: UnkeyedDecodingContainer {
    let reader: Reader
    let codingPath: [any CodingKey]
    let count: Int?
    private(set) var currentIndex = 0
    private var offset: Int
    private let end: Int

    init(reader: Reader, content: Range<Int>, codingPath: [any CodingKey]) throws {
        self.reader = reader
        self.codingPath = codingPath
        offset = content.lowerBound
        end = content.upperBound
        // Counted first: dictionaries with keys that are not strings need the number of elements.
        var count = 0
        var next = offset
        while next < end {
            next = try reader.skip(next, codingPath)
            count += 1
        }
        guard next == end else { throw reader.corruption(codingPath, "the data ends too early") }
        self.count = count
    }

    var isAtEnd: Bool { offset >= end }

    private mutating func next() throws -> Int {
        guard !isAtEnd else { throw reader.corruption(codingPath + [IndexKey(currentIndex)], "no more elements") }
        let value = offset
        offset = try reader.skip(value, codingPath)
        currentIndex += 1
        return value
    }

    mutating func decodeNil() throws -> Bool {
        guard !isAtEnd, reader.isNull(offset) else { return false }
        _ = try next()
        return true
    }

    mutating func decode(_ type: Bool.Type) throws -> Bool { try reader.bool(next(), codingPath) }
    mutating func decode(_ type: String.Type) throws -> String { try reader.string(next(), codingPath) }
    mutating func decode(_ type: Double.Type) throws -> Double { try reader.double(next(), codingPath) }
    mutating func decode(_ type: Float.Type) throws -> Float { Float(try reader.double(next(), codingPath)) }
    mutating func decode(_ type: Int.Type) throws -> Int { try reader.integer(type, next(), codingPath) }
    mutating func decode(_ type: Int8.Type) throws -> Int8 { try reader.integer(type, next(), codingPath) }
    mutating func decode(_ type: Int16.Type) throws -> Int16 { try reader.integer(type, next(), codingPath) }
    mutating func decode(_ type: Int32.Type) throws -> Int32 { try reader.integer(type, next(), codingPath) }
    mutating func decode(_ type: Int64.Type) throws -> Int64 { try reader.integer(type, next(), codingPath) }
    mutating func decode(_ type: UInt.Type) throws -> UInt { try reader.integer(type, next(), codingPath) }
    mutating func decode(_ type: UInt8.Type) throws -> UInt8 { try reader.integer(type, next(), codingPath) }
    mutating func decode(_ type: UInt16.Type) throws -> UInt16 { try reader.integer(type, next(), codingPath) }
    mutating func decode(_ type: UInt32.Type) throws -> UInt32 { try reader.integer(type, next(), codingPath) }
    mutating func decode(_ type: UInt64.Type) throws -> UInt64 { try reader.integer(type, next(), codingPath) }
    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T {
        let value = try next()
        return try reader.decode(type, at: value, codingPath)
    }

    mutating func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type
    ) throws -> KeyedDecodingContainer<Nested> {
        try ValueDecoder(reader: reader, offset: next(), codingPath: codingPath).container(keyedBy: type)
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try ValueDecoder(reader: reader, offset: next(), codingPath: codingPath).unkeyedContainer()
    }

    mutating func superDecoder() throws -> any Decoder {
        ValueDecoder(reader: reader, offset: try next(), codingPath: codingPath)
    }
}
