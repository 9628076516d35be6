import CSpawn
import Glibc
import SystemPackage
import Testing

@testable import Linux

/// A held socket of each kind, as a process sees it that was given a duplicate.
struct HeldKindCase: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let address: SocketAddress
    let kind: SocketTransport

    init(_ name: String, _ address: SocketAddress, _ kind: SocketTransport = .stream) {
        (testDescription, self.address, self.kind) = (name, address, kind)
    }

    static let all = [
        HeldKindCase("TCP", .inet(host: "127.0.0.1", port: 0)),
        HeldKindCase("TCP over IPv6", .inet6(host: "::1", port: 0)),
        HeldKindCase("UDP", .inet(host: "127.0.0.1", port: 0), .datagram),
        HeldKindCase("UDP over IPv6", .inet6(host: "::1", port: 0), .datagram),
        HeldKindCase("Unix stream", .abstract(name: "holdfast-held-s-\(getpid())")),
        HeldKindCase("Unix datagram", .abstract(name: "holdfast-held-d-\(getpid())"), .datagram),
        HeldKindCase("Unix sequential", .abstract(name: "holdfast-held-q-\(getpid())"), .sequentialPacket),
    ]

    func open() throws -> ListeningSocket { try ListeningSocket(address, kind: kind) }
}

extension LinuxTests {
    /// What a process does to a held socket does not outlive it.
    @Suite struct HeldAttributeTests {
        private static func bytes(_ numbers: Int32...) -> [UInt8] {
            numbers.flatMap { number in withUnsafeBytes(of: number) { Array($0) } }
        }

        /// What a program may set: one of these is something else than the default of everything.
        private static let values: [[UInt8]] =
            [1, 0, 2, 3, 7, 64, 255, 4608, 20_000, -1].map { bytes($0) }
            + [
                bytes(1, 5), bytes(0, 0, 0, 0) + [], bytes(3, 0, 0, 0), Array("lo".utf8), Array("reno".utf8), [1],
                bytes(0x0203_0102), [68, 4, 5, 0],
            ]

        private func set(_ raw: Int32, _ attribute: SocketAttribute, _ value: [UInt8]) {
            // An empty value is one, too.
            _ = (value + [0]).withUnsafeBytes {
                setsockopt(raw, attribute.level.rawValue, attribute.option, $0.baseAddress, socklen_t(value.count))
            }
        }

        @Test("A socket that nobody has touched has nothing to put back", arguments: HeldKindCase.all)
        func untouched(_ held: HeldKindCase) throws {
            let socket = try held.open()
            #expect(socket.putBack(nonBlocking: true) == [])
            if held.kind.isConnected, socket.address.port != nil {
                let client = try connected(socket.address)
                _ = try socket.mustAccept()
                _ = client.raw
            }
            #expect(socket.putBack(nonBlocking: nil) == [])
            #expect(SocketBaseline(text: socket.baseline.text) == socket.baseline)
        }

        @Test("Every attribute that a process can change is found, and put back", arguments: HeldKindCase.all)
        func everyAttribute(_ held: HeldKindCase) throws {
            var tried: [String] = []
            for attribute in SocketAttribute.all where attribute.name != "SO_LOCK_FILTER" {
                let socket = try held.open()
                let process = try socket.duplicate()
                let number = held.kind == .datagram ? Int32(IPPROTO_UDP) : Int32(IPPROTO_TCP)
                guard attribute.applies(socket.address.family, number) else { continue }
                guard let before = attribute.read(process.raw) else { continue }
                for value in Self.values {
                    set(process.raw, attribute, value)
                    guard let found = attribute.read(process.raw), found != before else { continue }
                    let changes = socket.putBack(nonBlocking: true)
                    #expect(changes.contains { $0.attribute == attribute.name }, "\(attribute.name): \(changes)")
                    #expect(changes.compactMap(\.problem) == [], "\(attribute.name): \(changes)")
                    let after = try #require(attribute.read(process.raw))
                    #expect(attribute.isEquivalent(after, before), "\(attribute.name): \(before), \(found), \(after)")
                    #expect(socket.putBack(nonBlocking: true) == [], "\(attribute.name)")
                    tried.append(attribute.name)
                    break
                }
            }
            let needed = ["SO_RCVBUF", "SO_SNDBUF", "SO_RCVTIMEO", "SO_PRIORITY", "SO_LINGER"]
            #expect(Set(tried).isSuperset(of: needed), "\(tried)")
            if held.testDescription == "TCP" {
                let more = [
                    "TCP_DEFER_ACCEPT", "TCP_NODELAY", "TCP_MAXSEG", "TCP_WINDOW_CLAMP", "TCP_CONGESTION", "TCP_SYNCNT",
                    "TCP_USER_TIMEOUT", "TCP_FASTOPEN", "TCP_KEEPIDLE", "IP_MINTTL", "IP_TOS", "IP_TTL", "SO_REUSEPORT",
                    "SO_KEEPALIVE", "SO_INCOMING_CPU", "SO_BINDTOIFINDEX",
                ]
                #expect(Set(tried).isSuperset(of: more), "\(tried)")
            }
        }

        @Test("A buffer that was set and put back grows by itself again")
        func bufferLock() throws {
            let socket = try ListeningSocket(.inet(host: "127.0.0.1", port: 0))
            let process = try socket.duplicate()
            let lock = try #require(SocketAttribute.all.first { $0.name == "SO_BUF_LOCK" })
            try #require(lock.read(process.raw) != nil, "Linux 5.14")
            let buffer = try #require(SocketAttribute.all.first { $0.name == "SO_RCVBUF" })
            let before = buffer.read(process.raw)
            set(process.raw, buffer, Self.bytes(4096))
            #expect(socket.putBack(nonBlocking: true).contains { $0.attribute == "SO_RCVBUF" })
            #expect(buffer.read(process.raw) == before && lock.read(process.raw) == [0, 0, 0, 0])
        }

        @Test("What the unit says is put back, not the default; what is updated is the new measure")
        func settings() throws {
            var settings = SocketOptions()
            settings.deferAccept = 7
            settings.keepAlive = true
            let socket = try ListeningSocket(.inet(host: "127.0.0.1", port: 0), settings: settings)
            let process = try socket.duplicate()
            func attribute(_ name: String) throws -> SocketAttribute {
                try #require(SocketAttribute.all.first { $0.name == name })
            }
            set(process.raw, try attribute("TCP_DEFER_ACCEPT"), Self.bytes(0))
            set(process.raw, try attribute("SO_KEEPALIVE"), Self.bytes(0))
            let changes = socket.putBack(nonBlocking: true)
            #expect(
                Set(changes) == [
                    AttributeChange("TCP_DEFER_ACCEPT", found: "0", expected: "7"),
                    AttributeChange("SO_KEEPALIVE", found: "0", expected: "1"),
                ])
            set(process.raw, try attribute("SO_PRIORITY"), Self.bytes(5))
            settings.deferAccept = 3
            #expect(socket.update(settings: settings, options: socket.options, backlog: socket.backlog) == [])
            #expect(socket.putBack(nonBlocking: true) == [])
            #expect(try attribute("SO_PRIORITY").read(process.raw) == [0, 0, 0, 0], "an update is no excuse")
            #expect(try attribute("TCP_DEFER_ACCEPT").read(process.raw) == [3, 0, 0, 0])
        }

        @Test("A filter that drops everything is found and removed; one that holds connections back stays")
        func filter() throws {
            let socket = try ListeningSocket(.inet(host: "127.0.0.1", port: 0))
            let process = try socket.duplicate()
            attachDrop(process.raw)
            #expect(
                socket.putBack(nonBlocking: true) == [
                    AttributeChange("socket filter", found: "a classic BPF program", expected: "none")
                ])
            #expect(holdfast_filter(process.raw) == 0)
            _ = try connected(socket.address).raw
            try socket.holdBack(true)
            #expect(socket.putBack(nonBlocking: true) == [])
            attachDrop(process.raw)
            #expect(socket.putBack(nonBlocking: true).first?.expected == "holds connections back")
            #expect(holdfast_filter(process.raw) == 1)
            try socket.holdBack(false)
            #expect(socket.putBack(nonBlocking: true) == [])
        }

        @Test("Keys by which only signed connections are taken are removed", arguments: ["127.0.0.1", "::1"])
        func signatureKeys(host: String) throws {
            let isIPv6 = host.contains(":")
            let socket = try ListeningSocket(isIPv6 ? .inet6(host: host, port: 0) : .inet(host: host, port: 0))
            let process = try socket.duplicate()
            for prefix in [0, 8] as [UInt8] {
                // struct tcp_md5sig: address, flags (prefix), its length, the key's, interface, key.
                var key = [UInt8](repeating: 0, count: 216)
                key[0] = UInt8(isIPv6 ? AF_INET6 : AF_INET)
                key[4] = prefix == 0 || isIPv6 ? 0 : 127
                (key[128], key[129], key[130], key[136]) = (1, prefix, 3, 0x6b)
                // TCP_MD5SIG_EXT; a kernel without it has nothing to be removed.
                guard setsockopt(process.raw, Int32(IPPROTO_TCP), 32, key, socklen_t(key.count)) == 0 else { return }
            }
            #expect(
                socket.putBack(nonBlocking: true) == [AttributeChange("TCP-MD5 keys", found: "2", expected: "none")])
            #expect(socket.putBack(nonBlocking: true) == [] && !socket.isBeyondRepair)
            _ = try connected(socket.address).raw
        }

        private func attachDrop(_ raw: Int32) {
            // BPF_RET | BPF_K, 0: struct sock_filter and struct sock_fprog of linux/filter.h.
            let instruction: UInt64 = 0x06
            withUnsafePointer(to: instruction) { pointer in
                var program = (UInt64(1), UInt64(UInt(bitPattern: pointer)))
                #expect(setsockopt(raw, SOL_SOCKET, 26, &program, socklen_t(MemoryLayout.size(ofValue: program))) == 0)
            }
        }

        @Test("A locked filter is told, and the socket's successor at the same address takes connections without it")
        func locked() throws {
            for kind in [SocketTransport.stream, .datagram] {
                let socket = try ListeningSocket(.inet(host: "127.0.0.1", port: 0), kind: kind)
                let process = try socket.duplicate()
                attachDrop(process.raw)
                var on: Int32 = 1
                #expect(setsockopt(process.raw, SOL_SOCKET, 44, &on, 4) == 0)
                let changes = socket.putBack(nonBlocking: true)
                #expect(changes.first { $0.attribute == "socket filter" }?.problem == "it is locked (SO_LOCK_FILTER)")
                #expect(socket.isBeyondRepair)
                let successor = try socket.successor()
                #expect(successor.address == socket.address && successor.requested == socket.requested)
                #expect(successor.putBack(nonBlocking: true) == [] && !successor.isBeyondRepair)
            }
        }

        @Test("The limit of the accept queue is put back after another listen()")
        func backlog() throws {
            let socket = try ListeningSocket(.inet(host: "127.0.0.1", port: 0), backlog: 99)
            let process = try socket.duplicate()
            #expect(listen(process.raw, 3) == 0)
            #expect(socket.putBack(nonBlocking: true) == [AttributeChange("backlog", found: "3", expected: "99")])
            #expect(socket.acceptQueue?.limit == 99)
        }

        @Test("A datagram socket that a process connected hears everybody again")
        func connectedDatagrams() throws {
            for address in [SocketAddress.inet(host: "127.0.0.1", port: 0), .inet(host: "0.0.0.0", port: 0)] {
                let socket = try ListeningSocket(address, kind: .datagram)
                let process = try socket.duplicate()
                let other = try ListeningSocket(.inet(host: "127.0.0.1", port: 0), kind: .datagram)
                #expect(try other.address.withSockaddr { connect(process.raw, $0, $1) } == 0)
                let changes = socket.putBack(nonBlocking: true)
                #expect(changes == [AttributeChange("peer", found: "\(other.address)", expected: "none")])
                #expect(SocketAddress.local(of: process.raw) == socket.address)
                #expect(SocketAddress.named(by: getpeername, process.raw) == nil)
            }
        }

        @Test("A datagram socket at a path that a process shut down is another one from then on")
        func shutDownDatagrams() throws {
            let scratch = try Scratch()
            let socket = try ListeningSocket(.unix(path: scratch("d")), kind: .datagram)
            let process = try socket.duplicate()
            #expect(shutdown(process.raw, Int32(SHUT_RD)) == 0)
            #expect(socket.putBack(nonBlocking: true).map(\.attribute) == ["receiving"])
            #expect(socket.putBack(nonBlocking: true) == [])
            let client = try OwnedDescriptor.socket(AF_UNIX, SocketType.datagram)
            #expect(try socket.address.withSockaddr { connect(client.raw, $0, $1) } == 0)
            #expect(send(client.raw, "x", 1, 0) == 1)
            #expect(socket.hasWaiting)
        }

        @Test("The mode of a socket's path is put back")
        func mode() throws {
            let scratch = try Scratch()
            let socket = try ListeningSocket(.unix(path: scratch("s")), options: .init(mode: 0o660))
            chmod(scratch("s"), 0o777)
            #expect(socket.putBack(nonBlocking: true).map(\.attribute) == ["mode"])
            var status = stat()
            #expect(lstat(scratch("s"), &status) == 0 && status.st_mode & 0o7777 == 0o660)
        }

        @Test("Flags of the open file description: blocking, and signals for a process that is gone")
        func flags() throws {
            let socket = try ListeningSocket(.inet(host: "127.0.0.1", port: 0))
            let process = try socket.duplicate()
            try process.setNonBlocking(false)
            #expect(socket.putBack(nonBlocking: nil) == [])
            #expect(
                socket.putBack(nonBlocking: true) == [AttributeChange("O_NONBLOCK", found: "off", expected: "on")])
            let flags = fcntl(process.raw, F_GETFL)
            #expect(fcntl(process.raw, F_SETOWN, getpid()) == 0 && fcntl(process.raw, F_SETFL, flags | 0o20000) == 0)
            #expect(socket.putBack(nonBlocking: true) == [], "somebody waits for them")
            #expect(fcntl(process.raw, F_SETOWN, 0) == 0)
            #expect(socket.putBack(nonBlocking: true).map(\.attribute) == ["O_ASYNC"])
            #expect(fcntl(process.raw, F_GETFL) == flags)
        }

        @Test("FIFOs and netlink sockets: size, mode and groups are put back")
        func files() throws {
            let scratch = try Scratch()
            let fifo = try HeldFile(.fifo(path: scratch("f")), file: .init(mode: 0o600))
            #expect(fifo.putBack(nonBlocking: nil) == [])
            let process = try fifo.duplicate()
            #expect(holdfast_set_pipe_size(process.raw, 4096) == 4096)
            #expect(fchmod(process.raw, 0o666) == 0)
            #expect(fcntl(process.raw, F_SETFL, fcntl(process.raw, F_GETFL) | 0o40000) == 0)
            #expect(Set(fifo.putBack(nonBlocking: nil).map(\.attribute)) == ["pipe size", "mode", "O_DIRECT"])
            #expect(fifo.putBack(nonBlocking: nil) == [])
            // NETLINK_KOBJECT_UEVENT
            let netlink = try HeldFile(.netlink(family: 15, groups: 1))
            #expect(netlink.putBack(nonBlocking: nil) == [])
            let other = try netlink.duplicate()
            var group: Int32 = 1
            #expect(setsockopt(other.raw, 270, 2, &group, 4) == 0)
            #expect(netlink.putBack(nonBlocking: nil).map(\.attribute) == ["NETLINK_LIST_MEMBERSHIPS"])
            #expect(netlink.putBack(nonBlocking: nil) == [])
        }
    }
}
