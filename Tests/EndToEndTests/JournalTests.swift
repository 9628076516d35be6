import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Failures of the supervisor's journal, which a crash of the supervisor needs.
    @Suite struct JournalTrouble {
        private func rest(_ layout: World.Layout, _ name: String) throws {
            try layout.unit("\(name).service", "[Service]\nType=exec\nExecStart=/bin/sleep infinity\n")
        }

        private static let cannotWrite = "the journal cannot be written, so a crash now could not be survived"
        private static let writtenAgain = "the journal is written again"

        /// Makes a world whose runtime directory is a small file system of its own.
        private func withSmallRuntime(
            full: Bool, _ layOut: (World.Layout) throws -> Void, then body: (World, () throws -> Void) throws -> Void
        ) throws {
            var path = ""
            var directory: String { path + "/run/holdfast" }
            func fill() throws {
                let fill = try Program.run("dd", ["if=/dev/zero", "of=\(directory)/filler", "bs=4k"])
                #expect(try fill.end() == 1, "it is full")
            }
            defer {
                _ = try? Program.run("umount", ["--lazy", directory])
                try? FileManager.default.removeItem(atPath: path)
            }
            try withWorld { layout in
                path = layout.path
                try layout.makeDirectory("run/holdfast")
                #expect(try Program.run("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", directory]).end() == 0)
                try layOut(layout)
                if full { try fill() }
            } then: { world in
                try body(world, fill)
            }
        }

        @Test(
            "A runtime directory that becomes full: there is room for the journal, kept beforehand, and a crash is survived",
            .enabled(if: supervisorIsRoot))
        func full() throws {
            try withSmallRuntime(full: false) { layout in
                for name in ["rest", "late"] { try rest(layout, name) }
                try layout.flapping()
            } then: { world, fill in
                #expect(try world.run("start", "rest").outcome == .started)
                let resting = try world.mainPid("rest.service")
                try fill()
                _ = try world.begin("start", "flap").end()
                let before = try #require(ProcessEntry(world.daemon.pid)?.anonymousMemory)
                try eventually("a thousand restarts") {
                    try world.status("flap").first?.generations.first?.services.first?.restarts ?? 0 > 1000
                }
                let after = try #require(ProcessEntry(world.daemon.pid)?.anonymousMemory)
                #expect(after - before < 1024, "kilobytes")
                #expect(try world.run("start", "late").outcome == .started)
                let late = try world.mainPid("late.service")
                #expect(try world.control("daemon-reexec").end() == 0)
                try world.awaitReady()
                for _ in 1...2 {
                    try world.crash()
                    try world.startAgain()
                    #expect(try world.mainPid("rest.service") == resting)
                    #expect(try world.mainPid("late.service") == late)
                    #expect(!world.daemon.errorText.contains(Self.cannotWrite))
                }
                #expect(try world.run("stop", "flap").outcome == .stopped)
                try world.layout().remove("run/holdfast/filler")
            }
        }

        @Test(
            "On a full disk an operation is begun only if it can be written down, or it is refused with the reason; what was begun outlives a crash",
            .enabled(if: supervisorIsRoot))
        func refusedWithoutRoom() throws {
            try withSmallRuntime(full: false) { layout in
                try layout.unit("many@.service", "[Service]\nType=exec\nExecStart=/bin/sleep infinity\n")
            } then: { world, fill in
                try fill()
                var pids: [String: Int] = [:]
                var refusal: String?
                for number in 1...200 where refusal == nil {
                    let start = try world.control("start", "many@\(number)")
                    if try start.end() == 0 {
                        pids["many@\(number).service"] = try world.mainPid("many@\(number).service")
                    } else {
                        refusal = start.errorText
                    }
                }
                #expect(pids.count > 10, "there is room for some")
                #expect(
                    refusal?.contains("nothing was begun: there is no room for the journal") == true, "\(refusal ?? "")"
                )
                #expect(refusal?.contains("No space left on device") == true)
                let status = try world.control("status").outputText
                #expect(status.contains("note: there is no room for the journal"))
                #expect(try world.control("why", "many@1").outputText.contains("there is no room for the journal"))
                #expect(world.processes().count == pids.count)
                try world.crash()
                try world.startAgain()
                for (unit, pid) in pids { #expect(try world.mainPid(unit) == pid) }
                #expect(world.processes().count == pids.count)
                // Requests that end something are never refused.
                #expect(try world.run("stop", "many@1").outcome == .stopped)
                try world.layout().remove("run/holdfast/filler")
                try eventually("room") { try world.run("start", "many@1").outcome == .started }
                #expect(try !world.control("status").outputText.contains("note:"))
            }
        }

        @Test(
            "Without any room from the beginning on nothing is started; status and why say so as long as that lasts",
            .enabled(if: supervisorIsRoot))
        func fullFromTheBeginning() throws {
            try withSmallRuntime(full: true) { layout in
                try rest(layout, "rest")
            } then: { world, _ in
                try world.awaitLog(Self.cannotWrite)
                let start = try world.control("start", "rest")
                #expect(try start.end() == 1)
                #expect(start.errorText.contains("nothing was begun: the journal cannot be written"))
                #expect(try world.control("status").outputText.contains("note: the journal cannot be written"))
                #expect(try world.control("why", "rest").outputText.contains("the journal cannot be written"))
                try world.layout().remove("run/holdfast/filler")
                try world.awaitLog(Self.writtenAgain)
                #expect(try world.run("start", "rest").outcome == .started)
                let pid = try world.mainPid("rest.service")
                try world.crash()
                try world.startAgain()
                #expect(try world.mainPid("rest.service") == pid)
            }
        }

        @Test("A service whose unit text cannot be read any more is watched on, can be stopped, and keeps its text")
        func unreadableUnit() throws {
            try withWorld {
                for name in ["one", "two"] { try rest($0, name) }
            } then: { world in
                for name in ["one", "two"] { #expect(try world.run("start", name).outcome == .started) }
                let (one, two) = try (Watched(world.mainPid("one.service")), Watched(world.mainPid("two.service")))
                let journal = JournalFile(path: world.runtime + "/journal")
                try world.crash()
                try journal.replace("ExecStart=", by: "XxecStart=")
                try world.startAgain()
                try world.awaitLog("one.service cannot be read again")
                for name in ["one", "two"] { #expect(try world.status(name).first?.state == .running) }
                #expect(!one.hasEnded && !two.hasEnded)
                #expect(try world.run("stop", "one").outcome == .stopped)
                #expect(one.hasEnded)
                // A version that can parse the unit finds it in the journal.
                try world.crash()
                try journal.replace("XxecStart=", by: "ExecStart=")
                try world.startAgain()
                #expect(!world.daemon.errorText.contains("cannot be read again"))
                #expect(try world.mainPid("two.service") == Int(two.pid))
                #expect(try world.run("stop", "two").outcome == .stopped)
                #expect(two.hasEnded)
            }
        }

        @Test("A journal that makes no sense is kept aside and told of; the supervisor starts without it")
        func garbage() throws {
            try withWorld {
                try rest($0, "rest")
            } then: { world in
                #expect(try world.run("start", "rest").outcome == .started)
                #expect(try world.run("stop", "rest").outcome == .stopped)
                try world.crash()
                let garbage = String(repeating: "this is no journal ", count: 500)
                try world.layout().write("run/holdfast/journal", garbage)
                try world.startAgain()
                try world.awaitLog(
                    "cannot adopt the state of the earlier supervisor: it cannot be read: it has no beginning")
                try world.awaitLog("The journal is kept as \(world.runtime)/journal.bad")
                #expect(world.contents("run/holdfast/journal.bad") == garbage)
                #expect(try world.run("start", "rest").outcome == .started)
                // Later crashes are survived as usual.
                let pid = try world.mainPid("rest.service")
                try world.crash()
                try world.startAgain()
                #expect(try world.mainPid("rest.service") == pid)
                try world.layout().remove("run/holdfast/journal.bad")
            }
        }

        @Test(
            "Without a journal services of before go on unwatched, and what they print is read: none comes to wait for a reader"
        )
        func unwatchedOutput() throws {
            try withWorld { layout in
                try layout.unit(
                    "talk.service",
                    """
                    [Service]
                    Type=exec
                    ExecStart=/bin/sh -c 'i=0; while :; do i=$$((i+1)); echo line $$i; sleep 0.001; done'
                    """)
            } then: { world in
                #expect(try world.run("start", "talk").outcome == .started)
                let talk = try Watched(world.mainPid("talk.service"))
                func lines() -> [Int] {
                    (world.contents("log/talk.service.log") ?? "").split(separator: "\n").compactMap {
                        $0.split(separator: " ").last.flatMap { Int($0) }
                    }
                }
                for _ in 1...2 {
                    try world.crash()
                    try world.layout().write("run/holdfast/journal", String(repeating: "garbage", count: 100))
                    try world.startAgain()
                    try world.awaitLog("cannot adopt the state of the earlier supervisor: it cannot be read")
                    let before = lines().last ?? 0
                    try eventually("more of its output") { lines().last ?? 0 > before + 200 }
                }
                // The next program of the supervisor continues to read the output.
                #expect(try world.control("daemon-reexec").end() == 0)
                try world.awaitReady()
                let before = lines().last ?? 0
                try eventually("more of its output") { lines().last ?? 0 > before + 200 }
                #expect(!talk.hasEnded)
                talk.kill()
                try eventually("the end of its FIFO") { access(world.runtime + "/output.left", F_OK) != 0 }
                var last = 0
                for number in lines() {
                    #expect(number <= last + 1)
                    last = max(last, number)
                }
                try world.layout().remove("run/holdfast/journal.bad")
                for process in world.processes() { kill(pid_t(process.pid), SIGKILL) }
                world.removeLeftControlGroups()
            }
        }
    }
}
