/// The endpoint to connect to, and the request for it.
public struct Target: Sendable, Equatable {
    /// An address to connect to.
    public enum Endpoint: Sendable, Equatable {
        case tcp(host: String, port: UInt16)
        case unix(path: String)
    }

    /// The URL as given.
    public let url: String
    public let endpoint: Endpoint
    /// The value of the `Host` header.
    public let authority: String
    /// Path and query, beginning with `/`.
    public let path: String

    /// - Parameters:
    ///   - url: `http://host[:port]/path` or `http+unix:///socket/path…`.
    ///   - unixPath: a socket to connect to, instead of the URL's host.
    ///   - isSocket: whether a socket exists at this path; finds the end of the socket's path in an `http+unix` URL.
    public init(url: String, unixPath: String? = nil, isSocket: (String) -> Bool) throws(ProbeError) {
        self.url = url
        // Characters that would end the request line early are refused.
        guard url.utf8.count <= 8192, url.utf8.allSatisfy({ $0 > 32 && $0 != 127 }) else {
            throw ProbeError("cannot use the URL: it is too long, or has spaces or control characters in it")
        }
        let withoutFragment = url.prefix { $0 != "#" }
        if let rest = Self.drop("http+unix://", withoutFragment) {
            guard unixPath == nil else {
                throw ProbeError("cannot use \(url): --unix and http+unix exclude each other")
            }
            let (socket, path) = try Self.splitSocketPath(String(rest), url: url, isSocket: isSocket)
            self.endpoint = .unix(path: socket)
            self.path = path
            authority = "localhost"
            return
        }
        guard let rest = Self.drop("http://", withoutFragment) else {
            throw ProbeError("cannot use \(url): only http:// and http+unix:// are understood")
        }
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        let path = rest[authority.endIndex...]
        self.path = path.hasPrefix("/") ? String(path) : "/" + path
        self.authority = authority.isEmpty ? "localhost" : String(authority)
        if let unixPath {
            endpoint = .unix(path: unixPath)
        } else {
            endpoint = try Self.tcp(authority, url: url)
        }
    }

    private static func drop(_ scheme: String, _ url: Substring) -> Substring? {
        url.lowercased().hasPrefix(scheme) ? url.dropFirst(scheme.count) : nil
    }

    private static func tcp(_ authority: Substring, url: String) throws(ProbeError) -> Endpoint {
        guard !authority.contains("@") else { throw ProbeError("cannot use \(url): user names are not supported") }
        var host = authority
        var port: UInt16 = 80
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else {
                throw ProbeError("cannot use \(url): `[` without `]`")
            }
            host = authority[authority.index(after: authority.startIndex)..<end]
            let rest = authority[authority.index(after: end)...]
            if !rest.isEmpty { port = try number(rest, url: url) }
        } else if let colon = authority.firstIndex(of: ":") {
            host = authority[..<colon]
            port = try number(authority[colon...], url: url)
        }
        guard !host.isEmpty else { throw ProbeError("cannot use \(url): it names no host") }
        return .tcp(host: String(host), port: port)
    }

    private static func number(_ text: Substring, url: String) throws(ProbeError) -> UInt16 {
        guard text.hasPrefix(":"), let port = UInt16(text.dropFirst()), port > 0 else {
            throw ProbeError("cannot use \(url): \(text.dropFirst()) is not a port")
        }
        return port
    }

    /// Splits an `http+unix` path: the shortest prefix that is a socket is the socket's path. If there is none (yet), a
    /// name with `.sock` in it ends the socket's path, else the whole path is the socket's.
    private static func splitSocketPath(
        _ text: String, url: String, isSocket: (String) -> Bool
    ) throws(ProbeError) -> (String, String) {
        guard text.hasPrefix("/"), text.utf8.count > 1 else {
            throw ProbeError("cannot use \(url): the socket's path must be absolute")
        }
        let bare = String(text.prefix { $0 != "?" })
        var ends: [String.Index] = bare.indices.filter { bare[$0] == "/" && $0 != bare.startIndex }
        ends.append(bare.endIndex)
        let end =
            ends.first { isSocket(String(bare[..<$0])) }
            ?? ends.first { bare[..<$0].split(separator: "/").last?.contains(".sock") == true }
            ?? bare.endIndex
        let rest = text.dropFirst(bare[..<end].count)
        return (String(bare[..<end]), rest.hasPrefix("/") ? String(rest) : "/" + rest)
    }

    /// The complete request.
    public func request(keepAlive: Bool) -> [UInt8] {
        var text = "GET \(path) HTTP/1.1\r\nHost: \(authority)\r\nUser-Agent: holdfast-probe\r\nAccept: */*\r\n"
        if !keepAlive { text += "Connection: close\r\n" }
        return Array((text + "\r\n").utf8)
    }
}
