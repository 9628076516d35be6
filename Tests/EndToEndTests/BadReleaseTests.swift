import Foundation
import Testing

extension EndToEnd {
    /// A bad release is rolled back with its reason, and without effect on the site's clients.
    @Suite struct BadReleases {
        /// Serves v1 under load, and swaps to v2, which must be rolled back.
        private func rolledBack(
            _ options: String, _ layOut: (World.Layout) throws -> Void = { try $0.site() },
            then check: (World, Ended) throws -> Void
        ) throws {
            try withWorld { layout in
                try layOut(layout)
                try layout.release("v2", options)
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                try underLoad(world, until: "v1") { loads in
                    for load in loads { try load.waitForAnswer("v1") }
                    let swap = try world.run("swap", "site@v2")
                    #expect(swap.outcome == .rolledBack)
                    #expect(swap.status == 7)
                    #expect(swap.result?.fromRelease == "v1")
                    #expect(world.processes(generation: 2).map(\.description) == [])
                    try check(world, swap)
                    for load in loads { load.forgetAnswers() }
                }
                let generations = try world.generations("site")
                #expect(generations.map(\.release) == ["v1"])
                #expect(generations.map(\.role) == [.serving])
                #expect(try world.history().first?.outcome == .rolledBack)
            }
        }

        @Test("A release that exits at once is rolled back: its exit status and last words are told")
        func exitsAtOnce() throws {
            try rolledBack("--exit-at-start 3 --stderr-line no-database-here") { _, swap in
                #expect(swap.reason?.unit == "app@v2.service")
                #expect(swap.reason?.exitStatus?.contains("3") == true, "\(swap.output)")
                #expect(swap.reason?.lastLines.contains { $0.contains("no-database-here") } == true, "\(swap.output)")
                #expect(swap.errors.contains("app@v2.service"))
                #expect(swap.errors.contains("no-database-here"), "people see the last lines: \(swap.errors)")
            }
        }

        @Test("A release that never gets ready is rolled back after ReadyTimeoutSec=")
        func neverReady() throws {
            try rolledBack("--never-ready") {
                try $0.site(swap: "ReadyTimeoutSec=700ms")
            } then: { _, swap in
                #expect(swap.reason?.unit == "app@v2.service")
                #expect(swap.errors.contains("700 ms"), "\(swap.errors)")
            }
        }

        @Test("A release whose probe is answered badly is rolled back: the answer is told")
        func unhealthy() throws {
            try rolledBack("--unhealthy") {
                try $0.site(swap: "ReadyTimeoutSec=1s")
            } then: { _, swap in
                #expect(swap.reason?.unit == "app@v2.service")
                #expect(swap.reason?.probeAnswer?.contains("503") == true, "\(swap.output)")
                #expect(swap.errors.contains("503"), "\(swap.errors)")
            }
        }

        @Test("A release that crashes during soak is rolled back: the signal is told")
        func crashesDuringSoak() throws {
            try rolledBack("--crash-after 0.5") {
                try $0.site(swap: "SoakSec=3s")
            } then: { _, swap in
                #expect(swap.reason?.unit == "app@v2.service")
                #expect(swap.reason?.exitStatus?.contains("ABRT") == true, "\(swap.output)")
            }
        }

        @Test("A program that is not there: the path and errno are told, the running generation goes on")
        func missingProgram() throws {
            let unit: (World.Layout) throws -> Void = { layout in
                try layout.site()
                try layout.makeDirectory("releases/v1")
                try FileManager.default.createSymbolicLink(
                    atPath: "\(layout.path)/releases/v1/server", withDestinationPath: layout.server)
                let text = try String(contentsOfFile: "\(layout.path)/units/app@.service", encoding: .utf8)
                try layout.unit(
                    "app@.service",
                    text.replacingOccurrences(of: layout.server, with: "\(layout.path)/releases/%i/server"))
            }
            try rolledBack("", unit) { world, swap in
                let path = "\(world.path)/releases/v2/server"
                #expect(
                    swap.reason?.message
                        == "cannot start app@v2.service: executing \(path): No such file or directory")
            }
        }

        @Test("A working directory that is not there is named")
        func missingDirectory() throws {
            try rolledBack("") { layout in
                try layout.site(app: "WorkingDirectory=\(layout.path)/trees/%i")
                try layout.makeDirectory("trees/v1")
            } then: { world, swap in
                let message = swap.reason?.message ?? ""
                #expect(message.hasPrefix("cannot start app@v2.service: "), "\(message)")
                #expect(message.contains("\(world.path)/trees/v2"), "\(message)")
                #expect(message.hasSuffix("No such file or directory"), "\(message)")
            }
        }

        @Test("A configuration that ExecStartPre= refuses is rolled back before the proxy sees the public socket")
        func badProxyConfiguration() throws {
            try rolledBack("") { layout in
                try layout.site()
                let text = try String(contentsOfFile: "\(layout.path)/units/edge@.service", encoding: .utf8)
                // Without -q, which would suppress the reason, too.
                try layout.unit(
                    "edge@.service",
                    text.replacingOccurrences(of: "/haproxy.cfg", with: "/releases/%i.cfg")
                        .replacingOccurrences(of: "-c -q", with: "-c"))
                try FileManager.default.copyItem(
                    atPath: "\(layout.path)/haproxy.cfg", toPath: "\(layout.path)/releases/v1.cfg")
                try layout.write("releases/v2.cfg", "frontend broken\n    bind nowhere-to-be-found\n")
            } then: { _, swap in
                #expect(swap.reason?.unit == "edge@v2.service")
                #expect(swap.reason?.message.contains("ExecStartPre=") == true, "\(swap.output)")
                #expect(
                    swap.reason?.lastLines.contains { $0.contains("nowhere-to-be-found") } == true, "\(swap.output)")
            }
        }

        @Test("A first start that fails is no roll-back: it failed, and nothing of it is left")
        func firstStartFails() throws {
            try withWorld { layout in
                try layout.site()
                try layout.release("v1", "--exit-at-start 9")
            } then: { world in
                let start = try world.run("swap", "site@v1")
                #expect(start.outcome == .failed)
                #expect(start.status == 7)
                #expect(world.processes().map(\.description) == [])
                #expect(try world.status("site").first?.state == .failed)
                #expect(try world.control("status").end() == 3)
                try world.layout().release("v1")
                #expect(try world.run("swap", "site@v1").outcome == .started)
                #expect(try world.control("status").end() == 0)
            }
        }
    }
}
