/// Cuts a byte stream into Varlink messages; each ends at a NUL.
///
/// The caller passes the bytes that `read` returned to ``append(_:)``, then takes messages with ``next()`` until it
/// returns nil. Memory is bounded by the limit plus the bytes of one `append`, as long as the caller takes all messages
/// before it reads again. After an error the stream has no known message boundary any more: close it.
public struct MessageFramer: Sendable {
    /// The longest message accepted, in bytes without its NUL.
    public let limit: Int
    private var buffer: [UInt8] = []
    /// The index at which the incomplete message begins.
    private var start = 0
    /// The index up to which the buffer holds no NUL, so that small reads do not scan a long message repeatedly.
    private var scanned = 0

    /// - Parameter limit: the longest message accepted, in bytes without its NUL; see ``MessageLimit``.
    public init(limit: Int) {
        self.limit = limit
    }

    /// Whether bytes of an unfinished message are waiting: an end of the stream now means a cut message.
    public var hasPartialMessage: Bool { start < buffer.count }

    /// Whether the waiting bytes cannot become a message: a Varlink message is a JSON object. A client of another
    /// protocol (HTTP, as supervisorctl speaks) never sends the NUL that ends a message, and waits for an answer.
    public var isForeign: Bool { hasPartialMessage && buffer[start] != UInt8(ascii: "{") }

    /// The number of bytes not yet taken, complete messages included.
    public var bufferedBytes: Int { buffer.count - start }

    /// The bytes not yet taken, for the successor that continues the stream.
    public var untaken: [UInt8] { Array(buffer[start...]) }

    /// Appends bytes as they were read.
    public mutating func append(_ bytes: some Sequence<UInt8>) {
        if start > 0 && start == buffer.count {
            buffer.removeAll(keepingCapacity: buffer.capacity <= 64 * 1024)
            start = 0
            scanned = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// The next complete message without its NUL; nil if more bytes are needed.
    /// - Throws: ``MessageError/tooLarge(limit:)`` as soon as the message is known to exceed the limit.
    public mutating func next() throws(MessageError) -> [UInt8]? {
        guard let end = buffer[max(scanned, start)...].firstIndex(of: 0) else {
            scanned = buffer.count
            if buffer.count - start > limit { throw .tooLarge(limit: limit) }
            compact()
            return nil
        }
        guard end - start <= limit else { throw .tooLarge(limit: limit) }
        let message = Array(buffer[start..<end])
        start = end + 1
        scanned = start
        return message
    }

    /// Drops the taken bytes from the buffer, if there are any.
    private mutating func compact() {
        guard start > 0 else { return }
        buffer.removeSubrange(..<start)
        scanned -= start
        start = 0
    }
}

/// The reason for which bytes are not a Varlink message. The connection cannot be used any further.
public enum MessageError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The message is longer than `limit` bytes.
    case tooLarge(limit: Int)
    /// Objects and arrays nest deeper than ``MessageLimit/depth``.
    case tooDeep
    /// Not JSON; `offset` is the byte at which the scan failed.
    case malformed(offset: Int)
    /// JSON, but no Varlink call or reply: the named member is missing or has the wrong type.
    case badMember(String)

    public var description: String {
        switch self {
        case .tooLarge(let limit): "message longer than \(limit) bytes"
        case .tooDeep: "message nested deeper than \(MessageLimit.depth) levels"
        case .malformed(let offset): "message is not JSON (byte \(offset))"
        case .badMember(let name): "message has no usable \"\(name)\""
        }
    }
}
