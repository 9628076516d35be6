import CSpawn
import Glibc
import SystemPackage
import Testing

@testable import Linux

extension LinuxTests {
    @Suite struct NotifyTests {
        let loop: EventLoop
        let scratch: Scratch

        init() throws {
            loop = try EventLoop()
            scratch = try Scratch()
        }

        private func sender(_ path: String) throws -> OwnedDescriptor {
            let socket = try OwnedDescriptor.socket(AF_UNIX, SocketType.datagram)
            try checkErrno(try SocketAddress.unix(path: path).withSockaddr { connect(socket.raw, $0, $1) }, "connect")
            return socket
        }

        @Test("a service's words arrive with the credentials that the kernel vouches for", .enabled(if: isRoot))
        func credentials() throws {
            let children = Children(loop: loop)
            var got: [NotifySocket.Datagram] = []
            let socket = try NotifySocket(path: scratch("notify"), loop: loop) { got.append($0) }
            let script =
                "use Socket; socket(S, AF_UNIX, SOCK_DGRAM, 0); connect(S, sockaddr_un($ENV{NOTIFY_SOCKET})) or die $!; "
                + "send(S, qq(READY=1\\nSTATUS=up\\nMAINPID=$$), 0) or die $!"
            let null = try OwnedDescriptor.null()
            var plan = SpawnPlan(
                program: "/usr/bin/perl", arguments: ["perl", "-e", script],
                environment: ["NOTIFY_SOCKET": scratch("notify")],
                standardInput: null.raw, standardOutput: null.raw, standardError: 2)
            plan.credentials = Credentials(uid: 65534, gid: 65533, groups: [])
            let child = try children.spawn(plan)
            var order: [String] = []
            let watch = try children.watch(child.handle) { _ in order.append("exit after \(got.count)") }
            #expect(waitForZombie(child.pid))
            try loop.run(until: { !order.isEmpty })
            #expect(order == ["exit after 1"], "what was sent just before the exit is dispatched before it")
            #expect(
                got == [
                    .init(
                        pid: child.pid, uid: 65534, gid: 65533, messages: [.ready, .status("up"), .mainPid(child.pid)])
                ])
            socket.remove()
            #expect(access(scratch("notify"), F_OK) != 0)
            withExtendedLifetime(watch) {}
        }

        private func waitForZombie(_ pid: Int32) -> Bool {
            var info = siginfo_t()
            return waitid(P_PID, id_t(pid), &info, Int32(WEXITED | WNOWAIT)) == 0
        }

        @Test("a barrier is released only after what came before it was handled")
        func barrier() throws {
            let pipe = try Pipe(nonBlockingReader: true)
            var states: [String] = []
            let reading = pipe.reading.raw
            func isReleased() -> Bool {
                var poll = pollfd(fd: reading, events: Int16(POLLIN), revents: 0)
                return Glibc.poll(&poll, 1, 0) > 0
            }
            let socket = try NotifySocket(path: scratch("n"), loop: loop) { datagram in
                states.append("\(datagram.messages) \(isReleased())")
            }
            let client = try sender(scratch("n"))
            _ = "STATUS=x".withCString { holdfast_send_with_descriptors(client.raw, $0, 8, nil, 0) }
            var number = pipe.writing.raw
            _ = "BARRIER=1".withCString { holdfast_send_with_descriptors(client.raw, $0, 9, &number, 1) }
            close(pipe.writing.release())
            #expect(!isReleased())
            try loop.run(until: { states.count == 2 })
            #expect(states.map { $0.hasSuffix("false") } == [true, true])
            #expect(isReleased())
            withExtendedLifetime(socket) {}
        }

        @Test("garbage, floods and descriptors are dropped and counted; nothing leaks")
        func garbage() throws {
            var got = 0
            let socket = try NotifySocket(path: scratch("n"), loop: loop) { _ in got += 1 }
            let client = try sender(scratch("n"))
            let before = openDescriptors()
            var numbers = [Int32](repeating: client.raw, count: 16)
            for datagram in [
                Array(repeating: UInt8(ascii: "x"), count: 5000), [0, 255, 254, 10, 61],
                Array("READY=2\nMAINPID=-3".utf8), [],
            ] {
                _ = holdfast_send_with_descriptors(client.raw, datagram, datagram.count, &numbers, 16)
            }
            _ = "READY=1".withCString { holdfast_send_with_descriptors(client.raw, $0, 7, nil, 0) }
            try loop.run(until: { got == 1 })
            #expect(socket.dropped == .init(tooLong: 1, anonymous: 0, garbageLines: 4))
            #expect(openDescriptors() == before)
        }

        @Test("one round takes a bounded number of datagrams")
        func fairness() throws {
            var got = 0
            let socket = try NotifySocket(path: scratch("n"), loop: loop) { _ in got += 1 }
            let client = try sender(scratch("n"))
            try client.setNonBlocking(true)
            var sent = 0
            while sent < 200, "STATUS=1".withCString({ holdfast_send_with_descriptors(client.raw, $0, 8, nil, 0) }) > 0
            {
                sent += 1
            }
            try loop.runOnce(timeout: 0)
            #expect(got == min(sent, 64))
            try loop.run(until: { got == sent })
            withExtendedLifetime(socket) {}
        }

        @Test("every field of the protocol is understood, and what is no value for it is refused")
        func fields() {
            let text = """
                READY=1
                RELOADING=1
                STOPPING=1
                STATUS=a=b\u{7}c
                MAINPID=12
                ERRNO=2
                BUSERROR=x.y
                EXTEND_TIMEOUT_USEC=5
                WATCHDOG=1
                WATCHDOG=trigger
                BARRIER=1
                X_MINE=z

                """
            let (messages, garbage) = NotifyAssignment.parse(Array(text.utf8))
            #expect(
                messages == [
                    .ready, .reloading, .stopping, .status("a=b\u{FFFD}c"), .mainPid(12), .errno(2), .busError("x.y"),
                    .extendTimeout(microseconds: 5), .watchdog, .watchdogTrigger, .barrier,
                    .unknown(name: "X_MINE", value: "z"),
                ])
            #expect(garbage == 0)
            for bad in [
                "READY=0", "READY", "=1", "MAINPID=0", "MAINPID=x", "ERRNO=-1", "WATCHDOG=2", "EXTEND_TIMEOUT_USEC=-1",
                "A B=1",
            ] {
                let result = NotifyAssignment.parse(Array(bad.utf8))
                #expect(result.messages.isEmpty && result.garbage == 1, "\(bad)")
            }
        }

        @Test("random bytes never crash the parser")
        func fuzz() {
            var generator = SplitMix(state: 42)
            for _ in 0..<2000 {
                let bytes = (0..<Int.random(in: 0...80, using: &generator)).map { _ in
                    [10, 61, 0, 82, 69, 65, 68, 89, 49, UInt8.random(in: 0...255, using: &generator)]
                        .randomElement(using: &generator) ?? 0
                }
                let result = NotifyAssignment.parse(bytes)
                #expect(result.messages.count + result.garbage <= 81)
            }
        }
    }

    @Suite struct ProbeTests {
        let loop: EventLoop

        init() throws { loop = try EventLoop() }

        /// Answers one connection with `answer`, in pieces of `piece` bytes, from the same loop.
        private func probe(
            _ answer: String?, piece: Int = 1 << 20, address: SocketAddress = .inet(host: "127.0.0.1", port: 0)
        ) throws -> (result: ProbeResult, request: String) {
            let socket = try ListeningSocket(address)
            var request: [UInt8] = []
            var connection: Int32 = -1
            var offset = 0
            let bytes = Array((answer ?? "").utf8)
            var readable: IOSource?
            let listening = try loop.addIO(socket.raw, .readable, priority: .probes) { _ in
                guard let opened = try? socket.accept() else { return }
                connection = opened.release()
                readable = try? loop.addIO(connection, [.readable, .writable], priority: .probes) { ready in
                    if ready.contains(.readable) {
                        var buffer = [UInt8](repeating: 0, count: 4096)
                        let count = recv(connection, &buffer, 4096, 0)
                        if count > 0 { request += buffer[..<count] }
                    }
                    guard request.suffix(4) == Array("\r\n\r\n".utf8)[...], answer != nil else { return }
                    let end = min(offset + piece, bytes.count)
                    _ = bytes[offset..<end].withUnsafeBytes {
                        send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                    }
                    offset = end
                    if offset == bytes.count {
                        readable?.cancel()
                        close(connection)
                        connection = -1
                    }
                }
            }
            var result: ProbeResult?
            let timeout: Int64 = answer == nil ? 50_000_000 : 20_000_000_000
            let probe = Probe.http(socket.address, path: "/healthz", host: "app", timeout: timeout, loop: loop) {
                result = $0
            }
            try loop.run(until: { result != nil })
            readable?.cancel()
            listening.cancel()
            if connection >= 0 { close(connection) }
            withExtendedLifetime(probe) {}
            return (try #require(result), String(decoding: request, as: UTF8.self))
        }

        @Test("a status of 2xx or 3xx passes, in whatever pieces it comes", arguments: [1, 7, 1 << 20])
        func passes(piece: Int) throws {
            let (result, request) = try probe("HTTP/1.1 204 No Content\r\nA: b\r\n\r\n", piece: piece)
            #expect(result == .passed("204 No Content"))
            #expect(
                request.hasPrefix("GET /healthz HTTP/1.1\r\nHost: app\r\n")
                    && request.contains("\r\nConnection: close\r\n"))
            #expect(try probe("HTTP/1.0 302 Found\r\n\r\n", piece: piece).result == .passed("302 Found"))
        }

        @Test("a failure tells the status and the first line of the body", arguments: [1, 1 << 20])
        func fails(piece: Int) throws {
            let text = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 20\r\n\r\ndatabase is starting\nmore"
            #expect(try probe(text, piece: piece).result == .failed("503 Service Unavailable: database is starting"))
        }

        @Test("what is no HTTP, closes early or never answers is a failure that says so")
        func broken() throws {
            #expect(try probe("SSH-2.0-x\r\n").result == .failed("not an HTTP answer: SSH-2.0-x"))
            #expect(try probe("").result == .failed("connection closed without an answer"))
            #expect(try probe(String(repeating: "x", count: 100_000)).result.isPassed == false)
            let (result, _) = try probe(nil)
            #expect(
                result.description.hasPrefix("no answer from 127.0.0.1:") && result.description.hasSuffix("within 50ms")
            )
        }

        @Test("a refused connection is named, also on a Unix path; the callback comes through the loop")
        func refused() throws {
            let scratch = try Scratch()
            var results: [ProbeResult] = []
            let probes = [
                Probe.tcp(.unix(path: scratch("none")), timeout: 1_000_000_000, loop: loop) { results.append($0) },
                Probe.http(.inet(host: "127.0.0.1", port: 1), path: "/", timeout: 1_000_000_000, loop: loop) {
                    results.append($0)
                },
            ]
            #expect(results.isEmpty)
            try loop.run(until: { results.count == 2 })
            #expect(
                Set(results.map(\.description)) == [
                    "connect \(scratch("none")): No such file or directory", "connect 127.0.0.1:1: Connection refused",
                ])
            withExtendedLifetime(probes) {}
        }

        @Test("a TCP probe passes on a connection, and a cancelled probe never calls back")
        func tcpAndCancel() throws {
            let scratch = try Scratch()
            let socket = try ListeningSocket(.unix(path: scratch("s")))
            var results: [ProbeResult] = []
            let probe = Probe.tcp(socket.address, timeout: 1_000_000_000, loop: loop) { results.append($0) }
            let cancelled = Probe.tcp(socket.address, timeout: 1_000_000_000, loop: loop) { _ in
                results.append(.failed("cancelled"))
            }
            cancelled.cancel()
            try loop.run(until: { !results.isEmpty })
            #expect(try !loop.runOnce(timeout: 0))
            #expect(results == [.passed("connected")])
            withExtendedLifetime(probe) {}
        }
    }
}

/// A generator that gives the same numbers for the same seed.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
