import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// The supervisor's own journal, by which a crash is survived, in trouble itself.
    @Suite struct JournalTrouble {
        private func rest(_ layout: World.Layout, _ name: String) throws {
            try layout.unit("\(name).service", "[Service]\nType=exec\nExecStart=/bin/sleep infinity\n")
        }

        private func awaitLog(_ world: World, _ text: String) throws {
            _ = try world.daemon.waitFor(text) { _, log in
                String(decoding: log, as: UTF8.self).contains(text) ? true : nil
            }
        }

        private static let cannotWrite = "the journal cannot be written, so a crash now could not be survived: write"
        private static let writtenAgain = "the journal is written again"

        @Test(
            "A full runtime directory: it goes on, says so, keeps nothing in memory for it, and recovers when there is room",
            .enabled(if: supervisorIsRoot))
        func full() throws {
            var path = ""
            var directory: String { path + "/run/holdfast" }
            defer {
                _ = try? Program.run("umount", ["--lazy", directory])
                try? FileManager.default.removeItem(atPath: path)
            }
            try withWorld { layout in
                path = layout.path
                try layout.makeDirectory("run/holdfast")
                #expect(try Program.run("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", directory]).end() == 0)
                for name in ["rest", "late"] { try rest(layout, name) }
                try layout.flapping()
            } then: { world in
                func fill() throws {
                    let fill = try Program.run("dd", ["if=/dev/zero", "of=\(directory)/filler", "bs=4k"])
                    #expect(try fill.end() == 1, "it is full")
                }
                #expect(try world.run("start", "rest").outcome == .started)
                let resting = try world.mainPid("rest.service")
                try fill()
                _ = try world.begin("start", "flap").end()
                try awaitLog(world, Self.cannotWrite)
                let before = try #require(ProcessEntry(world.daemon.pid)?.anonymousMemory)
                try eventually("a thousand restarts") {
                    try world.status("flap").first?.generations.first?.services.first?.restarts ?? 0 > 1000
                }
                let after = try #require(ProcessEntry(world.daemon.pid)?.anonymousMemory)
                #expect(after - before < 1024, "kilobytes")
                #expect(try world.run("start", "late").outcome == .started)
                let late = try world.mainPid("late.service")
                // Another program in the same process knows that it is behind.
                #expect(try world.control("daemon-reexec").end() == 0)
                try world.awaitReady()
                try world.layout().remove("run/holdfast/filler")
                try awaitLog(world, Self.writtenAgain)
                #expect(try world.run("stop", "flap").outcome == .stopped)
                #expect(
                    world.daemon.errorText.components(separatedBy: Self.cannotWrite).count == 3, "once by each program")
                try world.crash()
                try world.startAgain()
                #expect(try world.mainPid("rest.service") == resting)
                #expect(try world.mainPid("late.service") == late)
                // A successor that finds no room takes over all the same.
                try world.crash()
                try fill()
                try world.startAgain()
                #expect(try world.mainPid("rest.service") == resting)
                #expect(world.daemon.errorText.contains(Self.cannotWrite))
                try world.layout().remove("run/holdfast/filler")
                try awaitLog(world, Self.writtenAgain)
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
                #expect(world.daemon.errorText.contains("is not taken over: it cannot be read: it has no beginning"))
                #expect(world.daemon.errorText.contains("It is kept as \(world.runtime)/journal.bad"))
                #expect(world.contents("run/holdfast/journal.bad") == garbage)
                #expect(try world.run("start", "rest").outcome == .started)
                // From now on as ever.
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
                    #expect(world.daemon.errorText.contains("is not taken over: it cannot be read"))
                    let before = lines().last ?? 0
                    try eventually("more of its output") { lines().last ?? 0 > before + 200 }
                }
                // The next program of the supervisor goes on with it.
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
