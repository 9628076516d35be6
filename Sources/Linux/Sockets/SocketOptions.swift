import CSpawn
import Glibc
import SystemPackage

/// The options of a socket (systemd.socket(5)); nil: the kernel's default.
///
/// Options belong to the socket, which all its sharers have in common, so the holder sets them. Options that bind(2)
/// depends on are set before it and make the opening fail; the others are set on the open socket, and one that the
/// kernel refuses is reported as a problem, as under systemd.
public struct SocketOptions: Equatable, Sendable, Codable {
    public enum Timestamping: String, Equatable, Sendable, Codable { case off, microseconds, nanoseconds }

    /// IPV6_V6ONLY; nil: the value of /proc/sys/net/ipv6/bindv6only.
    public var ipv6Only: Bool?
    public var device: String?
    public var freeBind = false
    public var transparent = false
    public var reusePort = false
    /// An IPPROTO_ number; 0: the default for the kind.
    public var ipProtocol: Int32 = 0

    public var broadcast = false
    public var keepAlive = false
    /// Seconds.
    public var keepAliveTime: Int32?
    public var keepAliveInterval: Int32?
    public var keepAliveProbes: Int32?
    public var noDelay = false
    /// Seconds.
    public var deferAccept: Int32?
    /// Bytes.
    public var receiveBuffer: Int32?
    public var sendBuffer: Int32?
    public var typeOfService: Int32?
    public var timeToLive: Int32?
    public var mark: UInt32?
    public var priority: Int32?
    public var passCredentials = false
    public var passSecurity = false
    public var passPacketInfo = false
    public var timestamping = Timestamping.off
    public var congestion: String?

    public init() {}

    /// The protocols' numbers, which Glibc imports as Int.
    private enum Level {
        static let ip = Int32(IPPROTO_IP)
        static let ipv6 = Int32(IPPROTO_IPV6)
        static let tcp = Int32(IPPROTO_TCP)
    }

    /// SOL_NETLINK and NETLINK_PKTINFO of linux/netlink.h.
    private static let netlink: (level: Int32, packetInfo: Int32) = (270, 3)

    /// Sets the options that bind(2) depends on.
    func applyBeforeBind(_ raw: Int32, _ family: Int32) throws(SystemError) {
        guard family == AF_INET || family == AF_INET6 else { return }
        let isIPv6 = family == AF_INET6
        if isIPv6, let ipv6Only { try set(raw, Level.ipv6, IPV6_V6ONLY, ipv6Only ? 1 : 0, "BindIPv6Only=") }
        if let device {
            let result = device.withCString { setsockopt(raw, SOL_SOCKET, SO_BINDTODEVICE, $0, socklen_t(strlen($0))) }
            try checkErrno(result, "BindToDevice=", device)
        }
        if reusePort { try set(raw, SOL_SOCKET, SO_REUSEPORT, 1, "ReusePort=") }
        // The options of IPv4 apply to an IPv6 socket, too: it may accept IPv4.
        if freeBind { try set(raw, Level.ip, IP_FREEBIND, 1, "FreeBind=") }
        if transparent {
            if isIPv6 {
                try set(raw, Level.ipv6, IPV6_TRANSPARENT, 1, "Transparent=")
            } else {
                try set(raw, Level.ip, IP_TRANSPARENT, 1, "Transparent=")
            }
        }
    }

    /// Sets the options that can be set at any time, also on a listening and shared socket. Returns the kernel's
    /// refusals.
    /// - Parameter previous: the present options; a switch that is given up is set to off.
    func apply(_ raw: Int32, _ family: Int32, previous: SocketOptions = SocketOptions()) -> [SystemError] {
        var problems: [SystemError] = []
        func attempt(_ body: () throws(SystemError) -> Void) {
            do throws(SystemError) { try body() } catch { problems.append(error) }
        }
        func flag(_ path: KeyPath<SocketOptions, Bool>, _ level: Int32, _ option: Int32, _ name: String) {
            guard self[keyPath: path] || previous[keyPath: path] else { return }
            attempt { () throws(SystemError) in try set(raw, level, option, self[keyPath: path] ? 1 : 0, name) }
        }
        func number(_ value: Int32?, _ level: Int32, _ option: Int32, _ name: String) {
            guard let value else { return }
            attempt { () throws(SystemError) in try set(raw, level, option, value, name) }
        }
        flag(\.broadcast, SOL_SOCKET, SO_BROADCAST, "Broadcast=")
        flag(\.passCredentials, SOL_SOCKET, SO_PASSCRED, "PassCredentials=")
        flag(\.passSecurity, SOL_SOCKET, SO_PASSSEC, "PassSecurity=")
        number(priority, SOL_SOCKET, SO_PRIORITY, "Priority=")
        number(mark.map { Int32(bitPattern: $0) }, SOL_SOCKET, SO_MARK, "Mark=")
        if let receiveBuffer {
            attempt { () throws(SystemError) in
                try setBuffer(raw, receiveBuffer, SO_RCVBUF, SO_RCVBUFFORCE, "ReceiveBuffer=")
            }
        }
        if let sendBuffer {
            attempt { () throws(SystemError) in
                try setBuffer(raw, sendBuffer, SO_SNDBUF, SO_SNDBUFFORCE, "SendBuffer=")
            }
        }
        switch timestamping {
        case .microseconds: number(1, SOL_SOCKET, SO_TIMESTAMP, "Timestamping=")
        case .nanoseconds: number(1, SOL_SOCKET, SO_TIMESTAMPNS, "Timestamping=")
        // Both are one switch: off for one is off for both.
        case .off: if previous.timestamping != .off { number(0, SOL_SOCKET, SO_TIMESTAMP, "Timestamping=") }
        }
        switch family {
        case AF_INET:
            number(typeOfService, Level.ip, IP_TOS, "IPTOS=")
            number(timeToLive, Level.ip, IP_TTL, "IPTTL=")
            flag(\.passPacketInfo, Level.ip, IP_PKTINFO, "PassPacketInfo=")
        case AF_INET6:
            // A dual-stack socket answers each family with that family's option.
            number(typeOfService, Level.ip, IP_TOS, "IPTOS=")
            number(typeOfService, Level.ipv6, IPV6_TCLASS, "IPTOS=")
            number(timeToLive, Level.ip, IP_TTL, "IPTTL=")
            number(timeToLive, Level.ipv6, IPV6_UNICAST_HOPS, "IPTTL=")
            flag(\.passPacketInfo, Level.ipv6, IPV6_RECVPKTINFO, "PassPacketInfo=")
        case AF_NETLINK:
            flag(\.passPacketInfo, Self.netlink.level, Self.netlink.packetInfo, "PassPacketInfo=")
        default: break
        }
        return problems + applyToTCP(raw, family, previous)
    }

    private func applyToTCP(_ raw: Int32, _ family: Int32, _ previous: SocketOptions) -> [SystemError] {
        guard family == AF_INET || family == AF_INET6, Self.isTCP(raw) else { return [] }
        var problems: [SystemError] = []
        func number(_ value: Int32?, _ level: Int32, _ option: Int32, _ name: String) {
            guard let value else { return }
            do throws(SystemError) { try set(raw, level, option, value, name) } catch { problems.append(error) }
        }
        func flag(_ now: Bool, _ before: Bool) -> Int32? { now || before ? (now ? 1 : 0) : nil }
        number(flag(keepAlive, previous.keepAlive), SOL_SOCKET, SO_KEEPALIVE, "KeepAlive=")
        number(keepAliveTime, Level.tcp, TCP_KEEPIDLE, "KeepAliveTimeSec=")
        number(keepAliveInterval, Level.tcp, TCP_KEEPINTVL, "KeepAliveIntervalSec=")
        number(keepAliveProbes, Level.tcp, TCP_KEEPCNT, "KeepAliveProbes=")
        number(flag(noDelay, previous.noDelay), Level.tcp, TCP_NODELAY, "NoDelay=")
        number(deferAccept ?? (previous.deferAccept == nil ? nil : 0), Level.tcp, TCP_DEFER_ACCEPT, "DeferAcceptSec=")
        if let congestion {
            let result = congestion.withCString {
                setsockopt(raw, Level.tcp, TCP_CONGESTION, $0, socklen_t(strlen($0)))
            }
            if result < 0 { problems.append(SystemError("TCPCongestion=", congestion)) }
        }
        return problems
    }

    private static func isTCP(_ raw: Int32) -> Bool {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(raw, SOL_SOCKET, SO_PROTOCOL, &value, &length) == 0 && value == Level.tcp
    }

    private func set(
        _ raw: Int32, _ level: Int32, _ option: Int32, _ value: Int32, _ name: String
    ) throws(SystemError) {
        var value = value
        try checkErrno(setsockopt(raw, level, option, &value, socklen_t(MemoryLayout<Int32>.size)), name, "\(value)")
    }

    /// Sets a buffer. The kernel silently limits the size to net.core.rmem_max unless root forces it; it then reports
    /// twice the size, for its own bookkeeping (socket(7)).
    private func setBuffer(
        _ raw: Int32, _ size: Int32, _ option: Int32, _ forced: Int32, _ name: String
    ) throws(SystemError) {
        try set(raw, SOL_SOCKET, option, size, name)
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        if getsockopt(raw, SOL_SOCKET, option, &value, &length) == 0, value / 2 >= size { return }
        try set(raw, SOL_SOCKET, forced, size, name)
    }
}
