/// The addresses that a proxy's configuration file makes it bind. `verify` reports those that Holdfast holds: the
/// program would find them in use.
struct ProxyConfiguration {
    /// An address that the program would bind.
    struct Bind: Equatable {
        var address: ListenAddress
        /// The address as written.
        var text: String
        var line: Int
        var column: Int
    }

    /// The configuration language, by program.
    enum Language: Equatable {
        case haproxy, nginx

        /// Recognizes the program by its file name.
        init?(program: String) {
            switch program.utf8.split(separator: UInt8(ascii: "/")).last.flatMap({ String($0) }) {
            case "haproxy": self = .haproxy
            case "nginx": self = .nginx
            default: return nil
            }
        }

        /// How the program takes the socket passed to it, for the message.
        var remedy: String {
            switch self {
            case .haproxy: "use bind \"fd@${LISTEN_FD_NAME}\" to take the passed socket"
            case .nginx: "set X-Handoff=nginx to pass it the socket"
            }
        }

        /// The configuration files named by a command line, else the program's default one.
        func files(_ arguments: [String]) -> [String] {
            let option = self == .haproxy ? "-f" : "-c"
            var files: [String] = []
            for (index, argument) in arguments.enumerated() {
                if argument == option, index + 1 < arguments.count {
                    files.append(arguments[index + 1])
                } else if argument.hasPrefix(option), argument.utf8.count > 2, argument.utf8.dropFirst(2).first == 0x2F
                {
                    files.append(String(argument.dropFirst(2)))
                }
            }
            return files.isEmpty && self == .nginx ? ["/etc/nginx/nginx.conf"] : files
        }
    }

    private(set) var binds: [Bind] = []
    /// Files included by this one, with wildcards as written.
    private(set) var includes: [String] = []

    init(_ text: String, _ language: Language) {
        var line = 0
        for part in text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            line += 1
            let words = Self.words(part)
            guard let first = words.first, words.count > 1 else { continue }
            switch (language, first.text) {
            case (.haproxy, "bind"):
                // Addresses are separated by commas; the words after them are parameters.
                for address in words[1].text.utf8.split(separator: UInt8(ascii: ",")).compactMap({ String($0) }) {
                    add(Self.haproxyAddress(address), address, line, words[1].column)
                }
            case (.nginx, "listen"): add(Self.nginxAddress(words[1].text), words[1].text, line, words[1].column)
            case (.nginx, "include"): includes.append(words[1].text)
            default: break
            }
        }
    }

    private mutating func add(_ address: ListenAddress?, _ text: String, _ line: Int, _ column: Int) {
        guard let address else { return }
        binds.append(Bind(address: address, text: text, line: line, column: column))
    }

    /// Words of a line up to a comment, without quotes and without nginx's `;`. An address contains neither spaces nor
    /// escapes.
    private static func words(_ line: Substring.UTF8View.SubSequence) -> [(text: String, column: Int)] {
        var words: [(text: String, column: Int)] = []
        var current: [UInt8] = []
        var start = 0
        func isSeparator(_ byte: UInt8) -> Bool {
            Ascii.isSpace(byte) || byte == UInt8(ascii: ";") || byte == UInt8(ascii: "{")
        }
        for (offset, byte) in line.enumerated() {
            if byte == UInt8(ascii: "#") { break }
            if isSeparator(byte) {
                if !current.isEmpty { words.append((Ascii.string(current), start + 1)) }
                current = []
            } else if byte != UInt8(ascii: "\""), byte != UInt8(ascii: "'") {
                if current.isEmpty { start = offset }
                current.append(byte)
            }
        }
        if !current.isEmpty { words.append((Ascii.string(current), start + 1)) }
        return words
    }

    /// Parses `:80`, `*:80`, `ipv4@1.2.3.4:80`, `[::]:80`, `/path`; nil for a passed socket (`fd@`), a variable (`$`)
    /// or a range of ports.
    private static func haproxyAddress(_ text: String) -> ListenAddress? {
        var rest = text
        for prefix in ["ipv4@", "ipv6@", "unix@"] where rest.hasPrefix(prefix) {
            rest = String(rest.dropFirst(prefix.count))
        }
        if rest.hasPrefix("abns@") { return .abstract(String(rest.dropFirst(5))) }
        if rest.hasPrefix("/") { return .unix(rest) }
        if rest.hasPrefix("*:") || rest.hasPrefix(":") && !rest.hasPrefix("::") {
            let port = rest.utf8.split(separator: UInt8(ascii: ":")).last.flatMap { String($0) }
            return port.flatMap { UInt16($0) }.map { .ipv4(IPv4Address(bits: 0), port: $0) }
        }
        if rest.hasPrefix("::"), let colon = rest.utf8.lastIndex(of: UInt8(ascii: ":")) {
            // `:::80` is port 80 of `::`.
            return try? ListenAddress.parse("[\(rest[..<colon])]:\(rest[rest.utf8.index(after: colon)...])")
        }
        return try? ListenAddress.parse(rest)
    }

    /// Parses `80`, `*:80`, `127.0.0.1:80`, `[::]:80`, `unix:/path`; a bare address has port 80.
    private static func nginxAddress(_ text: String) -> ListenAddress? {
        if text.hasPrefix("unix:") { return .unix(String(text.dropFirst(5))) }
        if let port = UInt16(text) { return .ipv4(IPv4Address(bits: 0), port: port) }
        if text.hasPrefix("*:") { return UInt16(text.dropFirst(2)).map { .ipv4(IPv4Address(bits: 0), port: $0) } }
        if text.hasPrefix("["), text.hasSuffix("]") { return try? ListenAddress.parse(text + ":80") }
        if let address = IPv4Address(text) { return .ipv4(address, port: 80) }
        return try? ListenAddress.parse(text)
    }
}

extension ListenAddress {
    /// Whether two sockets without SO_REUSEPORT cannot be bound to both addresses.
    func overlaps(_ other: ListenAddress) -> Bool {
        switch (self, other) {
        case (.unix(let left), .unix(let right)): left == right
        case (.abstract(let left), .abstract(let right)): left == right
        case (.port(let port), _): other.tcpPort == port
        case (_, .port(let port)): tcpPort == port
        case (.ipv4(let left, let port), .ipv4(let right, let otherPort)):
            port == otherPort && (left == right || left.bits == 0 || right.bits == 0)
        case (.ipv6(let left, let port, interface: _), .ipv6(let right, let otherPort, interface: _)):
            port == otherPort && (left == right || left == .any || right == .any)
        // `[::]` includes IPv4 unless IPV6_V6ONLY is set.
        case (.ipv6(.any, let port, interface: _), .ipv4(_, let otherPort)),
            (.ipv4(_, let otherPort), .ipv6(.any, let port, interface: _)):
            port == otherPort
        default: false
        }
    }

    private var tcpPort: UInt16? {
        switch self {
        case .ipv4(_, let port), .ipv6(_, let port, interface: _), .port(let port): port
        case .unix, .abstract, .vsock: nil
        }
    }
}
