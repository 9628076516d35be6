import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Paused sockets, and socket units that change while their sockets are open.
    @Suite struct PausedSockets {
        private func web(_ layout: World.Layout, socket: String = "") throws {
            try layout.unit("app.socket", "[Socket]\nListenStream=127.0.0.1:\(layout.port)\nBacklog=4096\n\(socket)")
            try layout.unit(
                "app.service",
                """
                [Service]
                Type=notify
                Environment=SWIFT_BACKTRACE=enable=no
                ExecStart=\(layout.server) --body v1
                TimeoutStopSec=5s
                """)
        }

        private func socket(_ world: World, _ address: String? = nil) throws -> SocketStatus {
            try #require(
                try world.sockets().first { $0.unit == "app.socket" && (address == nil || $0.address == address) })
        }

        private func answers(_ world: World, port: Int? = nil) throws -> Bool {
            let client = try RawConnection(port: port ?? world.port)
            try client.send("GET / HTTP/1.0\r\n\r\n")
            return try client.readAnswer().hasSuffix("v1")
        }

        @Test(
            "A socket is paused and resumed under load while its service accepts: no request is lost, and none is served meanwhile"
        )
        func underLoad() throws {
            try withWorld {
                try web($0)
            } then: { world in
                try world.run("start", "app.socket")
                #expect(try answers(world))
                let kept = try RawConnection(port: world.port)
                try kept.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                _ = try kept.readAnswer()
                let load = try Load(world.url, .newConnections, clients: 8)
                try load.waitForAnswer("v1")
                for _ in 0..<3 {
                    #expect(try world.run("pause", "app.socket").outcome == .completed)
                    #expect(try socket(world).paused)
                    // Open connections continue.
                    try kept.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    #expect(try kept.readAnswer().hasSuffix("v1"))
                    #expect(try world.run("resume", "app.socket").outcome == .completed)
                    load.forgetAnswers()
                    try load.waitForAnswer("v1")
                }
                #expect(try world.run("pause", "app.socket").outcome == .completed)
                // Connections accepted before are answered; then each client has a connection that no process accepts.
                try load.waitForSilence()
                #expect(try world.run("resume", "app.socket").outcome == .completed)
                try load.waitForAnswer("v1")
                let tally = try load.end()
                #expect(tally.lost == 0, "\(tally.losses)")
                #expect(try !socket(world).paused)
            }
        }

        @Test("Paused with nobody behind it connections queue and start nothing; the pause goes through a re-exec")
        func queues() throws {
            try withWorld {
                try web($0)
            } then: { world in
                try world.run("start", "app.socket")
                #expect(try world.run("pause", "app.socket").outcome == .completed)
                #expect(try world.run("pause", "app.socket").outcome == .unchanged)
                let client = try RawConnection(port: world.port)
                try client.send("GET / HTTP/1.0\r\n\r\n")
                #expect(try world.control("daemon-reexec").end() == 0)
                let shown = try socket(world)
                #expect(shown.paused && shown.state == .listening && shown.queued == 1 && shown.triggered == 0)
                #expect(try world.status("app").first?.state == .stopped)
                #expect(try world.run("resume", "app.socket").outcome == .completed)
                #expect(try client.readAnswer().hasSuffix("v1"))
                let again = try world.run("resume", "app.socket")
                #expect(again.status != 0 && again.errors.contains("is not paused"))
            }
        }

        @Test("A socket whose kind cannot be held back from a service that accepts is not paused, and says why")
        func cannotBePaused() throws {
            try withWorld {
                try $0.unit("app.socket", "[Socket]\nListenStream=\($0.path)/run/app\nRemoveOnStop=yes\n")
                try $0.unit("app.service", "[Service]\nType=notify\nExecStart=\($0.server) --body v1\n")
            } then: { world in
                try world.run("start", "app.socket")
                try world.run("start", "app")
                let refused = try world.run("pause", "app.socket")
                #expect(refused.status != 0 && refused.errors.contains("app.service accepts from it"))
                #expect(try !socket(world).paused)
                try world.run("stop", "app")
                #expect(try world.run("pause", "app.socket").outcome == .completed)
                // A service with the socket would accept, so its start is refused.
                let start = try world.run("start", "app")
                #expect(start.status != 0 && start.errors.contains("it is paused"), "\(start.errors)")
                #expect(try world.run("resume", "app.socket").outcome == .completed)
                #expect(try world.run("start", "app").outcome == .started)
                try world.run("stop", "app")
                try world.run("stop", "app.socket")
            }
        }

        @Test("A changed socket unit takes effect on update without its service noticing, as far as the kernel allows")
        func changed() throws {
            let other = try freePort()
            try withWorld {
                try web($0, socket: "NoDelay=yes\n")
            } then: { world in
                try world.run("start", "app.socket")
                #expect(try answers(world))
                let main = try Watched(try world.mainPid("app.service"))
                try world.layout().unit(
                    "app.socket",
                    """
                    [Socket]
                    ListenStream=127.0.0.1:\(world.port)
                    ListenStream=127.0.0.1:\(other)
                    Backlog=77
                    FreeBind=yes
                    """)
                let update = try world.control("reread")
                #expect(update.outputText.contains("127.0.0.1:\(other): opened"), "\(update.outputText)")
                #expect(update.outputText.contains("FreeBind= counts for a new socket only"), "\(update.outputText)")
                #expect(try socket(world, "127.0.0.1:\(world.port)").backlog == 77)
                #expect(try socket(world, "127.0.0.1:\(other)").listening)
                #expect(!main.hasEnded)
                #expect(try answers(world))
                // The next start gets both sockets.
                try world.run("stop", "app")
                #expect(try answers(world, port: other))
                // A socket whose address was removed is closed once no process has it.
                try world.layout().unit("app.socket", "[Socket]\nListenStream=127.0.0.1:\(other)\n")
                #expect(try world.control("reread").outputText.contains("127.0.0.1:\(world.port): closed"))
                #expect(try answers(world), "the service that runs has it still")
                try world.run("stop", "app")
                #expect(throws: WaitedInVain.self) { _ = try RawConnection(port: world.port) }
                #expect(try answers(world, port: other))
            }
        }
    }
}
