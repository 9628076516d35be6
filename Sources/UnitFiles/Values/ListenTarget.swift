/// One of the `Listen…=` directives with its value (systemd.socket(5)).
public enum ListenTarget: Sendable, Hashable, CustomStringConvertible {
    case stream(ListenAddress)
    case datagram(ListenAddress)
    case sequentialPacket(ListenAddress)
    /// An absolute path.
    case fifo(String)
    /// The absolute path of a character device or of a file in /proc or /sys.
    case special(String)
    case netlink(NetlinkTarget)
    /// The name of a POSIX message queue, with its slash.
    case messageQueue(String)

    /// The address that the socket listens on; nil for targets without an address.
    public var address: ListenAddress? {
        switch self {
        case .stream(let address), .datagram(let address), .sequentialPacket(let address): address
        case .fifo, .special, .netlink, .messageQueue: nil
        }
    }

    /// The file system node that `Symlinks=` may point to.
    public var path: String? {
        switch self {
        case .fifo(let path): path
        case .stream(.unix(let path)), .datagram(.unix(let path)), .sequentialPacket(.unix(let path)): path
        case .stream, .datagram, .sequentialPacket, .special, .netlink, .messageQueue: nil
        }
    }

    /// Whether the socket accepts connections, so that `Accept=yes` has a meaning.
    public var isConnected: Bool {
        switch self {
        case .stream, .sequentialPacket: true
        case .datagram, .fifo, .special, .netlink, .messageQueue: false
        }
    }

    public var description: String {
        switch self {
        case .stream(let address), .datagram(let address), .sequentialPacket(let address): address.description
        case .fifo(let path), .special(let path): path
        case .netlink(let target): target.description
        case .messageQueue(let name): name
        }
    }
}

/// The value of `ListenNetlink=`: a family, and the multicast groups as the bits of nl_groups (netlink(7)).
public struct NetlinkTarget: Sendable, Hashable, CustomStringConvertible {
    /// The name as written: `kobject-uevent`.
    public var family: String
    /// The family's number in linux/netlink.h.
    public var number: Int32
    public var groups: UInt32

    public var description: String { groups == 0 ? family : "\(family) \(groups)" }

    /// Families of linux/netlink.h with systemd's names.
    static let families: [String: Int32] = [
        "route": 0, "firewall": 3, "inet-diag": 4, "nflog": 5, "xfrm": 6, "selinux": 7, "iscsi": 8, "audit": 9,
        "fib-lookup": 10, "connector": 11, "netfilter": 12, "ip6-fw": 13, "dnrtmsg": 14, "kobject-uevent": 15,
        "generic": 16, "scsitransport": 18, "ecryptfs": 19, "rdma": 20, "crypto": 21, "smc": 22,
    ]

    /// Parses `kobject-uevent 1`; a family may also be a number.
    static func parse(_ text: String) throws(ValueError) -> NetlinkTarget {
        let words = text.utf8.split(whereSeparator: Ascii.isSpace).compactMap { String($0) }
        guard let family = words.first, words.count <= 2 else {
            throw ValueError("expected a netlink family and a group, such as \"kobject-uevent 1\"")
        }
        guard let number = families[family] ?? (try? Value.integer(family, in: Int32(0)...31)) else {
            let near = EditDistance.closest(to: family, in: families.keys.sorted())
            throw ValueError("\"\(family)\" is not a netlink family", suggestion: near)
        }
        let groups = try words.count == 2 ? Value.integer(words[1], in: UInt32.min...UInt32.max) : 0
        return NetlinkTarget(family: family, number: number, groups: groups)
    }
}

/// One `Listen…=`.
public struct ListenEntry: Sendable, Hashable {
    public var target: ListenTarget
    public var location: SourceLocation

    public init(_ target: ListenTarget, at location: SourceLocation = SourceLocation(file: "")) {
        self.target = target
        self.location = location
    }
}
