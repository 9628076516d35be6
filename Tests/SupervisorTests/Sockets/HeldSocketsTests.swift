import Engine
import Linux
import Testing
import UnitFiles

@testable import Supervisor

@Suite("Held sockets, without a socket")
struct HeldSocketsTests {
    private let listening = "[Socket]\nListenStream=0.0.0.0:80\n"
    private let second: Int64 = 1_000_000_000

    @Test("A socket that a process has is taken over instead of a second one at its address")
    func unaccounted() throws {
        let bench = try SocketsBench()
        let target = HeldEndpoint.Target.socket(SocketsBench.address, .stream)
        let (socket, descriptor) = try bench.world.sockets.bind(target, network: nil, backlog: 8)
        bench.world.sockets.connect(to: SocketsBench.address)
        bench.unaccounted[target] = descriptor
        let held = try #require(bench.sockets?.opened(try bench.unit(listening)).first)
        #expect(held.endpoint.inode == socket.inode)
        #expect(held.endpoint.acceptQueue?.waiting == 1)
    }

    @Test("A socket in the store of systemd outlives the supervisor with its queue, and is adopted by the next one")
    func adoption() throws {
        let bench = try SocketsBench()
        let target = HeldEndpoint.Target.socket(SocketsBench.address, .stream)
        let unit = try bench.unit(listening)
        var kept: WorldDescriptorBox?
        do {
            let held = try #require(bench.sockets?.opened(unit).first)
            kept = WorldDescriptorBox(try held.endpoint.duplicate())
        }
        bench.world.sockets.connect(to: SocketsBench.address)
        bench.world.killSupervisor()
        #expect(bench.world.sockets.isBound(SocketsBench.address))
        let next = try SocketsBench(bench.world)
        let sockets = try #require(next.sockets)
        guard let descriptor = kept?.take() else {
            Issue.record("the descriptor is gone")
            return
        }
        let adopted = try sockets.adopt(descriptor, unit, target, owner: nil, number: 1, nil)
        #expect(adopted.endpoint.acceptQueue?.waiting == 1)
        #expect(adopted.address == SocketsBench.address)
    }

    @Test("A socket that a process has shut down listens again")
    func shutdown() throws {
        let bench = try SocketsBench()
        let held = try #require(bench.sockets?.opened(try bench.unit(listening)).first)
        bench.world.sockets.shutDown(SocketsBench.address)
        #expect(bench.world.sockets.connect(to: SocketsBench.address) == nil)
        _ = bench.world.run(for: second)
        #expect(held.endpoint.isListening)
        #expect(bench.world.sockets.connect(to: SocketsBench.address) != nil)
        #expect(bench.log == ["app.socket: 0.0.0.0:80: a process shut it down; it listens again"])
    }

    @Test("A removed path of a Unix socket is restored")
    func path() throws {
        let bench = try SocketsBench()
        let unit = try bench.unit("[Socket]\nListenStream=/run/app.sock\n")
        let list = try bench.sockets?.opened(unit)
        bench.world.disk.remove("/run/app.sock")
        bench.sockets?.restorePaths([])
        #expect(bench.world.disk.node("/run/app.sock")?.kind == .socket)
        #expect(bench.log == ["app.socket: /run/app.sock: its path was removed; it is back"])
        withExtendedLifetime(list) {}
    }

    @Test("A changed attribute is restored, and the log names the service that had the socket, once a minute")
    func attributes() throws {
        let bench = try SocketsBench()
        let held = try #require(bench.sockets?.opened(try bench.unit(listening)).first)
        held.sharers.add(InstanceID(number: 1), SocketSharer(name: "app.service", mustNotBlock: false))
        for _ in 0..<2 {
            bench.world.sockets.change("SO_RCVBUF", to: "4608", from: "131072", at: SocketsBench.address)
            bench.sockets?.examine(held)
        }
        let line = "app.socket: 0.0.0.0:80: app.service changed SO_RCVBUF from 131072 to 4608; it is put back"
        #expect(bench.log == [line])
        #expect(held.sharers.changes["SO_RCVBUF"]?.count == 2)
    }

    @Test("Each generation has its own socket: a path with its number, a port of its own; a fixed port is refused")
    func generations() throws {
        let bench = try SocketsBench()
        let sockets = try #require(bench.sockets)
        let (one, two) = (
            GenerationID(group: GroupID("site.target"), number: 1),
            GenerationID(group: GroupID("site.target"), number: 2)
        )
        let path = try bench.unit("[Socket]\nListenStream=/run/app.sock\nX-Scope=generation\n")
        let lists = try [one, two].map { try sockets.open(path, for: $0, in: nil) }
        #expect(lists.map { $0.map(\.endpoint.text) } == [["/run/app.sock.1"], ["/run/app.sock.2"]])
        let fixed = try bench.unit("[Socket]\nListenStream=127.0.0.1:90\nX-Scope=generation\n")
        let first = try sockets.open(fixed, for: one, in: nil)
        let error = #expect(throws: PreparationError.self) { try sockets.open(fixed, for: two, in: nil) }
        #expect(error?.text.contains("with port 0 each gets a port of its own") == true)
        // In a network of its own the address is free.
        let network = try bench.machine.sockets.makeNetwork()
        #expect(throws: Never.self) { try sockets.open(fixed, for: two, in: network) }
        withExtendedLifetime((lists, first)) {}
    }
}
