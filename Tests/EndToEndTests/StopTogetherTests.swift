import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// `stop` of a service and of the socket that starts it is one transaction.
    @Suite struct StopTogether {
        /// Answers, and ends slowly; `out/starts` has a character for each start.
        private static let slow = """
            import os, signal, socket, sys, time
            path = sys.argv[1]
            open(path, "a").write("x")
            signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), os._exit(0)))
            s = socket.socket(fileno=3)
            while True:
                try: c, _ = s.accept(); c.close()
                except OSError: time.sleep(0.01)

            """

        private func layOut(_ layout: World.Layout, requires: Bool) throws {
            try layout.write("slow.py", Self.slow)
            try layout.unit("dk.socket", "[Socket]\nListenStream=127.0.0.1:\(layout.port)\n")
            try layout.unit(
                "dk.service",
                """
                [Unit]
                \(requires ? "Requires=dk.socket" : "")
                After=dk.socket
                [Service]
                ExecStart=/usr/bin/python3 \(layout.path)/slow.py \(layout.path)/out/starts
                """)
        }

        private func trigger(_ world: World) throws {
            try world.run("start", "dk.socket")
            try RawConnection(port: world.port).awaitClose()
            try eventually("the service") { try world.status("dk").first?.state == .running }
        }

        @Test(
            "Named together in either order, or the socket alone that its service requires: both are gone, nothing comes back",
            arguments: [["dk.service", "dk.socket"], ["dk.socket", "dk.service"], ["dk.socket"]], [true, false])
        func together(_ names: [String], _ requires: Bool) throws {
            guard requires || names.count > 1 else { return }
            try withWorld {
                try layOut($0, requires: requires)
            } then: { world in
                try trigger(world)
                // Clients connect continuously while the stop runs.
                let stop = try Program(
                    "\(World.binaries)/holdfastctl", ["stop"] + names, environment: world.environment)
                while !stop.watched.hasEnded { _ = try? RawConnection(port: world.port) }
                #expect(try stop.end() == 0, "\(stop.errorText)")
                #expect(world.contents("out/starts") == "x", "it was started once")
                #expect(try world.status("dk").first?.state == .stopped)
                #expect(try world.sockets().isEmpty)
                #expect((try? RawConnection(port: world.port)) == nil)
                try trigger(world)
                #expect(world.contents("out/starts") == "xx")
            }
        }

        @Test("A socket that a service has which does not go along is refused, and says what stops both")
        func refused() throws {
            try withWorld {
                try layOut($0, requires: false)
            } then: { world in
                try trigger(world)
                let stop = try world.run("stop", "dk.socket")
                #expect(stop.status != 0)
                #expect(stop.errors.contains("holdfastctl stop dk.service dk.socket stops both"), "\(stop.errors)")
                #expect(try world.status("dk").first?.state == .running)
            }
        }

        @Test("One that a service brought, without having been started, is closed with it")
        func brought() throws {
            try withWorld { layout in
                try layout.plain()
            } then: { world in
                try world.run("start", "app")
                let stop = try world.control("stop", "http.socket", "app")
                #expect(try stop.end() == 0, "\(stop.errorText)")
                #expect((try? RawConnection(port: world.port)) == nil)
                #expect(try world.sockets().isEmpty)
            }
        }
    }
}
