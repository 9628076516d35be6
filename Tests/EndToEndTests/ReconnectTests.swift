import ControlProtocol
import Foundation
import Testing

extension World {
    /// Whether the program has a connection to the supervisor.
    fileprivate func isConnected(_ program: Program) -> Bool {
        ProcessEntry(program.pid)?.descriptors.values.contains { $0.hasPrefix("socket:") } ?? false
    }
}

extension EndToEnd {
    /// Commands that follow the supervisor continue when it is replaced.
    @Suite struct Reconnecting {
        /// The way in which the supervisor is replaced.
        enum Absence: String, CaseIterable { case reexec, crash }

        private func leave(_ world: World, _ absence: Absence) throws {
            switch absence {
            case .reexec:
                let program = try world.control("daemon-reexec")
                #expect(try program.end() == 0, "\(program.errorText)")
                try world.awaitReady()
            case .crash:
                try world.crash()
                try world.startAgain()
            }
        }

        private func watch(_ world: World, _ arguments: String...) throws -> Program {
            try Program("\(World.binaries)/holdfastctl", arguments, environment: world.environment)
        }

        private func wait(_ program: Program, for text: String, after count: Int = 0) throws {
            _ = try program.waitFor(text) { output, _ in
                String(decoding: output.dropFirst(count), as: UTF8.self).contains(text) ? true : nil
            }
        }

        private func sleeper(_ layout: World.Layout) throws {
            try layout.unit("rest.service", "[Service]\nType=exec\nExecStart=/bin/sleep infinity\nTimeoutStopSec=1s\n")
        }

        @Test(
            "events, status --watch and wait go on with the next supervisor, after a re-exec and after a crash",
            arguments: Absence.allCases)
        func looking(_ absence: Absence) throws {
            try withWorld {
                try sleeper($0)
            } then: { world in
                let events = try watch(world, "events", "--json")
                try wait(events, for: "begin")
                let list = try watch(world, "status", "--watch")
                try wait(list, for: "STOPPED")
                let waiting = try watch(world, "wait", "rest", "--for", "ready", "--json")
                defer { for program in [events, list, waiting] { program.killIfAlive() } }
                try eventually("the third connection") { world.isConnected(waiting) }
                try leave(world, absence)
                if absence == .crash {
                    _ = try events.waitFor("another beginning") { output, _ in
                        String(decoding: output, as: UTF8.self).split(separator: "\n").count >= 2 ? true : nil
                    }
                }
                #expect(try world.run("start", "rest").outcome == .started)
                try wait(events, for: "\"serviceState\":\"running\"")
                try wait(list, for: "RUNNING")
                #expect(try waiting.end() == 0, "\(waiting.errorText)")
                #expect(!events.watched.hasEnded)
                #expect(!list.watched.hasEnded)
            }
        }

        @Test("logs -f goes on, too: neither a re-exec nor a crash loses a line")
        func logs() throws {
            try withWorld { layout in
                try layout.unit(
                    "talk.service",
                    """
                    [Service]
                    Type=exec
                    ExecStart=/bin/sh -c 'i=0; while sleep 0.02; do i=$$((i+1)); echo line $$i; done'
                    TimeoutStopSec=1s
                    """)
            } then: { world in
                #expect(try world.run("start", "talk").outcome == .started)
                try eventually("something to be said") { world.contents("log/talk.service.log") != nil }
                let logs = try watch(world, "logs", "-f", "-n", "all", "-o", "cat", "talk")
                defer { logs.killIfAlive() }
                for absence in Absence.allCases {
                    try wait(logs, for: "line ", after: logs.outputText.utf8.count)
                    try leave(world, absence)
                }
                try wait(logs, for: "line ", after: logs.outputText.utf8.count)
                let lines = logs.outputText.split(separator: "\n").compactMap {
                    Int($0.split(separator: " ").last ?? "")
                }
                // Lines that a supervisor was writing when it was killed are written by the next one, too.
                var last = 0
                for number in lines {
                    #expect(number <= last + 1)
                    last = number
                }
                #expect(lines.first == 1)
            }
        }

        @Test("What began before a crash and ended in it is told by the next supervisor's history")
        func past() throws {
            try withWorld { layout in
                try layout.web(swap: "SoakSec=500ms")
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                let swap = try world.begin("swap", "web@v2")
                try swap.waitFor(.soak)
                // Tests a client that is stopped until the swap has ended.
                swap.program.send(SIGSTOP)
                try world.crash()
                try world.startAgain()
                try eventually("the end of the swap") { try world.history().first?.outcome == .completed }
                swap.program.send(SIGCONT)
                let end = try swap.end()
                #expect(end.status == 0, "\(end.errors)")
                #expect(end.outcome == .completed)
                #expect(end.result?.release == "v2")
            }
        }

        @Test("So are several that were begun at once")
        func several() throws {
            try withWorld { layout in
                for name in ["one", "two", "three"] {
                    try layout.unit(
                        "\(name).service",
                        "[Service]\nType=exec\nExecStartPre=/bin/sleep 1\nExecStart=/bin/sleep infinity\nTimeoutStopSec=1s\n"
                    )
                }
            } then: { world in
                let start = try watch(world, "start", "one", "two", "three")
                defer { start.killIfAlive() }
                try eventually("all to be under way") {
                    try world.status("one", "two", "three").allSatisfy { $0.state == .starting }
                }
                try world.crash()
                try world.startAgain()
                #expect(try start.end() == 0, "\(start.errorText)")
                #expect(start.outputLines.filter { $0.contains("started") }.count >= 3, "\(start.outputText)")
            }
        }

        @Test("A supervisor that is shut down is not waited for: 4")
        func shutdown() throws {
            try withWorld {
                try sleeper($0)
            } then: { world in
                let events = try watch(world, "events")
                try eventually("the connection") { world.isConnected(events) }
                // The answer to a later call proves that the subscription exists.
                #expect(try world.control("shutdown").end() == 0)
                #expect(try events.end() == 4)
            }
        }
    }
}
