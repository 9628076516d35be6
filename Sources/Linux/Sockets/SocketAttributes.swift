import CSpawn
import Glibc
import SystemPackage

/// One attribute of an open socket that every process sharing it can change (socket(7), ip(7), ipv6(7), tcp(7), udp(7),
/// netlink(7), vsock(7)).
struct SocketAttribute: Sendable {
    enum Level: Int32, Sendable {
        case ip = 0
        case socket = 1
        case tcp = 6
        case udp = 17
        case vsock = 40
        case ipv6 = 41
        case udplite = 136
        case netlink = 270
    }

    enum Reset: Sendable {
        /// With the bytes that were read.
        case same
        /// With 0, which stands for a default that reads as another value.
        case zero
        /// The kernel reports twice the value that was set, and limits it unless it is forced (socket(7)).
        case buffer(forced: Int32)
        /// 0 is refused while the socket listens; instead the largest value, which has no effect.
        case largest
        /// Group by group, for multicast memberships.
        case memberships
    }

    let name: String
    let level: Level
    let option: Int32
    var reset = Reset.same
    /// Whether the unset attribute follows the system's setting, which an administrator may change at any time.
    var followsSystem = false
    /// Whether only TCP counts, although the level is another: other protocols change the attribute by themselves.
    var isOnlyOfTCP = false

    init(_ name: String, _ level: Level, _ option: Int32, _ reset: Reset = .same) {
        self.name = name
        self.level = level
        self.option = option
        self.reset = reset
    }

    fileprivate var isZero: Bool { if case .zero = reset { true } else { false } }

    private func changed(_ change: (inout SocketAttribute) -> Void) -> SocketAttribute {
        var copy = self
        change(&copy)
        return copy
    }

    private var system: SocketAttribute { changed { $0.followsSystem = true } }
    private var tcpOnly: SocketAttribute { changed { $0.isOnlyOfTCP = true } }

    private static func list(_ level: Level, _ names: KeyValuePairs<String, Int32>) -> [SocketAttribute] {
        names.map { SocketAttribute($0.key, level, $0.value) }
    }

    /// All attributes. Numbers are those of Linux' generic headers, which apply to x86 and ARM; glibc lacks some of
    /// them. Attributes that a kernel does not have are skipped. In the order in which they are restored: IP_TOS sets
    /// the priority, too, and SO_RCVLOWAT the buffer. Saved by index: new ones are appended.
    static let all: [SocketAttribute] =
        list(
            .ip,
            [
                "IP_TOS": 1, "IP_OPTIONS": 4, "IP_RECVOPTS": 6, "IP_RETOPTS": 7, "IP_PKTINFO": 8,
                "IP_MTU_DISCOVER": 10, "IP_RECVERR": 11, "IP_RECVTTL": 12, "IP_RECVTOS": 13, "IP_FREEBIND": 15,
                "IP_PASSSEC": 18, "IP_TRANSPARENT": 19, "IP_RECVORIGDSTADDR": 20, "IP_MINTTL": 21, "IP_CHECKSUM": 23,
                "IP_BIND_ADDRESS_NO_PORT": 24, "IP_RECVFRAGSIZE": 25, "IP_MULTICAST_IF": 32, "IP_MULTICAST_TTL": 33,
                "IP_MULTICAST_LOOP": 34, "IP_MULTICAST_ALL": 49, "IP_UNICAST_IF": 50, "IP_LOCAL_PORT_RANGE": 51,
            ]) + [SocketAttribute("IP_TTL", .ip, 2).system]
        + list(
            .ipv6,
            [
                "IPV6_FLOWINFO": 11, "IPV6_MULTICAST_IF": 17, "IPV6_MULTICAST_HOPS": 18, "IPV6_MULTICAST_LOOP": 19,
                "IPV6_MTU_DISCOVER": 23, "IPV6_RECVERR": 25, "IPV6_V6ONLY": 26, "IPV6_MULTICAST_ALL": 29,
                "IPV6_FLOWINFO_SEND": 33, "IPV6_RECVPKTINFO": 49, "IPV6_RECVHOPLIMIT": 51, "IPV6_RECVHOPOPTS": 53,
                "IPV6_RECVRTHDR": 56, "IPV6_RECVDSTOPTS": 58, "IPV6_RECVPATHMTU": 60, "IPV6_DONTFRAG": 62,
                "IPV6_RECVTCLASS": 66, "IPV6_TCLASS": 67, "IPV6_ADDR_PREFERENCES": 72, "IPV6_MINHOPCOUNT": 73,
                "IPV6_RECVORIGDSTADDR": 74, "IPV6_TRANSPARENT": 75, "IPV6_UNICAST_IF": 76, "IPV6_RECVFRAGSIZE": 77,
                "IPV6_FREEBIND": 78,
            ])
        + [
            SocketAttribute("IPV6_UNICAST_HOPS", .ipv6, 16).system,
            SocketAttribute("IPV6_AUTOFLOWLABEL", .ipv6, 70).system,
        ]
        + list(
            .tcp,
            [
                "TCP_NODELAY": 1, "TCP_CORK": 3, "TCP_DEFER_ACCEPT": 9, "TCP_CONGESTION": 13,
                "TCP_THIN_LINEAR_TIMEOUTS": 16, "TCP_USER_TIMEOUT": 18, "TCP_FASTOPEN": 23, "TCP_NOTSENT_LOWAT": 25,
                "TCP_SAVE_SYN": 27, "TCP_FASTOPEN_CONNECT": 30, "TCP_FASTOPEN_NO_COOKIE": 34, "TCP_INQ": 36,
                "TCP_TX_DELAY": 37,
            ])
        + [
            SocketAttribute("TCP_MAXSEG", .tcp, 2, .zero), SocketAttribute("TCP_KEEPIDLE", .tcp, 4).system,
            SocketAttribute("TCP_KEEPINTVL", .tcp, 5).system, SocketAttribute("TCP_KEEPCNT", .tcp, 6).system,
            SocketAttribute("TCP_SYNCNT", .tcp, 7).system, SocketAttribute("TCP_LINGER2", .tcp, 8).system,
            SocketAttribute("TCP_WINDOW_CLAMP", .tcp, 10, .largest),
            SocketAttribute("TCP_RTO_MAX_MS", .tcp, 44).system, SocketAttribute("TCP_RTO_MIN_US", .tcp, 45).system,
            SocketAttribute("TCP_DELACK_MAX_US", .tcp, 46).system,
        ]
        + list(
            .udp,
            [
                "UDP_CORK": 1, "UDP_ENCAP": 100, "UDP_NO_CHECK6_TX": 101, "UDP_NO_CHECK6_RX": 102, "UDP_SEGMENT": 103,
                "UDP_GRO": 104,
            ])
        + list(.udplite, ["UDPLITE_SEND_CSCOV": 10, "UDPLITE_RECV_CSCOV": 11])
        + list(
            .netlink,
            [
                "NETLINK_PKTINFO": 3, "NETLINK_BROADCAST_ERROR": 4, "NETLINK_NO_ENOBUFS": 5,
                "NETLINK_LISTEN_ALL_NSID": 8, "NETLINK_CAP_ACK": 10, "NETLINK_EXT_ACK": 11,
                "NETLINK_GET_STRICT_CHK": 12,
            ]) + [SocketAttribute("NETLINK_LIST_MEMBERSHIPS", .netlink, 9, .memberships)]
        + list(
            .vsock,
            [
                "SO_VM_SOCKETS_BUFFER_SIZE": 0, "SO_VM_SOCKETS_BUFFER_MIN_SIZE": 1, "SO_VM_SOCKETS_BUFFER_MAX_SIZE": 2,
            ])
        + list(
            .socket,
            [
                "SO_DEBUG": 1, "SO_REUSEADDR": 2, "SO_DONTROUTE": 5, "SO_BROADCAST": 6, "SO_KEEPALIVE": 9,
                "SO_OOBINLINE": 10, "SO_NO_CHECK": 11, "SO_PRIORITY": 12, "SO_LINGER": 13, "SO_REUSEPORT": 15,
                "SO_PASSCRED": 16, "SO_RCVLOWAT": 18, "SO_RCVTIMEO": 20, "SO_SNDTIMEO": 21, "SO_BINDTODEVICE": 25,
                "SO_TIMESTAMP": 29, "SO_PASSSEC": 34, "SO_TIMESTAMPNS": 35, "SO_MARK": 36, "SO_TIMESTAMPING": 37,
                "SO_RXQ_OVFL": 40, "SO_PEEK_OFF": 42, "SO_LOCK_FILTER": 44, "SO_SELECT_ERR_QUEUE": 45,
                "SO_BUSY_POLL": 46, "SO_MAX_PACING_RATE": 47, "SO_ZEROCOPY": 60, "SO_PREFER_BUSY_POLL": 69,
                "SO_BUSY_POLL_BUDGET": 70, "SO_RESERVE_MEM": 73, "SO_TXREHASH": 74, "SO_RCVMARK": 75,
                "SO_PASSPIDFD": 76, "SO_RCVPRIORITY": 82, "SO_PASSRIGHTS": 83,
            ])
        + [
            SocketAttribute("SO_INCOMING_CPU", .socket, 49).tcpOnly,
            SocketAttribute("SO_SNDBUF", .socket, 7, .buffer(forced: 32)),
            SocketAttribute("SO_RCVBUF", .socket, 8, .buffer(forced: 33)), SocketAttribute("SO_BUF_LOCK", .socket, 72),
            // Unlike SO_BINDTODEVICE, this also shows an interface that is gone or never existed.
            SocketAttribute("SO_BINDTOIFINDEX", .socket, 62),
        ]

    // MARK: - One socket

    /// The value; nil if this socket or kernel does not have the attribute.
    func read(_ raw: Int32) -> [UInt8]? {
        var bytes: [UInt8] = []
        return append(raw, to: &bytes) ? Array(bytes.dropFirst()) : nil
    }

    /// Appends the length of the value and the value; false if there is none.
    fileprivate func append(_ raw: Int32, to bytes: inout [UInt8]) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { buffer in
            var length = socklen_t(buffer.count)
            guard getsockopt(raw, level.rawValue, option, buffer.baseAddress, &length) == 0 else { return false }
            let value = UnsafeRawBufferPointer(rebasing: buffer[..<min(Int(length), buffer.count)])
            bytes.append(UInt8(value.count))
            // The time of SO_LINGER has no meaning while it is off.
            let isOff = level == .socket && option == SO_LINGER && value.prefix(4).allSatisfy { $0 == 0 }
            if isOff { bytes += value.map { _ in 0 } } else { bytes += value }
            return true
        }
    }

    func applies(_ family: Int32, _ number: Int32) -> Bool {
        let isInternet = family == AF_INET || family == AF_INET6
        return switch level {
        case .socket: !isOnlyOfTCP || number == Int32(IPPROTO_TCP) && isInternet
        case .ip: isInternet
        case .ipv6: family == AF_INET6
        case .tcp, .udp, .udplite: isInternet && number == level.rawValue
        case .vsock: family == AF_VSOCK
        case .netlink: family == AF_NETLINK
        }
    }

    /// Restores a value. Returns the error if the kernel refuses.
    func putBack(_ value: [UInt8], instead found: [UInt8], _ raw: Int32) -> SystemError? {
        let result: Int32
        switch reset {
        case .same: result = set(raw, option, value)
        case .zero: result = set(raw, option, [0, 0, 0, 0])
        case .largest: result = set(raw, option, Self.bytes(0xFFFF << 14))
        case .buffer(let forced):
            let half = Self.bytes(Self.number(value) / 2)
            let isForced = set(raw, forced, half) == 0
            result = isForced ? 0 : set(raw, option, half)
        case .memberships:
            for group in 0..<max(value.count, found.count) * 8 where Self.bit(group, value) != Self.bit(group, found) {
                // NETLINK_ADD_MEMBERSHIP and NETLINK_DROP_MEMBERSHIP of linux/netlink.h; groups count from 1.
                _ = set(raw, Self.bit(group, value) ? 1 : 2, Self.bytes(Int32(group + 1)))
            }
            result = 0
        }
        return result < 0 ? SystemError(name, nil) : nil
    }

    private func set(_ raw: Int32, _ option: Int32, _ value: [UInt8]) -> Int32 {
        // An empty value needs an address all the same.
        (value + [0]).withUnsafeBytes {
            setsockopt(raw, level.rawValue, option, $0.baseAddress, socklen_t(value.count))
        }
    }

    /// Whether the value found has the same effect as the expected one.
    func isEquivalent(_ found: [UInt8], _ expected: [UInt8]) -> Bool {
        if found == expected { return true }
        guard case .largest = reset else { return false }
        return Self.number(expected) == 0 && Self.number(found) == 0xFFFF << 14
    }

    func text(_ value: [UInt8]) -> String {
        switch name {
        case "TCP_CONGESTION", "SO_BINDTODEVICE":
            let text = String(decoding: value.prefix { $0 != 0 }, as: UTF8.self)
            return text.isEmpty ? "none" : text
        case "SO_LINGER":
            return Self.number(value) == 0 ? "off" : "\(Self.number(Array(value.dropFirst(4)))) s"
        case "SO_RCVTIMEO", "SO_SNDTIMEO":
            let (seconds, micro) = (Self.wide(value), Self.wide(Array(value.dropFirst(8))))
            return seconds == 0 && micro == 0 ? "none" : "\(seconds * 1000 + micro / 1000) ms"
        default: break
        }
        switch value.count {
        case 1, 4: return "\(Self.number(value))"
        case 0: return "none"
        default: return value.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        }
    }

    private static func bit(_ index: Int, _ bytes: [UInt8]) -> Bool {
        index / 8 < bytes.count && bytes[index / 8] & (1 << UInt8(index % 8)) != 0
    }

    private static func bytes(_ number: Int32) -> [UInt8] { withUnsafeBytes(of: number) { Array($0) } }

    private static func number(_ bytes: [UInt8]) -> Int32 {
        Int32(truncatingIfNeeded: wide(Array(bytes.prefix(4))))
    }

    /// A little-endian number, as on both of our architectures.
    private static func wide(_ bytes: [UInt8]) -> Int64 {
        bytes.prefix(8).enumerated().reduce(0) { $0 | Int64($1.element) << Int64(8 * $1.offset) }
    }
}

/// The attributes of a socket when it was opened, with which later changes are found and undone.
public struct SocketBaseline: Hashable, Sendable {
    /// By the index of the attribute: its length and bytes; `absent` for a missing one.
    private(set) var bytes: [UInt8]
    private static let absent: UInt8 = 0xFF

    init(of raw: Int32) {
        bytes = []
        bytes.reserveCapacity(512)
        let (family, number) = (Self.value(raw, SO_DOMAIN), Self.value(raw, SO_PROTOCOL))
        for attribute in SocketAttribute.all
        where !attribute.applies(family, number) || !attribute.append(raw, to: &bytes) {
            bytes.append(Self.absent)
        }
    }

    private static func value(_ raw: Int32, _ option: Int32) -> Int32 {
        var value: Int32 = -1
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(raw, SOL_SOCKET, option, &value, &length) == 0 ? value : -1
    }

    /// Values by the index of the attribute; shorter if an older version wrote it.
    var values: [[UInt8]?] {
        var list: [[UInt8]?] = []
        var rest = bytes[...]
        while let length = rest.popFirst() {
            guard length != Self.absent else {
                list.append(nil)
                continue
            }
            list.append(Array(rest.prefix(Int(length))))
            rest = rest.dropFirst(Int(length))
        }
        return list
    }

    /// The text form for another supervisor process.
    public var text: String { String(decoding: bytes.flatMap { [65 + $0 >> 4, 65 + $0 & 15] }, as: UTF8.self) }

    public init?(text: String) {
        let digits = Array(text.utf8)
        guard digits.count % 2 == 0, digits.allSatisfy({ (65..<81).contains($0) }) else { return nil }
        bytes = stride(from: 0, to: digits.count, by: 2).map { (digits[$0] - 65) << 4 | (digits[$0 + 1] - 65) }
    }
}

/// The attributes of a held endpoint when it was opened.
public struct HeldBaseline: Hashable, Sendable {
    public var socket: SocketBaseline
    /// The buffer size of a FIFO.
    public var pipeSize: Int32?

    public init(socket: SocketBaseline, pipeSize: Int32? = nil) {
        self.socket = socket
        self.pipeSize = pipeSize
    }

    public var text: String { socket.text + (pipeSize.map { " \($0)" } ?? "") }

    public init?(text: String) {
        let parts = text.split(separator: " ")
        guard let socket = SocketBaseline(text: String(parts.first ?? "")) else { return nil }
        self.init(socket: socket, pipeSize: parts.count > 1 ? Int32(parts[1]) : nil)
    }
}

/// One attribute of a held endpoint that a process had changed.
public struct AttributeChange: Hashable, Sendable, Codable {
    /// `SO_RCVBUF`, `TCP_DEFER_ACCEPT`, `socket filter`, `mode`.
    public var attribute: String
    public var found: String
    public var expected: String
    /// The reason for which it was not restored; nil if it was.
    public var problem: String?

    public init(_ attribute: String, found: String, expected: String, problem: String? = nil) {
        self.attribute = attribute
        self.found = found
        self.expected = expected
        self.problem = problem
    }
}

extension SocketBaseline {
    /// Restores the attributes and returns the changes found.
    /// - Parameter pristine: a new socket of the same kind, which tells a change of the system's setting from a
    ///   process's.
    mutating func putBack(_ raw: Int32, pristine: () -> OwnedDescriptor?) -> [AttributeChange] {
        let now = SocketBaseline(of: raw)
        guard now != self else { return [] }
        followSystem(now, pristine)
        let expected = values
        let first = now.values
        var problems: [Int: SystemError] = [:]
        // A change of one attribute may affect another: repeated until all are restored.
        for _ in 0..<3 {
            let found = SocketBaseline(of: raw).values
            let different = Self.differences(expected, found)
            if different.isEmpty { break }
            problems = [:]
            for index in different {
                guard let value = expected[index], let other = found[index] else { continue }
                problems[index] = SocketAttribute.all[index].putBack(value, instead: other, raw)
            }
        }
        let last = SocketBaseline(of: raw).values
        // If 0 stands for the default, the kernel now reports the resulting value.
        let settled = Self.differences(expected, last).filter { SocketAttribute.all[$0].isZero && problems[$0] == nil }
        accept(last, settled)
        let left = Set(Self.differences(values, last))
        return Self.differences(expected, first).compactMap { index in
            guard let was = expected[index], let found = first[index] else { return nil }
            let attribute = SocketAttribute.all[index]
            var change = AttributeChange(attribute.name, found: attribute.text(found), expected: attribute.text(was))
            if left.contains(index) { change.problem = problems[index]?.errno.text ?? "the kernel keeps it" }
            return change
        }
    }

    private static func differences(_ expected: [[UInt8]?], _ found: [[UInt8]?]) -> [Int] {
        (0..<min(expected.count, found.count)).filter { index in
            guard let was = expected[index], let now = found[index] else { return false }
            return !SocketAttribute.all[index].isEquivalent(now, was)
        }
    }

    /// Accepts changes that a new socket has as well: they are the system's.
    private mutating func followSystem(_ now: SocketBaseline, _ pristine: () -> OwnedDescriptor?) {
        let (old, new) = (values, now.values)
        let suspects = Self.differences(old, new).filter { SocketAttribute.all[$0].followsSystem }
        guard !suspects.isEmpty, let fresh = pristine() else { return }
        accept(new, suspects.filter { SocketAttribute.all[$0].read(fresh.raw) == new[$0] })
    }

    /// Makes these values the expected ones.
    private mutating func accept(_ found: [[UInt8]?], _ indices: [Int]) {
        var list = values
        for index in indices { list[index] = found[index] }
        bytes = list.flatMap { value in value.map { [UInt8($0.count)] + $0 } ?? [Self.absent] }
    }
}
