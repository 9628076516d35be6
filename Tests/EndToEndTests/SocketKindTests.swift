import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Every kind of held socket, across changes of the supervisor or the generation.
    @Suite struct SocketKinds {
        @Test("Every kind of socket goes through a re-exec with what waits in it, and starts its service afterwards")
        func reexec() throws {
            try withWorld {
                let listen = [
                    ("stream", "ListenStream=\($0.path)/out/stream.sock"),
                    ("datagram", "ListenDatagram=\($0.path)/out/datagram.sock"),
                    ("fifo", "ListenFIFO=\($0.path)/out/fifo.pipe"), ("tcp", "ListenStream=127.0.0.1:\($0.port)"),
                ]
                for (name, line) in listen {
                    let accept = line.hasPrefix("ListenStream") ? "Accept=yes" : ""
                    try $0.unit("\(name).socket", "[Socket]\n\(line)\n\(accept)\n")
                    try $0.unit(
                        accept.isEmpty ? "\(name).service" : "\(name)@.service",
                        """
                        [Service]
                        StandardInput=socket
                        StandardOutput=file:\($0.path)/out/\(name)
                        ExecStart=/usr/bin/head -c 5
                        """)
                }
                try $0.unit("queue.socket", "[Socket]\nListenMessageQueue=/holdfast-e2e-\($0.port)\nRemoveOnStop=yes\n")
                try $0.unit("queue.service", "[Service]\nExecStart=/bin/true\n")
                try $0.unit("link.socket", "[Socket]\nListenNetlink=route 1\n")
                try $0.unit("link.service", "[Service]\nExecStart=/bin/true\n")
            } then: { world in
                let names = ["stream", "datagram", "fifo", "tcp", "queue", "link"]
                for name in names { #expect(try world.run("start", "\(name).socket").outcome == .started) }
                // Paused, so that the sent data waits meanwhile.
                for name in names { #expect(try world.run("pause", "\(name).socket").outcome == .completed) }
                let before = try world.sockets().map { "\($0.unit) \($0.kind) \($0.address) \($0.state)" }
                let unix = try RawConnection(unix: "\(world.path)/out/stream.sock")
                let network = try RawConnection(port: world.port)
                for client in [unix, network] { try client.send("hello") }
                try sendDatagram("hello", to: "\(world.path)/out/datagram.sock")
                let fifo = try FileHandle(forWritingTo: URL(fileURLWithPath: "\(world.path)/out/fifo.pipe"))
                fifo.write(Data("hello".utf8))
                #expect(try world.control("daemon-reexec").end() == 0)
                #expect(try world.sockets().map { "\($0.unit) \($0.kind) \($0.address) \($0.state)" } == before)
                for name in names { #expect(try world.run("resume", "\(name).socket").outcome == .completed) }
                for name in ["stream", "datagram", "fifo", "tcp"] {
                    try eventually("\(name) to be read") { world.contents("out/\(name)") == "hello" }
                }
            }
        }

        @Test("Instances of connections, their number and a command of a socket that runs go through a re-exec")
        func connections() throws {
            try withWorld {
                try $0.unit(
                    "echo.socket", "[Socket]\nListenStream=127.0.0.1:\($0.port)\nAccept=yes\nMaxConnections=1\n")
                try $0.unit("echo@.service", "[Service]\nStandardInput=socket\nExecStart=/bin/cat\n")
                try $0.unit(
                    "slow.socket",
                    "[Socket]\nListenStream=@holdfast-slow-\($0.port)\nExecStartPre=/bin/sh -c 'until [ -e \($0.path)/out/go ]; do sleep 0.05; done'\n"
                )
                try $0.unit("slow.service", "[Service]\nExecStart=/bin/true\n")
            } then: { world in
                try world.run("start", "echo.socket")
                let client = try RawConnection(port: world.port)
                try client.send("one")
                #expect(try client.read() == Array("one".utf8))
                let slow = try world.begin("start", "slow.socket")
                try eventually("its command to run") { try world.sockets().contains { $0.state == .starting } }
                #expect(try world.control("daemon-reexec").end() == 0)
                try client.send("two")
                #expect(try client.read() == Array("two".utf8))
                #expect(try RawConnection(port: world.port).readAll() == "", "the one connection counts still")
                #expect(try client.readAll() == "")
                try eventually("its end to be noticed") {
                    try world.sockets().contains { $0.unit == "echo.socket" && $0.connections == 0 }
                }
                #expect(try RawConnection(port: world.port).readAll() == "")
                try world.layout().write("out/go", "")
                #expect(try slow.end().outcome == .started)
            }
        }

        private func paths(_ world: World) throws -> [String] {
            try world.sockets().map { ($0.address as NSString).lastPathComponent }.sorted()
        }

        @Test("Datagram sockets, sequential packets and FIFOs of a generation have its number, like stream sockets")
        func generations() throws {
            try withWorld {
                try $0.unit(
                    "app@.socket",
                    """
                    [Socket]
                    ListenDatagram=\($0.path)/run/site/d-%i
                    ListenSequentialPacket=\($0.path)/run/site/q-%i
                    ListenFIFO=\($0.path)/run/site/f-%i
                    """)
                try $0.unit(
                    "app@.service",
                    "[Service]\nExecStart=/bin/sleep infinity\n[X-Swap]\nSoakSec=10ms\nDrainTimeoutSec=5s\n")
            } then: { world in
                try world.run("swap", "app@v1")
                #expect(try paths(world) == ["d-v1.1", "f-v1.1", "q-v1.1"])
                #expect(try world.run("swap", "app@v2").outcome == .completed)
                #expect(try paths(world) == ["d-v2.2", "f-v2.2", "q-v2.2"])
                #expect(!FileManager.default.fileExists(atPath: "\(world.path)/run/site/f-v1.1"))
            }
        }
    }
}
