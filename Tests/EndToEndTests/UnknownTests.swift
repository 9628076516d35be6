import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Running processes that the journal does not account for: kept, shown, and left to an operator.
    @Suite(.enabled(if: supervisorIsRoot)) struct Unknown {
        private static let lost = [Loss.removed, .garbage, .cutShort]

        /// Damage to the journal between two supervisors.
        enum Loss: Sendable { case removed, garbage, cutShort }

        private func crash(_ world: World, _ loss: Loss) throws {
            try world.crash()
            let path = world.runtime + "/journal"
            switch loss {
            case .removed: try FileManager.default.removeItem(atPath: path)
            case .garbage: try world.layout().write("run/holdfast/journal", String(repeating: "garbage", count: 100))
            case .cutShort: #expect(truncate(path, 5) == 0)
            }
            try world.startAgain()
        }

        private func end(_ world: World) throws {
            try? world.layout().remove("run/holdfast/journal.bad")
        }

        @Test(
            "Without a journal a site serves on: UNKNOWN, held again, nothing is started beside it; adopted it is swapped without a loss",
            arguments: lost)
        func site(loss: Loss) throws {
            try withWorld {
                try $0.site()
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                let before = world.processes().map(\.pid).sorted()
                try underLoad(world, until: "v2") { loads in
                    for load in loads { try load.waitForAnswer("v1") }
                    try crash(world, loss)
                    #expect(try world.status("site").first?.state == .unknown)
                    #expect(try world.control("status").outputText.contains("UNKNOWN"))
                    let why = try world.control("why", "site").outputText
                    #expect(why.contains("holdfastctl adopt site@.target to take them over"), "\(why)")
                    for pid in before { #expect(why.contains("\(pid) ("), "\(why)") }
                    #expect(try world.sockets().contains { $0.unit == "http.socket" && $0.listening })
                    for command in ["start", "swap"] {
                        let refused = try world.control(command, "site@v2")
                        #expect(try refused.end() != 0)
                        #expect(refused.errorText.contains("holdfastctl adopt site@.target takes them over"))
                    }
                    // Another crash changes nothing.
                    try world.crash()
                    try world.startAgain()
                    #expect(try world.status("site").first?.state == .unknown)
                    #expect(world.processes().map(\.pid).sorted() == before)
                    #expect(try world.control("daemon-reexec").end() == 0)
                    try world.awaitReady()
                    #expect(try world.status("site").first?.state == .unknown)
                    let adopt = try world.control("adopt", "site")
                    #expect(try adopt.end() == 0, "\(adopt.errorText)")
                    let status = try #require(try world.status("site").first)
                    #expect(status.state == .running && status.release == "v1")
                    #expect(
                        status.generations.first?.services.allSatisfy { $0.mainPid.map(before.contains) == true }
                            == true)
                    #expect(world.processes().map(\.pid).sorted() == before)
                    // Adopted processes are in the journal.
                    try world.crash()
                    try world.startAgain()
                    #expect(try world.status("site").first?.state == .running)
                    #expect(world.processes().map(\.pid).sorted() == before)
                    #expect(try world.run("swap", "site@v2").outcome == .completed)
                    for load in loads { try load.waitForAnswer("v2") }
                }
                #expect(Set(world.processes().map(\.pid)).isDisjoint(with: before))
                try end(world)
            }
        }

        @Test(
            "Numbers of unknown processes are not given again: what is started and stopped beside them leaves them alone"
        )
        func numbers() throws {
            try withWorld { layout in
                for name in ["one", "two"] {
                    try layout.unit("\(name).service", "[Service]\nType=exec\nExecStart=/bin/sleep infinity\n")
                }
            } then: { world in
                #expect(try world.run("start", "one").outcome == .started)
                let one = try Watched(world.mainPid("one.service"))
                try crash(world, .removed)
                #expect(try world.run("start", "two").outcome == .started)
                #expect(try world.run("stop", "two").outcome == .stopped)
                #expect(!one.hasEnded)
                // The service of the same name can be started once the process has ended.
                one.kill()
                try one.awaitEnd()
                try eventually("its end to be noticed") { try world.status("one").first?.state == .stopped }
                #expect(try world.run("start", "one").outcome == .started)
                #expect(try world.status("one").first?.servingGeneration == 2)
                #expect(try world.run("stop", "one").outcome == .stopped)
            }
        }

        @Test("stop ends unknown processes: the kill signal, then SIGKILL; also of a unit whose files are gone")
        func stopped() throws {
            try withWorld { layout in
                try layout.unit("meek.service", "[Service]\nType=exec\nExecStart=/bin/sleep infinity\n")
                try layout.unit(
                    "stubborn.service",
                    """
                    [Service]
                    Type=exec
                    TimeoutStopSec=200ms
                    ExecStart=/bin/sh -c 'trap "" TERM; echo > \(layout.path)/out/ready; while :; do sleep 0.1; done'
                    """)
            } then: { world in
                for name in ["meek", "stubborn"] { #expect(try world.run("start", name).outcome == .started) }
                try eventually("the trap") { world.contents("out/ready") != nil }
                let all = try ["meek", "stubborn"].map { try Watched(world.mainPid("\($0).service")) }
                try crash(world, .garbage)
                try world.layout().remove("units/meek.service")
                #expect(try world.control("reread").end() == 0)
                for name in ["meek", "stubborn"] {
                    #expect(try world.status(name).first?.state == .unknown)
                    #expect(try world.run("stop", name).outcome == .stopped)
                }
                for process in all { #expect(process.hasEnded) }
                #expect(try world.status("stubborn").first?.state == .stopped)
                #expect(try world.run("start", "stubborn").outcome == .started)
                try end(world)
            }
        }

        @Test("A shutdown leaves unknown processes alone, and says so")
        func shutdown() throws {
            try withWorld {
                try $0.unit("app.service", "[Service]\nExecStart=/bin/sleep 1000")
                try $0.unit("other.service", "[Service]\nExecStart=/bin/sleep 1000")
            } then: { world in
                #expect(try world.run("start", "app").outcome == .started)
                let before = world.processes().map(\.pid)
                try crash(world, .removed)
                #expect(try world.run("start", "other").outcome == .started)
                let shutdown = try world.control("shutdown")
                #expect(try shutdown.end() == 0)
                let lines = shutdown.outputText.split(separator: "\n")
                #expect(lines.contains("app.service: UNKNOWN, its processes keep running"), "\(lines)")
                #expect(lines.contains("other.service: stopped") && !lines.contains("app.service: stopped"), "\(lines)")
                #expect(try world.daemon.end() == 0)
                #expect(world.processes().map(\.pid) == before)
                try world.startAgain()
                #expect(try world.status("app").first?.state == .unknown)
                #expect(try world.run("stop", "app").outcome == .stopped)
                try end(world)
            }
        }

        @Test("From a journal that is older than what runs nothing is concluded: no older release is started beside it")
        func olderJournal() throws {
            try withWorld { layout in
                try layout.plain(service: "Restart=always\nRestartSec=0")
            } then: { world in
                #expect(try world.run("start", "app").outcome == .started)
                let journal = world.runtime + "/journal"
                let older = try Data(contentsOf: URL(fileURLWithPath: journal))
                try world.layout().body("v2")
                #expect(try world.run("swap", "app").outcome == .completed)
                let before = world.processes().map(\.pid).sorted()
                try world.crash()
                try older.write(to: URL(fileURLWithPath: journal))
                try world.startAgain()
                #expect(try world.status("app").first?.state == .unknown)
                #expect(world.processes().map(\.pid).sorted() == before)
                #expect(try world.control("adopt", "app").end() == 0)
                #expect(try world.status("app").first?.state == .running)
                #expect(world.processes().map(\.pid).sorted() == before)
                #expect(try world.run("swap", "app").outcome == .completed)
            }
        }

        @Test("What cannot be decided is not: the reason is told, nothing is changed, stop still ends it")
        func undecidable() throws {
            try withWorld { layout in
                try layout.plain()
            } then: { world in
                #expect(try world.run("start", "app").outcome == .started)
                let old = try Watched(world.mainPid("app.service"))
                _ = try world.begin("swap", "--hold", "app")
                try eventually("two generations") { try world.generations("app").count == 2 }
                try eventually("the hold") { try world.generations("app").first?.role == .held }
                try crash(world, .removed)
                let adopt = try world.control("adopt", "app")
                #expect(try adopt.end() == 1)
                #expect(
                    adopt.errorText.contains("app.service runs more than once, as generation 1"), "\(adopt.errorText)")
                #expect(!old.hasEnded)
                #expect(try world.run("stop", "app").outcome == .stopped)
                #expect(old.hasEnded)
                #expect(world.processes().isEmpty)
            }
        }
    }
}
