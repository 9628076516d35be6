import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Conclusions that a new supervisor may draw from a killed one's journal, and those that it may not.
    @Suite struct Adoption {
        private func journal(_ world: World) -> JournalFile { JournalFile(path: world.runtime + "/journal") }

        /// Starts and kills supervisors after each delay, and then one that stays; its log shows the adoption.
        private func startAfterKills(_ world: World, _ delays: [UInt32]) throws {
            for delay in delays {
                try world.beginAgain()
                // No wait for an event: the kills must hit all moments of the adoption, the early ones too.
                usleep(delay * 1000)
                try world.crash()
            }
            world.forgetNotifications()
            try world.startAgain()
        }

        @Test(
            "kill -9 of whoever takes over, at any moment and however often, is no evidence against the journal: nothing is lost"
        )
        func killsDuringAdoption() throws {
            try withWorld {
                try $0.site()
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                let before = world.processes().map(\.pid).sorted()
                let sockets = try world.sockets()
                try underLoad(world, until: "v2") { loads in
                    for load in loads { try load.waitForAnswer("v1") }
                    try world.crash()
                    try startAfterKills(world, (0..<24).map { UInt32(2 + 7 * $0) })
                    for load in loads {
                        load.forgetAnswers()
                        try load.waitForAnswer("v1")
                    }
                    #expect(world.contents("run/holdfast/journal.bad") == nil)
                    #expect(world.processes().map(\.pid).sorted() == before)
                    #expect(try world.sockets().map(\.address) == sockets.map(\.address))
                    #expect(try world.status("site").first?.state == .running)
                    // One more crash, after a complete adoption.
                    try world.crash()
                    try world.startAgain()
                    #expect(world.processes().map(\.pid).sorted() == before)
                    #expect(try world.run("swap", "site@v2").outcome == .completed)
                }
            }
        }

        @Test(
            "A journal that brings down whoever reads it, three times in a row, is put aside; a kill in between does not count, a success ends the count"
        )
        func deadlyJournal() throws {
            try withWorld {
                try $0.unit("rest.service", "[Service]\nType=exec\nExecStart=/bin/sleep infinity\n")
            } then: { world in
                try world.crash()
                let journal = world.runtime + "/journal"
                try FileManager.default.moveItem(atPath: journal, toPath: journal + ".good")
                // More than the memory that a reader of the journal may have.
                func makeDeadly() {
                    #expect(FileManager.default.createFile(atPath: journal, contents: nil))
                    #expect(truncate(journal, 900 << 20) == 0)
                    chmod(journal, 0o666)
                }
                func die(_ faults: Int) throws {
                    try world.beginAgain(under: ["prlimit", "--as=600000000"])
                    #expect(try world.daemon.end() > 128)
                    #expect((1...3).filter { isLink("\(journal).fault-\($0)") }.count == faults)
                }
                makeDeadly()
                try die(1)
                try die(2)
                try world.beginAgain(under: ["prlimit", "--as=600000000"])
                try world.crash()
                try FileManager.default.removeItem(atPath: journal)
                try FileManager.default.moveItem(atPath: journal + ".good", toPath: journal)
                try world.startAgain()
                #expect(try world.run("start", "rest").outcome == .started)
                #expect(try world.run("stop", "rest").outcome == .stopped)
                try eventually("the end of the count") { !isLink(journal + ".fault-1") }
                try world.crash()
                try FileManager.default.removeItem(atPath: journal)
                makeDeadly()
                for faults in 1...3 { try die(faults) }
                try world.startAgain()
                try world.awaitLog("3 supervisor processes in a row died of it")
                #expect(try world.run("start", "rest").outcome == .started)
                try eventually("the end of the count") { !isLink(journal + ".fault-1") }
                try FileManager.default.removeItem(atPath: journal + ".bad")
            }
        }

        private func isLink(_ path: String) -> Bool {
            (try? FileManager.default.destinationOfSymbolicLink(atPath: path)) != nil
        }

        // MARK: - Killed between the decision to start a command and its record

        /// Crashes the supervisor while a command of the unit runs, and truncates the journal before the record of that
        /// command's process.
        private func crashAtStart(_ world: World, of mark: String, runs: Bool) throws -> Watched {
            // The shell creates the file before it writes the line.
            try eventually(mark) { world.contents("out/\(mark)")?.hasSuffix("\n") == true }
            let pid = try #require(world.contents("out/\(mark)").flatMap { Int($0.split(separator: "\n").last ?? "") })
            let process = try Watched(pid)
            // The process is recorded before a later call is answered.
            _ = try world.status()
            try world.crash()
            try journal(world).forgetLastProcess()
            if !runs {
                process.kill()
                try process.awaitEnd()
            }
            return process
        }

        /// A shell command that notes its pid and runs until `out/go` exists.
        private func command(_ layout: World.Layout, _ mark: String) -> String {
            """
            /bin/sh -c 'echo $$$$ >> \(layout.path)/out/\(mark); while [ ! -e \(layout.path)/out/go ]; do sleep 0.05; done'
            """
        }

        private func lines(_ world: World, _ mark: String) -> Int {
            (world.contents("out/\(mark)") ?? "").split(separator: "\n").count
        }

        @Test(
            "A daemon whose main process is not known outlives a crash at the start of its ExecReload=",
            arguments: [true, false])
        func reloadOfUnknownMain(runs: Bool) throws {
            try withWorld { layout in
                try layout.unit(
                    "daemon.service",
                    """
                    [Service]
                    Type=forking
                    GuessMainPID=no
                    ExecStart=/bin/sh -c 'sleep infinity & echo $$! > \(layout.path)/out/pid; exit 0'
                    ExecReload=\(command(layout, "reload"))
                    """)
            } then: { world in
                try checkDaemonStays(world, "daemon", runs) { _ = try world.begin("reload", "daemon") }
            }
        }

        @Test(
            "What a oneshot service leaves behind outlives a crash at the start of its ExecReload=",
            arguments: [true, false])
        func reloadOfOneshot(runs: Bool) throws {
            try withWorld { layout in
                try layout.unit(
                    "daemon.service",
                    """
                    [Service]
                    Type=oneshot
                    RemainAfterExit=yes
                    ExecStart=/bin/sh -c 'sleep infinity & echo $$! > \(layout.path)/out/pid; exit 0'
                    ExecReload=\(command(layout, "reload"))
                    """)
            } then: { world in
                try checkDaemonStays(world, "daemon", runs) { _ = try world.begin("reload", "daemon") }
            }
        }

        private func checkDaemonStays(_ world: World, _ unit: String, _ runs: Bool, _ reload: () throws -> Void) throws
        {
            #expect(try world.run("start", unit).outcome == .started)
            let pid = try #require(world.contents("out/pid").flatMap { Int($0.dropLast()) })
            let daemon = try Watched(pid)
            try reload()
            let first = try crashAtStart(world, of: "reload", runs: runs)
            try world.startAgain()
            if runs {
                #expect(!first.hasEnded)
            } else {
                try eventually("the reload to be run") { lines(world, "reload") == 2 }
            }
            #expect(!daemon.hasEnded)
            #expect(try world.status(unit).first?.state == .running)
            #expect(lines(world, "reload") == (runs ? 1 : 2), "never two at once")
            try world.layout().write("out/go", "")
            try eventually("the end of the reload") {
                try world.status(unit).first?.generations.first?.services.first?.state != .reloading
            }
            #expect(!daemon.hasEnded)
            #expect(try world.run("stop", unit).outcome == .stopped)
            #expect(daemon.hasEnded)
        }

        @Test(
            "A daemon whose main process is not known outlives a crash at the start of its ExecStartPost=",
            arguments: [true, false])
        func startPostOfUnknownMain(runs: Bool) throws {
            try withWorld { layout in
                try layout.unit(
                    "daemon.service",
                    """
                    [Service]
                    Type=forking
                    GuessMainPID=no
                    ExecStart=/bin/sh -c 'sleep infinity & echo $$! > \(layout.path)/out/pid; exit 0'
                    ExecStartPost=\(command(layout, "post"))
                    """)
            } then: { world in
                let start = try world.begin("start", "daemon")
                let first = try crashAtStart(world, of: "post", runs: runs)
                let daemon = try Watched(try #require(world.contents("out/pid").flatMap { Int($0.dropLast()) }))
                try world.startAgain()
                if !runs { try eventually("it to be run") { lines(world, "post") == 2 } }
                #expect(first.hasEnded == !runs)
                #expect(lines(world, "post") == (runs ? 1 : 2), "never two at once")
                try world.layout().write("out/go", "")
                _ = try start.end()
                try eventually("the end of the start") { try world.status("daemon").first?.state == .running }
                #expect(!daemon.hasEnded)
            }
        }

        @Test(
            "A daemon that was forked while nobody looked is up: how the launcher ended is not known, and nothing is killed"
        )
        func forkedUnseen() throws {
            try withWorld { layout in
                try layout.unit(
                    "daemon.service",
                    """
                    [Service]
                    Type=forking
                    ExecStart=/bin/sh -c 'sleep infinity & echo $$! > \(layout.path)/out/pid; \
                    while [ ! -e \(layout.path)/out/go ]; do sleep 0.05; done'
                    """)
            } then: { world in
                for cut in [false, true] {
                    let start = try world.begin("start", "daemon")
                    try eventually("its daemon") { world.contents("out/pid")?.hasSuffix("\n") ?? false }
                    let daemon = try Watched(try #require(world.contents("out/pid").flatMap { Int($0.dropLast()) }))
                    let launcher = try Watched(try #require(ProcessEntry(Int(daemon.pid))?.parent))
                    _ = try world.status()
                    try world.crash()
                    if cut { try journal(world).forgetLastProcess() }
                    try world.layout().write("out/go", "")
                    try launcher.awaitEnd()
                    try world.startAgain()
                    _ = try start.end()
                    try eventually("the end of the start") { try world.status("daemon").first?.state == .running }
                    #expect(!daemon.hasEnded)
                    #expect(try world.mainPid("daemon.service") == Int(daemon.pid))
                    #expect(try world.run("stop", "daemon").outcome == .stopped)
                    for name in ["go", "pid"] { try world.layout().remove("out/\(name)") }
                }
            }
        }

        @Test("A main process that was started in the supervisor's last moment is taken over, and runs once")
        func mainInLastMoment() throws {
            try withWorld { layout in
                try layout.unit("once.service", "[Service]\nType=exec\nExecStart=\(command(layout, "run"))\n")
            } then: { world in
                _ = try world.begin("start", "once")
                let main = try crashAtStart(world, of: "run", runs: true)
                try world.startAgain()
                try eventually("the end of the start") { try world.status("once").first?.state == .running }
                #expect(try world.mainPid("once.service") == Int(main.pid))
                #expect(lines(world, "run") == 1)
                #expect(try world.run("stop", "once").outcome == .stopped)
                #expect(main.hasEnded)
            }
        }

        @Test("A command of a socket unit that was running is waited for: never two at once")
        func socketCommand() throws {
            try withWorld { layout in
                try layout.unit(
                    "http.socket",
                    "[Socket]\nListenStream=127.0.0.1:\(layout.port)\nExecStartPre=\(command(layout, "pre"))\n")
            } then: { world in
                let start = try world.begin("start", "http.socket")
                try eventually("the command") { world.contents("out/pre")?.hasSuffix("\n") == true }
                let pid = try #require(world.contents("out/pre").flatMap { Int($0.dropLast()) })
                let process = try Watched(pid)
                // Sockets are recorded in the next round of the loop: the answer is later than that.
                _ = try world.status()
                try world.crash()
                try world.startAgain()
                #expect(!process.hasEnded)
                #expect(lines(world, "pre") == 1)
                try world.layout().write("out/go", "")
                _ = try start.end()
                try eventually("the socket to be open") { try world.sockets().first?.listening == true }
                // The command may run once more, because its exit status is unknown.
                #expect(lines(world, "pre") <= 2)
                #expect(try world.run("stop", "http.socket").outcome == .stopped)
            }
        }

        // MARK: - A pause between two supervisors

        @Test("A pause longer than WatchdogSec= and other limits ends no healthy service; afterwards they count again")
        func longPause() throws {
            try withWorld { layout in
                try layout.unit(
                    "fed.service",
                    """
                    [Service]
                    Type=notify
                    NotifyAccess=all
                    WatchdogSec=1s
                    ExecStart=/bin/sh -c 'systemd-notify --ready; \
                    while :; do [ -e \(layout.path)/out/starve ] || systemd-notify WATCHDOG=1; sleep 0.1; done'
                    """)
            } then: { world in
                #expect(try world.run("start", "fed").outcome == .started)
                let fed = try Watched(try world.mainPid("fed.service"))
                try world.crash()
                // The pause itself is under test: longer than WatchdogSec=, without a receiver of WATCHDOG=1.
                usleep(1_500_000)
                try world.startAgain()
                #expect(!fed.hasEnded)
                #expect(try world.mainPid("fed.service") == Int(fed.pid))
                try world.layout().write("out/starve", "")
                try fed.awaitEnd()
                try eventually("the end of the watchdog's patience") { try world.status("fed").first?.state == .failed }
                #expect(try world.status("fed").first?.reason?.contains("WATCHDOG=1") ?? false)
            }
        }
    }
}
