import Engine
import SystemPackage
import Testing
import UnitFiles
import Vocabulary

@testable import Linux
@testable import Supervisor

@Suite("Probes, checks of conditions and helper programs without a process") struct ProbeDeskTests {
    private func probed(_ probe: String) -> String {
        "[Service]\nExecStart=/srv/app\n[X-Swap]\nReadyProbe=\(probe)\nReadyProbeTimeoutSec=5\n"
    }

    @Test("An HTTP probe asks the address in the unit, and its answer is reported with the probe's text")
    func http() throws {
        let bench = try ProcessesBench()
        let instance = try bench.instance(probed("http 127.0.0.1:80 /healthz"))
        bench.world.probes.answer = { _ in (.passed("200 OK"), 1_000_000) }
        let first = bench.token()
        bench.probes.start(first, of: instance.id)
        bench.run()
        #expect(bench.world.probes.asked.map(\.path) == ["/healthz"])
        #expect(bench.takeEvents() == [.probeAnswered(first, .ready)])
        bench.world.probes.answer = { _ in (.failed("503 Service Unavailable"), 0) }
        let second = bench.token()
        bench.probes.start(second, of: instance.id)
        bench.run()
        #expect(
            bench.takeEvents() == [
                .probeAnswered(second, .notReady("http 127.0.0.1:80 /healthz: 503 Service Unavailable"))
            ])
    }

    @Test("A cancelled probe is not answered, however late its answer arrives")
    func cancelled() throws {
        let bench = try ProcessesBench()
        let instance = try bench.instance(probed("http 127.0.0.1:80 /"))
        bench.world.probes.answer = { _ in (.passed("200 OK"), 1_000_000_000) }
        let token = bench.token()
        bench.probes.start(token, of: instance.id)
        bench.probes.cancel(token)
        bench.run(3)
        #expect(bench.takeEvents().isEmpty)
    }

    @Test("A probe program's exit is the answer; it is killed when its time is over; no successor gets its record")
    func program() throws {
        let bench = try ProcessesBench()
        let instance = try bench.instance(probed("exec /srv/check"))
        let main = bench.start(instance)
        _ = bench.takeEvents()
        for (status, answer) in [
            (0 as Int32, ProbeAnswer.ready), (1, .notReady("exec /srv/check: exited with status 1")),
        ] {
            bench.world.processes.programs["/srv/check"] = { $0.exit(status) }
            let token = bench.token()
            bench.probes.start(token, of: instance.id)
            bench.run()
            #expect(bench.takeEvents() == [.probeAnswered(token, answer)])
        }
        bench.world.processes.programs["/srv/check"] = { _ in }
        let token = bench.token()
        bench.probes.start(token, of: instance.id)
        bench.run(4.9)
        #expect(bench.takeEvents().isEmpty)
        bench.run(0.2)
        let late = "exec /srv/check: no answer within \(Wording.span(.seconds(5)))"
        #expect(bench.takeEvents() == [.probeAnswered(token, .notReady(late))])
        #expect(bench.world.processes.running("/srv/check").isEmpty)
        #expect(bench.recorded == [main])
    }

    @Test("A cancelled probe program is killed, and its end answers neither it nor a probe that follows it")
    func cancelledProgram() throws {
        let bench = try ProcessesBench()
        let instance = try bench.instance(probed("exec /srv/check"))
        bench.start(instance)
        _ = bench.takeEvents()
        bench.world.processes.exitDelay = { $0.program == "/srv/check" ? 500_000_000 : 0 }
        let token = bench.token()
        bench.probes.start(token, of: instance.id)
        bench.probes.cancel(token)
        // As after a re-execution that failed: the same probe again.
        bench.world.processes.programs["/srv/check"] = { $0.exit(0) }
        bench.probes.start(token, of: instance.id)
        bench.run(3)
        #expect(bench.takeEvents() == [.probeAnswered(token, .ready)])
        #expect(bench.world.processes.running("/srv/check").isEmpty)
        #expect(bench.processes[token] == nil)
    }

    @Test("A condition that may take long is checked by the supervisor's program, the others at once")
    func conditions() throws {
        let bench = try ProcessesBench()
        bench.world.host.slowParameters = ["/net/flag"]
        let program = "/usr/sbin/holdfastd"
        bench.world.processes.programs[program] = { process in
            for _ in process.arguments.dropFirst() { process.print("1") }
            process.exit()
        }
        let instance = try bench.instance(
            "[Unit]\nConditionPathExists=/net/flag\nConditionPathExists=/etc/app\n[Service]\nExecStart=/srv/app\n")
        let first = bench.token()
        bench.conditions.check(first, of: instance.id)
        #expect(bench.takeEvents().isEmpty)
        bench.run()
        #expect(bench.takeEvents() == [.conditionsChecked(first, .unmet("ConditionPathExists=/etc/app"))])
        try bench.world.disk.write("/etc/app", "")
        let second = bench.token()
        bench.conditions.check(second, of: instance.id)
        bench.run()
        #expect(bench.takeEvents() == [.conditionsChecked(second, .met)])
    }

    @Test("A check that is not answered fails the start after ten seconds, and its process is killed")
    func slowCondition() throws {
        let bench = try ProcessesBench()
        bench.world.host.slowParameters = ["/net/flag"]
        let instance = try bench.instance(
            "[Unit]\nConditionPathExists=/net/flag\n[Service]\nExecStart=/srv/app\n")
        let token = bench.token()
        bench.conditions.check(token, of: instance.id)
        bench.run(9.9)
        #expect(bench.takeEvents().isEmpty)
        bench.run(0.2)
        #expect(
            bench.takeEvents() == [
                .conditionsChecked(
                    token, .assertFailed("cannot check ConditionPathExists=/net/flag: timed out after 10 s"))
            ])
        #expect(bench.world.processes.running.isEmpty)
    }

    @Test("A helper's lines arrive whole; its end follows its last output, and a complaint is the reason")
    func helper() throws {
        let bench = try ProcessesBench()
        let plan = SpawnPlan(
            program: "/usr/bin/helper", arguments: ["helper"], environment: [:], standardInput: -1,
            standardOutput: -1, standardError: -1)
        bench.world.processes.programs["/usr/bin/helper"] = { process in
            process.print("one\ntwo")
            process.print("helper: no such unit", to: 2)
            process.exit(1)
        }
        let helper = HelperProgram(on: bench.machine)
        var lines: [String] = []
        var problems: [String?] = []
        try helper.start(
            plan,
            lines: HelperProgram.LineReader(longestLine: 100) { printed in
                lines += printed.map { String(decoding: $0, as: UTF8.self) }
            }
        ) { problems.append($0.problem) }
        bench.run()
        #expect(lines == ["one", "two"])
        #expect(problems == ["helper: no such unit"])
    }

    @Test("A helper whose time is over is killed and reported once; one with an endless line, too")
    func helperLimits() throws {
        let bench = try ProcessesBench()
        let plan = SpawnPlan(
            program: "/usr/bin/helper", arguments: ["helper"], environment: [:], standardInput: -1,
            standardOutput: -1, standardError: -1)
        let slow = HelperProgram(on: bench.machine)
        var outcomes: [String] = []
        try slow.start(plan, within: 2_000_000_000) { outcome in
            if case .timedOut = outcome { outcomes.append("timed out") } else { outcomes.append("other") }
        }
        bench.run(5)
        #expect(outcomes == ["timed out"])
        let endless = HelperProgram(on: bench.machine)
        bench.world.processes.programs["/usr/bin/helper"] = { $0.write(String(repeating: "x", count: 200)) }
        var ended = 0
        try endless.start(plan, lines: HelperProgram.LineReader(longestLine: 100) { _ in }) { _ in ended += 1 }
        bench.run(5)
        #expect(bench.world.processes.running("/usr/bin/helper").isEmpty)
        #expect(ended == 1)
    }
}
