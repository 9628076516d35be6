import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// `holdfastctl daemon-reexec`: the supervisor's program is replaced without effect on services and clients (I7).
    @Suite struct Reexec {
        private func pids(_ world: World) -> [Int] { world.processes().map(\.pid).sorted() }

        private func reexec(_ world: World) throws {
            let program = try world.control("daemon-reexec")
            #expect(try program.end() == 0, "\(program.errorText)")
            try world.awaitReady()
        }

        @Test("Re-exec under full load: no request lost, every process and socket stays, and swaps go on")
        func underFullLoad() throws {
            try withWorld {
                try $0.site()
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                let before = pids(world)
                let sockets = try world.sockets()
                try underLoad(world, until: "v2") { loads in
                    for load in loads { try load.waitForAnswer("v1") }
                    for _ in 1...5 {
                        try reexec(world)
                        for load in loads {
                            load.forgetAnswers()
                            try load.waitForAnswer("v1")
                        }
                    }
                    #expect(pids(world) == before)
                    #expect(try world.sockets() == sockets)
                    #expect(try world.run("swap", "site@v2").outcome == .completed)
                }
                #expect(try world.history().map(\.outcome) == [.completed, .started])
            }
        }

        @Test("50 re-execs in a row leave no descriptor, process or file more, and the same services")
        func fifty() throws {
            try withWorld {
                try $0.site()
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                try reexec(world)
                let before = (descriptors(world), world.filesBelow(world.path + "/run").sorted(), pids(world))
                for _ in 1...50 { try reexec(world) }
                // A client's connection may have been counted.
                try eventually("no descriptor more") {
                    descriptors(world).allSatisfy { kind, count in count <= before.0[kind, default: 0] }
                }
                #expect(world.filesBelow(world.path + "/run").sorted() == before.1)
                #expect(pids(world) == before.2)
                #expect(try world.run("swap", "site@v2").outcome == .completed)
            }
        }

        /// Number of descriptors of each kind.
        private func descriptors(_ world: World) -> [String: Int] {
            let all = ProcessEntry(world.daemon.pid)?.descriptors.values.map { $0.filter { !$0.isNumber } } ?? []
            return Dictionary(all.map { ($0, 1) }, uniquingKeysWith: +)
        }

        @Test(
            "Re-exec in any phase of a swap: it ends as it would have, and its client hears of it",
            arguments: SwapMoment.allCases)
        func inPhase(_ moment: SwapMoment) throws {
            try withWorld {
                try moment.layOut($0)
            } then: { world in
                try moment.disturb(world) {
                    try reexec(world)
                    if moment == .drain || moment == .stopOld { try reexec(world) }
                }
            }
        }

        @Test(
            "A program that cannot read the state, or is not there, leaves the old one running, and the operator hears why"
        )
        func badProgram() throws {
            try withWorld(privateProgram: true) {
                try $0.plain()
            } then: { world in
                #expect(try world.run("start", "app").outcome == .started)
                let before = pids(world)
                let program = world.path + "/bin/holdfastd"
                try FileManager.default.moveItem(atPath: program, toPath: program + ".good")
                let missing = try world.control("daemon-reexec")
                #expect(try missing.end() != 0)
                #expect(missing.errorText.contains("No such file or directory"), "\(missing.errorText)")
                try world.layout().write(
                    "bin/holdfastd", "#!/bin/sh\necho 'Error: the state is from the future' >&2\nexit 1\n", mode: 0o755)
                let bad = try world.control("daemon-reexec")
                #expect(try bad.end() != 0)
                #expect(bad.errorText.contains("keeps running"), "\(bad.errorText)")
                #expect(bad.errorText.contains("the state is from the future"), "\(bad.errorText)")
                #expect(pids(world) == before)
                try world.layout().body("v2")
                #expect(try world.run("swap", "app").outcome == .completed)
                // The good program again: the failed attempt has left nothing behind.
                try FileManager.default.removeItem(atPath: program)
                try FileManager.default.moveItem(atPath: program + ".good", toPath: program)
                try reexec(world)
                #expect(try world.status("app").first?.state == .running)
            }
        }

        @Test("What dies around a re-exec is noticed, and restarted as Restart= says; what is printed is in the log")
        func deathsAndWords() throws {
            try withWorld { layout in
                try layout.unit(
                    "talk.service",
                    """
                    [Unit]
                    StartLimitIntervalSec=0
                    [Service]
                    ExecStart=/bin/sh -c 'i=0; while sleep 0.01; do i=$$((i+1)); echo line $$i of $$$$; done'
                    Restart=always
                    RestartSec=0
                    """)
            } then: { world in
                #expect(try world.run("start", "talk").outcome == .started)
                for round in 1...5 {
                    let old = try Watched(world.mainPid("talk.service"))
                    let program = try Program(
                        "\(World.binaries)/holdfastctl", ["daemon-reexec"], environment: world.environment)
                    old.kill()
                    #expect(try program.end() == 0, "\(program.errorText)")
                    try world.awaitReady()
                    try eventually("the successor") {
                        try world.status("talk").first?.generations.first?.services.first?.restarts == round
                    }
                }
                #expect(try world.run("stop", "talk").outcome == .stopped)
                var expected: [Substring: Int] = [:]
                for line in (world.contents("log/talk.service.log") ?? "").split(separator: "\n") {
                    let words = line.split(separator: " ")
                    guard words.count >= 4, let pid = words.last, let number = Int(words[words.count - 3]) else {
                        continue
                    }
                    expected[pid, default: 0] += 1
                    #expect(number == expected[pid], "\(line)")
                }
                #expect(expected.count == 6)
            }
        }
    }
}
