import ControlProtocol
import Linux
import Testing
import UnitFiles

@testable import holdfastctl

private func clock(_ seconds: Int64) -> String {
    Timestamp.string(unixSeconds: seconds).replacing("T", with: " ").replacing("Z", with: "")
}

@Suite("Explanations")
struct ExplanationTextTests {
    private static let failure = FailureReport(
        unit: "app.service", phase: .start, message: "cannot start app.service: exited with status 3",
        exitStatus: "status 3", probeAnswer: "503 Service Unavailable", lastLines: ["no database\u{1b}[2J"])

    @Test("why names the state, what explains it, the evidence once, and what to do")
    func why() {
        let reply = WhyReply(
            unit: "app.service", state: .failed,
            findings: [
                Finding(
                    unit: "app.service", text: Self.failure.message, hint: "holdfastctl start app.service",
                    failure: Self.failure),
                Finding(text: "its unit files have changed since it was started"),
            ])
        #expect(
            ExplanationText.why(reply, .plain) == [
                "app.service: failed",
                "  - cannot start app.service: exited with status 3",
                "    last answer: 503 Service Unavailable",
                "    last lines:",
                "      no database?[2J",
                "    try: holdfastctl start app.service",
                "  - its unit files have changed since it was started",
            ])
        let narrow = ExplanationText.why(reply, Screen(width: 40, color: false))
        #expect(narrow.prefix(4).allSatisfy { $0.count <= 40 }, "\(narrow)")
    }

    @Test("show prints NAME=value, or what was asked for in that order")
    func properties() {
        let all = [
            Property("Id", "a.service"), Property("MainPID", "7"), Property("ExecStart", "/x"),
            Property("ExecStart", "/y"),
        ]
        #expect(
            ExplanationText.properties(all, [], values: false, .plain)
                == ["Id=a.service", "MainPID=7", "ExecStart=/x", "ExecStart=/y"])
        #expect(
            ExplanationText.properties(all, ["execstart", "MainPID", "No"], values: true, .plain) == ["/x", "/y", "7"])
    }

    @Test("An event is a line; the first one is only for programs")
    func events() {
        func line(_ event: UnitEvent, width: Int? = nil) -> String? {
            ExplanationText.event(event, Screen(width: width, color: false), localTime: clock)
        }
        let at = "2026-11-23T05:02:57Z"
        #expect(line(UnitEvent(.begin, at: at)) == nil)
        #expect(
            line(
                UnitEvent(
                    .service, at: at, unit: "site@.target", generation: 4, release: "v3", service: "app@v3.service",
                    serviceState: .running, message: "ready")) == "05:02:57  app@v3.service (4)            ready")
        #expect(
            line(
                UnitEvent(
                    .phase, at: at, unit: "site@.target", generation: 4, release: "v3", phase: .soak, message: "soaking"
                ))
                == "05:02:57  site@.target v3 (4)           soaking")
        #expect(
            line(UnitEvent(.finished, at: at, unit: "a.service", outcome: .rolledBack, message: "no"))
                == "05:02:57  a.service                     rolled back: no")
        #expect(line(UnitEvent(.lost, at: at, count: 12))?.contains("12 events were lost") == true)
        let long = UnitEvent(.failure, at: at, unit: "a.service", message: String(repeating: "x", count: 300))
        #expect(line(long, width: 80)?.count == 80)
    }

    @Test("A draining generation says what pins it")
    func pinned() {
        var draining = Site.v1
        draining.oldestPeer = "192.0.2.7:51234"
        draining.oldestPeerIdle = 240
        #expect(
            StatusText.generationText(draining)
                == "drain, 0:00:03, 3 connections left (oldest 192.0.2.7:51234, idle 4 min), waits for edge@v1.service, "
                + "killed in 57 s")
    }

    @Test("reread speaks as supervisorctl does")
    func reread() {
        let reply = UpdateReply(changed: ["b"], added: ["a"], removed: ["c"], outdated: ["b", "d"])
        #expect(
            InventoryText.reread(reply)
                == ["a: available", "b: changed", "d: runs an older definition", "c: disappeared"])
        #expect(InventoryText.reread(UpdateReply()) == ["No changes"])
    }

    @Test("avail says what is in use")
    func avail() {
        let units = [
            ListedUnit(unit: "a.service", operand: "a.service", description: "A", state: .running),
            ListedUnit(
                unit: "longer.service", operand: "longer.service", description: "longer.service", state: .stopped),
        ]
        #expect(
            InventoryText.avail(units, .plain)
                == ["UNIT            USE     DESCRIPTION", "a.service       in use  A", "longer.service  avail"])
    }

    @Test("Patterns act on what fits: a template without a release cannot be started, what is stopped not stopped")
    func operands() {
        let units = [
            ListedUnit(unit: "app@v1.service", operand: "site@v1.target", state: .running),
            ListedUnit(unit: "edge@v1.service", operand: "site@v1.target", state: .running),
            ListedUnit(unit: "new@.target", operand: "new@.target", state: .stopped),
            ListedUnit(unit: "cron.service", operand: "cron.service", state: .stopped),
        ]
        #expect(Names.operands(units, .starting) == ["site@v1.target", "cron.service"])
        #expect(Names.operands(units, .runningOnly) == ["site@v1.target"])
        #expect(UnitCompletion.names(units.suffix(2)) == ["new@", "cron"])
    }
}

@Suite("top")
struct TopTextTests {
    @Test("A service is its processes with all forks, and shares are of the time between two looks")
    func rows() throws {
        let before: [Int32: ProcessUsage] = [
            4711: ProcessUsage(parent: 1, session: 4711, cpu: 10, memory: 1000),
            4800: ProcessUsage(parent: 4711, session: 4711, cpu: 1, memory: 500),
        ]
        var now = before
        now[4711]?.cpu = 10.5
        now[4800]?.cpu = 2
        now[4801] = ProcessUsage(parent: 4800, session: 4801, cpu: 0.5, memory: 2_000_000)
        now[99] = ProcessUsage(parent: 1, session: 99, cpu: 7, memory: 3)
        let rows = TopText.rows([Site.running], now, before: before, elapsed: 2) { $0 == 99 ? nil : 5 }
        let app = try #require(rows.first { $0.service == "app@v2.service" })
        #expect(app.processes == 3 && app.cpu == 1.0 && app.memory == 2_001_500 && app.descriptors == 15)
        #expect(rows.map(\.service) == ["app@v2.service", "edge@v2.service"])
        let lines = TopText.lines(rows, .plain)
        #expect(lines[0].hasPrefix("SERVICE"))
        #expect(lines[1] == "app@v2.service     3  serving  4711      3  100.0%  2.0 MB   15         0      -")
        #expect(TopText.rows([Site.running], now, before: [:], elapsed: 0) { _ in nil }.allSatisfy { $0.cpu == nil })
        #expect(TopText.lines([], .plain) == ["No services run"])
    }
}

@Suite("Editing a drop-in")
struct EditingTests {
    @Test("Only what stands above the mark is the drop-in")
    func result() throws {
        let name = try UnitName("app.service")
        let draft = Editing.draftText(
            of: name, path: "/etc/app.service.d/override.conf", old: nil,
            [UnitSource(path: "/usr/app.service", text: "[Service]\nExecStart=/x\n")])
        #expect(draft.contains("# ExecStart=/x"))
        #expect(Editing.editedText(of: draft) == "# Drop-in for app.service\n")
        #expect(Editing.editedText(of: "[Service]\nNice=5\n\n\(Editing.endMark)\n# x") == "[Service]\nNice=5\n")
    }
}
