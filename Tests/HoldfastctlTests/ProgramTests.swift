import ControlProtocol
import Foundation
import Testing

@testable import holdfastctl

/// The built program against a scripted daemon.
@Suite("holdfastctl, the program", .serialized)
struct ProgramTests {
    private func with<T>(_ script: [String: FakeDaemon.Script], _ body: (FakeDaemon) throws -> T) throws -> T {
        let daemon = try FakeDaemon(
            .init(uniqueKeysWithValues: script.map { ("io.holdfast.Manager." + $0.key, $0.value) }))
        defer { daemon.stop() }
        return try body(daemon)
    }

    private func run(
        _ line: String, _ script: [String: FakeDaemon.Script], environment: [String: String] = [:]
    ) throws -> Run {
        try with(script) { daemon in
            try Program.run(
                line.split(separator: " ").map(String.init) + ["--socket", daemon.path], environment: environment)
        }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var line: String
        var method: String
        var script: FakeDaemon.Script
        var status: Int32
        var testDescription: String { "\(line) → \(status)" }

        init(_ line: String, _ method: String, _ script: FakeDaemon.Script, _ status: Int32) {
            (self.line, self.method, self.script, self.status) = (line, method, script, status)
        }

        init(_ line: String, _ method: String, _ error: ControlError, _ status: Int32) {
            self.init(line, method, .replies([Reply(error)]), status)
        }

        init(_ line: String, _ method: String, _ outcome: OperationOutcome, _ status: Int32) {
            self.init(line, method, Site.stream(Site.result(outcome)), status)
        }
    }

    static func status(_ units: UnitStatus...) -> FakeDaemon.Script { .replies([Reply(StatusReply(units: units))]) }

    static func list(_ units: ListedUnit...) -> FakeDaemon.Script { .replies([Reply(ListReply(units: units))]) }
    static let stopped = ListedUnit(unit: "cron.service", operand: "cron.service", state: .stopped)
    static let begin = UnitEvent(.begin, at: "2026-11-23T05:02:57Z")

    static func why(_ state: UnitState) -> FakeDaemon.Script {
        .replies([Reply(WhyReply(unit: "a.service", state: state, findings: [Finding(text: "because")]))])
    }

    static let cases: [Case] = [
        Case("status", "Status", status(Site.running, Site.stopped), 0),
        Case("status --strict", "Status", status(Site.running, Site.stopped), 3),
        Case("status --json --strict", "Status", status(Site.stopped), 3),
        Case("status", "Status", status(Site.looping), 3),
        Case("status bad", "Status", status(Site.failed), 3),
        Case("status nope", "Status", .noSuchUnit(name: "nope", suggestion: nil), 4),
        Case("status a", "Status", .ambiguousName(name: "a", candidates: ["a.service", "a.target"]), 1),
        Case("start worker", "Start", .started, 0),
        Case("start worker", "Start", .unchanged, 0),
        Case("start worker", "Start", .done, 0),
        Case("start worker", "Start", .skipped, 0),
        Case("start worker", "Start", .failed, 7),
        Case("start nope", "Start", .noSuchUnit(name: "nope", suggestion: nil), 1),
        Case("stop worker", "Stop", .stopped, 0),
        Case("stop worker", "Stop", .unchanged, 0),
        Case("stop worker", "Stop", .failed, 1),
        Case("restart worker", "Restart", .completed, 0),
        Case("restart --hard worker", "Restart", .failed, 7),
        Case("reload-or-restart worker", "Reload", .completed, 0),
        Case("reload-or-restart worker", "Reload", .failed, 1),
        Case("swap site@v3", "Swap", Site.stream(Site.completed), 0),
        Case("swap site@v3", "Swap", Site.stream(Site.rolledBack), 7),
        Case("swap --json site@v3", "Swap", Site.stream(Site.rolledBack), 7),
        Case("swap site@v3", "Swap", .aborted, 7),
        Case("swap worker", "Swap", .notSwappable(name: "worker", reason: "no [X-Swap] section"), 1),
        Case("swap site@v3", "Swap", .busy(unit: "site@.target", operation: "swap", detail: "soak"), 1),
        Case("swap site@v3", "Swap", .permissionDenied(required: "root or group holdfast"), 1),
        Case("promote site", "Promote", Site.stream(Site.completed), 0),
        Case("promote site", "Promote", .rolledBack, 7),
        Case("promote site", "Promote", .nothingToPromote(unit: "site@.target"), 1),
        Case("abort site", "Abort", .aborted, 0),
        Case("abort site", "Abort", .nothingToAbort(unit: "site@.target"), 1),
        Case("rollback site", "Rollback", .completed, 0),
        Case("rollback site", "Rollback", .rolledBack, 7),
        Case("drain --now site", "Drain", .completed, 0),
        Case("adopt worker", "Adopt", .started, 0),
        Case("adopt worker", "Adopt", .noSuchUnit(name: "worker", suggestion: nil), 1),
        Case("signal HUP worker", "Signal", .replies([Reply(SignalReply(pids: [1]))]), 0),
        Case("signal HUP worker", "Signal", .notRunning(unit: "worker.service"), 1),
        Case("history", "History", .replies([Reply(HistoryReply(entries: []))]), 0),
        Case("generations site", "Generations", .replies([Reply(GenerationsReply(units: []))]), 0),
        Case("sockets", "Sockets", .replies([Reply(SocketsReply(sockets: []))]), 0),
        Case("cat worker", "Cat", .replies([Reply(CatReply(files: []))]), 0),
        Case("reread", "Update", .replies([Reply(UpdateReply(changed: ["a.service"]))]), 0),
        Case(
            "reread", "Update",
            .replies([
                Reply(UpdateReply(diagnostics: [UnitDiagnostic(file: "a", severity: .error, code: "x", message: "y")]))
            ]), 1),
        Case("avail", "List", list(stopped), 0),
        Case("pid worker", "List", list(ListedUnit(unit: "a", operand: "a", state: .running, mainPids: [7])), 0),
        Case("pid cron", "List", list(stopped), 3),
        Case("pid nope", "List", .noSuchUnit(name: "nope", suggestion: nil), 1),
        Case("start nope*", "List", .noSuchUnit(name: "nope*", suggestion: nil), 1),
        Case("stop cron*", "List", list(stopped), 0),
        Case("remove cron", "Forget", list(stopped), 0),
        Case("remove worker", "Forget", .failed(message: "cannot remove worker.service: it runs"), 1),
        Case("reset-failed", "ResetFailed", list(stopped), 0),
        Case("reset-failed cron nope", "ResetFailed", .noSuchUnit(name: "nope", suggestion: nil), 1),
        Case("why worker", "Why", why(.running), 0),
        Case("why bad", "Why", why(.failed), 3),
        Case("why nope", "Why", .noSuchUnit(name: "nope", suggestion: nil), 4),
        Case("show worker", "Show", .replies([Reply(ShowReply(unit: "a", properties: [Property("Id", "a")]))]), 0),
        Case("show nope", "Show", .noSuchUnit(name: "nope", suggestion: nil), 1),
        Case("events", "Events", .hangUpAfter([Reply(EventsReply(event: begin), continues: true)]), 4),
        Case("wait nope", "Events", .noSuchUnit(name: "nope", suggestion: nil), 4),
        Case("shutdown", "Shutdown", .replies([Reply(ShutdownReply(stopped: ["a.service"]))]), 0),
        // The supervisor ended, and the next one does not know the outcome.
        Case("swap site@v3", "Swap", .hangUpAfter([]), 6),
        Case("swap site@v3", "Swap", .hangUpAfter([Reply(OperationReply(progress: Site.swap[0]), continues: true)]), 6),
        Case("reread", "Update", .hangUpAfter([]), 6),
        Case("status", "Status", .hangUpAfter([]), 4),
        Case("swap site@v3", "Swap", .garbage(Array("HTTP/1.1 400\r\n\r\n\0".utf8)), 4),
        Case("swap site@v3", "Swap", .replies([Reply(OperationReply(progress: Site.swap[0]))]), 1),
        Case("status", "Status", .replies([Reply(SignalReply(pids: []))]), 1),
        Case("status", "Nothing", .replies([]), 1),
    ]

    @Test("Each end has its exit code, and what is not 0 is explained on standard error", arguments: cases)
    func exitCodes(one: Case) throws {
        let run = try run(one.line, [one.method: one.script])
        #expect(run.status == one.status, "\(run)")
        if one.status != 0 && one.status != 3 { #expect(!run.errors.isEmpty) }
        if one.status == 0 { #expect(run.errors.isEmpty, "\(run)") }
    }

    @Test(
        "A command line that cannot be understood ends with 2, an unknown command with 1",
        arguments: [
            ("swap", 2), ("swap a b", 2), ("start", 2), ("status --frob", 2), ("history -n x", 2), ("history -n -1", 2),
            ("--frob", 2), ("signal HUP", 2), ("frob", 1), ("stauts", 1), ("", 0), ("--help", 0), ("swap --help", 0),
            ("--version", 0), ("help swap", 0),
        ])
    func badInvocation(line: String, status: Int32) throws {
        let run = try Program.run(line.split(separator: " ").map(String.init))
        #expect(run.status == status, "\(run)")
        #expect(run.errors.isEmpty == (status == 0))
    }

    @Test("Without a daemon every command ends with 4, except version, which still has a version to print")
    func unreachable() throws {
        let nowhere = ["--socket", "/nonexistent/io.holdfast"]
        for line in [
            "status", "start a", "start a b", "start all", "swap a", "history", "update", "reread", "shutdown",
            "signal HUP a", "status --json", "pid", "avail", "why a", "show a", "events", "wait a", "remove a",
        ] {
            let run = try Program.run(nowhere + line.split(separator: " ").map(String.init))
            #expect(run.status == 4, "\(line)")
            #expect(
                run.errors == "holdfastctl: cannot reach the daemon: connect to /nonexistent/io.holdfast: "
                    + "No such file or directory\n")
            #expect(run.output.isEmpty)
        }
        #expect(try Program.run(nowhere + ["version"]).status == 0)
        let long = "/" + String(repeating: "x", count: 200)
        #expect(try Program.run(["status", "--socket", long]).status == 4)
    }

    @Test("The command line becomes the documented call")
    func calls() throws {
        func calls(_ line: String) throws -> [String] {
            try with([:]) { daemon in
                _ = try Program.run(line.split(separator: " ").map(String.init) + ["--socket", daemon.path])
                return daemon.calls.map { call in
                    // The name of a request is different each time.
                    let parameters = call.parameters.description
                        .replacing(/,?"request":"[0-9a-f]{32}"/, with: "")
                    return "\(call.method.dropFirst(20)) \(parameters)\(call.more ? " more" : "")"
                }
            }
        }
        #expect(try calls("status") == ["Status {}"])
        #expect(try calls("status a b") == [#"Status {"names":["a","b"]}"#])
        #expect(try calls("swap --hold site@v3") == [#"Swap {"hold":true,"name":"site@v3"} more"#])
        #expect(try calls("start a") == [#"Start {"name":"a"} more"#])
        // Several are requested in parallel and shown at their ends: progress is not shown.
        #expect(Set(try calls("start a b")) == [#"Start {"name":"a"}"#, #"Start {"name":"b"}"#])
        #expect(try calls("restart a b a") == [#"Restart {"name":"a"} more"#, #"Restart {"name":"b"} more"#])
        #expect(Set(try calls("stop a a b")) == [#"Stop {"name":"a"}"#, #"Stop {"name":"b"}"#])
        #expect(try calls("signal HUP a a").count == 1)
        #expect(try calls("restart a b") == [#"Restart {"name":"a"} more"#, #"Restart {"name":"b"} more"#])
        #expect(try calls("restart --rolling a b") == [#"Restart {"name":"a"} more"#])
        #expect(try calls("stop app*") == [#"List {"names":["app*"]}"#])
        #expect(try calls("status app* all") == [#"Status {"names":["app*","all"]}"#])
        #expect(try calls("events a") == [#"Events {"names":["a"]} more"#])
        #expect(try calls("signal --all HUP a") == [#"Signal {"name":"a","signal":"HUP","who":"all"}"#])
        #expect(try calls("history") == [#"History {"limit":20}"#])
        #expect(try calls("history -n 0 a") == [#"History {"name":"a"}"#])
        #expect(try calls("drain --now a") == [#"Drain {"name":"a","now":true} more"#])
        #expect(try calls("restart --hard a") == [#"Restart {"hard":true,"name":"a"} more"#])
    }

    /// The next supervisor's answer about a request, and the resulting end of the command.
    struct Fate: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var outcome: FakeDaemon.Script?
        var status: Int32
        var says: String
    }

    static let fates: [Fate] = [
        Fate(
            testDescription: "ended",
            outcome: .replies([Reply(outcome: Reply(OperationReply(result: Site.completed)))]),
            status: 0, says: "site@v3: serves as generation 4"),
        Fate(
            testDescription: "failed",
            outcome: .replies([Reply(outcome: Reply(OperationReply(result: Site.rolledBack)))]), status: 7,
            says: "cannot swap site@v3"),
        Fate(
            testDescription: "refused",
            outcome: .replies([Reply(outcome: Reply(ControlError.nothingToAbort(unit: "site@.target")))]), status: 1,
            says: "nothing to abort"),
        Fate(
            testDescription: "never begun",
            outcome: .replies([Reply(ControlError.noSuchRequest(request: "x", since: 1000))]), status: 5,
            says: "swap site@v3: not begun"),
        Fate(
            testDescription: "records that begin too late",
            outcome: .replies([Reply(ControlError.noSuchRequest(request: "x", since: 0))]), status: 6,
            says: "swap site@v3: outcome unknown"),
        Fate(
            testDescription: "lost", outcome: .replies([Reply(ControlError.outcomeUnknown(request: "x"))]), status: 6,
            says: "swap site@v3: outcome unknown"),
        Fate(
            testDescription: "an older supervisor", outcome: nil, status: 6, says: "swap site@v3: outcome unknown"),
    ]

    @Test("After the supervisor's death the request's own outcome is told, or that there is none", arguments: fates)
    func fate(_ fate: Fate) throws {
        var script: [String: FakeDaemon.Script] = ["Swap": .hangUpAfter([])]
        script["Outcome"] = fate.outcome
        try with(script) { daemon in
            for json in [false, true] {
                let run = try Program.run(["swap", "site@v3", "--socket", daemon.path] + (json ? ["--json"] : []))
                #expect(run.status == fate.status, "\(run)")
                if !json || fate.status != 0 { #expect((run.output + run.errors).contains(fate.says), "\(run)") }
                // With --json the result has its usual form.
                if json, fate.status == 0 || fate.status == 7 {
                    let reply = try JSONDecoder().decode(OperationReply.self, from: Data(run.output.utf8))
                    #expect(reply.result != nil)
                } else if json {
                    #expect(run.output.hasPrefix("{\"error\":"), "\(run)")
                }
            }
            let asked = daemon.calls.filter { $0.method.hasSuffix("Outcome") }.map(\.parameters)
            let sent = try daemon.calls.filter { $0.method.hasSuffix("Swap") }.map { try ValidCall($0).identity }
            #expect(asked == sent.compactMap { $0.map { Request.outcome(of: $0).call().parameters } })
        }
    }

    @Test("A supervisor of an earlier version is asked without a name")
    func earlierVersion() throws {
        let refusal = Reply(ControlError.invalidParameter(parameter: "request"))
        try with(["Stop": .inTurn([refusal, Reply(OperationReply(result: Site.result(.stopped)))])]) { daemon in
            #expect(try Program.run(["stop", "a", "--socket", daemon.path]).status == 0)
            let names = try daemon.calls.map { try ValidCall($0).identity }
            #expect(names.map { $0 == nil } == [false, true])
        }
        let reexec = Reply(ReexecReply(version: "2", previousVersion: "1", pause: 0))
        #expect(try run("daemon-reexec", ["Reexec": .inTurn([refusal, reexec])]).status == 0)
    }

    @Test("A swap prints its events and its end on standard output")
    func swap() throws {
        let run = try run("swap site@v3", ["Swap": Site.stream(Site.completed)])
        let lines = run.output.split(separator: "\n")
        #expect(lines.count == Site.swap.count + 1)
        #expect(lines.last == "site@v3: serves as generation 4 (was v2, generation 3), 8.7 s")
    }

    @Test("A rolled-back swap is explained on standard error, and its end is not on standard output")
    func rolledBack() throws {
        let run = try run("swap site@v3", ["Swap": Site.stream(Site.rolledBack)])
        #expect(run.errors.hasPrefix("cannot swap site@v3: app@v3.service: probe http"))
        #expect(run.errors.hasSuffix("rolled back: site@v2 (generation 3) still serves\n"))
        #expect(run.output.split(separator: "\n").count == Site.swap.count)
    }

    @Test("With --json the protocol's parameters are printed as they came, one object per line, errors included")
    func json() throws {
        let swap = try run("swap --json site@v3", ["Swap": Site.stream(Site.completed)])
        let lines = swap.output.split(separator: "\n").map { Array($0.utf8) }
        #expect(lines.count == Site.swap.count + 1)
        let last = try JSONDecoder().decode(OperationReply.self, from: Data(lines.last ?? []))
        #expect(last.result == Site.completed)

        let strange = Array("{\"parameters\":{\n \"units\": [],\n \"new\":1e2}}\0".utf8)
        #expect(try run("status --json", ["Status": .garbage(strange)]).output == "{ \"units\": [], \"new\":1e2}\n")

        let refused = try run("swap --json a", ["Swap": .replies([Reply(ControlError.noRelease(name: "a"))])])
        #expect(refused.output == #"{"error":"io.holdfast.Manager.NoRelease","parameters":{"name":"a"}}"# + "\n")
        #expect(!refused.errors.isEmpty)
    }

    @Test("swap --hold comes back when the generation is held, and says how to go on")
    func hold() throws {
        let held = [Site.swap[0], Site.progress(.hold, 6, "held")]
        let script = FakeDaemon.Script.replies(held.map { Reply(OperationReply(progress: $0), continues: true) })
        let run = try run("swap --hold site@v3", ["Swap": script])
        #expect(run.status == 0)
        #expect(
            run.output.hasSuffix(
                "site@v3 (generation 4) is ready and held; to cut over: holdfastctl promote site@v3; "
                    + "to cancel: holdfastctl abort site@v3\n"))
    }

    @Test("swap --no-wait comes back when the daemon has begun, and with the reason if it has not")
    func noWait() throws {
        let begun = FakeDaemon.Script.replies([Reply(OperationReply(progress: Site.swap[0]), continues: true)])
        #expect(try run("swap --no-wait site@v3", ["Swap": begun]).status == 0)
        let refused = FakeDaemon.Script.replies([Reply(ControlError.noSuchUnit(name: "site", suggestion: nil))])
        #expect(try run("swap --no-wait site@v3", ["Swap": refused]).status == 1)
    }

    @Test("^C detaches: the daemon is not told to stop, and the user is told how")
    func interrupt() throws {
        let endless = FakeDaemon.Script.replies([Reply(OperationReply(progress: Site.swap[0]), continues: true)])
        try with(["Swap": endless]) { daemon in
            let run = try Program.run(["swap", "site@v3", "--socket", daemon.path], interruptAfter: "prepare")
            #expect(run.status == 130)
            #expect(run.errors.contains("detached: the swap of site@v3 continues"))
            #expect(run.errors.contains("holdfastctl abort site@v3"))
            #expect(daemon.calls.count == 1)
        }
    }

    @Test("Of several units one that fails does not keep the others from their turn")
    func several() throws {
        try with(["Stop": .replies([Reply(ControlError.notRunning(unit: "a"))])]) { daemon in
            let run = try Program.run(["stop", "a", "b", "c", "--socket", daemon.path])
            #expect(run.status == 1)
            #expect(daemon.calls.count == 3)
        }
    }

    @Test("$HOLDFAST_SOCKET names the daemon")
    func variable() throws {
        try with(["Sockets": .replies([Reply(SocketsReply(sockets: []))])]) { daemon in
            let run = try Program.run(["sockets"], environment: ["HOLDFAST_SOCKET": daemon.path])
            #expect(run.status == 0)
            #expect(run.output == "No sockets\n")
        }
    }
}
