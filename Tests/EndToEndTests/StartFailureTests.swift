import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// A start that fails leaves none of the resources made for it.
    @Suite struct StartFailures {
        private func expectNothing(_ world: World, _ what: String) throws {
            // A service that restarts, or a command that was killed, may need a moment.
            try eventually("no control group to be left of \(what): \(world.controlGroupsOfTrees())") {
                world.controlGroupsOfTrees().isEmpty
            }
            for directory in ["output", "generations", "credentials"] {
                try eventually("\(directory) to be empty after \(what)") {
                    try FileManager.default.contentsOfDirectory(atPath: "\(world.runtime)/\(directory)").isEmpty
                }
            }
        }

        @Test("Whatever setting a start fails at, no control group, FIFO or directory of it is left")
        func settings() throws {
            let missing = "/nonexistent/holdfast"
            let settings = [
                "ExecStart=\(missing)", "ExecStart=/bin/true\nUser=no-such-user-here",
                "ExecStart=/bin/true\nWorkingDirectory=\(missing)", "ExecStart=/bin/true\nEnvironmentFile=\(missing)",
                "ExecStart=/bin/true\nStandardInput=file:\(missing)",
                "ExecStart=/bin/true\nStandardOutput=file:\(missing)", "ExecStart=/bin/true\nOpenFile=\(missing)",
                "ExecStart=/bin/true\nLoadCredential=a:\(missing)", "ExecStart=/bin/true\nRootDirectory=\(missing)",
                "ExecStart=/bin/true\nSetCredential=a:b\nExecStartPre=\(missing)",
                "ExecStart=/bin/true\nExecCondition=\(missing)",
                "ExecStart=/bin/false\nType=oneshot\nExecStopPost=\(missing)",
                "ExecStart=/bin/sleep 1000\nExecStartPost=\(missing)", "ExecStart=/bin/false\nType=forking",
                "ExecStart=/bin/sleep 1000\nType=notify\nTimeoutStartSec=50ms",
            ]
            try withWorld { layout in
                for (index, setting) in settings.enumerated() {
                    try layout.unit("s\(index).service", "[Service]\n\(setting)\n")
                }
                // A generation that cannot be prepared: its first socket can be opened, its second cannot.
                try layout.unit(
                    "p.service", "[Service]\nExecStart=/bin/sleep 1000\nSockets=a@x.socket b@x.socket\n[X-Swap]\n")
                try layout.unit("a@.socket", "[Socket]\nListenStream=\(layout.path)/out/%i.sock\n")
                try layout.unit("b@.socket", "[Socket]\nListenStream=\(layout.path)/units/p.service\n")
                try layout.write("units/p.service.1", "in the way")
                for (index, command) in [
                    "ExecStartPre=\(missing)", "ExecStartPre=/bin/false", "ExecStartPost=/bin/false",
                ].enumerated() {
                    try layout.unit(
                        "k\(index).socket", "[Socket]\nListenStream=\(layout.path)/out/k\(index)\n\(command)\n")
                    try layout.unit("k\(index).service", "[Service]\nExecStart=/bin/true\nStandardInput=socket\n")
                }
            } then: { world in
                for (index, setting) in settings.enumerated() {
                    try world.run("start", "s\(index)")
                    try expectNothing(world, setting)
                }
                #expect(try world.run("start", "p").outcome == .failed)
                try expectNothing(world, "a generation that cannot be prepared")
                #expect(world.filesBelow(world.path + "/out").filter { $0.contains("x.sock") } == [])
                for index in 0..<3 {
                    try world.run("start", "k\(index).socket")
                    try expectNothing(world, "k\(index).socket")
                }
            }
        }

        /// Sets the number of descriptors that the supervisor can still open.
        private func limit(_ world: World, to budget: Int?) throws {
            let used = Set(try #require(ProcessEntry(world.daemon.pid)).descriptors.keys)
            var soft = 1000
            if var left = budget {
                soft = 0
                while used.contains(soft) || left > 0 {
                    if !used.contains(soft) { left -= 1 }
                    soft += 1
                }
            }
            let result = try Program.run(
                "prlimit", ["--pid", "\(world.daemon.pid)", "--nofile=\(soft):"])
            #expect(try result.end() == 0, "\(result.errorText)")
        }

        @Test(
            "However few descriptors are left, a start that fails at any of them leaves nothing",
            .enabled(if: supervisorIsRoot))
        func descriptors() throws {
            try withWorld { layout in
                try layout.unit("app.service", "[Service]\nExecStart=/bin/sleep 1000\nStandardError=journal\n")
                try layout.unit("k.socket", "[Socket]\nListenStream=\(layout.path)/out/k\nExecStartPre=/bin/true\n")
                try layout.unit("k.service", "[Service]\nExecStart=/bin/true\n")
            } then: { world in
                var failed: Set<String> = []
                for budget in 0..<16 {
                    for unit in ["app.service", "k.socket"] {
                        let client = try Varlink(world)
                        try client.send("GetInfo")
                        _ = try client.readText()
                        try limit(world, to: budget)
                        try client.send("Start", "{\"name\":\"\(unit)\"}")
                        if try client.readText().contains("\"error\"") { failed.insert(unit) }
                        try limit(world, to: nil)
                        try world.run("stop", unit)
                        try expectNothing(world, "\(unit) with \(budget) descriptors")
                    }
                }
                #expect(failed == ["app.service", "k.socket"], "starts failed")
            }
        }
    }
}
