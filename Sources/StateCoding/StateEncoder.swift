/// Encodes a value as bytes.
public enum StateEncoder {
    public static func encode(_ value: some Encodable) throws -> [UInt8] {
        let writer = Writer()
        try writer.encode(value, [])
        return writer.bytes
    }
}

/// The bytes and the open arrays and maps. A nested container is complete as soon as a value is written to the outer
/// one, or the value that opened it has been written.
final class Writer {
    fileprivate(set) var bytes: [UInt8] = []
    /// The offsets of the lengths of the open containers.
    private var open: [Int] = []

    var depth: Int { open.count }

    func encode(_ value: some Encodable, _ path: [any CodingKey]) throws {
        let before = bytes.count
        let depth = depth
        try value.encode(to: ValueEncoder(writer: self, codingPath: path))
        close(to: depth)
        if bytes.count == before { bytes.append(Tag.null) }
    }

    func beginContainer(_ tag: UInt8) {
        bytes.append(tag)
        open.append(bytes.count)
        bytes += [0, 0, 0, 0]
    }

    func close(to depth: Int) {
        while open.count > depth, let start = open.popLast() {
            let length = bytes.count - start - 4
            for index in 0..<4 { bytes[start + index] = UInt8(truncatingIfNeeded: length >> (8 * index)) }
        }
    }

    func key(_ name: String) { text(name) }

    func null() { bytes.append(Tag.null) }

    func bool(_ value: Bool) { bytes.append(value ? Tag.true : Tag.false) }

    func integer(_ value: some FixedWidthInteger) {
        if let small = Int64(exactly: value) {
            bytes.append(Tag.integer)
            varint(UInt64(bitPattern: (small << 1) ^ (small >> 63)))
        } else {
            bytes.append(Tag.unsigned)
            varint(UInt64(truncatingIfNeeded: value))
        }
    }

    func double(_ value: Double) {
        bytes.append(Tag.double)
        for index in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: value.bitPattern >> (8 * UInt64(index)))) }
    }

    func string(_ value: String) {
        bytes.append(Tag.string)
        text(value)
    }

    private func text(_ value: String) {
        varint(UInt64(value.utf8.count))
        bytes.append(contentsOf: value.utf8)
    }

    private func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }
}

private struct ValueEncoder: Encoder {
    let writer: Writer
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        writer.beginContainer(Tag.map)
        return KeyedEncodingContainer(MapWriter(writer: writer, depth: writer.depth, codingPath: codingPath))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        writer.beginContainer(Tag.array)
        return ArrayWriter(writer: writer, depth: writer.depth, codingPath: codingPath)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer {
        SingleWriter(writer: writer, codingPath: codingPath)
    }
}

private struct SingleWriter: SingleValueEncodingContainer {
    let writer: Writer
    let codingPath: [any CodingKey]

    func encodeNil() { writer.null() }
    func encode(_ value: Bool) { writer.bool(value) }
    func encode(_ value: String) { writer.string(value) }
    func encode(_ value: Double) { writer.double(value) }
    func encode(_ value: Float) { writer.double(Double(value)) }
    func encode(_ value: Int) { writer.integer(value) }
    func encode(_ value: Int8) { writer.integer(value) }
    func encode(_ value: Int16) { writer.integer(value) }
    func encode(_ value: Int32) { writer.integer(value) }
    func encode(_ value: Int64) { writer.integer(value) }
    func encode(_ value: UInt) { writer.integer(value) }
    func encode(_ value: UInt8) { writer.integer(value) }
    func encode(_ value: UInt16) { writer.integer(value) }
    func encode(_ value: UInt32) { writer.integer(value) }
    func encode(_ value: UInt64) { writer.integer(value) }
    func encode<T: Encodable>(_ value: T) throws { try writer.encode(value, codingPath) }
}

private struct MapWriter<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let writer: Writer
    let depth: Int
    let codingPath: [any CodingKey]

    private func name(_ key: Key) -> Writer {
        writer.close(to: depth)
        writer.key(key.stringValue)
        return writer
    }

    func encodeNil(forKey key: Key) { name(key).null() }
    func encode(_ value: Bool, forKey key: Key) { name(key).bool(value) }
    func encode(_ value: String, forKey key: Key) { name(key).string(value) }
    func encode(_ value: Double, forKey key: Key) { name(key).double(value) }
    func encode(_ value: Float, forKey key: Key) { name(key).double(Double(value)) }
    func encode(_ value: Int, forKey key: Key) { name(key).integer(value) }
    func encode(_ value: Int8, forKey key: Key) { name(key).integer(value) }
    func encode(_ value: Int16, forKey key: Key) { name(key).integer(value) }
    func encode(_ value: Int32, forKey key: Key) { name(key).integer(value) }
    func encode(_ value: Int64, forKey key: Key) { name(key).integer(value) }
    func encode(_ value: UInt, forKey key: Key) { name(key).integer(value) }
    func encode(_ value: UInt8, forKey key: Key) { name(key).integer(value) }
    func encode(_ value: UInt16, forKey key: Key) { name(key).integer(value) }
    func encode(_ value: UInt32, forKey key: Key) { name(key).integer(value) }
    func encode(_ value: UInt64, forKey key: Key) { name(key).integer(value) }
    func encode<T: Encodable>(_ value: T, forKey key: Key) throws { try name(key).encode(value, codingPath) }

    func nestedContainer<Nested: CodingKey>(
        keyedBy keyType: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> {
        name(key).beginContainer(Tag.map)
        return KeyedEncodingContainer(MapWriter<Nested>(writer: writer, depth: writer.depth, codingPath: codingPath))
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        name(key).beginContainer(Tag.array)
        return ArrayWriter(writer: writer, depth: writer.depth, codingPath: codingPath)
    }

    func superEncoder() -> any Encoder { ValueEncoder(writer: writer, codingPath: codingPath) }

    func superEncoder(forKey key: Key) -> any Encoder { ValueEncoder(writer: name(key), codingPath: codingPath) }
}

private struct ArrayWriter: UnkeyedEncodingContainer {
    let writer: Writer
    let depth: Int
    let codingPath: [any CodingKey]
    var count = 0

    init(writer: Writer, depth: Int, codingPath: [any CodingKey]) {
        self.writer = writer
        self.depth = depth
        self.codingPath = codingPath
    }

    private mutating func next() -> Writer {
        writer.close(to: depth)
        count += 1
        return writer
    }

    mutating func encodeNil() { next().null() }
    mutating func encode(_ value: Bool) { next().bool(value) }
    mutating func encode(_ value: String) { next().string(value) }
    mutating func encode(_ value: Double) { next().double(value) }
    mutating func encode(_ value: Float) { next().double(Double(value)) }
    mutating func encode(_ value: Int) { next().integer(value) }
    mutating func encode(_ value: Int8) { next().integer(value) }
    mutating func encode(_ value: Int16) { next().integer(value) }
    mutating func encode(_ value: Int32) { next().integer(value) }
    mutating func encode(_ value: Int64) { next().integer(value) }
    mutating func encode(_ value: UInt) { next().integer(value) }
    mutating func encode(_ value: UInt8) { next().integer(value) }
    mutating func encode(_ value: UInt16) { next().integer(value) }
    mutating func encode(_ value: UInt32) { next().integer(value) }
    mutating func encode(_ value: UInt64) { next().integer(value) }
    mutating func encode<T: Encodable>(_ value: T) throws { try next().encode(value, codingPath) }

    mutating func nestedContainer<Nested: CodingKey>(
        keyedBy keyType: Nested.Type
    ) -> KeyedEncodingContainer<Nested> {
        next().beginContainer(Tag.map)
        return KeyedEncodingContainer(MapWriter<Nested>(writer: writer, depth: writer.depth, codingPath: codingPath))
    }

    mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
        next().beginContainer(Tag.array)
        return ArrayWriter(writer: writer, depth: writer.depth, codingPath: codingPath)
    }

    mutating func superEncoder() -> any Encoder { ValueEncoder(writer: next(), codingPath: codingPath) }
}
