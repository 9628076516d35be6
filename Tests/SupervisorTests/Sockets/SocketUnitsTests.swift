import Engine
import Linux
import Testing
import UnitFiles

@testable import Supervisor

@Suite("Socket units, without a process or a socket")
struct SocketUnitsTests {
    private let service = GroupID("app.service")
    private let listening = "[Socket]\nListenStream=0.0.0.0:80\n"

    @Test("A started unit is bound, and its first connection starts the service, which gets it")
    func activation() throws {
        let bench = try SocketsBench()
        try bench.start(listening)
        #expect(bench.answers == [.started])
        #expect(bench.world.sockets.isBound(SocketsBench.address))
        let first = try #require(bench.world.sockets.connect(to: SocketsBench.address))
        #expect(bench.startedGroups.isEmpty)
        bench.run(seconds: 1)
        #expect(bench.startedGroups == [service])
        #expect(first.holder == bench.pids[service])
        // While the service runs, it accepts by itself.
        bench.world.sockets.connect(to: SocketsBench.address)
        bench.run(seconds: 1)
        #expect(bench.startedGroups == [service])
        // After its end, traffic starts it again.
        bench.end(service)
        bench.world.sockets.connect(to: SocketsBench.address)
        bench.run(seconds: 1)
        #expect(bench.startedGroups == [service, service])
    }

    @Test("A stopped unit releases its address; the waiting connection is lost with it, and another is refused")
    func stop() throws {
        let bench = try SocketsBench()
        let id = try bench.start(listening)
        bench.socketUnits.handle(.stop(id, bench.newRequest()))
        #expect(bench.answers == [.started, .stopped])
        #expect(!bench.world.sockets.isBound(SocketsBench.address))
        #expect(bench.world.sockets.connect(to: SocketsBench.address) == nil)
        try bench.start(listening)
        #expect(bench.world.sockets.isBound(SocketsBench.address))
    }

    @Test("An address in use fails the unit with the reason, and the next start succeeds once it is free")
    func addressInUse() throws {
        let bench = try SocketsBench()
        let target = HeldEndpoint.Target.socket(SocketsBench.address, .stream)
        var other: WorldDescriptorBox? = try bench.world.sockets.bind(target, network: nil, backlog: 1).descriptor
        try bench.start(listening)
        guard case .failed(.open(let text))? = bench.answers.first else {
            Issue.record("\(bench.answers)")
            return
        }
        #expect(text.contains("Address already in use"))
        _ = other?.take()
        other = nil
        try bench.start(listening)
        #expect(bench.answers.last == .started)
    }

    @Test("During a shortage traffic waits, is logged once, and starts the service when the shortage ends")
    func shortage() throws {
        let bench = try SocketsBench()
        try bench.start(listening)
        bench.shortage = "cannot start app.service: Too many open files"
        bench.world.sockets.connect(to: SocketsBench.address)
        bench.run(seconds: 5)
        #expect(bench.startedGroups.isEmpty)
        #expect(bench.log.filter { $0.contains("Too many open files; retrying") }.count == 1)
        bench.shortage = nil
        bench.run(seconds: 2)
        #expect(bench.startedGroups == [service])
    }

    @Test("Accept=yes: each connection has an instance; beyond MaxConnections= it is refused and closed")
    func acceptLimit() throws {
        let bench = try SocketsBench()
        try bench.start(listening + "Accept=yes\nMaxConnections=2\n")
        for _ in 0..<3 { bench.world.sockets.connect(to: SocketsBench.address) }
        bench.run(seconds: 1)
        #expect(bench.startedGroups.count == 2)
        #expect(bench.startedGroups.first?.name.hasPrefix("app@0-") == true)
        #expect(bench.log.contains { $0.contains("a connection from 192.0.2.1 is refused: 2 are open") })
        // The end of an instance makes room for another connection.
        let ended = try #require(bench.startedGroups.first)
        bench.end(ended)
        bench.world.sockets.connect(to: SocketsBench.address)
        bench.run(seconds: 1)
        #expect(bench.startedGroups.count == 3)
    }

    @Test("A pause makes new TCP connections wait at their clients, and a resume lets them through")
    func pause() throws {
        let bench = try SocketsBench()
        let id = try bench.start(listening)
        bench.world.sockets.connect(to: SocketsBench.address)
        bench.run(seconds: 1)
        bench.socketUnits.pause(id, users: ["app.service"], bench.newRequest())
        #expect(bench.answers.last == .paused)
        let waiting = try #require(bench.world.sockets.connect(to: SocketsBench.address))
        bench.run(seconds: 60)
        #expect(waiting.holder == nil)
        bench.socketUnits.handle(.resume(id, bench.newRequest()))
        #expect(bench.answers.last == .resumed)
        #expect(waiting.holder == bench.pids[service])
    }

    @Test("X-IdleStopSec= stops a service without connections, not one with an open connection")
    func idleStop() throws {
        let bench = try SocketsBench()
        try bench.start(listening + "X-IdleStopSec=10s\n")
        let first = try #require(bench.world.sockets.connect(to: SocketsBench.address))
        bench.run(seconds: 60)
        #expect(bench.stoppedGroups.isEmpty)
        bench.world.sockets.close(first)
        bench.run(seconds: 60)
        #expect(bench.stoppedGroups == [service])
        #expect(bench.log.contains("app.service: stopped: no connections for X-IdleStopSec="))
        // The socket is still there, and its next connection starts the service again.
        bench.world.sockets.connect(to: SocketsBench.address)
        bench.run(seconds: 1)
        #expect(bench.startedGroups == [service, service])
    }

    @Test("A changed unit file opens its new address and releases the former one; an address in use changes nothing")
    func changes() throws {
        let bench = try SocketsBench()
        try bench.start(listening)
        let other = SocketAddress.inet(host: "0.0.0.0", port: 81)
        bench.world.units.write("/units/app.socket", "[Socket]\nListenStream=0.0.0.0:81\n")
        let notes = bench.socketUnits.refresh()
        #expect(notes.contains("app.socket: 0.0.0.0:81: opened; services that run get it with their next start"))
        #expect(bench.world.sockets.isBound(other))
        #expect(!bench.world.sockets.isBound(SocketsBench.address))
        let blocker = try bench.world.sockets.bind(.socket(SocketsBench.address, .stream), network: nil, backlog: 1)
        bench.world.units.write("/units/app.socket", listening)
        let refused = bench.socketUnits.refresh()
        #expect(refused.count == 1 && refused[0].hasSuffix("its sockets stay as they are"))
        #expect(bench.world.sockets.isBound(other))
        withExtendedLifetime(blocker) {}
    }
}
