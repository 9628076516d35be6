import Foundation
import Testing

extension EndToEnd {
    /// The order in which generations leave.
    @Suite struct Leaving {
        @Test("The old proxy leaves before its backend is even told: seen from outside")
        func proxyBeforeBackend() throws {
            try withWorld { layout in
                try layout.site()
                try layout.release("v1", "--drain-idle 1")
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                let proxy = try Watched(world.mainPid("edge@v1.service"))
                let backend = try Watched(world.mainPid("app@v1.service"))
                // Half a request keeps the proxy, and a connection to the backend itself keeps the backend for a
                // moment. A draining backend sends `Connection: close` in its next answer: an answer without it proves
                // that the drain has not begun.
                let direct = try RawConnection(unix: "\(world.path)/run/site/app-v1.sock.1")
                let pending = try RawConnection(port: world.port)
                try pending.send("GET / HTTP/1.1\r\n")
                try eventually("the connection to be accepted") { try pending.isAccepted(by: world) }
                let swap = try world.begin("swap", "site@v2")
                try swap.waitFor("the proxy's drain") { $0.phase == .drain && $0.service == "edge@v1.service" }
                try direct.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                let answer = try direct.readAnswer()
                #expect(!answer.lowercased().contains("connection: close"), "the backend was told: \(answer)")
                #expect(!proxy.hasEnded, "it has a request under way")
                try pending.send("Host: x\r\n\r\n")
                #expect(try pending.readAnswer().hasSuffix("v1"))
                try proxy.awaitEnd()
                #expect(!backend.hasEnded, "the backend left before its proxy")
                try backend.awaitEnd()
                #expect(try swap.end().outcome == .completed)
            }
        }

        @Test("A backend that ignores SIGTERM is killed after DrainTimeoutSec=, and the swap is complete")
        func ignoresSigterm() throws {
            try withWorld { layout in
                try layout.site(swap: "DrainTimeoutSec=700ms")
                try layout.release("v1", "--ignore-sigterm")
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                let backend = try Watched(world.mainPid("app@v1.service"))
                try underLoad(world, [.newConnections], until: "v2") { loads in
                    let swap = try world.run("swap", "site@v2")
                    #expect(swap.outcome == .completed)
                    #expect(backend.hasEnded)
                    #expect(world.processes(generation: 1).map(\.description) == [])
                    loads[0].forgetAnswers()
                }
            }
        }

        @Test("Grandchildren with sessions of their own go with their generation, in a swap and in a roll-back")
        func grandchildren() throws {
            try withWorld { layout in
                try layout.site()
                try layout.release("v1", "--fork-grandchild")
                try layout.release("v2", "--fork-grandchild --unhealthy")
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                let sleeper = try #require(world.processes(generation: 1).first { $0.name == "sleep" })
                let watched = try Watched(sleeper.pid)
                try world.layout().write("units/site@.target.d/ready.conf", "[X-Swap]\nReadyTimeoutSec=1s\n")
                #expect(try world.control("reread").end() == 0)
                #expect(try world.run("swap", "site@v2").outcome == .rolledBack)
                #expect(world.processes(generation: 2).map(\.description) == [])
                #expect(!watched.hasEnded, "that of the serving generation stays")
                #expect(try world.run("swap", "site@v3").outcome == .completed)
                #expect(watched.hasEnded)
                #expect(world.processes(generation: 1).map(\.description) == [])
            }
        }

        @Test("A grandchild without a parent, in a session and with an environment of its own, goes as well")
        func daemonized() throws {
            try withWorld { layout in
                try layout.web()
                // Its parent lives until it has left the session; then only the cgroup, or observations from before its
                // parent's end, show its service.
                try layout.write(
                    "daemonize",
                    """
                    #!/bin/sh
                    setsid env -i /bin/sh -c 'exec sleep 600.\(layout.port)' &
                    exec \(layout.server) --body "$1"
                    """, mode: 0o755)
                let text = try String(contentsOfFile: "\(layout.path)/units/web@.service", encoding: .utf8)
                try layout.unit(
                    "web@.service",
                    text.replacingOccurrences(of: "\(layout.server) --body", with: "\(layout.path)/daemonize"))
            } then: { world in
                func sleepers() -> [ProcessEntry] {
                    ProcessEntry.all.filter { $0.arguments == ["sleep", "600.\(world.port)"] && !$0.isDead }
                }
                #expect(try world.run("swap", "web@v1").outcome == .started)
                try eventually("the grandchild") { sleepers().count == 1 }
                #expect(try world.run("swap", "web@v2").outcome == .completed)
                try eventually("the second grandchild") { sleepers().count == 1 }
                #expect(try world.run("stop", "web").outcome == .stopped)
                #expect(sleepers().map(\.description) == [])
            }
        }

        @Test("stop drains: the proxy finishes what it has accepted, then the backend goes")
        func stopDrains() throws {
            try withWorld { layout in
                try layout.site()
                try layout.release("v1", "--delay 0.5")
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                let pending = try RawConnection(port: world.port)
                try pending.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                let proxy = try Watched(world.mainPid("edge@v1.service"))
                let backend = try Watched(world.mainPid("app@v1.service"))
                let stop = try world.run("stop", "site")
                #expect(stop.outcome == .stopped)
                #expect(stop.status == 0)
                #expect(proxy.hasEnded && backend.hasEnded)
                #expect(try pending.readAnswer().hasSuffix("v1"))
                // Held sockets stay: new connections wait for the next start.
                let waiting = try RawConnection(port: world.port)
                try waiting.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                #expect(try world.run("start", "site").outcome == .started)
                #expect(try waiting.readAnswer().hasSuffix("v1"))
            }
        }

        @Test("SIGTERM to the supervisor drains everything, and it ends with 0")
        func sigterm() throws {
            try withWorld { layout in
                try layout.site()
                try layout.release("v1", "--delay 0.5")
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                let pending = try RawConnection(port: world.port)
                try pending.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                try eventually("the request to be accepted") { try pending.isAccepted(by: world) }
                world.daemon.send(SIGTERM)
                #expect(try world.daemon.end() == 0)
                #expect(try pending.readAnswer().hasSuffix("v1"))
            }
        }
    }
}
