import ControlProtocol
import Testing

@testable import holdfastctl

private func utc(_ seconds: Int64) -> String { Timestamp.string(unixSeconds: seconds) }

@Suite("Status")
struct StatusTextTests {
    @Test("A line each as supervisorctl writes it, generations and services indented")
    func plain() {
        let units = [Site.swapping, Site.worker, Site.looping, Site.stopped, Site.never, Site.failed]
        let lines = StatusText.lines(units, .plain, localTime: utc)
        #expect(
            lines == [
                "site@.target                     SWAPPING  v2, generation 3, uptime 1 day, 2:03:04",
                "  generation 3 (v2)              serving   1 day, 2:03:04, 12 connections",
                "    app@v2.service               RUNNING   pid 4711, uptime 0:01:07",
                "    edge@v2.service              RUNNING   pid 4712, uptime 0:01:06, 12 connections",
                "  generation 2 (v1)              draining  drain, 0:00:03, 3 connections left, "
                    + "waits for edge@v1.service, killed in 57 s",
                "    edge@v1.service              DRAINING  pid 4600, for 1 min 6 s, 12 connections",
                "worker.service                   RUNNING   pid 99, uptime 0:00:07, 1 restart, 12.3 MB, \"idle?]0;x\"",
                "loop.service                     BACKOFF   exit status 1 (FAILURE), restart pending, 5 restarts",
                "cron.service                     STOPPED   2026-11-23T05:02:57Z",
                "new.service                      STOPPED   Not started",
                "bad.service                      FAILED    cannot start bad.service: executing /srv/bad: "
                    + "No such file or directory",
            ])
    }

    @Test("A service that waits says for what")
    func waiting() {
        let service = ServiceStatus(
            unit: "app.service", state: .starting, mainPid: 12, age: 3,
            waitingFor: "PIDFile=/run/app.pid: it does not exist")
        #expect(
            StatusText.serviceText(service) == "pid 12, for 3 s, waits for PIDFile=/run/app.pid: it does not exist")
    }

    @Test("A generation that serves alone has no line of its own, so that a list of stacks can be read")
    func stack() {
        #expect(
            StatusText.lines([Site.running], Screen(width: 90, color: false), localTime: utc) == [
                "site@.target        RUNNING   v2, generation 3, uptime 1 day, 2:03:04, 12 connections",
                "  app@v2.service    RUNNING   pid 4711, uptime 0:01:07",
                "  edge@v2.service   RUNNING   pid 4712, uptime 0:01:06, 12 connections",
            ])
    }

    @Test("On a narrow terminal text is wrapped under itself, and no line is wider than the screen")
    func narrow() {
        let lines = StatusText.lines([Site.failed, Site.swapping], Screen(width: 60, color: false), localTime: utc)
        #expect(lines.allSatisfy { $0.count <= 60 }, "\(lines)")
        #expect(
            lines.prefix(3) == [
                "bad.service           FAILED    cannot start bad.service:",
                "                                executing /srv/bad: No such",
                "                                file or directory",
            ])
    }

    @Test("Colour changes nothing but colour")
    func colour() {
        let plain = StatusText.lines([Site.swapping], Screen(width: 120, color: false), localTime: utc)
        let coloured = StatusText.lines([Site.swapping], Screen(width: 120, color: true), localTime: utc)
        #expect(coloured[0].contains("\u{1b}[36mSWAPPING\u{1b}[0m"))
        #expect(coloured.map(withoutColour) == plain)
    }

    @Test("3 means failed or crash-looping; stopped on purpose only if asked for strictly")
    func exitStatus() {
        #expect(StatusText.exitStatus([Site.running, Site.worker, Site.stopped], strict: false) == .ok)
        #expect(StatusText.exitStatus([Site.running, Site.stopped], strict: true) == .notRunning)
        #expect(StatusText.exitStatus([Site.running], strict: true) == .ok)
        #expect(StatusText.exitStatus([Site.looping], strict: false) == .notRunning)
        #expect(StatusText.exitStatus([Site.failed], strict: false) == .notRunning)
        #expect(StatusText.exitStatus([], strict: true) == .ok)
    }
}

func withoutColour(_ text: String) -> String {
    text.replacing(#/\u{1b}\[[0-9]*m/#, with: "")
}

@Suite("Progress and results")
struct ProgressTextTests {
    @Test("In a file every event has its line")
    func events() {
        var text = ProgressText(.plain)
        #expect(
            Site.swap.flatMap { text.handle($0) } == [
                "     0.0 s  prepare    4 unit files, 1 socket",
                "     0.1 s  start      app@v3.service: executed, pid 4801",
                "     0.5 s  start      edge@v3.service: ready",
                "     0.6 s  soak       stays ready",
                "     5.6 s  drain      told to drain, waits for edge@v2.service, 3 connections left",
            ])
        #expect(text.liveLine(sinceEvent: 1) == nil)
        #expect(text.finish(total: 8.7) == [])
    }

    @Test("On a terminal a finished phase has its line, and the present one says what it waits for")
    func live() {
        var text = ProgressText(Screen(width: 100, color: false))
        let lines = Site.swap.flatMap { text.handle($0) }
        #expect(
            lines == [
                "  prepare      0.1 s  4 unit files, 1 socket",
                "  start        0.5 s  edge@v3.service: ready",
                "  soak         5.0 s  stays ready",
            ])
        #expect(
            text.liveLine(sinceEvent: 2.5)
                == "  drain        2.5 s  waits for edge@v2.service, 3 connections left, 58 s left")
        #expect(text.finish(total: 8.7) == ["  drain        3.1 s  told to drain"])
    }

    @Test("The line that is drawn again always leaves the last column free", arguments: [20, 40, 79])
    func width(columns: Int) throws {
        var text = ProgressText(Screen(width: columns, color: false))
        for event in Site.swap { _ = text.handle(event) }
        #expect(try #require(text.liveLine(sinceEvent: 0)).count < columns)
    }

    @Test("A completed swap is told in one line, with what it replaced")
    func completed() {
        #expect(
            ResultText.success(Site.completed, .swap, .plain) == [
                "site@v3: serves as generation 4 (was v2, generation 3), 8.7 s"
            ])
        #expect(ResultText.failure(Site.completed, .swap, .plain) == [])
    }

    @Test("A rolled-back swap is told with its phase, exit status, probe answer, last lines and what still serves")
    func rolledBack() {
        #expect(
            ResultText.failure(Site.rolledBack, .swap, .plain) == [
                "cannot swap site@v3: app@v3.service: probe http app@v3.socket /healthz: 503 Service Unavailable",
                "  phase: verify, after 30.0 s",
                "  ended: exit status 1 (FAILURE)",
                "  last answer: 503 Service Unavailable",
                "  last lines of app@v3.service:",
                "    loading",
                "    no database?[2J",
                "rolled back: site@v2 (generation 3) still serves",
            ])
        #expect(ResultText.success(Site.rolledBack, .swap, .plain) == [])
    }

    @Test("A thousand notes that say the same are one")
    func notes() {
        var result = Site.result(.started)
        result.notes =
            (1...20).map { "app-\($0).service: started" } + ["bad.service: failed", "http.socket is still held"]
        #expect(
            ResultText.success(result, .start, .plain).dropFirst() == [
                "  note: 20 units: started", "  note: bad.service: failed", "  note: http.socket is still held",
            ])
    }

    @Test("The sentence says cannot once")
    func cannotOnce() {
        var result = Site.rolledBack
        result.reason?.message = "cannot start app@v3.service: executing /srv/x: No such file or directory"
        #expect(
            ResultText.failure(result, .rollback, .plain)[0]
                == "cannot roll back site@v3: app@v3.service: executing /srv/x: No such file or directory")
    }

    @Test("A failed reload or stop of one unit says its name and what could not be done once")
    func nameOnce() {
        func first(_ verb: OperationVerb, _ message: String) -> String {
            var result = Site.result(.failed)
            result.unit = "app.service"
            result.reason = FailureReport(unit: "app.service", phase: .verify, message: message)
            return ResultText.failure(result, verb, .plain)[0]
        }
        #expect(
            first(.reload, "cannot reload app.service: ExecReload= exited with status 1")
                == "cannot reload app.service: ExecReload= exited with status 1")
        #expect(
            first(.stop, "cannot stop app.service: not done within 90s")
                == "cannot stop app.service: not done within 90s")
        // A step that differs from the command is named.
        #expect(
            first(.restart, "cannot stop app.service: x") == "cannot restart app.service: cannot stop app.service: x")
        #expect(first(.reload, "cannot reload b.service: x") == "cannot reload app.service: b.service: x")
    }

    @Test("Every outcome of every command has words on exactly one of the two outputs")
    func complete() {
        let verbs: [OperationVerb] = [
            .start, .stop, .restart, .reload, .swap, .promote, .abort, .rollback, .drain,
        ]
        for outcome in OperationOutcome.allCases {
            for verb in verbs {
                let good = ResultText.success(Site.result(outcome), verb, .plain)
                let bad = ResultText.failure(Site.result(outcome), verb, .plain)
                #expect(good.isEmpty != bad.isEmpty, "\(verb) \(outcome)")
                #expect((ResultText.exitStatus(Site.result(outcome), verb) == .ok) == bad.isEmpty, "\(verb) \(outcome)")
            }
        }
    }
}

@Suite("Lists")
struct InventoryTextTests {
    @Test("History is a table, the newest first, and its reason is cut at the edge of the screen")
    func history() {
        let entries = [
            HistoryEntry(
                number: 12, unit: "site@.target", kind: .swap, who: Actor(uid: 0, user: "root"),
                at: "2026-11-23T05:02:57Z", from: GenerationReference(generation: 3, release: "v2"),
                to: GenerationReference(generation: 4, release: "v3"), outcome: .rolledBack,
                reason: "app@v3.service: probe failed", durations: PhaseDurations(total: 30)),
            HistoryEntry(
                number: 9, unit: "app.service", kind: .start, who: Actor(uid: 1000), at: "x",
                to: GenerationReference(generation: 1), outcome: .started, durations: PhaseDurations(total: 0.25)),
        ]
        let plain = InventoryText.history(entries, .plain, localTime: utc)
        #expect(
            plain == [
                " #  WHEN                  UNIT          WHAT   FROM    TO      OUTCOME        TOOK  WHO       REASON",
                "12  2026-11-23T05:02:57Z  site@.target  swap   v2 (3)  v3 (4)  rolled back  30.0 s  root      "
                    + "app@v3.service: probe failed",
                " 9  x                     app.service   start  -       (1)     started       0.3 s  uid 1000",
            ])
        // A screen of the usual width leaves out the least important columns; a reason has lines of its own.
        #expect(
            InventoryText.history(entries, Screen(width: 80, color: false), localTime: utc) == [
                " #  WHEN             UNIT          WHAT   FROM    TO      OUTCOME      WHO",
                "12  11-23T05:02:57Z  site@.target  swap   v2 (3)  v3 (4)  rolled back  root",
                "      app@v3.service: probe failed",
                " 9                   app.service   start  -       (1)     started      uid 1000",
            ])
        let narrow = InventoryText.history(entries, Screen(width: 110, color: false), localTime: utc)
        #expect(narrow[1].hasSuffix("root      app@v3.service:…"))
        #expect(narrow[1].count == 110)
        #expect(InventoryText.history([], .plain, localTime: utc) == ["No history"])
    }

    @Test("Generations and sockets are tables")
    func tables() {
        let units = [UnitGenerations(unit: "site@.target", generations: [Site.v2, Site.v1])]
        #expect(
            InventoryText.generations(units, .plain) == [
                "UNIT          GENERATION  RELEASE  ROLE      SERVICES   STATE",
                "site@.target           3  v2       serving   2/2 ready  1 day, 2:03:04, 12 connections",
                "site@.target           2  v1       draining  0/1 ready  drain, 0:00:03, 3 connections left, "
                    + "waits for edge@v1.service, killed in 57 s",
            ])
        var activated = SocketStatus(
            unit: "pipe.socket", address: "/run/p", scope: .shared, descriptorName: "p", backlog: 0,
            kind: .messageQueue,
            state: .listening, paused: true)
        (activated.service, activated.triggered) = ("pipe.service", 3)
        var failed = SocketStatus(
            unit: "x.socket", address: "80", scope: .shared, descriptorName: "x", listening: false, backlog: 0,
            state: .failed)
        failed.reason = "too often"
        let sockets = [
            SocketStatus(
                unit: "app@.socket", address: "/run/app.sock.3", scope: .generation, generation: 3,
                descriptorName: "app", backlog: 128, holders: [SocketHolder(unit: "app@v2.service", generation: 3)]),
            SocketStatus(
                unit: "http.socket", address: "[::]:80", scope: .shared, descriptorName: "http", backlog: 4096,
                queued: 2),
            activated, failed,
        ]
        #expect(
            InventoryText.sockets(sockets, .plain) == [
                "SOCKET       ADDRESS          KIND           NAME  SCOPE         STATE"
                    + "                                       QUEUE  HELD BY",
                "app@.socket  /run/app.sock.3  stream         app   generation 3  held "
                    + "                                       -/128  app@v2.service (3)",
                "http.socket  [::]:80          stream         http  shared        held "
                    + "                                      2/4096  -",
                "pipe.socket  /run/p           message queue  p     shared        liste"
                    + "ning (paused; pipe.service, 3 times)     -/-  -",
                "x.socket     80               stream         x     shared        faile"
                    + "d: too often                               -  -",
            ])
    }

    @Test("A file is printed as it is, byte for byte into a pipe and without escapes on a terminal")
    func cat() {
        let files = [UnitText(path: "/a", text: "[Unit]\n\n"), UnitText(path: "/b", text: "x\u{1b}y\tz")]
        #expect(InventoryText.cat(files, .plain) == ["# /a", "[Unit]", "", "", "# /b", "x\u{1b}y\tz"])
        #expect(InventoryText.cat(files, Screen(width: 80, color: false)).last == "x?y\tz")
    }

    @Test("A diagnostic has the shape that editors jump to")
    func diagnostic() {
        let diagnostic = UnitDiagnostic(
            file: "a.service", line: 3, column: 1, severity: .error, code: "unknown-directive",
            message: "unknown directive ExecStrt=", suggestion: "ExecStart=")
        #expect(
            InventoryText.diagnostic(diagnostic, .plain)
                == "a.service:3:1: error: unknown directive ExecStrt= (did you mean ExecStart=?)")
        #expect(InventoryText.summary([diagnostic]) == "1 error, 0 warnings")
    }
}

@Suite("Small pieces of text")
struct TextTests {
    @Test(
        "Times are written for people",
        arguments: [
            (0, "0.0 s", "0 s", "0:00:00"), (0.449, "0.4 s", "1 s", "0:00:00"), (59.94, "59.9 s", "1 min", "0:00:59"),
            (59.96, "1 min", "1 min", "0:00:59"), (65, "1 min 5 s", "1 min 5 s", "0:01:05"),
            (7_380, "2 h 3 min", "2 h 3 min", "2:03:00"), (.nan, "0.0 s", "0 s", "0:00:00"),
            (-3, "0.0 s", "0 s", "0:00:00"),
        ])
    func times(seconds: Double, duration: String, coarse: String, uptime: String) {
        #expect(Text.duration(seconds) == duration)
        #expect(Text.coarse(seconds) == coarse)
        #expect(Text.uptime(seconds) == uptime)
    }

    @Test("Numbers that no daemon sends do not crash", arguments: [Double.infinity, -.infinity, 1e300, -1e300])
    func absurd(seconds: Double) {
        #expect(!Text.duration(seconds).isEmpty && !Text.coarse(seconds).isEmpty && !Text.uptime(seconds).isEmpty)
    }

    @Test("With a release the suffix is left out, without it is not")
    func names() {
        #expect(Text.shortName("site@v3.target") == "site@v3")
        #expect(Text.shortName("site@1.2.target") == "site@1.2")
        #expect(Text.shortName("site@.target") == "site@.target")
        #expect(Text.shortName("app.service") == "app.service")
        #expect(Text.shortName("site@v3.target", release: "v2") == "site@v2")
    }

    @Test("The control socket is found in the documented order")
    func socketPath() {
        func choose(_ option: String?, _ user: Bool, _ variables: [String: String], root: Bool, exists: Bool) -> String
        {
            SocketPath.choose(
                option: option, user: user, environment: { variables[$0] }, isRoot: root, exists: { _ in exists })
        }
        let both = ["HOLDFAST_SOCKET": "/h", "XDG_RUNTIME_DIR": "/x"]
        #expect(choose("/o", true, both, root: true, exists: true) == "/o")
        #expect(choose(nil, true, ["XDG_RUNTIME_DIR": "/x"], root: true, exists: false) == "/x/holdfast/io.holdfast")
        #expect(choose(nil, false, both, root: false, exists: true) == "/h")
        #expect(choose(nil, true, both, root: false, exists: true) == "/h")
        let own = ["XDG_RUNTIME_DIR": "/x"]
        #expect(choose(nil, false, own, root: false, exists: true) == "/x/holdfast/io.holdfast")
        #expect(choose(nil, false, own, root: false, exists: false) == "/run/holdfast/io.holdfast")
        #expect(choose(nil, false, own, root: true, exists: true) == "/run/holdfast/io.holdfast")
        #expect(choose(nil, false, ["HOLDFAST_SOCKET": ""], root: true, exists: true) == "/run/holdfast/io.holdfast")
    }

    @Test("Global options may stand before the command")
    func order() {
        #expect(Holdfastctl.globalOptionsLast(["--socket", "/s", "status", "a"]) == ["status", "--socket", "/s", "a"])
        #expect(Holdfastctl.globalOptionsLast(["--json", "--socket=/s", "x"]) == ["x", "--json", "--socket=/s"])
        #expect(Holdfastctl.globalOptionsLast(["--help"]) == ["--help"])
        #expect(Holdfastctl.globalOptionsLast(["--socket"]) == ["--socket"])
        #expect(Holdfastctl.nearestName(to: "statu", in: Holdfastctl.commandNames) == "status")
        #expect(Holdfastctl.nearestName(to: "xyzzy", in: Holdfastctl.commandNames) == nil)
    }
}
