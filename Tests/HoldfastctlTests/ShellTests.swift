import ControlProtocol
import Foundation
import Testing

@testable import holdfastctl

/// The interactive shell in a real pseudo-terminal, against a scripted daemon.
@Suite("The shell", .serialized)
struct ShellTests {
    private static let script: [String: FakeDaemon.Script] = [
        "Status": .replies([Reply(StatusReply(units: [Site.running, Site.stopped]))]),
        "List": .replies([
            Reply(
                ListReply(units: [
                    ListedUnit(unit: "site@.target", operand: "site@v2.target", state: .running),
                    ListedUnit(unit: "cron.service", operand: "cron.service", state: .stopped),
                    ListedUnit(unit: "cross.service", operand: "cross.service", state: .stopped),
                ]))
        ]),
        "Events": .replies([
            Reply(
                EventsReply(event: UnitEvent(.begin, at: "2026-11-23T05:02:57Z")), continues: true),
            Reply(
                EventsReply(
                    event: UnitEvent(.unit, at: "2026-11-23T05:02:58Z", unit: "cron.service", state: .running)),
                continues: true),
        ]),
        "Stop": .replies([Reply(OperationReply(result: Site.result(.stopped)))]),
        "Start": Site.stream(Site.result(.failed)),
    ]

    private func with<T>(_ body: (FakeDaemon, String) throws -> T) throws -> T {
        let daemon = try FakeDaemon(
            .init(uniqueKeysWithValues: Self.script.map { ("io.holdfast.Manager." + $0.key, $0.value) }))
        let home = FileManager.default.temporaryDirectory.path + "/holdfast-home-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        defer {
            daemon.stop()
            try? FileManager.default.removeItem(atPath: home)
        }
        return try body(daemon, home)
    }

    private func shell(
        _ daemon: FakeDaemon, _ home: String, columns: UInt16 = 80, terminal: String = "xterm"
    ) throws -> PseudoTerminal {
        try PseudoTerminal(
            [], environment: ["HOLDFAST_SOCKET": daemon.path, "HOME": home, "TERM": terminal], columns: columns)
    }

    @Test("It begins with the status, does what is typed, ignores empty lines, and quit leaves with the last status")
    func session() throws {
        try with { daemon, home in
            let terminal = try shell(daemon, home)
            try terminal.expect("cron.service")
            try terminal.expect("holdfast> ")
            terminal.type("\r")
            try terminal.expect("\n\r\u{1b}[Kholdfast> ")
            terminal.type("stop worker\r")
            try terminal.expect("worker.service: stopped")
            try terminal.expect("holdfast> ")
            terminal.type("frobnicate\r")
            try terminal.expect("unknown command: frobnicate")
            try terminal.expect("holdfast> ")
            terminal.type("quit\r")
            #expect(terminal.end() == 1)
        }
    }

    @Test("^D leaves; ^C gives a line up and not the shell")
    func leaving() throws {
        try with { daemon, home in
            let terminal = try shell(daemon, home)
            try terminal.expect("holdfast> ")
            terminal.type("stop wor\u{03}")
            try terminal.expect("^C")
            try terminal.expect("holdfast> ")
            terminal.type("\u{04}")
            #expect(terminal.end() == 0)
            #expect(daemon.calls.allSatisfy { $0.method.hasSuffix(".Status") })
        }
    }

    @Test("Tab completes commands, options, units and signals, and lists a choice")
    func completion() throws {
        try with { daemon, home in
            let terminal = try shell(daemon, home)
            try terminal.expect("holdfast> ")
            terminal.type("swa\t")
            try terminal.expect("swap ")
            terminal.type("si\t")
            try terminal.expect("swap site@v2 ")
            terminal.type("--ho\t")
            try terminal.expect("--hold ")
            terminal.type("\u{15}status cr\t")
            try terminal.expect("cro")
            terminal.type("\t")
            try terminal.expect("cron   cross")
            try terminal.expect("status cro")
            terminal.type("\u{15}signal U\t")
            try terminal.expect("signal USR")
            terminal.type("\u{15}exit\r")
            #expect(terminal.end() == 0)
        }
    }

    @Test("The history lasts across sessions, in a file that nobody else can read")
    func history() throws {
        try with { daemon, home in
            let first = try shell(daemon, home)
            try first.expect("holdfast> ")
            first.type("stop worker\r")
            try first.expect("worker.service: stopped")
            try first.expect("holdfast> ")
            first.type(" stop secret\r")
            try first.expect("worker.service: stopped")
            try first.expect("holdfast> ")
            first.type("\u{04}")
            #expect(first.end() == 0)
            let file = home + "/.local/state/holdfast/ctl-history"
            #expect(try String(contentsOfFile: file, encoding: .utf8) == "stop worker\n")
            let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? NSNumber
            #expect(mode?.intValue == 0o600)

            let second = try shell(daemon, home)
            try second.expect("holdfast> ")
            second.type("\u{1b}[A")
            try second.expect("stop worker")
            second.type("\r")
            try second.expect("worker.service: stopped")
            try second.expect("holdfast> ")
            second.type("\u{12}wor")
            try second.expect("(search) wor: stop worker")
            second.type("\u{03}\u{04}")
            #expect(second.end() == 0)
        }
    }

    @Test("^C ends a follow and not the shell")
    func follow() throws {
        try with { daemon, home in
            let terminal = try shell(daemon, home)
            try terminal.expect("holdfast> ")
            terminal.type("events\r")
            try terminal.expect("cron.service")
            try terminal.expect("running")
            terminal.type("\u{03}")
            try terminal.expect("holdfast> ")
            terminal.type("stop worker\r")
            try terminal.expect("worker.service: stopped")
            terminal.type("quit\r")
            #expect(terminal.end() == 0)
        }
    }

    @Test("When the window changes its size, the line is drawn again at its width")
    func resize() throws {
        try with { daemon, home in
            let terminal = try shell(daemon, home)
            try terminal.expect("holdfast> ")
            terminal.type(String(repeating: "x", count: 60))
            try terminal.expect(String(repeating: "x", count: 60))
            terminal.resize(40)
            try terminal.expect("\r\u{1b}[Kholdfast> " + String(repeating: "x", count: 28) + "\r")
            terminal.type("\u{15}\u{04}")
            #expect(terminal.end() == 0)
        }
    }

    @Test("status --watch draws the whole screen, again with an event, and gives it back with q")
    func watch() throws {
        try with { daemon, home in
            let terminal = try shell(daemon, home)
            try terminal.expect("holdfast> ")
            terminal.type("avail --watch\r")
            try terminal.expect("\u{1b}[?1049h")
            try terminal.expect("site@.target")
            terminal.type("q")
            try terminal.expect("\u{1b}[?1049l")
            try terminal.expect("holdfast> ")
            terminal.type("quit\r")
            #expect(terminal.end() == 0)
        }
    }

    @Test("A terminal that cannot go back in a line gets a prompt and no escape sequences")
    func dumb() throws {
        try with { daemon, home in
            let terminal = try shell(daemon, home, terminal: "dumb")
            try terminal.expect("holdfast> ")
            terminal.type("stop worker\n")
            try terminal.expect("worker.service: stopped")
            try terminal.expect("holdfast> ")
            terminal.type("quit\n")
            #expect(terminal.end() == 0)
            #expect(!terminal.output.contains("\u{1b}"))
        }
    }

    @Test("In a pipe each line is a command; there is no prompt, and the last exit status counts")
    func pipe() throws {
        try with { daemon, home in
            func run(_ text: String) throws -> Run {
                let process = Program.process([], environment: ["HOLDFAST_SOCKET": daemon.path, "HOME": home])
                let (input, output, errors) = (Pipe(), Pipe(), Pipe())
                process.standardInput = input
                process.standardOutput = output
                process.standardError = errors
                try process.run()
                input.fileHandleForWriting.write(Data(text.utf8))
                try input.fileHandleForWriting.close()
                let text = output.fileHandleForReading.readDataToEndOfFile()
                let complaint = errors.fileHandleForReading.readDataToEndOfFile()
                process.waitUntilExit()
                return Run(
                    status: process.terminationStatus, output: String(decoding: text, as: UTF8.self),
                    errors: String(decoding: complaint, as: UTF8.self))
            }
            let good = try run("\n# a remark\nstop worker\nholdfastctl stop worker\n")
            #expect(good.output == "worker.service: stopped\nworker.service: stopped\n")
            #expect(good.status == 0 && good.errors.isEmpty)
            #expect(try run("stop worker\nstart worker\n").status == 7)
            #expect(try run("start worker\nstop worker").status == 0)
            #expect(try run("stop 'worker\n").status == 2)
            #expect(try run("").status == 0)
        }
    }
}
