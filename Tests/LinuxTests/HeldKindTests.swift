import CSpawn
import Glibc
import SystemPackage
import Testing

@testable import Linux

private func isReadable(_ raw: Int32) -> Bool {
    var wait = pollfd(fd: raw, events: Int16(POLLIN), revents: 0)
    return poll(&wait, 1, 0) > 0 && wait.revents & Int16(POLLIN) != 0
}

private func send(_ text: String, to address: SocketAddress, _ kind: SocketTransport) throws {
    let client = try OwnedDescriptor.socket(address.family, kind.type)
    try checkErrno(try address.withSockaddr { connect(client.raw, $0, $1) }, "connect", "\(address)")
    try client.writeAll(text.utf8, subject: "\(address)")
}

private func receive(_ raw: Int32) -> String {
    var bytes = [UInt8](repeating: 0, count: 100)
    let count = read(raw, &bytes, bytes.count)
    return count < 0 ? "errno \(errno)" : String(decoding: bytes[..<count], as: UTF8.self)
}

extension LinuxTests {
    @Suite struct HeldKindTests {
        @Test(
            "datagrams wait in a held socket until somebody reads them, at every kind of address",
            arguments: [
                SocketAddress.inet(host: "127.0.0.1", port: 0), .inet6(host: "::1", port: 0),
                .abstract(name: "holdfast-datagram-\(getpid())"), .unix(path: "/tmp/holdfast-datagram-\(getpid())"),
            ])
        func datagrams(_ address: SocketAddress) throws {
            let loop = try EventLoop()
            let socket = try ListeningSocket(address, kind: .datagram)
            var woken = 0
            try socket.watchReadable(loop: loop) {
                woken += 1
                return true
            }
            #expect(try !loop.runOnce(timeout: 0) && socket.isListening && socket.acceptQueue == nil)
            try send("one", to: socket.address, .datagram)
            try loop.run(until: { woken > 0 })
            #expect(receive(try socket.duplicate().release()) == "one")
            try send("two", to: socket.address, .datagram)
            socket.flush()
            #expect(!isReadable(socket.raw))
            #expect(throws: SystemError.self, "nobody else may take its datagrams") {
                _ = try ListeningSocket(socket.address, kind: .datagram)
            }
            socket.unlinkPath()
        }

        @Test("a socket of sequential packets has connections, and keeps the bounds of what is sent")
        func sequentialPackets() throws {
            let scratch = try Scratch()
            let socket = try ListeningSocket(.unix(path: scratch("s")), kind: .sequentialPacket)
            let client = try OwnedDescriptor.socket(AF_UNIX, SocketType.sequentialPacket)
            try checkErrno(try socket.address.withSockaddr { connect(client.raw, $0, $1) }, "connect")
            let served = try socket.mustAccept()
            try client.writeAll("one".utf8, subject: "client")
            try client.writeAll("two".utf8, subject: "client")
            #expect(receive(served.raw) == "one")
            #expect(receive(served.raw) == "two")
        }

        @Test("a FIFO is made with its mode and parent directories, and a writer that goes is no end of file")
        func fifo() throws {
            let scratch = try Scratch()
            let loop = try EventLoop()
            let path = scratch("a/b/fifo")
            let held = try HeldFile(
                .fifo(path: path), file: .init(mode: 0o622, directoryMode: 0o750), sizes: .init(pipe: 1 << 17))
            #expect(held.problems == [])
            var status = stat()
            #expect(lstat(path, &status) == 0 && status.st_mode == S_IFIFO | 0o622)
            #expect(lstat(scratch("a/b"), &status) == 0 && status.st_mode & 0o777 == 0o750)
            // Asking with 0 is refused, asking for what it has returns what it has.
            #expect(holdfast_set_pipe_size(held.raw, 1 << 17) == 1 << 17)
            var woken = 0
            try held.watchReadable(loop: loop) {
                woken += 1
                return true
            }
            #expect(try !loop.runOnce(timeout: 0))
            do {
                let writer = try OwnedDescriptor.open(path, O_WRONLY | O_NONBLOCK)
                try writer.writeAll("line\n".utf8, subject: path)
            }
            try loop.run(until: { woken > 0 })
            #expect(receive(held.raw) == "line\n")
            #expect(receive(held.raw) == "errno \(EAGAIN)")
            // One that is there is taken; what is no FIFO is refused.
            let again = try HeldFile(.fifo(path: path), file: .init(mode: 0o600))
            #expect(lstat(path, &status) == 0 && status.st_mode == S_IFIFO | 0o600)
            held.unlinkPath()
            #expect(lstat(path, &status) != 0)
            _ = again
            let file = try scratch.write("file", "x")
            let error = #expect(throws: SystemError.self) { _ = try HeldFile(.fifo(path: file)) }
            #expect(error?.description == "listening on \(file): File exists")
        }

        @Test("a special file is opened as it says, for reading or for both; a directory is none")
        func special() throws {
            let reading = try HeldFile(.special(path: "/dev/zero", writable: false))
            #expect(fcntl(reading.raw, F_GETFL) & O_ACCMODE == O_RDONLY)
            let both = try HeldFile(.special(path: "/dev/null", writable: true))
            #expect(fcntl(both.raw, F_GETFL) & O_ACCMODE == O_RDWR)
            _ = try HeldFile(.special(path: "/proc/self/status", writable: false))
            #expect(throws: SystemError.self) { _ = try HeldFile(.special(path: "/proc", writable: false)) }
        }

        @Test("a message queue is made with its sizes, wakes up for a message, and goes with its name")
        func messageQueue() throws {
            let name = "/holdfast-test-\(getpid())"
            let loop = try EventLoop()
            let held = try HeldFile(
                .messageQueue(name: name), file: .init(mode: 0o622), sizes: .init(messages: 3, messageSize: 100))
            var woken = 0
            try held.watchReadable(loop: loop) {
                woken += 1
                return true
            }
            let sender = OwnedDescriptor(owning: try check(holdfast_message_queue(name, O_WRONLY, 0, 0, 0), "open"))
            // mqueue.h is not imported: mq_send(3) and mq_getattr(3) by their names.
            typealias Send = @convention(c) (Int32, UnsafePointer<CChar>, Int, UInt32) -> Int32
            typealias Attributes = @convention(c) (Int32, UnsafeMutablePointer<Int>) -> Int32
            let send = unsafeBitCast(try #require(dlsym(nil, "mq_send")), to: Send.self)
            let attributes = unsafeBitCast(try #require(dlsym(nil, "mq_getattr")), to: Attributes.self)
            #expect(send(sender.raw, "hello", 5, 0) == 0)
            try loop.run(until: { woken > 0 })
            // struct mq_attr: flags, messages at most, their size, messages now; 8 longs.
            var facts = [Int](repeating: 0, count: 8)
            #expect(attributes(held.raw, &facts) == 0 && facts[1...3] == [3, 100, 1])
            held.flush()
            #expect(!isReadable(held.raw))
            held.unlinkPath()
            #expect(holdfast_message_queue(name, O_WRONLY, 0, 0, 0) == -ENOENT)
        }

        @Test("a netlink socket hears what its groups are told")
        func netlink() throws {
            let loop = try EventLoop()
            var options = SocketOptions()
            options.passPacketInfo = true
            options.receiveBuffer = 65536
            // Family 0 is NETLINK_ROUTE; group bit 1 is RTNLGRP_LINK.
            let held = try HeldFile(.netlink(family: 0, groups: 1), options: options)
            #expect(held.problems == [])
            var value: Int32 = 0
            var length = socklen_t(4)
            #expect(getsockopt(held.raw, 270, 3, &value, &length) == 0 && value == 1, "NETLINK_PKTINFO")
            var woken = 0
            try held.watchReadable(loop: loop) {
                woken += 1
                return true
            }
            #expect(try !loop.runOnce(timeout: 0))
            // A request of its own is answered to it: RTM_GETLINK (18) as a dump (0x301), for any family.
            var request = [UInt8](repeating: 0, count: 32)
            (request[0], request[4], request[6], request[7]) = (32, 18, 1, 3)
            #expect(write(held.raw, request, request.count) == 32)
            try loop.run(until: { woken > 0 })
        }

        @Test("Symlinks= lead to the socket; what else is in the way is only replaced if that was asked for")
        func links() throws {
            let scratch = try Scratch()
            let link = scratch("d/link")
            try SocketLinks.make(link, to: "/run/x", directoryMode: 0o755, replacing: false)
            try SocketLinks.make(link, to: "/run/x", directoryMode: 0o755, replacing: false)
            let error = #expect(throws: SystemError.self) {
                try SocketLinks.make(link, to: "/run/y", directoryMode: 0o755, replacing: false)
            }
            #expect(error?.description == "Symlinks= \(link): File exists")
            try SocketLinks.make(link, to: "/run/y", directoryMode: 0o755, replacing: true)
            SocketLinks.remove(link, to: "/run/x")
            #expect(access(link, F_OK) != 0)
            var status = stat()
            #expect(lstat(link, &status) == 0, "somebody else's stays")
            SocketLinks.remove(link, to: "/run/y")
            #expect(lstat(link, &status) != 0)
        }

        @Test("connections that are held back wait at their clients; those that wait or are open go on")
        func heldBack() throws {
            let socket = try ListeningSocket(.inet(host: "127.0.0.1", port: 0))
            let queued = try connected(socket.address)
            let open = try connected(socket.address)
            let served = try socket.mustAccept()
            try socket.holdBack(true)
            let waiting = try OwnedDescriptor.socket(AF_INET, SocketType.stream | SocketType.nonBlocking)
            let result = try socket.address.withSockaddr { connect(waiting.raw, $0, $1) }
            #expect(result < 0 && errno == EINPROGRESS, "not refused")
            try queued.writeAll("still here".utf8, subject: "client")
            #expect(receive(served.raw) == "still here")
            #expect(socket.acceptQueue?.waiting == 1)
            let second = try socket.mustAccept()
            try open.writeAll("x".utf8, subject: "client")
            #expect(receive(second.raw) == "x")
            try socket.holdBack(false)
            try socket.holdBack(false)
            // Its client sends the SYN again after a second, and is taken.
            var wait = pollfd(fd: waiting.raw, events: Int16(POLLOUT), revents: 0)
            #expect(poll(&wait, 1, 20_000) == 1 && wait.revents & Int16(POLLERR) == 0)
            let third = try socket.mustAccept()
            _ = third.raw
            let scratch = try Scratch()
            let unix = try ListeningSocket(.unix(path: scratch("s")))
            #expect(throws: SystemError.self) { try unix.holdBack(true) }
        }

        @Test("addresses with an interface and of virtual machines are read and written as systemd does")
        func addresses() throws {
            #expect(SocketAddress("[fe80::1]:80%lo") == .inet6(host: "fe80::1%lo", port: 80))
            #expect(SocketAddress("vsock::1234") == .vsock(cid: .max, port: 1234))
            for text in ["[fe80::1]:80%lo", "vsock::1234", "vsock:2:80"] {
                #expect(SocketAddress(text)?.description == text)
            }
            for bad in ["vsock:", "vsock:1", "vsock:x:1", "vsock:1:1:1"] { #expect(SocketAddress(bad) == nil) }
            let error = #expect(throws: SystemError.self) {
                _ = try ListeningSocket(.inet6(host: "fe80::1%nosuch0", port: 0))
            }
            #expect(error?.errno == .noSuchAddressOrDevice)
            do {
                let socket = try ListeningSocket(.vsock(cid: .max, port: .max))
                #expect(socket.address.description.hasPrefix("vsock::"))
            } catch {
                // Only a kernel with virtual machine sockets has them.
                #expect([.addressFamilyNotSupported, .noSuchAddressOrDevice].contains(error.errno))
            }
        }
    }
}
