import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// A connection accepted for an instance of its own is closed when that instance does not start, or has ended.
    @Suite struct Connections {
        private func layOut(_ layout: World.Layout, _ unit: String = "", _ service: String = "ExecStart=/bin/cat")
            throws
        {
            try layout.unit(
                "t.socket", "[Socket]\nListenStream=127.0.0.1:\(layout.port)\nAccept=yes\nMaxConnections=1\n")
            try layout.unit("t@.service", "[Unit]\n\(unit)\n[Service]\nStandardInput=socket\n\(service)\n")
            // Only for the test of a waiting instance.
            try layout.unit("slow.service", "[Service]\nType=notify\nNotifyAccess=all\nExecStart=/bin/sleep inf\n")
        }

        private func connections(_ world: World) throws -> Int? {
            try world.sockets().first { $0.unit == "t.socket" }?.connections
        }

        /// Expects that the connection is closed, and that another one can take its place.
        private func expectClosed(_ client: RawConnection, _ world: World) throws {
            #expect(try client.readAll() == "")
            try eventually("its place to be free") { try connections(world) ?? 0 == 0 }
        }

        @Test(
            "Not started: a condition, a start limit, a failing command, no program",
            arguments: [
                ["ConditionPathExists=/nowhere", "ExecStart=/bin/cat"],
                ["AssertPathExists=/nowhere", "ExecStart=/bin/cat"],
                ["StartLimitBurst=1", "ExecStart=/bin/false\nRestart=always\nRestartSec=0"],
                ["", "ExecCondition=/bin/false\nExecStart=/bin/cat"],
                ["", "ExecStartPre=/bin/false\nExecStart=/bin/cat"],
                ["", "ExecStart=/nowhere"], ["Requires=nowhere.service", "ExecStart=/bin/cat"],
            ])
        func notStarted(_ texts: [String]) throws {
            try withWorld {
                try layOut($0, texts[0], texts[1])
            } then: { world in
                try world.run("start", "t.socket")
                for _ in 0..<2 { try expectClosed(try RawConnection(port: world.port), world) }
            }
        }

        @Test("The template is masked, or its file is gone", arguments: [true, false])
        func gone(_ masked: Bool) throws {
            try withWorld {
                try layOut($0)
            } then: { world in
                try world.run("start", "t.socket")
                let path = world.units + "/t@.service"
                try FileManager.default.removeItem(atPath: path)
                if masked { try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/dev/null") }
                _ = try world.control("reread")
                for _ in 0..<2 { try expectClosed(try RawConnection(port: world.port), world) }
            }
        }

        @Test("Its instance is stopped while it waits to be started, or while it runs", arguments: [true, false])
        func stopped(_ waits: Bool) throws {
            try withWorld {
                try layOut($0, waits ? "Wants=slow.service\nAfter=slow.service" : "")
            } then: { world in
                try world.run("start", "t.socket")
                for number in 0..<2 {
                    let client = try RawConnection(port: world.port)
                    try eventually("the connection") { try connections(world) == 1 }
                    let unit = "t@\(number)-127.0.0.1:\(world.port)-127.0.0.1:\(try client.localPort()).service"
                    let stop = try world.run("stop", unit)
                    #expect(stop.outcome == .stopped, "\(stop.errors)")
                    try expectClosed(client, world)
                }
                _ = try world.control("stop", "slow")
            }
        }

        @Test(
            "Its socket is stopped: what runs goes on to its end; re-exec and crash lose no place",
            arguments: [true, false])
        func survives(_ crashes: Bool) throws {
            try withWorld {
                try layOut($0)
            } then: { world in
                try world.run("start", "t.socket")
                for _ in 0..<2 {
                    let client = try RawConnection(port: world.port)
                    try client.send("x")
                    #expect(try client.read() == Array("x".utf8))
                    #expect(try connections(world) == 1)
                    if crashes {
                        try world.crash()
                        world.forgetNotifications()
                        try world.startAgain()
                    } else {
                        #expect(try world.control("daemon-reexec").end() == 0)
                    }
                    try client.send("y")
                    #expect(try client.read() == Array("y".utf8))
                    #expect(try connections(world) == 1)
                    shutdown(client.descriptor, Int32(SHUT_WR))
                    try expectClosed(client, world)
                }
                let client = try RawConnection(port: world.port)
                try client.send("x")
                _ = try client.read()
                #expect(try world.run("stop", "t.socket").outcome == .stopped)
                try client.send("y")
                #expect(try client.read() == Array("y".utf8))
                shutdown(client.descriptor, Int32(SHUT_WR))
                #expect(try client.readAll() == "")
            }
        }
    }
}
