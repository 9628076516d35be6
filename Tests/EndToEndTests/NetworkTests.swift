import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// `X-GenerationNetwork=private`
    @Suite(.enabled(if: supervisorIsRoot)) struct Networks {
        private static let port = 3000

        /// HAProxy with `fd@` in front of a backend that always binds 127.0.0.1:3000.
        private func site(_ layout: World.Layout, target: String = "") throws {
            try layout.site(
                swap: "X-GenerationNetwork=private\n\(target)",
                app: "Type=simple\nExecStart=\nExecStart=/usr/bin/python3 \(layout.path)/server.py address %i",
                appSwap: "ReadyProbe=\nReadyProbe=http 127.0.0.1:\(Self.port) /")
            try layout.write("server.py", Conventions.server)
            try layout.unit(
                "app@.service.d/fixed.conf",
                "[Service]\nEnvironment=HOST=127.0.0.1 PORT=3000 LISTEN_ADDRESS=127.0.0.1:3000 LISTEN_ADDRESS_OWN=127.0.0.1:3000\n"
            )
            try layout.remove("units/app@.socket")
            try layout.unit(
                "edge@.service.d/fixed.conf", "[Service]\nX-Upstreams=\nEnvironment=UPSTREAM_APP=127.0.0.1:3000\n")
        }

        private func namespace(_ pid: Int) throws -> String {
            try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/ns/net")
        }

        @Test(
            "Two generations bind the same 127.0.0.1:3000 at once, HAProxy serves the public socket from outside, nothing is lost"
        )
        func sameFixedPort() throws {
            try withWorld {
                try site($0)
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                try underLoad(world, until: "v2") { _ in
                    let swap = try world.begin("swap", "site@v2")
                    try swap.waitFor(.soak)
                    let old = try world.mainPid("app@v1.service")
                    let new = try world.mainPid("app@v2.service")
                    #expect(try namespace(old) != (try namespace(new)))
                    #expect(try namespace(new) != (try namespace(world.daemon.pid)))
                    #expect(try swap.end().outcome == .completed)
                }
                let edge = try namespace(world.mainPid("edge@v2.service"))
                #expect(try namespace(world.mainPid("app@v2.service")) == edge, "one network for a whole generation")
                #expect(
                    try namespace(world.daemon.pid) == (try namespace(Int(getpid()))),
                    "the supervisor stays where it is")
            }
        }

        @Test("Sockets of a generation and reserved addresses are inside: a fixed port is each generation's own")
        func socketsInside() throws {
            try withWorld { layout in
                try site(layout)
                try layout.unit(
                    "app@.socket", "[Socket]\nListenStream=127.0.0.1:3000\nFileDescriptorName=own\nX-Pass=address\n")
                try layout.unit("app@.service.d/fixed.conf", "[X-Swap]\nReadyProbe=\nReadyProbe=tcp app@%i.socket\n")
                try layout.unit("edge@.service.d/fixed.conf", "[Service]\nX-Upstreams=app@%i.socket\n")
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                try underLoad(world, until: "v2") { (_) throws in
                    #expect(try world.run("swap", "site@v2").outcome == .completed)
                }
            }
        }

        @Test("A generation's network and reserved addresses outlive the supervisor's own re-execution")
        func reexec() throws {
            try withWorld { layout in
                try site(layout)
                try layout.unit(
                    "app@.socket",
                    "[Socket]\nListenStream=127.0.0.1:3000\nFileDescriptorName=own\nX-Pass=address\n")
                try layout.unit("app@.service.d/fixed.conf", "[X-Swap]\nReadyProbe=\nReadyProbe=tcp app@%i.socket\n")
                try layout.unit("edge@.service.d/fixed.conf", "[Service]\nX-Upstreams=app@%i.socket\n")
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                let before = try world.sockets()
                try underLoad(world, until: "v2") { _ in
                    for _ in 1...3 {
                        #expect(try world.control("daemon-reexec").end() == 0)
                        try world.awaitReady()
                    }
                    #expect(try world.sockets() == before)
                    // A restart makes a new generation, whose backend is in a network of its own.
                    let old = try Watched(world.mainPid("app@v1.service"))
                    let network = try namespace(Int(old.pid))
                    #expect(try world.run("restart", "site").outcome == .completed)
                    #expect(try namespace(world.mainPid("app@v1.service")) != network)
                    #expect(try world.run("swap", "site@v2").outcome == .completed)
                }
            }
        }

        @Test("A member swapped by name takes the others along: what stayed could not be reached from the new network")
        func together() throws {
            try withWorld {
                try site($0)
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                let swap = try world.run("swap", "edge@v2")
                #expect(swap.outcome == .completed)
                #expect(try world.generations("site").first?.services.count == 2)
            }
        }

        @Test("nat is refused with file and line, not half-done")
        func nat() throws {
            try withWorld {
                try site($0, target: "X-GenerationNetwork=nat")
            } then: { world in
                let start = try world.run("swap", "site@v1")
                #expect(start.status != 0)
                #expect(
                    start.output.contains("X-GenerationNetwork") && start.output.contains("not supported yet"),
                    "\(start.output)")
            }
        }
    }
}
