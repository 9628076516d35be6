import CSpawn
import Glibc
import SystemPackage
import Testing

@testable import Linux

/// What a process sees that was given a duplicate: options belong to the socket, not to the descriptor.
private func readOption(_ raw: Int32, _ level: Int32, _ name: Int32) throws -> Int32 {
    var value: Int32 = -1
    var length = socklen_t(MemoryLayout<Int32>.size)
    try checkErrno(getsockopt(raw, level, name, &value, &length), "getsockopt", "\(level) \(name)")
    return value
}

private func text(_ raw: Int32, _ level: Int32, _ name: Int32) throws -> String {
    var value = [UInt8](repeating: 0, count: 64)
    var length = socklen_t(value.count)
    try checkErrno(getsockopt(raw, level, name, &value, &length), "getsockopt", "\(level) \(name)")
    return String(decoding: value[..<Int(length)].prefix { $0 != 0 }, as: UTF8.self)
}

private let ip = Int32(IPPROTO_IP)
private let ipv6 = Int32(IPPROTO_IPV6)
private let tcp = Int32(IPPROTO_TCP)

/// One option: how it is set, and what the kernel must then say.
struct OptionCase: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let address: SocketAddress
    let kind: SocketTransport
    let set: @Sendable (inout SocketOptions) -> Void
    let level: Int32
    let name: Int32
    let expected: Int32

    init(
        _ directive: String, at address: SocketAddress = .inet(host: "127.0.0.1", port: 0),
        as kind: SocketTransport = .stream,
        _ level: Int32, _ name: Int32, _ expected: Int32, _ set: @escaping @Sendable (inout SocketOptions) -> Void
    ) {
        testDescription = "\(directive) \(address) \(kind)"
        self.address = address
        self.kind = kind
        self.set = set
        self.level = level
        self.name = name
        self.expected = expected
    }

    static let v6 = SocketAddress.inet6(host: "::1", port: 0)
    static let name = SocketAddress.abstract(name: "holdfast-options-\(getpid())")

    static let all: [OptionCase] = [
        OptionCase("BindIPv6Only=ipv6-only", at: v6, ipv6, IPV6_V6ONLY, 1) { $0.ipv6Only = true },
        OptionCase("BindIPv6Only=both", at: .inet6(host: "::", port: 0), ipv6, IPV6_V6ONLY, 0) { $0.ipv6Only = false },
        OptionCase("FreeBind=", at: .inet(host: "192.0.2.77", port: 0), ip, IP_FREEBIND, 1) { $0.freeBind = true },
        OptionCase("FreeBind=", at: .inet6(host: "2001:db8::77", port: 0), ip, IP_FREEBIND, 1) { $0.freeBind = true },
        OptionCase("ReusePort=", SOL_SOCKET, SO_REUSEPORT, 1) { $0.reusePort = true },
        OptionCase("ReusePort=", at: v6, as: .datagram, SOL_SOCKET, SO_REUSEPORT, 1) { $0.reusePort = true },
        OptionCase("Broadcast=", at: .inet(host: "127.0.0.1", port: 0), as: .datagram, SOL_SOCKET, SO_BROADCAST, 1) {
            $0.broadcast = true
        },
        OptionCase("KeepAlive=", SOL_SOCKET, SO_KEEPALIVE, 1) { $0.keepAlive = true },
        OptionCase("KeepAliveTimeSec=", tcp, TCP_KEEPIDLE, 77) { $0.keepAliveTime = 77 },
        OptionCase("KeepAliveIntervalSec=", tcp, TCP_KEEPINTVL, 7) { $0.keepAliveInterval = 7 },
        OptionCase("KeepAliveProbes=", tcp, TCP_KEEPCNT, 3) { $0.keepAliveProbes = 3 },
        OptionCase("NoDelay=", at: v6, tcp, TCP_NODELAY, 1) { $0.noDelay = true },
        // The kernel rounds to a number of retransmissions: 1, 3, 7, … seconds.
        OptionCase("DeferAcceptSec=", tcp, TCP_DEFER_ACCEPT, 7) { $0.deferAccept = 7 },
        // It reports the double of what it was asked for (socket(7)).
        OptionCase("ReceiveBuffer=", SOL_SOCKET, SO_RCVBUF, 131_072) { $0.receiveBuffer = 65536 },
        OptionCase("SendBuffer=", at: name, as: .datagram, SOL_SOCKET, SO_SNDBUF, 131_072) { $0.sendBuffer = 65536 },
        OptionCase("IPTOS=", ip, IP_TOS, 0x10) { $0.typeOfService = 0x10 },
        OptionCase("IPTOS=", at: v6, ipv6, IPV6_TCLASS, 8) { $0.typeOfService = 8 },
        OptionCase("IPTTL=", ip, IP_TTL, 9) { $0.timeToLive = 9 },
        OptionCase("IPTTL=", at: v6, ipv6, IPV6_UNICAST_HOPS, 9) { $0.timeToLive = 9 },
        OptionCase("Priority=", SOL_SOCKET, SO_PRIORITY, 5) { $0.priority = 5 },
        OptionCase("PassCredentials=", at: name, as: .datagram, SOL_SOCKET, SO_PASSCRED, 1) {
            $0.passCredentials = true
        },
        OptionCase("PassCredentials=", at: name, as: .sequentialPacket, SOL_SOCKET, SO_PASSCRED, 1) {
            $0.passCredentials = true
        },
        OptionCase("PassSecurity=", at: name, as: .stream, SOL_SOCKET, SO_PASSSEC, 1) { $0.passSecurity = true },
        OptionCase("PassPacketInfo=", at: .inet(host: "127.0.0.1", port: 0), as: .datagram, ip, IP_PKTINFO, 1) {
            $0.passPacketInfo = true
        },
        OptionCase("PassPacketInfo=", at: v6, as: .datagram, ipv6, IPV6_RECVPKTINFO, 1) { $0.passPacketInfo = true },
        OptionCase("Timestamping=us", at: name, as: .datagram, SOL_SOCKET, SO_TIMESTAMP, 1) {
            $0.timestamping = .microseconds
        },
        OptionCase("Timestamping=ns", at: name, as: .datagram, SOL_SOCKET, SO_TIMESTAMPNS, 1) {
            $0.timestamping = .nanoseconds
        },
        OptionCase(
            "SocketProtocol=udplite", at: .inet(host: "127.0.0.1", port: 0), as: .datagram, SOL_SOCKET, SO_PROTOCOL,
            Int32(IPPROTO_UDPLITE)
        ) { $0.ipProtocol = Int32(IPPROTO_UDPLITE) },
    ]

    /// These ask for a capability.
    static let privileged: [OptionCase] = [
        OptionCase("Mark=", SOL_SOCKET, SO_MARK, 0x1234) { $0.mark = 0x1234 },
        OptionCase("Transparent=", ip, IP_TRANSPARENT, 1) { $0.transparent = true },
        OptionCase("Transparent=", at: v6, ipv6, IPV6_TRANSPARENT, 1) { $0.transparent = true },
        // Above net.core.rmem_max, which only root may exceed.
        OptionCase("ReceiveBuffer=", at: name, as: .datagram, SOL_SOCKET, SO_RCVBUF, 64 << 20) {
            $0.receiveBuffer = 32 << 20
        },
        OptionCase("SendBuffer=", at: name, as: .datagram, SOL_SOCKET, SO_SNDBUF, 64 << 20) {
            $0.sendBuffer = 32 << 20
        },
    ]

    func open() throws -> ListeningSocket {
        var settings = SocketOptions()
        set(&settings)
        return try ListeningSocket(address, kind: kind, settings: settings)
    }
}

extension LinuxTests {
    @Suite struct SocketOptionTests {
        @Test("every option is set on the socket, and so on every duplicate of it", arguments: OptionCase.all)
        func options(_ option: OptionCase) throws {
            let socket = try option.open()
            #expect(socket.problems == [])
            let passed = try socket.duplicate()
            #expect(try Self.value(passed.raw, option) == option.expected)
        }

        @Test(
            "options that need a capability are set by root, and named when they cannot be",
            arguments: OptionCase.privileged)
        func privileged(_ option: OptionCase) throws {
            guard geteuid() != 0 else {
                let socket = try option.open()
                #expect(try Self.value(socket.raw, option) == option.expected)
                return
            }
            do {
                let socket = try option.open()
                #expect(!socket.problems.isEmpty)
            } catch let error as SystemError {
                #expect(error.errno == .notPermitted)
            }
        }

        private static func value(_ raw: Int32, _ option: OptionCase) throws -> Int32 {
            try readOption(raw, option.level, option.name)
        }

        @Test("BindToDevice= binds to the interface, TCPCongestion= chooses the algorithm; what is not there is told")
        func named() throws {
            var settings = SocketOptions()
            settings.device = "lo"
            settings.congestion = "reno"
            let socket = try ListeningSocket(.inet(host: "127.0.0.1", port: 0), settings: settings)
            #expect(try text(socket.raw, SOL_SOCKET, SO_BINDTODEVICE) == "lo")
            #expect(try text(socket.raw, tcp, TCP_CONGESTION) == "reno")
            settings.congestion = "no-such"
            let other = try ListeningSocket(.inet(host: "127.0.0.1", port: 0), settings: settings)
            #expect(other.problems.map(\.description) == ["TCPCongestion= no-such: No such file or directory"])
            settings.device = "nosuch0"
            let error = #expect(throws: SystemError.self) {
                _ = try ListeningSocket(.inet(host: "127.0.0.1", port: 1), settings: settings)
            }
            #expect(error?.description == "listening on 127.0.0.1:1: BindToDevice=nosuch0: No such device")
        }

        @Test("a connection inherits the options of the socket that it was accepted from")
        func inherited() throws {
            var settings = SocketOptions()
            settings.keepAlive = true
            settings.noDelay = true
            settings.keepAliveTime = 77
            let socket = try ListeningSocket(.inet(host: "127.0.0.1", port: 0), settings: settings)
            let client = try connected(socket.address)
            let served = try socket.mustAccept()
            #expect(try readOption(served.raw, SOL_SOCKET, SO_KEEPALIVE) == 1)
            #expect(try readOption(served.raw, tcp, TCP_NODELAY) == 1)
            #expect(try readOption(served.raw, tcp, TCP_KEEPIDLE) == 77)
            _ = client.raw
        }

        @Test("a socket that listens takes new options, backlog and mode, and names what only a new socket can have")
        func updated() throws {
            let scratch = try Scratch()
            var settings = SocketOptions()
            settings.noDelay = true
            settings.typeOfService = 8
            let socket = try ListeningSocket(.inet(host: "127.0.0.1", port: 0), backlog: 7, settings: settings)
            let client = try connected(socket.address)
            settings.noDelay = false
            settings.typeOfService = nil
            settings.keepAlive = true
            settings.freeBind = true
            #expect(
                socket.update(settings: settings, options: socket.options, backlog: 9) == ["FreeBind=", "IPTOS="])
            #expect(socket.problems == [])
            #expect(try readOption(socket.raw, tcp, TCP_NODELAY) == 0)
            #expect(try readOption(socket.raw, SOL_SOCKET, SO_KEEPALIVE) == 1)
            #expect(socket.acceptQueue?.limit == 9)
            #expect(socket.acceptQueue?.waiting == 1, "what waited waits on")
            _ = client.raw
            let unix = try ListeningSocket(.unix(path: scratch("s")))
            #expect(unix.update(settings: .init(), options: .init(mode: 0o600), backlog: 4096) == [])
            var status = stat()
            #expect(lstat(scratch("s"), &status) == 0 && status.st_mode & 0o777 == 0o600)
        }
    }
}
