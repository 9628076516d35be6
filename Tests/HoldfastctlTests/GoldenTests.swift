import ControlProtocol
import Foundation
import Testing

@testable import holdfastctl

/// The output of every command, in both forms, against a scripted daemon and a directory with units and logs.
///
/// Tests/Goldens has a file for each command: each typed line, its standard output, its standard error (prefixed with
/// `! `), and the exit status. `HOLDFAST_GOLDENS=write swift test --filter GoldenTests` writes the files again; the
/// difference must be read before it is committed.
@Suite("Golden outputs", .serialized)
struct GoldenTests {
    /// A typed command line; `DIR` is the directory with `units` and `log`.
    struct Line: Sendable {
        var text: String
        /// Replies that differ from the usual ones.
        var script: [String: FakeDaemon.Script] = [:]
        /// The text after which ^C is sent, for a command that does not end by itself.
        var interrupt: String?
        /// Whether the line has no different `--json` form.
        var isTextOnly = false

        init(
            _ text: String, _ script: [String: FakeDaemon.Script] = [:], interrupt: String? = nil,
            isTextOnly: Bool = false
        ) {
            (self.text, self.script, self.interrupt, self.isTextOnly) = (text, script, interrupt, isTextOnly)
        }

        var command: String { String(text.prefix { $0 != " " }) }
    }

    private static let refused = FakeDaemon.Script.replies([
        Reply(ControlError.noSuchUnit(name: "wroker", suggestion: "worker.service"))
    ])

    private static func ends(_ outcome: OperationOutcome) -> FakeDaemon.Script {
        .replies([
            Reply(OperationReply(progress: Site.swap[0]), continues: true),
            Reply(OperationReply(result: Site.result(outcome))),
        ])
    }

    static let lines: [Line] = [
        Line("status"), Line("status --strict cron", ["Status": ProgramTests.status(Site.stopped)]),
        Line("status wroker", ["Status": refused]),
        Line("start worker", ["Start": ends(.started)]), Line("start worker", ["Start": ends(.unchanged)]),
        Line("start a b", ["Start": .replies([Reply(OperationReply(result: Site.result(.started)))])]),
        Line("start worker", ["Start": ends(.failed)]), Line("start wroker", ["Start": refused]),
        Line("stop worker", ["Stop": ends(.stopped)]), Line("stop all", ["Stop": ends(.stopped)]),
        Line("restart worker", ["Restart": ends(.completed)]),
        Line("reload-or-restart worker", ["Reload": ends(.completed)]),
        Line("reload"), Line("reload worker", ["Reload": ends(.completed)]),
        Line("signal HUP worker"), Line("pid"), Line("pid worker cron"),
        Line("swap site@v3", ["Swap": Site.stream(Site.completed)]),
        Line("swap site@v3", ["Swap": Site.stream(Site.rolledBack)]),
        Line("swap site@v3", ["Swap": Site.stream(Site.cutOver)]),
        Line(
            "swap --wait drained site@v3",
            ["Swap": Site.stream(Site.cutOver), "Drain": Site.stream(Site.drained(Site.drainEnd))]),
        Line(
            "swap --wait drained site@v3",
            ["Swap": Site.stream(Site.cutOver), "Drain": Site.stream(Site.drained(Site.forcedEnd))]),
        Line("swap --no-wait site@v3", ["Swap": Site.stream(Site.completed)]),
        Line("promote site", ["Promote": Site.stream(Site.completed)]),
        Line("promote site", ["Promote": .replies([Reply(ControlError.nothingToPromote(unit: "site@.target"))])]),
        Line("abort site", ["Abort": ends(.aborted)]), Line("rollback site", ["Rollback": Site.stream(Site.completed)]),
        Line("drain site", ["Drain": ends(.unchanged)]), Line("drain --now site", ["Drain": ends(.completed)]),
        Line("adopt worker", ["Adopt": ends(.started)]), Line("adopt worker", ["Adopt": refused]),
        Line("history"), Line("generations"), Line("sockets"),
        Line("verify DIR/units/app.service"), Line("verify --units DIR/units"),
        Line("cat app"), Line("reread"), Line("update", ["Restart": ends(.completed)]),
        Line("add worker", ["Start": ends(.started)]), Line("remove cron"), Line("reset-failed"), Line("avail"),
        Line("edit app", isTextOnly: true), Line("list-dependencies site@v1"),
        Line("list-dependencies --tree site@v1", isTextOnly: true),
        Line("top", ["Status": ProgramTests.status(nobody)]), Line("why bad"), Line("show worker"),
        Line("show http.socket"), Line("show -p MainPID --value worker", isTextOnly: true),
        Line("events", interrupt: "v2"), Line("wait worker"),
        Line("wait bad", ["Status": ProgramTests.status(Site.failed)]), Line("shutdown"), Line("version"),
        Line("daemon-reexec"), Line("import --name shop DIR/Procfile", isTextOnly: true),
        Line("logs"), Line("logs -n 1 -o cat worker", isTextOnly: true), Line("tail worker"), Line("maintail"),
        Line("clear worker"), Line("fg worker"), Line("enable batch"), Line("disable app"),
        Line("is-enabled app batch cron old"), Line("mask cron"), Line("unmask old"),
        Line("pause http.socket", ["Pause": ends(.completed)]),
        Line("resume http.socket", ["Resume": ends(.completed)]),
    ]

    @Test("Every command has one")
    func complete() throws {
        #expect(Set(Self.lines.map(\.command)) == Set(Holdfastctl.commandNames))
        let files = try FileManager.default.contentsOfDirectory(atPath: Self.directory)
        #expect(Set(files) == Set(Holdfastctl.commandNames.map { $0 + ".txt" }))
    }

    @Test("What is printed is what is written down", arguments: Holdfastctl.commandNames)
    func goldens(command: String) throws {
        var text = ""
        for line in Self.lines where line.command == command {
            text += try Self.transcript(line, [])
            guard !line.isTextOnly else { continue }
            let json = try Self.transcript(line, ["--json"])
            // Each line of the output is one JSON object.
            for row in json.split(separator: "\n") where !"$!=".contains(row.first ?? "$") {
                #expect(throws: Never.self) { _ = try JSONSerialization.jsonObject(with: Data(row.utf8)) }
            }
            text += json
        }
        let file = Self.directory + command + ".txt"
        if ProcessInfo.processInfo.environment["HOLDFAST_GOLDENS"] == "write" {
            try FileManager.default.createDirectory(atPath: Self.directory, withIntermediateDirectories: true)
            try text.write(toFile: file, atomically: false, encoding: .utf8)
        }
        #expect(try text == String(contentsOfFile: file, encoding: .utf8))
    }

    /// Commands that do all or part of their work without a daemon.
    private static let local: Set<String> = [
        "disable", "edit", "enable", "import", "is-enabled", "list-dependencies", "logs", "maintail", "mask", "tail",
        "unmask",
        "verify", "version",
    ]

    @Test("Every command that needs the daemon ends with 4 without one", arguments: Holdfastctl.commandNames)
    func unreachable(command: String) throws {
        guard !Self.local.contains(command) else { return }
        let line = try #require(Self.lines.first { $0.command == command })
        let run = try Program.run(
            line.text.split(separator: " ").map(String.init) + ["--socket", "/nonexistent/socket"])
        #expect(run.status == 4, "\(run)")
        #expect(run.errors.hasPrefix("holdfastctl: cannot reach the daemon"), "\(run)")
        #expect(run.output.isEmpty)
    }

    @Test("Every command ends with 2 if it does not understand", arguments: Holdfastctl.commandNames)
    func badInvocation(command: String) throws {
        let run = try Program.run([command, "--frobnicate"])
        #expect(run.status == 2, "\(run)")
        #expect(run.errors.contains("Usage: holdfastctl \(command) "), "\(run)")
        #expect(run.output.isEmpty)
    }

    // MARK: - Running

    private static let directory =
        "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/Goldens/"

    private static func transcript(_ line: Line, _ options: [String]) throws -> String {
        let (run, path) = try run(line, options)
        func lines(_ text: String, _ mark: String) -> String {
            text.replacingOccurrences(of: path, with: "DIR").split(separator: "\n", omittingEmptySubsequences: false)
                .dropLast(text.hasSuffix("\n") || text.isEmpty ? 1 : 0).map { mark + $0 + "\n" }.joined()
        }
        return "$ holdfastctl \(([line.text] + options).joined(separator: " "))\n"
            + lines(run.output, "") + lines(run.errors, "! ") + "= \(run.status)\n\n"
    }

    private static func run(_ line: Line, _ options: [String]) throws -> (run: Run, path: String) {
        // Of constant length, because some texts are wrapped.
        let path = "/tmp/holdfast-golden-\(UUID().uuidString)"
        try layOut(path)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let script = Self.script(path).merging(line.script) { $1 }
        let daemon = try FakeDaemon(.init(uniqueKeysWithValues: script.map { (Site.manager + $0.key, $0.value) }))
        defer { daemon.stop() }
        let words = line.text.replacingOccurrences(of: "DIR", with: path).split(separator: " ").map(String.init)
        let run = try Program.run(
            words + options,
            environment: ["HOLDFAST_SOCKET": daemon.path, "EDITOR": "sh \(path)/editor", "TMPDIR": path],
            interruptAfter: line.interrupt)
        return (run, path)
    }

    private static func layOut(_ path: String) throws {
        for directory in ["etc/multi-user.target.wants", "units", "log"] {
            try FileManager.default.createDirectory(atPath: "\(path)/\(directory)", withIntermediateDirectories: true)
        }
        let files = [
            "units/app.service": """
            [Service]
            ExecStart=/bin/true
            ExecStrat=/bin/false
            [Install]
            WantedBy=multi-user.target
            """,
            "units/site@.target": "[Unit]\nWants=web@%i.service\n[X-Swap]\nSoakSec=1s\n",
            "units/web@.service": "[Service]\nExecStart=/bin/true\nSockets=http.socket\n",
            "units/http.socket": "[Socket]\nListenStream=127.0.0.1:80\n",
            "units/batch.service": "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n",
            "units/cron.service": "[Service]\nExecStart=/bin/true\n",
            "Procfile": "web: bin/server --port $PORT\nworker: bin/jobs\n",
            "editor": "printf '[Service]\\nRestart=always\\n' > \"$1\"\n",
            "log/worker.service.log": """
            2026-11-23T05:02:57.000000Z worker.service#1 out: working on 1
            2026-11-23T05:02:58.250000Z worker.service#1 err: cannot work on 2
            2026-11-23T05:02:59.000000Z worker.service log: 3 lines suppressed

            """,
            "log/holdfastd.log": "2026-11-23T05:02:57.000000Z holdfastd info: ready\n",
        ]
        for (name, target) in [
            ("multi-user.target.wants/app.service", "\(path)/units/app.service"), ("old.service", "/dev/null"),
        ] {
            try FileManager.default.createSymbolicLink(atPath: "\(path)/etc/\(name)", withDestinationPath: target)
        }
        for (name, text) in files { try text.write(toFile: "\(path)/\(name)", atomically: false, encoding: .utf8) }
    }

    // MARK: - Replies of the daemon

    private static func once(_ reply: Reply) -> FakeDaemon.Script { .replies([reply]) }

    private static func script(_ path: String) -> [String: FakeDaemon.Script] {
        [
            "Describe": once(
                Reply(
                    DescribeReply(
                        version: Holdfast.version, pid: 4242, unitDirectories: ["\(path)/etc", "\(path)/units"],
                        runtimeDirectory: "\(path)/run", stateDirectory: "\(path)/state",
                        logDirectory: "\(path)/log", userMode: false, startedAt: "2026-11-23T05:00:00Z"))),
            "Status": ProgramTests.status(
                Site.swapping, Site.worker, Site.looping, Site.stopped, Site.never, Site.failed),
            "List": once(Reply(ListReply(units: listed))),
            "Generations": once(
                Reply(
                    GenerationsReply(units: [UnitGenerations(unit: "site@.target", generations: [Site.v2, Site.v1])]))),
            "Sockets": once(Reply(SocketsReply(sockets: sockets))), "History": once(Reply(HistoryReply(entries: past))),
            "Cat": once(
                Reply(CatReply(files: [UnitText(path: "/etc/holdfast/units/app.service", text: "[Service]\n")]))),
            "Update": once(
                Reply(
                    UpdateReply(
                        changed: ["worker.service"], added: ["new.service"], outdated: ["worker.service"],
                        diagnostics: [
                            UnitDiagnostic(
                                file: "/etc/holdfast/units/new.service", line: 3, column: 1, severity: .warning,
                                code: "unknown-directive", message: "unknown directive Restrat=",
                                suggestion: "Restart=")
                        ]))),
            "Signal": once(Reply(SignalReply(pids: [99]))), "Forget": once(Reply(ListReply(units: [listed[1]]))),
            "ResetFailed": once(Reply(ListReply(units: [listed[2]]))), "Why": once(Reply(why)),
            "Show": once(
                Reply(
                    ShowReply(
                        unit: "worker.service",
                        properties: [
                            Property("Id", "worker.service"), Property("MainPID", "99"),
                            Property("Sockets", "a.socket"),
                            Property("Sockets", "b.socket"),
                        ]))),
            "Events": .replies(events.map { Reply(EventsReply(event: $0), continues: true) }),
            "Shutdown": once(Reply(ShutdownReply(stopped: ["worker.service", "site@.target"]))),
            "Reexec": once(Reply(ReexecReply(version: "0.2.0", previousVersion: "0.1.0", pause: 0.012))),
            "ClearLogs": once(Reply(ClearLogsReply())),
            "Input": once(Reply(InputReply(unit: "worker.service", accepted: true))),
        ]
    }

    /// A unit whose pid exists on no host.
    private static let nobody = UnitStatus(
        unit: "worker.service", description: "Worker", state: .running, swappable: false,
        generations: [
            GenerationStatus(
                number: 1, role: .serving,
                services: [
                    ServiceStatus(
                        unit: "worker.service", state: .running, mainPid: 2_000_000_000, restarts: 1, ready: true,
                        connections: 4)
                ])
        ])

    private static let listed: [ListedUnit] = [
        ListedUnit(
            unit: "worker.service", operand: "worker.service", description: "Worker", state: .running, mainPids: [99],
            outdated: true),
        ListedUnit(unit: "cron.service", operand: "cron.service", description: "Cron", state: .stopped),
        ListedUnit(unit: "bad.service", operand: "bad.service", state: .failed),
    ]

    private static let sockets: [SocketStatus] = [
        SocketStatus(
            unit: "http.socket", address: "0.0.0.0:80", scope: .shared, descriptorName: "http", backlog: 4096,
            queued: 2, holders: [SocketHolder(unit: "edge@v2.service", generation: 3)], state: .running),
        SocketStatus(
            unit: "game.socket", address: "/run/game.input", scope: .shared, descriptorName: "input", backlog: 0,
            kind: .fifo),
    ]

    private static let past: [HistoryEntry] = [
        HistoryEntry(
            number: 12, unit: "site@.target", kind: .swap, who: Actor(uid: 0, user: "root"),
            at: "2026-11-23T05:02:57Z", from: GenerationReference(generation: 3, release: "v2"),
            to: GenerationReference(generation: 4, release: "v3"), outcome: .rolledBack,
            reason: "app@v3.service: its probe failed", durations: PhaseDurations(total: 30)),
        HistoryEntry(
            number: 9, unit: "worker.service", kind: .start, at: "2026-11-23T05:00:01Z",
            to: GenerationReference(generation: 1), outcome: .started, durations: PhaseDurations(total: 0.25)),
        HistoryEntry(
            number: 8, unit: "site@.target", kind: .swap, who: Actor(uid: 0, user: "root"),
            at: "2026-11-23T04:58:00Z", from: GenerationReference(generation: 2, release: "v1"),
            to: GenerationReference(generation: 3, release: "v2"), outcome: .completed,
            durations: PhaseDurations(drain: 60, total: 5.6),
            drained: DrainEnd(generation: 2, release: "v1", seconds: 60, forced: .timeout, connectionsCut: 3)),
    ]

    private static let why = WhyReply(
        unit: "bad.service", state: .failed,
        findings: [
            Finding(
                unit: "bad.service", text: "cannot start bad.service: exited with status 3",
                hint: "holdfastctl start bad.service",
                failure: FailureReport(
                    unit: "bad.service", phase: .start, message: "cannot start bad.service: exited with status 3",
                    lastLines: ["no database"])),
            Finding(text: "its unit files have changed since it was started"),
        ])

    private static let events: [UnitEvent] = [
        UnitEvent(.begin, at: "2026-11-23T05:02:57Z"),
        UnitEvent(.unit, at: "2026-11-23T05:02:58Z", unit: "worker.service", state: .running),
        UnitEvent(.failure, at: "2026-11-23T05:02:59Z", unit: "bad.service", message: "exited with status 3"),
        UnitEvent(
            .finished, at: "2026-11-23T05:03:00Z", unit: "site@.target", generation: 3, release: "v2",
            outcome: .completed),
    ]
}
