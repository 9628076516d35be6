import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// SIGKILL of the supervisor, and adoption by another one (I7).
    @Suite struct Crash {
        private func pids(_ world: World) -> [Int] { world.processes().map(\.pid).sorted() }

        /// Number of unread bytes in a FIFO.
        private func bytes(in fifo: String) -> Int {
            let descriptor = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
            defer { close(descriptor) }
            var count: Int32 = 0
            return ioctl(descriptor, UInt(FIONREAD), &count) == 0 ? Int(count) : 0
        }

        @Test(
            "kill -9 of the supervisor under full load: no request lost, services and sockets are taken over, swaps go on"
        )
        func underFullLoad() throws {
            try withWorld {
                try $0.site()
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                let before = pids(world)
                let sockets = try world.sockets()
                try underLoad(world, until: "v2") { loads in
                    for load in loads { try load.waitForAnswer("v1") }
                    for _ in 1...3 {
                        try world.crash()
                        for load in loads {
                            load.forgetAnswers()
                            try load.waitForAnswer("v1")
                        }
                        try world.startAgain()
                        #expect(pids(world) == before)
                        #expect(try world.sockets().map(\.address) == sockets.map(\.address))
                        #expect(try world.status("site").first?.state == .running)
                    }
                    #expect(try world.run("swap", "site@v2").outcome == .completed)
                }
                #expect(Set(pids(world)).isDisjoint(with: before))
            }
        }

        @Test(
            "kill -9 of the supervisor in any phase of a swap: its successor ends it, nobody is lost",
            arguments: SwapMoment.allCases)
        func inPhase(_ moment: SwapMoment) throws {
            try withWorld {
                try moment.layOut($0)
            } then: { world in
                try moment.disturb(world) {
                    try world.crash()
                    try world.startAgain()
                }
            }
        }

        @Test(
            "Deaths while nobody supervised are noticed, Restart=on-failure counts; what was printed meanwhile is in the log"
        )
        func deathsAndWords() throws {
            try withWorld { layout in
                try layout.unit(
                    "talk.service",
                    """
                    [Unit]
                    StartLimitIntervalSec=0
                    [Service]
                    ExecStart=/bin/sh -c 'i=0; while sleep 0.01; do i=$$((i+1)); echo line $$i of $$$$; done'
                    Restart=on-failure
                    RestartSec=0
                    """)
                try layout.unit("rest.service", "[Service]\nExecStart=/bin/sleep infinity\n")
            } then: { world in
                #expect(try world.run("start", "talk").outcome == .started)
                #expect(try world.run("start", "rest").outcome == .started)
                let rest = try world.mainPid("rest.service")
                let talk = try world.mainPid("talk.service")
                try eventually("something to be said") { world.contents("log/talk.service.log") != nil }
                try world.crash()
                // The service continues to print into its FIFO, which no other process has open: the unread bytes can
                // be counted from outside.
                let fifo = try #require(
                    world.filesBelow(world.runtime + "/output").first { $0.contains("talk") && $0.hasSuffix(".out") })
                try eventually("twenty lines in its FIFO") { bytes(in: "\(world.runtime)/output/\(fifo)") > 20 * 10 }
                let said = (world.contents("log/talk.service.log") ?? "").split(separator: "\n").count
                try world.startAgain()
                try eventually("what was printed meanwhile") {
                    (world.contents("log/talk.service.log") ?? "").split(separator: "\n").count > said + 20
                }
                #expect(try world.mainPid("talk.service") == talk)
                try world.crash()
                kill(pid_t(talk), SIGKILL)
                try world.startAgain()
                try eventually("the successor of the service") {
                    try world.status("talk").first?.generations.first?.services.first?.restarts == 1
                }
                #expect(try world.mainPid("talk.service") != talk)
                #expect(try world.mainPid("rest.service") == rest)
                // The output is complete, across all readers.
                var last: [Substring: Int] = [:]
                for line in (world.contents("log/talk.service.log") ?? "").split(separator: "\n") {
                    let words = line.split(separator: " ")
                    guard words.count >= 4, let pid = words.last, let number = Int(words[words.count - 3]) else {
                        continue
                    }
                    #expect(number <= last[pid, default: 0] + 1, "\(line)")
                    last[pid] = number
                }
            }
        }
    }
}
