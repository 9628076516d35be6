import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// SIGKILL of the supervisor, and another one that takes over (I7).
    @Suite struct Crash {
        private func pids(_ world: World) -> [Int] { world.processes().map(\.pid).sorted() }

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

        /// A moment of a swap.
        enum Moment: String, CaseIterable {
            case backendStarts, startPre, soak, hold, drain, rollBack, stopOld
        }

        @Test(
            "kill -9 of the supervisor in any phase of a swap: its successor ends it, nobody is lost",
            arguments: Moment.allCases)
        func inPhase(_ moment: Moment) throws {
            try withWorld { layout in
                try layout.site(
                    swap: "SoakSec=1s\nReadyTimeoutSec=20s\n" + (moment == .stopOld ? "Strategy=queue" : ""),
                    edge: "ExecStartPre=/bin/sleep 0.7")
                if moment == .backendStarts { try layout.release("v2", "--ready-delay 3") }
                if moment == .rollBack { try layout.release("v2", "--ignore-sigterm --unhealthy") }
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                let pending = try RawConnection(port: world.port)
                if moment == .drain || moment == .stopOld {
                    try pending.send("GET / HTTP/1.1\r\n")
                    try eventually("the connection to be accepted") { try pending.isAccepted(by: world) }
                }
                try underLoad(world, until: moment == .rollBack ? "v1" : "v2") { loads in
                    for load in loads { try load.waitForAnswer("v1") }
                    let swap =
                        try moment == .hold ? world.begin("swap", "--hold", "site@v2") : world.begin("swap", "site@v2")
                    var abort: Operation?
                    switch moment {
                    case .backendStarts: try swap.waitFor("the start") { $0.service == "app@v2.service" }
                    case .startPre: try swap.waitFor("the start") { $0.service == "edge@v2.service" }
                    case .soak: try swap.waitFor(.soak)
                    case .hold: #expect(try swap.end().status == 0)
                    case .drain: try swap.waitFor(.drain)
                    case .stopOld: try swap.waitFor(.cutOver)
                    case .rollBack:
                        try swap.waitFor("the start") { $0.service == "app@v2.service" }
                        abort = try world.begin("abort", "site")
                        try swap.waitFor(.rollBack)
                    }
                    try world.crash()
                    try world.startAgain()
                    if moment == .drain || moment == .stopOld {
                        try pending.send("Host: x\r\n\r\n")
                        #expect(try pending.readAnswer().hasSuffix("v1"))
                    }
                    if moment == .hold { #expect(try world.run("promote", "site").outcome == .completed) }
                    let expected: OperationOutcome = moment == .rollBack ? .aborted : .completed
                    // Whoever waited asks the next supervisor, and is told how it ended.
                    if moment != .hold { #expect(try swap.end().outcome == expected) }
                    if let abort { #expect(try abort.end().outcome == .aborted) }
                    try eventually("the end of the swap") { try world.history().first?.outcome == expected }
                }
                let serving = moment == .rollBack ? 1 : 2
                try eventually("one generation") { try world.generations("site").map(\.number) == [serving] }
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
                let said = world.contents("log/talk.service.log") ?? ""
                // It goes on printing into its FIFO.
                usleep(300_000)
                try world.startAgain()
                try eventually("what was printed meanwhile") {
                    let lines = (world.contents("log/talk.service.log") ?? "").split(separator: "\n")
                    return lines.count > said.split(separator: "\n").count + 20
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
                // Unbroken, whoever read it.
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
