/// Parses HTTP/1.x responses (RFC 9112) from bytes in pieces of any size.
///
/// Pure and bounded: a line, the head and the body have limits, and only the beginning of a body is kept. Interim
/// responses (1xx) are skipped.
public struct ResponseParser: Sendable {
    public enum Outcome: Equatable, Sendable {
        /// Not complete yet; all bytes were used.
        case needsMore
        /// Complete after this many of the given bytes.
        case complete(used: Int)
        /// Not HTTP, or over a limit.
        case malformed(String)
    }

    private enum State {
        case statusLine
        case headers
        case body(left: Int)
        case bodyUntilClose
        case chunkSize
        case chunk(left: Int)
        case chunkEnd
        case trailers
        case done
        case failed(String)
    }

    private enum Framing {
        case none
        case length(Int)
        case chunked
    }

    /// The limits, in bytes.
    static let lineLimit = 16 * 1024
    static let headLimit = 64 * 1024
    static let bodyLimit = 256 * 1024 * 1024

    /// The status of the answer, after its first line.
    public private(set) var status = 0
    /// Whether the server will close the connection, or the body ends with the connection.
    public private(set) var closes = false
    /// The first bytes of the body, without white space before them and, at the end, after them.
    public private(set) var bodyStart: [UInt8] = []

    private let keptLength: Int
    private var state = State.statusLine
    private var line: [UInt8] = []
    private var headLength = 0
    private var bodyLength = 0
    private var framing = Framing.none
    private var isOld = false

    /// - Parameter keptLength: the number of body bytes to keep.
    public init(keptLength: Int) {
        self.keptLength = keptLength
    }

    /// Prepares for the next response, keeping the memory.
    public mutating func reset() {
        state = .statusLine
        line.removeAll(keepingCapacity: true)
        bodyStart.removeAll(keepingCapacity: true)
        (status, headLength, bodyLength) = (0, 0, 0)
        (closes, isOld) = (false, false)
        framing = .none
    }

    /// Takes the next bytes.
    public mutating func feed(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        var index = 0
        while index < bytes.count {
            switch state {
            case .statusLine, .headers, .chunkSize, .chunkEnd, .trailers:
                let byte = bytes[index]
                index += 1
                guard byte == UInt8(ascii: "\n") else {
                    guard line.count < Self.lineLimit else { return fail("a line is too long") }
                    line.append(byte)
                    continue
                }
                headLength += line.count + 1
                guard headLength <= Self.headLimit else { return fail("the head is too long") }
                if line.last == UInt8(ascii: "\r") { line.removeLast() }
                takeLine()
                line.removeAll(keepingCapacity: true)
            case .body(let left):
                let count = min(left, bytes.count - index)
                collectBody(bytes, index, count)
                index += count
                state = count == left ? .done : .body(left: left - count)
            case .bodyUntilClose:
                collectBody(bytes, index, bytes.count - index)
                index = bytes.count
            case .chunk(let left):
                let count = min(left, bytes.count - index)
                collectBody(bytes, index, count)
                index += count
                state = count == left ? .chunkEnd : .chunk(left: left - count)
            case .done:
                return complete(used: index)
            case .failed(let reason):
                return .malformed(reason)
            }
            if bodyLength > Self.bodyLimit { return fail("the body is too long") }
        }
        switch state {
        case .done: return complete(used: index)
        case .failed(let reason): return .malformed(reason)
        case .statusLine, .headers, .body, .bodyUntilClose, .chunkSize, .chunk, .chunkEnd, .trailers: return .needsMore
        }
    }

    /// Handles the end of the connection; true if the response is complete with it.
    public mutating func end() -> Bool {
        switch state {
        case .bodyUntilClose, .done:
            state = .done
            _ = complete(used: 0)
            return true
        case .statusLine, .headers, .body, .chunkSize, .chunk, .chunkEnd, .trailers, .failed: return false
        }
    }

    private mutating func complete(used: Int) -> Outcome {
        while let byte = bodyStart.last, byte <= UInt8(ascii: " ") { bodyStart.removeLast() }
        return .complete(used: used)
    }

    private mutating func fail(_ reason: String) -> Outcome {
        state = .failed(reason)
        return .malformed(reason)
    }

    private mutating func collectBody(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ count: Int) {
        bodyLength += count
        guard bodyStart.count < keptLength else { return }
        for byte in bytes[start..<(start + count)] {
            if bodyStart.isEmpty, byte <= UInt8(ascii: " ") { continue }
            bodyStart.append(byte)
            if bodyStart.count >= keptLength { return }
        }
    }

    private mutating func takeLine() {
        switch state {
        case .statusLine: takeStatusLine()
        case .headers: if line.isEmpty { beginBody() } else { takeHeader() }
        case .chunkSize: takeChunkSize()
        case .chunkEnd: state = line.isEmpty ? .chunkSize : .failed("a chunk is longer than it said")
        case .trailers: if line.isEmpty { state = .done }
        case .body, .bodyUntilClose, .chunk, .done, .failed: break
        }
        // The limit on heads applies to one head or one list of trailers, not to the sum of all chunk sizes.
        if case .chunk = state { headLength = 0 }
    }

    private mutating func takeStatusLine() {
        // `HTTP/1.1 200 OK`; the reason is optional.
        guard line.count >= 12, line.starts(with: "HTTP/1.".utf8), line[8] == UInt8(ascii: " "),
            line.count == 12 || line[12] == UInt8(ascii: " "),
            let code = Self.number(line[9..<12], radix: 10), code >= 100
        else {
            state = .failed("the answer is not HTTP/1.1")
            return
        }
        status = code
        isOld = line[7] == UInt8(ascii: "0")
        closes = isOld
        framing = .none
        state = .headers
    }

    private mutating func takeHeader() {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else {
            state = .failed("a header line has no colon")
            return
        }
        let value = Self.trimmed(line[(colon + 1)...])
        switch colon {
        case 14 where Self.equal(line[..<colon], "content-length"):
            guard let length = Self.number(value, radix: 10) else {
                state = .failed("Content-Length is not a number")
                return
            }
            if case .length(let earlier) = framing, earlier != length {
                state = .failed("two Content-Lengths that differ")
                return
            }
            // Transfer-Encoding overrides Content-Length, in any order.
            if case .chunked = framing { return }
            framing = .length(length)
        case 17 where Self.equal(line[..<colon], "transfer-encoding"):
            guard Self.equal(value, "chunked") else {
                state = .failed("a Transfer-Encoding other than chunked")
                return
            }
            framing = .chunked
        case 10 where Self.equal(line[..<colon], "connection"):
            for option in value.split(separator: UInt8(ascii: ",")).map(Self.trimmed) {
                if Self.equal(option, "close") { closes = true }
                if isOld, Self.equal(option, "keep-alive") { closes = false }
            }
        default: break
        }
    }

    private mutating func beginBody() {
        headLength = 0
        switch (status, framing) {
        case (101, _): state = .failed("the server switched protocols")
        case (100..<200, _): state = .statusLine
        case (204, _), (304, _): state = .done
        case (_, .length(0)): state = .done
        case (_, .length(let length)): state = .body(left: length)
        case (_, .chunked): state = .chunkSize
        case (_, .none):
            closes = true
            state = .bodyUntilClose
        }
    }

    private mutating func takeChunkSize() {
        let digits = line.prefix { $0 != UInt8(ascii: ";") }
        guard let size = Self.number(Self.trimmed(digits), radix: 16) else {
            state = .failed("a chunk size is not a number")
            return
        }
        state = size == 0 ? .trailers : .chunk(left: size)
    }

    /// Parses digits only; 15 of them are far more than the largest body needs.
    private static func number(_ digits: ArraySlice<UInt8>, radix: Int) -> Int? {
        guard !digits.isEmpty, digits.count <= 15 else { return nil }
        var number = 0
        for byte in digits {
            let digit: Int
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = Int(byte) - 48
            case UInt8(ascii: "a")...UInt8(ascii: "f") where radix == 16: digit = Int(byte) - 87
            case UInt8(ascii: "A")...UInt8(ascii: "F") where radix == 16: digit = Int(byte) - 55
            default: return nil
            }
            number = number * radix + digit
        }
        return number
    }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var bytes = bytes
        while let byte = bytes.first, byte == 32 || byte == 9 { bytes.removeFirst() }
        while let byte = bytes.last, byte == 32 || byte == 9 { bytes.removeLast() }
        return bytes
    }

    /// Whether `bytes` equals `word` (lower case), ignoring case.
    private static func equal(_ bytes: ArraySlice<UInt8>, _ word: StaticString) -> Bool {
        guard bytes.count == word.utf8CodeUnitCount else { return false }
        return word.withUTF8Buffer { word in
            zip(bytes, word).allSatisfy { byte, letter in
                byte == letter || (UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte && byte | 0x20 == letter)
            }
        }
    }
}
