import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Operators' commands during a swap, and after it.
    @Suite struct Operators {
        @Test("A swap during a swap is refused: it says what is under way, and nothing is disturbed")
        func busy() throws {
            try withWorld {
                try $0.web(swap: "SoakSec=1s")
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                try underLoad(world, until: "v2") { loads in
                    let swap = try world.begin("swap", "web@v2")
                    try swap.waitFor(.soak)
                    let second = try world.run("swap", "web@v3")
                    #expect(second.status == 1)
                    #expect(second.output.contains("Busy"), "\(second.output)")
                    for word in ["web@", "swap", "soak"] {
                        #expect(second.errors.contains(word), "\(word) is missing: \(second.errors)")
                    }
                    #expect(try world.run("restart", "web").output.contains("Busy"))
                    #expect(try swap.end().outcome == .completed)
                    for load in loads { load.forgetAnswers() }
                }
                #expect(try world.history().count == 2)
            }
        }

        @Test("--hold keeps both generations until promote: both answer, then only the new one")
        func holdAndPromote() throws {
            try withWorld {
                try $0.site()
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                try underLoad(world, until: "v2") { loads in
                    #expect(try world.run("swap", "--hold", "site@v2").status == 0)
                    #expect(try world.generations("site").map(\.role) == [.held, .serving])
                    loads[0].forgetAnswers()
                    try loads[0].waitForAnswer("v1")
                    try loads[0].waitForAnswer("v2")
                    let promote = try world.run("promote", "site")
                    #expect(promote.outcome == .completed)
                    #expect(promote.status == 0)
                    #expect(try world.generations("site").map(\.release) == ["v2"])
                    for load in loads { load.forgetAnswers() }
                }
                #expect(try world.run("promote", "site").output.contains("NothingToPromote"))
            }
        }

        @Test("abort ends a held swap and one that still starts; the old generation goes on")
        func abort() throws {
            try withWorld { layout in
                try layout.site()
                try layout.release("v3", "--ready-delay 4")
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                try underLoad(world, until: "v1") { loads in
                    #expect(try world.run("swap", "--hold", "site@v2").status == 0)
                    let abort = try world.run("abort", "site")
                    #expect(abort.outcome == .aborted, "\(abort.output)")
                    #expect(world.processes(generation: 2).map(\.description) == [])
                    let swap = try world.begin("swap", "site@v3")
                    try swap.waitFor(.start)
                    #expect(try world.run("abort", "site").outcome == .aborted)
                    let end = try swap.end()
                    #expect(end.outcome == .aborted)
                    #expect(end.status == 7)
                    #expect(world.processes(generation: 3).map(\.description) == [])
                    for load in loads { load.forgetAnswers() }
                }
                #expect(try world.run("abort", "site").output.contains("NothingToAbort"))
                #expect(try world.generations("site").map(\.number) == [1])
            }
        }

        @Test("A start that waits says what for, one that timed out what did not come: of a PID file, and of READY=1")
        func awaited() throws {
            let found = [
                "foreign": "it names 1 (", "garbage": "it holds no number", "missing": "it does not exist",
            ]
            try withWorld { layout in
                for (name, content) in ["foreign": "echo 1", "garbage": "echo hello", "missing": ": >/dev/null; true"] {
                    let file = name == "missing" ? "/dev/null" : "\(layout.path)/\(name).pid"
                    try layout.unit(
                        "\(name).service",
                        """
                        [Service]
                        Type=forking
                        PIDFile=\(layout.path)/\(name).pid
                        TimeoutStartSec=2s
                        ExecStart=/bin/sh -c "\(content) >\(file); sleep 1000 & exit 0"
                        """)
                }
                try layout.unit(
                    "silent.service", "[Service]\nType=notify\nTimeoutStartSec=2s\nExecStart=/bin/sleep 1000\n")
            } then: { world in
                for (name, finding) in found {
                    let start = try world.begin("start", name)
                    let wait = "PIDFile=\(world.path)/\(name).pid: \(finding)"
                    try eventually("status to say it") {
                        let service = try world.status(name).first?.generations.first?.services.first
                        return service?.waitingFor?.hasPrefix(wait) ?? false
                    }
                    #expect(try start.end().errors.contains("timed out after 2 s (TimeoutStartSec=): \(wait)"))
                    #expect(
                        try world.control("why", name).outputText.contains(
                            "timed out after 2 s (TimeoutStartSec=): \(wait)"))
                }
                let start = try world.run("start", "silent")
                #expect(
                    start.errors.contains("timed out after 2 s (TimeoutStartSec=): it has not sent READY=1"),
                    "\(start.errors)")
            }
        }

        @Test("rollback brings the previous release back, and a second one the release after it")
        func rollback() throws {
            try withWorld {
                try $0.site()
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                #expect(try world.run("rollback", "site").output.contains("NothingToRollBack"))
                #expect(try world.run("swap", "site@v2").outcome == .completed)
                try underLoad(world, until: "v2") { loads in
                    #expect(try world.run("rollback", "site").outcome == .completed)
                    #expect(try world.generations("site").map(\.release) == ["v1"])
                    for load in loads {
                        load.forgetAnswers()
                        try load.waitForAnswer("v1")
                    }
                    #expect(try world.run("rollback", "site").outcome == .completed)
                    #expect(try world.generations("site").map(\.release) == ["v2"])
                    for load in loads { load.forgetAnswers() }
                }
                #expect(try world.history().map(\.kind) == [.rollback, .rollback, .swap, .start])
            }
        }

        @Test("rollback uses the unit definitions that the previous generation had, whatever the files say now")
        func rollbackToOldDefinitions() throws {
            try withWorld { layout in
                try layout.plain()
                let text = try String(contentsOfFile: "\(layout.path)/units/app.service", encoding: .utf8)
                try layout.unit("app.service", text.replacingOccurrences(of: "${BODY}", with: "old"))
            } then: { world in
                #expect(try world.run("swap", "app").outcome == .started)
                let file = "\(world.units)/app.service"
                let text = try String(contentsOfFile: file, encoding: .utf8)
                try world.layout().unit("app.service", text.replacingOccurrences(of: "--body old", with: "--body new"))
                #expect(try world.control("reread").end() == 0)
                try underLoad(world, until: "old") { loads in
                    for load in loads { try load.waitForAnswer("old") }
                    #expect(try world.run("swap", "app").outcome == .completed)
                    for load in loads {
                        load.forgetAnswers()
                        try load.waitForAnswer("new")
                    }
                    try world.layout().unit("app.service", "[Service]\nExecStart=this is not even")
                    #expect(try world.run("rollback", "app").outcome == .completed)
                    for load in loads { load.forgetAnswers() }
                }
            }
        }

        @Test("The same release is swapped onto itself: another generation, its own directory and private socket")
        func sameRelease() throws {
            try withWorld {
                try $0.site()
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                try underLoad(world, until: "v1") { loads in
                    #expect(try world.run("swap", "--hold", "site@v1").status == 0)
                    let directories = Set(world.processes().compactMap { $0.environment["GENERATION_DIRECTORY"] })
                    #expect(directories.count == 2)
                    #expect(directories.allSatisfy { FileManager.default.fileExists(atPath: $0) })
                    let own = try world.sockets().filter { $0.unit == "app@v1.socket" }
                    #expect(Set(own.map(\.address)).count == 2, "\(own)")
                    #expect(try world.run("promote", "site").outcome == .completed)
                    #expect(directories.filter { FileManager.default.fileExists(atPath: $0) }.count == 1)
                    for load in loads { load.forgetAnswers() }
                }
                #expect(try world.generations("site").map(\.number) == [2])
            }
        }

        @Test("restart is a swap to the same release, without a loss; restart --hard lets connections wait")
        func restart() throws {
            try withWorld {
                try $0.web()
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                try underLoad(world, until: "v1") { loads in
                    for load in loads { try load.waitForAnswer("v1") }
                    let old = try Watched(world.mainPid("web@v1.service"))
                    #expect(try world.run("restart", "web").outcome == .completed)
                    #expect(old.hasEnded)
                    for load in loads {
                        load.forgetAnswers()
                        try load.waitForAnswer("v1")
                    }
                }
                try underLoad(world, [.newConnections], until: "v1") { loads in
                    try loads[0].waitForAnswer("v1")
                    let hard = try world.begin("restart", "--hard", "web")
                    let second = try hard.end()
                    #expect(second.outcome == .completed)
                    // Never two at once: the new one was executed only after the end of the old one.
                    loads[0].forgetAnswers()
                }
                #expect(try world.generations("web").map(\.number) == [3])
            }
        }

        @Test("A client that hangs up in the middle of a swap does not stop it")
        func clientHangsUp() throws {
            try withWorld {
                try $0.web(swap: "SoakSec=500ms")
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                let swap = try world.begin("swap", "web@v2")
                try swap.waitFor(.soak)
                swap.program.send(SIGKILL)
                #expect(try swap.program.end() == 128 + SIGKILL)
                try eventually("the end of the swap") { try world.history().first?.outcome == .completed }
                #expect(try world.history().first?.kind == .swap)
                #expect(try world.generations("web").map(\.release) == ["v2"])
            }
        }

        @Test("start and swap know the release that served last, also when everything was stopped in between")
        func remembersRelease() throws {
            try withWorld {
                try $0.web()
            } then: { (world) throws in
                #expect(try world.run("start", "web").output.contains("NoRelease"))
                #expect(try world.run("swap", "web@v7").outcome == .started)
                #expect(try world.run("stop", "web").outcome == .stopped)
                #expect(try world.run("start", "web").outcome == .started)
                #expect(try world.generations("web").map(\.release) == ["v7"])
                #expect(try world.run("start", "web").outcome == .unchanged)
                #expect(try world.run("stop", "web").outcome == .stopped)
                #expect(try world.run("stop", "web").outcome == .unchanged)
            }
        }
    }
}
