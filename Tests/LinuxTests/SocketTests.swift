import CSpawn
import Glibc
import SystemPackage
import Testing

@testable import Linux

/// A blocking client that sends and reads to the end; nil when it was refused.
func ask(_ address: SocketAddress, _ text: String = "") throws -> String? {
    let client = try OwnedDescriptor.socket(address.family, SocketType.stream)
    guard try address.withSockaddr({ connect(client.raw, $0, $1) }) == 0 else { return nil }
    if !text.isEmpty { try client.writeAll(text.utf8, subject: "client") }
    return String(decoding: try client.readAll(limit: 1 << 20, subject: "client"), as: UTF8.self)
}

func connected(_ address: SocketAddress) throws -> OwnedDescriptor {
    let client = try OwnedDescriptor.socket(address.family, SocketType.stream)
    try checkErrno(try address.withSockaddr { connect(client.raw, $0, $1) }, "connect", "\(address)")
    return client
}

func canConnect(_ address: SocketAddress) -> Bool { (try? connected(address)) != nil }

extension ListeningSocket {
    func mustAccept() throws -> OwnedDescriptor {
        guard let served = try accept() else { throw SystemError("accept", nil, .resourceTemporarilyUnavailable) }
        return served
    }
}

extension LinuxTests {
    @Suite struct SocketTests {
        static let loopback = SocketAddress.inet(host: "127.0.0.1", port: 0)

        @Test("addresses are read as systemd writes them; what is none is refused")
        func addresses() {
            #expect(SocketAddress("80") == .inet6(host: "::", port: 80))
            #expect(SocketAddress("0.0.0.0:80") == .inet(host: "0.0.0.0", port: 80))
            #expect(SocketAddress("[::1]:443") == .inet6(host: "::1", port: 443))
            #expect(SocketAddress("/run/x.sock") == .unix(path: "/run/x.sock"))
            #expect(SocketAddress("@name") == .abstract(name: "name"))
            for bad in [
                "", "@", "x", "1.2.3:80", "1.2.3.4:70000", "[::1]", "[::1", "[::1]80", "300.1.1.1:1", ":80", "-1",
            ] {
                #expect(SocketAddress(bad) == nil, "\(bad)")
            }
            #expect(SocketAddress("/" + String(repeating: "x", count: 200)) == nil)
            for text in ["0.0.0.0:80", "[::1]:443", "/run/x", "@n"] {
                #expect(SocketAddress(text)?.description == text)
            }
        }

        @Test("port 0 gets a real port that can be read and connected to, and the socket does not block")
        func portZero() throws {
            let socket = try ListeningSocket(Self.loopback)
            #expect(socket.address.port != 0 && socket.requested.port == 0)
            #expect(fcntl(socket.raw, F_GETFL) & O_NONBLOCK != 0 && fcntl(socket.raw, F_GETFD) & FD_CLOEXEC != 0)
            let client = try connected(socket.address)
            #expect(socket.acceptQueue?.waiting == 1)
            let served = try socket.mustAccept()
            let none = try socket.accept() == nil
            #expect(none)
            _ = (client.raw, served.raw)
        }

        @Test("a port in use is named with the reason")
        func inUse() throws {
            let first = try ListeningSocket(Self.loopback)
            let error = #expect(throws: SystemError.self) { _ = try ListeningSocket(first.address) }
            #expect(error?.description == "listening on \(first.address): Address already in use")
            let bad = #expect(throws: SystemError.self) { _ = try ListeningSocket(.inet(host: "192.0.2.1", port: 1)) }
            #expect(bad?.description == "listening on 192.0.2.1:1: Cannot assign requested address")
        }

        @Test("a connection queued when its acceptor dies is served by the next acceptor")
        func survivesAcceptor() throws {
            let loop = try EventLoop()
            let children = Children(loop: loop)
            let socket = try ListeningSocket(Self.loopback)
            // An acceptor that never accepts, then dies.
            let child = try shell("exec sleep 1000", children: children) { $0.descriptors = [socket.raw] }
            let client = try connected(socket.address)
            try child.handle.send(.kill)
            _ = waitBlocking(child.pid)
            let served = try socket.mustAccept()
            try served.writeAll("hello".utf8, subject: "server")
            _ = consume served
            #expect(try client.readAll(limit: 100, subject: "client") == Array("hello".utf8))
        }

        @Test("shutdown() by a sharer is noticed and healed, also on a port that the kernel chose")
        func healed() throws {
            let loop = try EventLoop()
            let socket = try ListeningSocket(Self.loopback)
            let address = socket.address
            var broken = 0
            try socket.watchBroken(loop: loop) {
                broken += 1
                #expect(!socket.isListening)
                _ = try? socket.listenAgain()
            }
            // Pending connections do not wake the loop.
            let pending = try connected(address)
            #expect(try !loop.runOnce(timeout: 0))
            _ = consume pending
            let children = Children(loop: loop)
            let perl = "open(S, '+<&=3'); shutdown(S, 0)"
            let child = try shell("perl -e \"\(perl)\"", children: children) { $0.descriptors = [socket.raw] }
            #expect(waitBlocking(child.pid) == .exited(0))
            try loop.run(until: { broken == 1 })
            #expect(socket.isListening && socket.address == address)
            #expect(canConnect(address))
            #expect(try !loop.runOnce(timeout: 0), "a healed socket is quiet")
        }

        @Test("a broken Unix socket is noticed; a new one takes its path")
        func unixReplaced() throws {
            let scratch = try Scratch()
            let loop = try EventLoop()
            let socket = try ListeningSocket(.unix(path: scratch("s")))
            var broken = false
            try socket.watchBroken(loop: loop) { broken = true }
            let pending = try connected(socket.address)
            #expect(try !loop.runOnce(timeout: 0))
            shutdown(socket.raw, Int32(SHUT_RD))
            try loop.run(until: { broken })
            #expect(!socket.isListening)
            #expect(try socket.listenAgain() == false)
            #expect(socket.isListening)
            #expect(canConnect(socket.address))
            _ = consume pending
        }

        @Test("a Unix path that vanished comes back to the same socket, for everybody who shares it")
        func pathRestored() throws {
            let scratch = try Scratch()
            let loop = try EventLoop()
            let watcher = try PathWatcher(loop: loop)
            let socket = try ListeningSocket(.unix(path: scratch("app.sock")))
            let sharer = try OwnedDescriptor(owning: check(holdfast_duplicate(socket.raw, 3), "dup"))
            var vanished = 0
            watcher.watch(scratch("app.sock")) { vanished += 1 }
            #expect(try socket.restorePath() == .intact)
            unlink(scratch("app.sock"))
            #expect(!canConnect(socket.address))
            try loop.run(until: { vanished == 1 })
            #expect(try socket.restorePath() == .restored)
            #expect(canConnect(socket.address))
            #expect(holdfast_accept(sharer.raw) >= 0, "a process that has the old descriptor is served")
            // Without the second link a new socket is bound.
            unlink(scratch("app.sock"))
            unlink(scratch(".app.sock.held"))
            #expect(try socket.restorePath() == .replaced)
            #expect(canConnect(socket.address))
        }

        @Test("only our own path is removed, never a successor's")
        func unlinkOwn() throws {
            let scratch = try Scratch()
            let first = try ListeningSocket(.unix(path: scratch("s")))
            unlink(scratch("s"))
            let second = try ListeningSocket(.unix(path: scratch("s")))
            first.unlinkPath()
            #expect(canConnect(second.address))
            second.unlinkPath()
            #expect(access(scratch("s"), F_OK) != 0)
            #expect(try FileTree.entries(of: OwnedDescriptor.open(scratch.path, O_RDONLY), "") == [])
        }

        @Test("a stale Unix path is replaced, one with a listener or another file is not")
        func stale() throws {
            let scratch = try Scratch()
            let path = scratch("deep/er/s")
            do { _ = try ListeningSocket(.unix(path: path), options: .init(mode: 0o600)) }
            #expect(access(path, F_OK) == 0, "dropping the object does not unlink")
            let again = try ListeningSocket(.unix(path: path), options: .init(mode: 0o640))
            var status = stat()
            #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o640)
            let error = #expect(throws: SystemError.self) { _ = try ListeningSocket(again.address) }
            #expect(error?.description == "listening on \(path): Address already in use")
            let file = try scratch.write("file", "precious")
            #expect(throws: SystemError.self) { _ = try ListeningSocket(.unix(path: file)) }
            #expect(scratch.read("file") == "precious")
        }

        @Test("an abstract socket listens, and an adopted one is the same socket")
        func abstractAndAdopt() throws {
            let socket = try ListeningSocket(.abstract(name: "holdfast-test-\(getpid())"))
            #expect(canConnect(socket.address))
            let copy = OwnedDescriptor(owning: try check(holdfast_duplicate(socket.raw, 3), "dup"))
            let adopted = try ListeningSocket(adopting: copy)
            #expect(adopted.address == socket.address && adopted.isListening)
            #expect(throws: SystemError.self) {
                _ = try ListeningSocket(adopting: OwnedDescriptor.null())
            }
        }

        @Test("connections are counted for the processes that hold them, on the addresses asked for")
        func connections() throws {
            let scratch = try Scratch()
            let tcp = try ListeningSocket(Self.loopback)
            let other = try ListeningSocket(Self.loopback)
            let unix = try ListeningSocket(.unix(path: scratch("s")))
            #expect(try Connections.held(by: [getpid()], on: [tcp.address, unix.address]).count == 0)
            let clients = try [connected(tcp.address).release(), connected(tcp.address).release()]
            let unixClient = try connected(unix.address)
            #expect(try Connections.held(by: [getpid()], on: [tcp.address]).count == 0, "not accepted yet")
            let first = try tcp.mustAccept()
            let found = try Connections.held(by: [getpid()], on: [tcp.address, other.address])
            #expect(found.count == 1 && found.oldestPeer?.hasPrefix("127.0.0.1:") == true)
            let second = try tcp.mustAccept()
            let third = try unix.mustAccept()
            let wildcard = SocketAddress.inet(host: "0.0.0.0", port: tcp.address.port ?? 0)
            #expect(try Connections.held(by: [getpid()], on: [wildcard, unix.address]).count == 3)
            #expect(try Connections.held(by: [1], on: [wildcard]).count == 0)
            for client in clients { close(client) }
            for number in [first.raw, second.raw, third.raw, unixClient.raw] { #expect(number >= 0) }
        }
    }
}

extension LinuxTests {
    @Suite struct ConnectionTests {
        private func pair() throws -> (Int32, Int32) {
            var ends: [Int32] = [-1, -1]
            try checkErrno(socketpair(AF_UNIX, SocketType.stream | SocketType.closeOnExec, 0, &ends), "socketpair")
            return (ends[0], ends[1])
        }

        @Test("what is queued arrives whole and in order, also at a peer that reads slowly, and the end is told once")
        func wholeAndInOrder() throws {
            let loop = try EventLoop()
            let (left, right) = try pair()
            var got: [UInt8] = []
            var ends: [StreamConnection.End] = []
            let sender = try StreamConnection(OwnedDescriptor(owning: left), loop: loop) { _ in
            } onEnd: {
                ends.append($0)
            }
            let receiver = try StreamConnection(OwnedDescriptor(owning: right), loop: loop) {
                got += $0
            } onEnd: {
                ends.append($0)
            }
            #expect(try receiver.peer() == sender.peer())
            #expect(try receiver.peer().pid == getpid())
            let bytes = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 / 251) }
            sender.send(bytes[..<1000])
            sender.send(bytes[1000...])
            #expect(sender.queued > 0)
            sender.closeAfterSending()
            try loop.run(until: { !ends.isEmpty })
            #expect(got == bytes && ends == [.closedByPeer])
        }

        @Test("a peer that never reads is cut off at the bound")
        func tooSlow() throws {
            let loop = try EventLoop()
            let (left, right) = try pair()
            var ends: [StreamConnection.End] = []
            let sender = try StreamConnection(OwnedDescriptor(owning: left), loop: loop, maximumQueue: 100_000) { _ in
            } onEnd: {
                ends.append($0)
            }
            for _ in 0..<1000 { sender.send([UInt8](repeating: 1, count: 1000)) }
            #expect(ends == [.tooSlow])
            close(right)
            #expect(try !loop.runOnce(timeout: 0))
        }
    }
}
