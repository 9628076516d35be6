import CSpawn
import Glibc
import SystemPackage
import Testing

@testable import Linux

extension LinuxTests {
    @Suite struct ReservedAddressTests {
        /// A socket as a server makes it; nil if it may not be bound there.
        private func server(at address: SocketAddress, reuse: Bool = true) throws -> OwnedDescriptorBox? {
            let opened = try OwnedDescriptor.socket(address.family, SocketType.stream)
            var on: Int32 = reuse ? 1 : 0
            setsockopt(opened.raw, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
            let bound = try address.withSockaddr { bind(opened.raw, $0, $1) }
            return bound == 0 && listen(opened.raw, 8) == 0 ? OwnedDescriptorBox(opened) : nil
        }

        @Test("A reserved port refuses connections until its program listens, and nobody else gets it by chance")
        func port() throws {
            let reserved = try ReservedAddress(.inet(host: "127.0.0.1", port: 0))
            #expect(reserved.address.port != 0)
            #expect(!canConnect(reserved.address))
            #expect(try server(at: reserved.address, reuse: false) == nil, "without SO_REUSEADDR it is taken")
            #expect(try ReservedAddress(.inet(host: "127.0.0.1", port: 0)).address != reserved.address)
            let listening = try server(at: reserved.address)
            #expect(listening != nil)
            #expect(canConnect(reserved.address), "the reservation does not take connections away from it")
            #expect(throws: SystemError("reserving", "\(reserved.address)", .addressInUse)) {
                try ReservedAddress(reserved.address)
            }
        }

        @Test("A Unix path is made free for its program: directory made, dead socket removed, a living one left alone")
        func path() throws {
            let scratch = try Scratch()
            let address = SocketAddress.unix(path: scratch("deep/x.sock"))
            let reserved = try ReservedAddress(address)
            #expect(access(scratch("deep"), F_OK) == 0 && access(scratch("deep/x.sock"), F_OK) != 0)
            do {
                let listening = try server(at: address)
                #expect(listening != nil)
                reserved.removeLeftover()
                #expect(canConnect(address))
                #expect(throws: SystemError("reserving", "\(address)", .addressInUse)) { try ReservedAddress(address) }
            }
            reserved.removeLeftover()
            #expect(access(scratch("deep/x.sock"), F_OK) != 0)
        }
    }

    @Suite(.enabled(if: geteuid() == 0)) struct NetworkNamespaceTests {
        private static let address = SocketAddress.inet(host: "127.0.0.1", port: 3999)

        private func own() -> String {
            var buffer = [CChar](repeating: 0, count: 64)
            let length = readlink("/proc/thread-self/ns/net", &buffer, 64)
            return String(decoding: buffer.prefix(max(0, length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }

        @Test(
            "The same port in two networks and in our own at once, each reached from where it is; we never leave ours")
        func ports() throws {
            let before = own()
            let networks = [try NetworkNamespace(), try NetworkNamespace()]
            let sockets = try networks.map { try ListeningSocket(Self.address, network: $0) }
            #expect(!canConnect(Self.address), "loopback inside is not loopback outside")
            for (network, socket) in zip(networks, sockets) {
                let client = try OwnedDescriptor.socket(AF_INET, SocketType.stream, in: network)
                #expect(try Self.address.withSockaddr { connect(client.raw, $0, $1) } == 0)
                _ = try socket.mustAccept()
            }
            #expect(own() == before)
        }

        @Test("A program is started in a network, sees only its loopback, and still has a socket from outside")
        func program() throws {
            let network = try NetworkNamespace()
            let outside = try ListeningSocket(SocketTests.loopback)
            let result = try output(of: ["/bin/sh", "-c", "cat /proc/net/dev | grep -c :; ls -l /proc/self/fd/3"]) {
                $0.network = network.raw
                $0.descriptors = [outside.raw]
            }
            #expect(result.text.hasPrefix("1\n"), "\(result.text)")
            #expect(result.text.contains("socket:["))
        }

        @Test("A probe asks inside a network")
        func probe() throws {
            let network = try NetworkNamespace()
            let socket = try ListeningSocket(Self.address, network: network)
            let loop = try EventLoop()
            var answers: [ProbeResult] = []
            let inside = Probe.tcp(Self.address, in: network, timeout: 5_000_000_000, loop: loop) { answers.append($0) }
            try loop.run(until: { answers.count == 1 })
            let outside = Probe.tcp(Self.address, timeout: 5_000_000_000, loop: loop) { answers.append($0) }
            try loop.run(until: { answers.count == 2 })
            #expect(answers.map(\.isPassed) == [true, false])
            withExtendedLifetime((socket, inside, outside)) {}
        }

        @Test("A network is gone with its last user, and a program that cannot enter one says so")
        func gone() throws {
            let count = 200
            for _ in 0..<count { _ = try NetworkNamespace() }
            let null = try OwnedDescriptor.null()
            var plan = SpawnPlan(
                program: "/bin/true", arguments: ["true"], standardInput: null.raw, standardOutput: null.raw,
                standardError: null.raw)
            plan.network = null.raw
            #expect { _ = try ProcessSpawner.spawn(plan) } throws: { error in
                "\(error)" == "entering its network namespace: Invalid argument"
            }
        }
    }
}
