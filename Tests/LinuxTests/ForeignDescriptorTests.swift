import CSpawn
import Glibc
import SystemPackage
import Testing

@testable import Linux

extension LinuxTests {
    /// Descriptors whose close waits, in the hands of others. What is closed here would wait for `patience` seconds.
    @Suite struct ForeignDescriptors {
        private static let patience: Int32 = 30

        /// A TCP connection whose peer takes nothing more, and whose last close waits for the peer.
        private struct Lingering: ~Copyable {
            let near: OwnedDescriptor
            let far: OwnedDescriptor
            let listener: OwnedDescriptor

            init() throws {
                let listener = try OwnedDescriptor.socket(AF_INET, SocketType.stream)
                var address = sockaddr_in()
                address.sin_family = sa_family_t(AF_INET)
                address.sin_addr.s_addr = UInt32(INADDR_LOOPBACK).bigEndian
                var length = socklen_t(MemoryLayout<sockaddr_in>.size)
                let near = try OwnedDescriptor.socket(AF_INET, SocketType.stream)
                let listening = listener.raw
                try withUnsafeMutablePointer(to: &address) { pointer in
                    try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                        try #require(bind(listening, address, length) == 0 && listen(listening, 1) == 0)
                        try #require(getsockname(listening, address, &length) == 0)
                        try #require(connect(near.raw, address, length) == 0)
                    }
                }
                let far = OwnedDescriptor(owning: try check(holdfast_accept(listening), "accept"))
                try near.setNonBlocking(true)
                try far.setNonBlocking(false)
                let block = [UInt8](repeating: 0, count: 1 << 16)
                while Glibc.send(near.raw, block, block.count, Int32(MSG_NOSIGNAL)) > 0 {}
                var option = linger(l_onoff: 1, l_linger: ForeignDescriptors.patience)
                let size = socklen_t(MemoryLayout<linger>.size)
                try #require(setsockopt(near.raw, SOL_SOCKET, SO_LINGER, &option, size) == 0)
                self.near = near
                self.far = far
                self.listener = listener
            }

            /// Sends the only descriptor of it along with a byte.
            consuming func send(by socket: Int32, _ byte: UInt8 = 0x78) throws -> (
                OwnedDescriptorBox, OwnedDescriptorBox
            ) {
                let number = near.raw
                let result = holdfast_send_with_descriptors(socket, [byte], 1, [number], 1)
                try #require(result == 1)
                return try (OwnedDescriptorBox(far.duplicate()), OwnedDescriptorBox(listener.duplicate()))
            }
        }

        private func pair() throws -> (near: Int32, far: Int32) {
            var ends: [Int32] = [-1, -1]
            try #require(socketpair(AF_UNIX, SocketType.stream | SocketType.closeOnExec, 0, &ends) == 0)
            return (ends[0], ends[1])
        }

        private func expectNoWait<R>(_ location: SourceLocation = #_sourceLocation, _ body: () throws -> R) rethrows
            -> R
        {
            let before = EventLoop.now
            let result = try body()
            let passed = EventLoop.now - before
            #expect(passed < Int64(Self.patience) * 1_000_000_000 / 2, "it was waited for", sourceLocation: location)
            return result
        }

        @Test("A descriptor that a client sends along is closed where nobody waits for it")
        func sentAlong() throws {
            let loop = try EventLoop()
            let ends = try pair()
            let kept = try Lingering().send(by: ends.far)
            var received = 0
            let connection = try StreamConnection(
                OwnedDescriptor(owning: ends.near), loop: loop, onBytes: { received += $0.count }, onEnd: { _ in })
            try expectNoWait {
                try loop.run(until: { received == 1 })
                connection.close()
                close(ends.far)
            }
            withExtendedLifetime(kept) {}
        }

        @Test("A connection with descriptors that nobody has read is closed where nobody waits for them")
        func unread() throws {
            let loop = try EventLoop()
            try expectNoWait {
                let ends = try pair()
                let kept = try Lingering().send(by: ends.far)
                let connection = try StreamConnection(
                    OwnedDescriptor(owning: ends.near), loop: loop, onBytes: { _ in }, onEnd: { _ in })
                connection.close()
                close(ends.far)
                withExtendedLifetime(kept) {}
            }
        }

        @Test("A service's connection whose last owner is the supervisor is closed where nobody waits for its peer")
        func lastOwner() throws {
            let far = try expectNoWait {
                let connection = try Lingering()
                let far = OwnedDescriptorBox(try connection.far.duplicate())
                drop(connection)
                return far
            }
            // It is closed all the same: the peer sees the end when it reads on.
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while recv(far.raw, &buffer, buffer.count, 0) > 0 {}
            #expect(recv(far.raw, &buffer, buffer.count, 0) == 0)
        }

        private func drop(_ connection: consuming Lingering) {}

        @Test("Files that were sent along are closed, however many come at once")
        func files() throws {
            for _ in 0..<8 {
                var files: [Int32] = []
                for _ in 0..<200 { files.append(try OwnedDescriptor.open("/etc/passwd", O_RDONLY).release()) }
                holdfast_close_received(files, files.count)
                let deadline = EventLoop.now + Int64(Self.patience) * 1_000_000_000
                // Each call also closes what waits for its turn.
                while files.contains(where: { fcntl($0, F_GETFD) >= 0 }) {
                    try #require(EventLoop.now < deadline, "they stay open")
                    holdfast_close_received(nil, 0)
                    usleep(1000)
                }
            }
        }

        @Test("Files behind a descriptor whose close waits are closed, also when its process is killed for another")
        func behindWaiting() throws {
            var files: [Int32] = []
            var far: [OwnedDescriptorBox] = []
            try expectNoWait {
                for _ in 0..<40 {
                    let connection = try Lingering()
                    far.append(OwnedDescriptorBox(try connection.far.duplicate()))
                    let behind = try (0..<20).map { _ in try OwnedDescriptor.open("/etc/passwd", O_RDONLY).release() }
                    files += behind
                    // `deinit` must not close a number that is closed here.
                    let waiting = holdfast_duplicate(connection.near.raw, 0)
                    drop(connection)
                    let batch = [waiting] + behind
                    holdfast_close_received(batch, batch.count)
                }
            }
            far = []
            let deadline = EventLoop.now + Int64(Self.patience) * 1_000_000_000
            while files.contains(where: { fcntl($0, F_GETFD) >= 0 }) {
                try #require(EventLoop.now < deadline, "they stay open")
                holdfast_close_received(nil, 0)
                usleep(1000)
            }
        }

        @Test("However many wait, further ones are closed without waiting")
        func many() throws {
            var far: [OwnedDescriptorBox] = []
            try expectNoWait {
                for _ in 0..<100 {
                    let connection = try Lingering()
                    far.append(OwnedDescriptorBox(try connection.far.duplicate()))
                    drop(connection)
                }
            }
        }
    }
}
