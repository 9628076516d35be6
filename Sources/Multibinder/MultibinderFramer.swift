/// Cuts a stream into JSON objects. multibinder's clients send one object a message and no separator; a stream socket
/// keeps no message boundaries, so an object ends where its outermost brace closes.
public struct MultibinderFramer {
    /// The longest request in bytes. A normal one has a hundred; a longer one is not of this protocol.
    public static let limit = 16 << 10

    public enum Failure: Error, Equatable {
        /// Bytes other than an object or white space between two objects.
        case notAnObject
        case tooLong
    }

    /// The received bytes of an incomplete object.
    public private(set) var pending: [UInt8] = []
    private var position = 0
    private var depth = 0
    private var isInString = false
    private var isEscaped = false

    public init() {}

    public mutating func append(_ bytes: some Sequence<UInt8>) { pending += bytes }

    /// The next complete object; nil if more bytes are needed.
    public mutating func next() throws(Failure) -> [UInt8]? {
        while position < pending.count {
            let byte = pending[position]
            if depth == 0 {
                // NUL and newline, too: other clients send them between objects.
                if [0x20, 0x09, 0x0A, 0x0D, 0x00].contains(byte) {
                    pending.removeFirst()
                    continue
                }
                guard byte == UInt8(ascii: "{") else { throw .notAnObject }
            }
            position += 1
            guard position <= Self.limit else { throw .tooLong }
            if recordByte(byte) {
                let object = Array(pending[..<position])
                pending.removeFirst(position)
                position = 0
                return object
            }
        }
        return nil
    }

    /// Scans one byte; true when the outermost object ends with it.
    private mutating func recordByte(_ byte: UInt8) -> Bool {
        if isInString {
            if isEscaped {
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isInString = false
            }
            return false
        }
        switch byte {
        case UInt8(ascii: "\""): isInString = true
        case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
            depth -= 1
            return depth == 0
        default: break
        }
        return false
    }
}
