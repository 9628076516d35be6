import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Arguments that supervisorctl's users know: patterns, several names, reread and update.
    @Suite struct Names {
        private func layOut(_ layout: World.Layout) throws {
            for name in ["one", "two", "three"] {
                try layout.unit("job-\(name).service", "[Service]\nExecStart=/bin/sleep 1000\nEnvironment=V=1\n")
            }
            try layout.unit("jobs.target", "[Unit]\nWants=job-one.service job-two.service\n")
        }

        @Test("Patterns, targets and all mean several units, in every command that takes several")
        func patterns() throws {
            try withWorld(layOut) { world in
                let start = try world.control("start", "job-t*")
                #expect(try start.end() == 0, "\(start.errorText)")
                #expect(start.outputLines.count == 2, "\(start.outputText)")
                let pids = try world.control("pid", "job-*")
                #expect(try pids.end() == 3, "one does not run")
                #expect(pids.outputLines.count { $0 == "0" } == 1)
                #expect(try world.status("jobs:*").map(\.unit) == ["job-one.service", "job-two.service"])
                #expect(try world.status("jobs:job-two").map(\.unit) == ["job-two.service"])
                #expect(try world.control("start", "jobs:*").end() == 0)
                #expect(try world.status("all").count { $0.state == .running } == 3)
                #expect(try world.control("signal", "USR1", "nothing*").end() == 1)
                let stop = try world.control("stop", "all")
                #expect(try stop.end() == 0)
                #expect(stop.outputLines.count == 3)
                #expect(try world.control("stop", "all").outputText == "Nothing to stop\n")
                #expect(try world.control("status", "job-nine").end() == 4)
                #expect(try world.control("status").end() == 0)
                #expect(try world.control("status", "--strict").end() == 3)
            }
        }

        @Test(
            "reread tells and changes nothing; update restarts what changed, stops what has gone, and leaves the rest")
        func update() throws {
            try withWorld(layOut) { world in
                #expect(try world.control("start", "all").end() == 0)
                #expect(try world.control("reread").outputText == "No changes\n")
                let before = try ["one", "two", "three"].map { try world.mainPid("job-\($0).service") }
                let changed = "[Service]\nExecStart=/bin/sleep 1000\nEnvironment=V=2\n"
                try world.layout().unit("job-two.service", changed)
                try world.layout().unit("job-four.service", changed)
                try FileManager.default.removeItem(atPath: "\(world.units)/job-three.service")
                let reread = try world.control("reread")
                #expect(
                    reread.outputText
                        == "job-four.service: available\njob-two.service: changed\njob-three.service: disappeared\n")
                #expect(try world.status("job-two").first?.outdated == true)
                #expect(try ["one", "two", "three"].map { try world.mainPid("job-\($0).service") } == before)
                #expect(try world.control("reread").outputText == "job-two.service: runs an older definition\n")
                // The file has changed again since the reread: its present contents count.
                let update = try world.control("update")
                #expect(try update.end() == 0, "\(update.errorText)")
                #expect(try world.mainPid("job-one.service") == before[0])
                #expect(try world.mainPid("job-two.service") != before[1])
                #expect(try world.status("job-two").first?.outdated == nil)
            }
        }

        @Test("remove forgets a failure and refuses what runs; why tells a failure with its evidence")
        func forget() throws {
            try withWorld { layout in
                try layOut(layout)
                try layout.unit("bad.service", "[Service]\nExecStart=/bin/sh -c 'echo no database >&2; exit 3'\n")
            } then: { world in
                #expect(try world.control("start", "job-one").end() == 0)
                let start = try world.control("start", "bad")
                // A simple service counts as started once it is executed; it fails a moment later.
                _ = try start.end()
                try eventually("the failure") { try world.status("bad").first?.state == .failed }
                let why = try world.control("why", "bad")
                #expect(try why.end() == 3)
                for word in ["status 3", "no database", "holdfastctl logs bad.service"] {
                    #expect(why.outputText.contains(word), "\(word): \(why.outputText)")
                }
                #expect(try world.control("status", "bad").end() == 3)
                #expect(try world.control("remove", "bad").outputText == "bad.service: removed\n")
                #expect(try world.control("status", "bad").end() == 0)
                let refused = try world.control("remove", "job-one")
                #expect(try refused.end() == 1)
                #expect(refused.errorText.contains("it runs"), "\(refused.errorText)")
                #expect(try world.control("why", "job-one").end() == 0)
                let show = try world.control("show", "-p", "MainPID,ExecStart", "--value", "job-one")
                #expect(try show.outputText == "\(world.mainPid("job-one.service"))\n/bin/sleep 1000\n")
            }
        }

        @Test(
            "A name with any character that unit names may have is that unit, in every command",
            arguments: [
                "web@127.0.0.1:8000", "tcp@3-10.0.0.1:80-10.0.0.2:4711", #"data-my\x2dapp"#, "Up_L.w@i:.2-3@",
                "dot@.x.y",
                "jobs:job-one",
            ])
        func everyCharacter(_ name: String) throws {
            let template = name.contains("@") ? String(name.prefix { $0 != "@" }) + "@" : name
            try withWorld { layout in
                try layOut(layout)
                try layout.unit(
                    "\(template).service",
                    "[Service]\nType=exec\nExecStart=/bin/sh -c 'echo here; exec sleep 1000'\nTimeoutStopSec=1s\n"
                        + "[Install]\nWantedBy=multi-user.target\n")
                try layout.unit("all-of-it.target", "[Unit]\nWants=\(name).service\n")
            } then: { world in
                func ok(_ arguments: String..., says text: String? = nil, status: Int32 = 0) throws {
                    let program = try Program(
                        "\(World.binaries)/holdfastctl", arguments, environment: world.environment)
                    #expect(try program.end() == status, "\(arguments): \(program.errorText)")
                    if let text { #expect(program.outputText.contains(text), "\(arguments): \(program.outputText)") }
                }
                let unit = "\(name).service"
                try ok("start", unit, says: "started")
                try ok("start", name, says: "already running")
                try ok("status", name, says: unit)
                try ok("wait", name, "--for", "ready")
                try ok("pid", name, says: "\(try world.mainPid(unit))")
                try ok("why", name, says: "running")
                try ok("show", "-p", "Id", name, says: unit)
                try ok("cat", name, says: "ExecStart")
                try ok("list-dependencies", name)
                try ok("generations", name, says: unit)
                try ok("history", name, says: unit)
                try eventually("its output") { world.contents("log/\(unit).log")?.contains("here") == true }
                for form in [name, unit] { try ok("logs", form, says: "here") }
                try ok("tail", name, says: "here")
                try ok("fg", name)
                try ok("signal", "CONT", name, says: "signalled")
                try ok("restart", name)
                try ok("reload-or-restart", name)
                try ok("enable", name)
                try ok("is-enabled", name, says: "enabled")
                try ok("disable", name)
                try ok("reset-failed", name)
                try ok("clear", name)
                try ok("stop", name, says: "stopped")
                try ok("stop", unit, says: "not running")
                try ok("remove", name)
                if name.contains("@") {
                    try ok("mask", unit)
                    try ok("start", name, status: 1)
                    try ok("unmask", unit)
                }
                // A unit that another unit has started under such a name is found by it as well.
                try ok("start", "all-of-it.target")
                try ok("status", name, says: unit)
                try ok("stop", "all-of-it:*", says: "stopped")
            }
        }

        @Test("events tells what happens, wait comes back when it does")
        func events() throws {
            try withWorld(layOut) { world in
                let events = try Program(
                    "\(World.binaries)/holdfastctl", ["events", "job-one", "--json"], environment: world.environment)
                _ = try events.waitFor("begin") { output, _ in
                    String(decoding: output, as: UTF8.self).contains("\"begin\"") ? true : nil
                }
                let wait = try Program(
                    "\(World.binaries)/holdfastctl", ["wait", "job-one", "--for", "ready"],
                    environment: world.environment)
                #expect(try world.control("start", "job-one", "job-two").end() == 0)
                #expect(try wait.end() == 0, "\(wait.errorText)")
                #expect(try world.control("stop", "job-one").end() == 0)
                #expect(try world.control("wait", "job-one", "--for", "stopped").end() == 0)
                #expect(try world.control("wait", "job-one", "--timeout", "0.1").end() == 1)
                _ = try events.waitFor("stopped") { output, _ in
                    String(decoding: output, as: UTF8.self).contains("\"state\":\"stopped\"") ? true : nil
                }
                events.send(SIGINT)
                #expect(try events.end() == 0)
                #expect(events.outputLines.allSatisfy { !$0.contains("job-two") })
                let kinds = try events.outputLines.map {
                    try JSONDecoder().decode(EventsReply.self, from: Data($0.utf8)).event.kind
                }
                #expect(Set(kinds).isSuperset(of: [.begin, .unit, .service, .finished]))
            }
        }
    }
}
