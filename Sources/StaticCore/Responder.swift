import Glibc
import NIOCore
import NIOHTTP1

/// Chooses the answer to a request. Shared by all connections, and without state of any of them.
struct Responder: Sendable {
    /// The largest file that is sent in one piece with its head, in bytes; larger ones are sent piece by piece.
    static let pieceSize = 64 * 1024

    struct Answer {
        enum Content {
            case bytes(ByteBuffer)
            case file(SiteFile)
        }
        var status: HTTPResponseStatus
        var mediaType = "text/plain; charset=utf-8"
        var content: Content
        var extra: [(String, String)] = []

        var length: Int {
            switch content {
            case .bytes(let bytes): bytes.readableBytes
            case .file(let file): file.size
            }
        }
    }

    let configuration: StaticConfiguration
    private let site: Site?

    init(configuration: StaticConfiguration) throws(StaticError) {
        self.configuration = configuration
        switch configuration.content {
        case .directory(let path): site = try Site(root: path)
        case .text: site = nil
        }
    }

    func answer(to request: HTTPRequestHead, refusal: HTTPResponseStatus?) -> Answer {
        let answer = refusal.map(Self.plain) ?? answerForPath(request)
        if configuration.verbose {
            // One write(2) per line, so that lines of several threads do not mix.
            let line = "\(request.method.rawValue) \(printable(request.uri)) \(answer.status.code) \(answer.length)\n"
            _ = line.utf8.withContiguousStorageIfAvailable { write(2, $0.baseAddress, $0.count) }
        }
        return answer
    }

    func head(for answer: Answer, of request: HTTPRequestHead, close: Bool) -> HTTPResponseHead {
        var headers = HTTPHeaders()
        headers.add(name: "Server", value: "holdfast-static")
        headers.add(name: "Date", value: httpDate(time(nil)))
        headers.add(name: "Content-Type", value: answer.mediaType)
        headers.add(name: "Content-Length", value: String(answer.length))
        for (name, value) in answer.extra { headers.add(name: name, value: value) }
        if close {
            headers.add(name: "Connection", value: "close")
        } else if request.version.minor == 0 {
            headers.add(name: "Connection", value: "keep-alive")
        }
        return HTTPResponseHead(version: .http1_1, status: answer.status, headers: headers)
    }

    private func answerForPath(_ request: HTTPRequestHead) -> Answer {
        guard let path = SitePath(target: request.uri) else { return Self.plain(.notFound) }
        if path.names == ["healthz"], !path.isDirectory {
            return configuration.healthy ? Self.text("ok", .ok) : Self.text("unhealthy", .serviceUnavailable)
        }
        guard let site else {
            if case .text(let text) = configuration.content { return Self.text(text, .ok) }
            return Self.plain(.notFound)
        }
        switch site.open(path) {
        case .nothing: return Self.plain(.notFound)
        case .directoryWithoutSlash:
            var answer = Self.plain(.movedPermanently)
            // Built from the decoded names and not from the target: `//elsewhere` must not become another host.
            answer.extra = [("Location", path.names.map { "/" + percentEncoded($0) }.joined() + "/")]
            return answer
        case .file(let file):
            guard file.size <= Self.pieceSize else {
                return Answer(status: .ok, mediaType: file.mediaType, content: .file(file))
            }
            var bytes = ByteBufferAllocator().buffer(capacity: file.size)
            bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: file.size) { space in
                file.read(into: UnsafeMutableRawBufferPointer(rebasing: space[..<file.size]), at: 0) ?? 0
            }
            return Answer(status: .ok, mediaType: file.mediaType, content: .bytes(bytes))
        }
    }

    private static func plain(_ status: HTTPResponseStatus) -> Answer {
        var answer = text(status.reasonPhrase + "\n", status)
        if status == .methodNotAllowed { answer.extra = [("Allow", "GET, HEAD")] }
        return answer
    }

    private static func text(_ text: String, _ status: HTTPResponseStatus) -> Answer {
        Answer(status: status, content: .bytes(ByteBuffer(string: text)))
    }
}

/// The text without control characters, cut to the length of a line: requests must not forge log lines.
private func printable(_ text: String) -> String {
    String(
        String.UnicodeScalarView(text.unicodeScalars.prefix(200).map { $0.value < 32 || $0.value == 127 ? "?" : $0 }))
}

/// Encodes all characters except RFC 3986's unreserved ones as `%XX`.
func percentEncoded(_ name: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var bytes: [UInt8] = []
    for byte in name.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            bytes.append(byte)
        default: bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
    }
    return String(decoding: bytes, as: UTF8.self)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, in any locale (RFC 9110 section 5.6.7).
func httpDate(_ seconds: time_t) -> String {
    var seconds = seconds
    var parts = tm()
    guard gmtime_r(&seconds, &parts) != nil, 0..<7 ~= parts.tm_wday, 0..<12 ~= parts.tm_mon else { return "" }
    let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let day = "\(days[Int(parts.tm_wday)]), \(two(parts.tm_mday)) \(months[Int(parts.tm_mon)]) \(parts.tm_year + 1900)"
    return "\(day) \(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) GMT"
}
