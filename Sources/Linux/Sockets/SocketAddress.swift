import CSpawn
import Glibc
import SystemPackage

/// The address of a socket.
public enum SocketAddress: Hashable, Sendable, Codable, CustomStringConvertible {
    /// IPv4, host in dotted form. Port 0: the kernel chooses.
    case inet(host: String, port: UInt16)
    /// IPv6, host without brackets; `::` includes IPv4, which is the kernel's default.
    case inet6(host: String, port: UInt16)
    /// A path in the file system, absolute.
    case unix(path: String)
    /// A name in the abstract namespace (unix(7)), without the leading NUL.
    case abstract(name: String)
    /// A virtual machine's socket (vsock(7)); `UInt32.max`: any CID.
    case vsock(cid: UInt32, port: UInt32)

    /// Parses a value of `ListenStream=` (systemd.socket(5)): `80`, `1.2.3.4:80`, `[::]:80`, `[fe80::1]:80%eth0`,
    /// `/path`, `@name`, `vsock::80`.
    public init?(_ text: String) {
        if text.hasPrefix("/") {
            self = .unix(path: text)
        } else if text.hasPrefix("@"), text.count > 1 {
            self = .abstract(name: String(text.dropFirst()))
        } else if let port = UInt16(text) {
            self = .inet6(host: "::", port: port)
        } else if text.hasPrefix("vsock:") {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 3, let port = UInt32(parts[2]) else { return nil }
            guard let cid = parts[1].isEmpty ? UInt32.max : UInt32(parts[1]) else { return nil }
            self = .vsock(cid: cid, port: port)
        } else if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            let rest = text[text.index(after: end)...]
            let parts = rest.dropFirst().split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
            guard rest.first == ":", let port = UInt16(parts[0]) else { return nil }
            let zone = parts.count > 1 ? "%" + parts[1] : ""
            self = .inet6(host: text[text.index(after: text.startIndex)..<end] + zone, port: port)
        } else if let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) {
            self = .inet(host: String(text[..<colon]), port: port)
        } else {
            return nil
        }
        // An interface may be created later (FreeBind=): its name is looked up when the address is used.
        guard (try? withoutZone.withSockaddr({ _, _ in })) != nil else { return nil }
    }

    /// An IPv4 or IPv6 address without brackets; nil for a host that is neither.
    public init?(host: String, port: UInt16) {
        self = host.contains(":") ? .inet6(host: host, port: port) : .inet(host: host, port: port)
        guard (try? withoutZone.withSockaddr({ _, _ in })) != nil else { return nil }
    }

    public var description: String {
        switch self {
        case .inet(let host, let port): return "\(host):\(port)"
        case .inet6(let host, let port):
            let (address, zone) = Self.split(host)
            return "[\(address)]:\(port)" + (zone.map { "%" + $0 } ?? "")
        case .unix(let path): return path
        case .abstract(let name): return "@" + name
        case .vsock(let cid, let port): return "vsock:\(cid == .max ? "" : "\(cid)"):\(port)"
        }
    }

    /// The host of TCP or UDP without brackets.
    public var host: String? {
        switch self {
        case .inet(let host, _), .inet6(let host, _): host
        case .vsock, .unix, .abstract: nil
        }
    }

    /// The port of TCP or UDP.
    public var port: UInt16? {
        switch self {
        case .inet(_, let port), .inet6(_, let port): port
        case .unix, .abstract, .vsock: nil
        }
    }

    /// Splits `fe80::1%eth0` into address and interface.
    private static func split(_ host: String) -> (address: String, zone: String?) {
        let parts = host.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        return (parts[0], parts.count > 1 ? parts[1] : nil)
    }

    private var withoutZone: SocketAddress {
        guard case .inet6(let host, let port) = self else { return self }
        return .inet6(host: Self.split(host).address, port: port)
    }

    /// The address for a client on this host: loopback in place of a wildcard.
    public var loopback: SocketAddress {
        switch self {
        case .inet("0.0.0.0", let port): .inet(host: "127.0.0.1", port: port)
        case .inet6("::", let port): .inet6(host: "::1", port: port)
        case .inet, .inet6, .unix, .abstract, .vsock: self
        }
    }

    var family: Int32 {
        switch self {
        case .inet: AF_INET
        case .inet6: AF_INET6
        case .unix, .abstract: AF_UNIX
        case .vsock: AF_VSOCK
        }
    }

    /// The address in the kernel's form, for the duration of `body`. EINVAL for a host that is no address, ENAMETOOLONG for a
    /// Unix path over 107 bytes.
    func withSockaddr<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) throws(SystemError) -> R {
        var storage = sockaddr_storage()
        let length = try fill(&storage)
        return withUnsafePointer(to: &storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }

    private func fill(_ storage: inout sockaddr_storage) throws(SystemError) -> socklen_t {
        switch self {
        case .inet(let host, let port):
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            guard inet_pton(AF_INET, host, &address.sin_addr) == 1 else {
                throw SystemError("address", host, .invalidArgument)
            }
            withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: address, as: sockaddr_in.self) }
            return socklen_t(MemoryLayout<sockaddr_in>.size)
        case .inet6(let host, let port):
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            let (text, zone) = Self.split(host)
            guard inet_pton(AF_INET6, text, &address.sin6_addr) == 1 else {
                throw SystemError("address", host, .invalidArgument)
            }
            if let zone {
                address.sin6_scope_id = UInt32(zone) ?? if_nametoindex(zone)
                guard address.sin6_scope_id != 0 else { throw SystemError("interface", zone, .noSuchAddressOrDevice) }
            }
            withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: address, as: sockaddr_in6.self) }
            return socklen_t(MemoryLayout<sockaddr_in6>.size)
        case .unix(let path):
            return try Self.fill(&storage, unix: Array(path.utf8), path)
        case .abstract(let name):
            return try Self.fill(&storage, unix: [0] + Array(name.utf8), "@" + name)
        case .vsock(let cid, let port):
            return socklen_t(holdfast_vsock_address(&storage, cid, port))
        }
    }

    private static func fill(
        _ storage: inout sockaddr_storage, unix bytes: [UInt8], _ text: String
    ) throws(SystemError) -> socklen_t {
        let isAbstract = bytes.first == 0
        guard bytes.count < 108 else { throw SystemError("address", text, .fileNameTooLong) }
        guard bytes.count > (isAbstract ? 1 : 0), isAbstract || !bytes.contains(0) else {
            throw SystemError("address", text, .invalidArgument)
        }
        withUnsafeMutableBytes(of: &storage) { raw in
            raw.storeBytes(of: sa_family_t(AF_UNIX), as: sa_family_t.self)
            for (index, byte) in bytes.enumerated() { raw[2 + index] = byte }
        }
        // The length ends an abstract name; a NUL ends a path.
        return socklen_t(2 + bytes.count + (isAbstract ? 0 : 1))
    }

    /// The address that a socket is bound to (getsockname(2)); nil for unnamed and other families.
    static func local(of descriptor: Int32) -> SocketAddress? { named(by: getsockname, descriptor) }

    static func named(
        by call: (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32, _ descriptor: Int32
    ) -> SocketAddress? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let status = withUnsafeMutablePointer(to: &storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { call(descriptor, $0, &length) }
        }
        guard status == 0 else { return nil }
        return SocketAddress(storage, length: Int(length))
    }

    private init?(_ storage: sockaddr_storage, length: Int) {
        var storage = storage
        switch Int32(storage.ss_family) {
        case AF_INET:
            let address = withUnsafeBytes(of: &storage) { $0.load(as: sockaddr_in.self) }
            guard let host = withUnsafeBytes(of: address.sin_addr, { Self.host(AF_INET, $0) }) else { return nil }
            self = .inet(host: host, port: UInt16(bigEndian: address.sin_port))
        case AF_INET6:
            let address = withUnsafeBytes(of: &storage) { $0.load(as: sockaddr_in6.self) }
            guard let host = withUnsafeBytes(of: address.sin6_addr, { Self.host(AF_INET6, $0) }) else { return nil }
            var zone = ""
            if address.sin6_scope_id != 0 {
                var name = [CChar](repeating: 0, count: Int(IF_NAMESIZE))
                let found = if_indextoname(address.sin6_scope_id, &name) != nil
                zone = "%" + (found ? name.text : "\(address.sin6_scope_id)")
            }
            self = .inet6(host: host + zone, port: UInt16(bigEndian: address.sin6_port))
        case AF_UNIX:
            guard length > 3 else { return nil }
            let bytes = withUnsafeBytes(of: &storage) { Array($0[2..<min(length, 110)]) }
            if bytes[0] == 0 {
                self = .abstract(name: String(decoding: bytes.dropFirst(), as: UTF8.self))
            } else {
                self = .unix(path: String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self))
            }
        case AF_VSOCK:
            var cid: UInt32 = 0
            var port: UInt32 = 0
            holdfast_read_vsock_address(&storage, &cid, &port)
            self = .vsock(cid: cid, port: port)
        default:
            return nil
        }
    }

    /// An address of 4 or 16 bytes as text.
    static func host(_ family: Int32, _ bytes: UnsafeRawBufferPointer) -> String? {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard inet_ntop(family, bytes.baseAddress, &text, socklen_t(text.count)) != nil else { return nil }
        return text.text
    }
}

extension [CChar] {
    /// The text up to the NUL.
    fileprivate var text: String { String(decoding: prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) }
}
