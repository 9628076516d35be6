/// An IPv4 address in host byte order.
public struct IPv4Address: Sendable, Hashable, CustomStringConvertible {
    public var bits: UInt32
    public init(bits: UInt32) { self.bits = bits }

    /// Parses `127.0.0.1`; no shorter forms, no leading zeros (inet_pton(3)).
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ".", maxSplits: 4, omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bits: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy(Ascii.isDigit), let byte = UInt8(part),
                part.utf8.count == 1 || part.utf8.first != UInt8(ascii: "0")
            else { return nil }
            bits = bits << 8 | UInt32(byte)
        }
        self.bits = bits
    }

    public var description: String { "\(bits >> 24).\(bits >> 16 & 255).\(bits >> 8 & 255).\(bits & 255)" }
}

/// An IPv6 address as eight groups in host byte order.
public struct IPv6Address: Sendable, Hashable, CustomStringConvertible {
    /// The groups; always eight.
    public let groups: [UInt16]

    /// The unspecified address `::`.
    public static let any = IPv6Address(groups: Array(repeating: 0, count: 8))

    private init(groups: [UInt16]) { self.groups = groups }

    /// Parses `::1`, `2001:db8::7`, `::ffff:10.0.0.1` (inet_pton(3)).
    public init?(_ text: some StringProtocol) {
        let text = String(text)
        guard text.utf8.count <= 45 else { return nil }
        let halves = Self.halves(text)
        guard let head = Self.groups(halves.0, allowIPv4: halves.1 == nil) else { return nil }
        guard let tailText = halves.1 else {
            guard head.count == 8 else { return nil }
            groups = head
            return
        }
        guard let tail = Self.groups(tailText, allowIPv4: true), head.count + tail.count <= 7 else { return nil }
        groups = head + Array(repeating: 0, count: 8 - head.count - tail.count) + tail
    }

    private static func halves(_ text: String) -> (Substring, Substring?) {
        let utf8 = text.utf8
        var index = utf8.startIndex
        while index < utf8.endIndex {
            let next = utf8.index(after: index)
            if utf8[index] == UInt8(ascii: ":"), next < utf8.endIndex, utf8[next] == UInt8(ascii: ":") {
                return (text[..<index], text[utf8.index(after: next)...])
            }
            index = next
        }
        return (text[...], nil)
    }

    private static func groups(_ text: Substring, allowIPv4: Bool) -> [UInt16]? {
        if text.isEmpty { return [] }
        var groups: [UInt16] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if index == parts.count - 1, allowIPv4, part.contains("."), let address = IPv4Address(part) {
                groups += [UInt16(truncatingIfNeeded: address.bits >> 16), UInt16(truncatingIfNeeded: address.bits)]
            } else {
                guard (1...4).contains(part.utf8.count), part.utf8.allSatisfy({ Ascii.hexDigit($0) != nil }),
                    let group = UInt16(part, radix: 16)
                else { return nil }
                groups.append(group)
            }
        }
        return groups.count <= 8 ? groups : nil
    }

    /// The text according to RFC 5952: lower case, the longest run of zero groups as `::`.
    public var description: String {
        var best = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > best.count, end - start > 1 { best = start..<end }
            start = max(end, start + 1)
        }
        func text(_ range: Range<Int>) -> String { groups[range].map { String($0, radix: 16) }.joined(separator: ":") }
        return best.isEmpty ? text(0..<8) : text(0..<best.lowerBound) + "::" + text(best.upperBound..<8)
    }
}

/// The address of `ListenStream=` (systemd.socket(5)).
public enum ListenAddress: Sendable, Hashable, CustomStringConvertible {
    /// `127.0.0.1:80`. With port 0 the kernel chooses one: systemd refuses it, generation sockets need it.
    case ipv4(IPv4Address, port: UInt16)
    /// `[::1]:80`, with an interface after `%` for link-local addresses: `[fe80::1]:80%eth0`.
    case ipv6(IPv6Address, port: UInt16, interface: String?)
    /// A bare port: any IPv6 address, and IPv4 as well by the kernel's default.
    case port(UInt16)
    /// A path of at most 107 bytes.
    case unix(String)
    /// A name in the abstract namespace, without the `@`.
    case abstract(String)
    /// `vsock:2:1234`; nil for any CID.
    case vsock(cid: UInt32?, port: UInt32)

    public var description: String {
        switch self {
        case .ipv4(let address, let port): "\(address):\(port)"
        case .ipv6(let address, let port, let interface): "[\(address)]:\(port)" + (interface.map { "%" + $0 } ?? "")
        case .port(let port): "\(port)"
        case .unix(let path): path
        case .abstract(let name): "@" + name
        case .vsock(let cid, let port): "vsock:\(cid.map { "\($0)" } ?? ""):\(port)"
        }
    }

    /// sun_path has 108 bytes, of which one is the NUL (unix(7)).
    private static let pathLimit = 107

    /// Parses an address in one of the forms above.
    public static func parse(_ text: String) throws(ValueError) -> ListenAddress {
        switch text.utf8.first {
        case UInt8(ascii: "/"):
            let path = try Value.absolutePath(text)
            guard path.utf8.count <= pathLimit else {
                throw ValueError("the path has \(path.utf8.count) bytes; the limit for a Unix socket is \(pathLimit)")
            }
            return .unix(path)
        case UInt8(ascii: "@"):
            guard text.utf8.count > 1, text.utf8.count <= pathLimit, !Ascii.hasControlCharacter(text) else {
                throw ValueError("expected a name of 1 to \(pathLimit - 1) bytes after \"@\"")
            }
            return .abstract(String(text.dropFirst()))
        case UInt8(ascii: "["): return try ipv6(text)
        default: break
        }
        if let first = text.utf8.first, Ascii.isDigit(first) || first == UInt8(ascii: "+"), !text.contains(":"),
            !text.contains(".")
        {
            return .port(try port(text[...], of: text))
        }
        if text.hasPrefix("vsock:") { return try vsock(text) }
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")), let address = IPv4Address(text[..<colon]) else {
            throw ValueError("expected an address such as \"0.0.0.0:80\", \"[::1]:80\", \"80\", \"/path\" or \"@name\"")
        }
        return .ipv4(address, port: try port(text[text.utf8.index(after: colon)...], of: text))
    }

    private static func vsock(_ text: String) throws(ValueError) -> ListenAddress {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, let port = try? Value.integer(String(parts[2]), in: UInt32.min...UInt32.max)
        else {
            throw ValueError("expected an address such as \"vsock:2:1234\" or \"vsock::1234\"")
        }
        if parts[1].isEmpty { return .vsock(cid: nil, port: port) }
        guard let cid = try? Value.integer(String(parts[1]), in: UInt32.min...UInt32.max) else {
            throw ValueError("expected the number of a CID after \"vsock:\"")
        }
        return .vsock(cid: cid, port: port)
    }

    private static func ipv6(_ text: String) throws(ValueError) -> ListenAddress {
        let bytes = Array(text.utf8)
        guard let close = bytes.firstIndex(of: UInt8(ascii: "]")), close + 1 < bytes.count,
            bytes[close + 1] == UInt8(ascii: ":"), let address = IPv6Address(Ascii.string(bytes[1..<close]))
        else { throw ValueError("expected an address such as \"[::1]:80\"") }
        let rest = bytes[(close + 2)...]
        let percent = rest.firstIndex(of: UInt8(ascii: "%")) ?? rest.endIndex
        let number = try port(Ascii.string(rest[..<percent])[...], of: text)
        guard percent < rest.endIndex else { return .ipv6(address, port: number, interface: nil) }
        let interface = Ascii.string(rest[(percent + 1)...])
        // IFNAMSIZ is 16 with the NUL (netdevice(7)).
        guard (1...15).contains(interface.utf8.count), !Ascii.hasControlCharacter(interface) else {
            throw ValueError("expected the name of a network interface after \"%\"", at: percent + 1)
        }
        return .ipv6(address, port: number, interface: interface)
    }

    private static func port(_ digits: Substring, of text: String) throws(ValueError) -> UInt16 {
        // As in systemd, a sign or a base is allowed, but no leading 0, which would mean octal.
        let unsigned = digits.first == "+" ? digits.dropFirst() : digits
        let isOctal = unsigned.count > 1 && unsigned.first == "0" && unsigned.dropFirst().first?.isNumber == true
        guard !isOctal, let port = try? Value.integer(String(digits), in: UInt16.min...UInt16.max) else {
            throw ValueError("expected a port from 0 to 65535 in \"\(text)\"")
        }
        return port
    }
}
