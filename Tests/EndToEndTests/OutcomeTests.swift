import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Results of requests after the supervisor's death: a client gets the result of its own request.
    @Suite struct Outcomes {
        private func layOut(_ layout: World.Layout) throws {
            let sleeper = "Type=exec\nExecStart=/bin/sleep infinity\nTimeoutStopSec=1s\n"
            for name in ["y", "z", "w"] {
                try layout.unit("\(name).service", "[Service]\n\(sleeper)[Install]\nWantedBy=multi-user.target\n")
            }
            try layout.unit("site@.service", "[Service]\n\(sleeper)[X-Swap]\nSoakSec=100ms\n")
            try layout.unit("bad.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")
            try layout.unit("both.target", "[Unit]\nWants=y.service w.service\n")
            try layout.unit("t.socket", "[Socket]\nListenStream=\(layout.path)/t.sock\n")
            try layout.unit("t.service", "[Service]\n\(sleeper)")
        }

        private func begin(_ world: World, _ arguments: [String]) throws -> Program {
            try Program("\(World.binaries)/holdfastctl", arguments, environment: world.environment)
        }

        private func isConnected(_ program: Program) -> Bool { connections(of: program) > 0 }

        private func connections(of program: Program) -> Int {
            ProcessEntry(program.pid)?.descriptors.values.count { $0.hasPrefix("socket:") } ?? 0
        }

        /// Requests that a command sends at once: `start` and `stop` send one for each unit.
        private func requests(of command: [String]) -> Int {
            guard command[0] == "start" || command[0] == "stop" else { return 1 }
            return command.dropFirst().count { !$0.hasPrefix("--") }
        }

        /// The serving generations.
        private func picture(_ world: World) throws -> [String] {
            try world.status().map { "\($0.unit) \($0.state) \($0.release ?? "-") \($0.servingGeneration ?? 0)" }
        }

        /// All commands that ask the supervisor for a change.
        static let commands = [
            ["start", "y"], ["stop", "z"], ["restart", "z"], ["reload-or-restart", "z"], ["reload", "z"],
            ["swap", "site@v2"], ["swap", "--no-wait", "site@v2"], ["promote", "site"], ["abort", "site"],
            ["rollback", "site"], ["drain", "site"], ["drain", "--now", "site"], ["pause", "t"], ["resume", "t"],
            ["start", "t.socket"], ["stop", "t.socket"], ["start", "both.target"], ["stop", "both.target"],
            ["signal", "CONT", "z"], ["reset-failed"], ["reset-failed", "bad"], ["reread"], ["update"],
            ["daemon-reexec"], ["reload"], ["shutdown"], ["start", "y", "w", "z"], ["stop", "y", "z"],
            ["start", "--json", "y"], ["stop", "--json", "y", "z"],
        ]

        @Test("Died before it was begun: every command says so with exit status 5, and nothing has changed")
        func neverBegun() throws {
            try withWorld(layOut) { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                #expect(try world.run("start", "z").outcome == .started)
                _ = try world.control("start", "bad").end()
                let before = try picture(world)
                world.daemon.send(SIGSTOP)
                let programs = try Self.commands.map { try begin(world, $0) }
                defer { for program in programs { program.killIfAlive() } }
                for (program, command) in zip(programs, Self.commands) {
                    // A request that is sent later is begun by the successor.
                    try eventually("the requests to be sent") { connections(of: program) >= requests(of: command) }
                }
                try world.crash()
                try world.startAgain()
                for (program, command) in zip(programs, Self.commands) {
                    #expect(try program.end() == 5, "\(command): \(program.errorText)")
                    #expect(program.errorText.contains("not begun"), "\(command): \(program.errorText)")
                    if command.contains("--json") {
                        #expect(program.outputText.contains("NoSuchRequest"), "\(program.outputText)")
                    } else {
                        #expect(program.outputText.isEmpty, "\(command): \(program.outputText)")
                    }
                }
                #expect(try picture(world) == before)
            }
        }

        @Test("The result of an older operation is never told as that of a newer request")
        func notAnOlderOne() throws {
            try withWorld(layOut) { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                #expect(try world.run("swap", "site@v2").outcome == .completed)
                #expect(try world.run("start", "z").outcome == .started)
                world.daemon.send(SIGSTOP)
                let swap = try begin(world, ["swap", "site@v3"])
                let stop = try begin(world, ["stop", "z"])
                for program in [swap, stop] { try eventually("the request") { isConnected(program) } }
                try world.crash()
                try world.startAgain()
                #expect(try swap.end() == 5, "\(swap.errorText)")
                #expect(try stop.end() == 5, "\(stop.errorText)")
                #expect(!swap.outputText.contains("serves") && !stop.outputText.contains("started"))
                #expect(try world.status("site").first?.release == "v2")
                #expect(try world.status("z").first?.state == .running)
            }
        }

        /// Methods that end while the supervisor continues, with their parameters, in an order in which all succeed.
        static let requests: [(method: String, parameters: String)] = [
            ("Start", #""name":"z""#), ("Reload", #""name":"z""#), ("Restart", #""name":"z""#),
            ("Signal", #""name":"z","signal":"CONT""#), ("Swap", #""name":"site@v1""#), ("Swap", #""name":"site@v2""#),
            ("Rollback", #""name":"site""#), ("Drain", #""name":"site""#), ("Start", #""name":"both.target""#),
            ("Stop", #""name":"both.target""#), ("Stop", #""name":"z""#), ("Stop", #""name":"z""#),
            ("Start", #""name":"t.socket""#), ("Stop", #""name":"t.socket""#), ("Start", #""name":"bad""#),
            ("ResetFailed", #""names":["bad"]"#), ("Forget", #""name":"bad""#), ("ClearLogs", #""name":"z""#),
            ("Update", ""), ("Enable", #""names":["w"]"#), ("Disable", #""names":["w"]"#),
            ("Promote", #""name":"site""#),
            ("Abort", #""name":"site""#), ("Start", #""name":"nobody""#), ("Reexec", ""),
        ]

        @Test("Finished before the answer: the next supervisor tells each request its own answer, refusals as well")
        func finished() throws {
            try withWorld(layOut) { world in
                func call(_ index: Int) -> (method: String, name: String, parameters: String) {
                    let (method, own) = Self.requests[index]
                    let name = "request-number-\(100 + index)"
                    return (method, name, "{" + own + (own.isEmpty ? "" : ",") + "\"request\":\"\(name)\"}")
                }
                func outcome(_ name: String) throws -> String {
                    let client = try Varlink(world)
                    try client.send("Outcome", "{\"request\":\"\(name)\"}")
                    return try client.readText()
                }
                var told: [String] = []
                for index in Self.requests.indices {
                    let (method, name, parameters) = call(index)
                    let client = try Varlink(world)
                    // A call without an answer (`oneway`) is begun like any other.
                    let text =
                        "{\"method\":\"io.holdfast.Manager.\(method)\",\"parameters\":\(parameters),\"oneway\":true}"
                    try client.connection.send(Array(text.utf8) + [0])
                    if method == "Reexec" { try world.awaitReady() }
                    var answer = ""
                    try eventually("\(method) to be begun") {
                        answer = try outcome(name)
                        return !answer.contains("NoSuchRequest")
                    }
                    told.append(answer)
                }
                try world.crash()
                try world.startAgain()
                for (index, before) in told.enumerated() {
                    let (method, name, _) = call(index)
                    let after = try outcome(name)
                    #expect(after == before, "\(method)")
                    #expect(after.contains("\"parameters\":{"), "\(method): \(after)")
                    #expect(!after.contains("OutcomeUnknown"), "\(method)")
                }
                #expect(told[5].contains("\"release\":\"v2\""), "\(told[5])")
                #expect(told[22].contains("NothingToAbort"), "\(told[22])")
                #expect(told[23].contains("NoSuchUnit"), "\(told[23])")
            }
        }

        @Test(
            "Died in between: what was begun goes on, and its own end is told; several names, targets and JSON as well")
        func inBetween() throws {
            try withWorld { layout in
                try layOut(layout)
                let slow =
                    "[Service]\nType=exec\nExecStartPre=/bin/sleep 1\nExecStart=/bin/sleep infinity\nTimeoutStopSec=1s\n"
                for name in ["one", "two", "three", "four"] { try layout.unit("\(name).service", slow) }
                try layout.unit("pair.target", "[Unit]\nWants=three.service four.service\n")
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                let commands = [
                    ["start", "one", "two", "y"], ["start", "pair.target"], ["start", "--json", "one"],
                    ["swap", "--hold", "site@v2"],
                ]
                let programs = try commands.map { try begin(world, $0) }
                defer { for program in programs { program.killIfAlive() } }
                try eventually("all to be under way") {
                    try world.status("one", "two", "three", "four").allSatisfy { $0.state == .starting }
                }
                try world.crash()
                try world.startAgain()
                for (program, command) in zip(programs, commands) {
                    #expect(try program.end() == 0, "\(command): \(program.errorText)")
                }
                #expect(programs[1].outputText.contains("pair.target: started"), "\(programs[1].outputText)")
                #expect(programs[2].outputText.contains("\"outcome\":\"started\""), "\(programs[2].outputText)")
                #expect(programs[3].outputText.contains("ready and held"), "\(programs[3].outputText)")
                let entry = try world.history().first { $0.unit == "one.service" }
                #expect(entry?.request?.count == 32 && entry?.who != nil, "who asked is known after a crash as well")
                #expect(try world.control("abort", "site").end() == 0)
            }
        }

        @Test("A second call under a request's name begins nothing; under another question's name it is refused")
        func repeated() throws {
            try withWorld(layOut) { world in
                func ask(_ method: String, _ parameters: String) throws -> String {
                    let client = try Varlink(world)
                    try client.send(method, parameters)
                    return try client.readText()
                }
                let start = #"{"name":"z","request":"request-number-one"}"#
                let first = try ask("Start", start)
                #expect(first.contains("\"outcome\":\"started\""), "\(first)")
                #expect(try world.run("stop", "z").outcome == .stopped)
                #expect(try ask("Start", start) == first)
                #expect(try world.status("z").first?.state == .stopped)
                let other = try ask("Start", #"{"name":"y","request":"request-number-one"}"#)
                #expect(other.contains("InvalidParameter"), "\(other)")
                #expect(try world.status("y").first?.state == .stopped)
                for bad in ["short", String(repeating: "x", count: 10_000), "request/number/one", "request number one"]
                {
                    let answer = try ask("Start", "{\"name\":\"y\",\"request\":\"\(bad)\"}")
                    #expect(answer.contains("InvalidParameter"), "\(answer.prefix(200))")
                }
                #expect(try world.status("y").first?.state == .stopped)
            }
        }
    }
}
