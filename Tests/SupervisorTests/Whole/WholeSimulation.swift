import ControlProtocol
import Linux
import Vocabulary

@testable import Supervisor

/// Drives the whole supervisor through a random life: units, commands, processes that end in any order and at any time,
/// calls that fail, and crashes at any call, several in a row. A seed repeats a life exactly.
final class WholeSimulation {
    let seed: UInt64
    let host = SimulatedHost()
    private var random: SplitMix
    private var world: World { host.world }
    /// Calls of the seam that remain until something happens to the supervisor, and what.
    private var trouble: (after: Int, verdict: World.Verdict)?
    private var crashesLeft = 0
    /// Requests whose outcome is awaited.
    private(set) var asked: [Asked] = []
    private var lastRequest = 0
    /// Violations of what was promised.
    private(set) var violations: [String] = []
    private(set) var story: [String] = []

    /// The public address of the site.
    static let address = SocketAddress.inet(host: "0.0.0.0", port: 80)
    /// Whether the address has been bound, and nobody has asked for its end since.
    var isPublic = false

    struct Asked {
        let request: Request
        let identity: RequestIdentity
        let client: WorldClient
        let time: Int64
    }

    init(seed: UInt64) {
        self.seed = seed
        random = SplitMix(seed: seed)
        for unit in ["app", "web", "job"] { host.write("\(unit).service", service(unit)) }
        host.write(
            "site@.target",
            """
            [Unit]
            Wants=back@%i.service edge@%i.service
            [X-Swap]
            ReadyTimeoutSec=20s
            SoakSec=\(chance(2) ? 1 : 0)s
            DrainTimeoutSec=8s
            """)
        host.write("http.socket", "[Socket]\nListenStream=0.0.0.0:80\n")
        host.write("back@.socket", "[Socket]\nListenStream=%t/back-%i.sock\n")
        host.write("back@.service", service("back", isMember: true))
        host.write(
            "edge@.service",
            "[Unit]\nAfter=back@%i.service\n" + service("edge", isMember: true)
                + "[Service]\nSockets=http.socket\nX-Upstreams=back@%i.socket\n")
        for program in ["app", "web", "job", "back", "edge"] {
            world.processes.programs["/bin/\(program)"] = { [unowned self] in live($0) }
        }
        world.processes.programs["/bin/false"] = { $0.exit(1) }
        // The check before a re-execution.
        world.processes.programs["/usr/sbin/holdfastd"] = { [unowned self] process in
            world.schedule(after: milliseconds(50)) { process.exit(self.chance(4) ? 1 : 0) }
        }
        world.processes.exitDelay = { [unowned self] _ in chance(3) ? milliseconds(20) : 0 }
        world.processes.emptyDelay = { [unowned self] _ in chance(3) ? milliseconds(20) : 0 }
        world.verdict = { [unowned self] call, _ in verdict(call) }
    }

    private func service(_ name: String, isMember: Bool = false) -> String {
        let type = pick(["simple", "notify", "notify", "exec", "oneshot"])
        var text = """
            [Service]
            Type=\(isMember && type == "oneshot" ? "notify" : type)
            ExecStart=/bin/\(name)
            Restart=\(pick(["no", "on-failure", "always"]))
            RestartSec=\(pick(["0", "100ms", "2s"]))
            TimeoutStartSec=10s
            TimeoutStopSec=5s
            KillMode=\(pick(["control-group", "mixed"]))

            """
        if chance(4) { text += "ExecStartPre=-/bin/false\n" }
        if chance(4) { text += "ExecStop=/bin/false\n" }
        if !isMember, chance(2) { text += "[X-Swap]\nReadyTimeoutSec=15s\nDrainTimeoutSec=5s\n" }
        return text
    }

    // MARK: - Chance

    private func chance(_ of: Int) -> Bool { Int.random(in: 0..<of, using: &random) == 0 }
    private func pick<T>(_ list: [T]) -> T { list[Int.random(in: 0..<list.count, using: &random)] }
    private func milliseconds(_ limit: Int) -> Int64 { Int64.random(in: 0...Int64(limit), using: &random) * 1_000_000 }

    /// The life of one process.
    private func live(_ process: WorldProcess) {
        if !chance(12) {
            world.schedule(after: milliseconds(300)) { [world] in
                if process.program == "/bin/edge" { world.sockets.startAccepting(process.pid, at: Self.address) }
                process.notify("READY=1")
            }
        }
        if chance(5) { _ = try? process.fork() }
        switch Int.random(in: 0..<10, using: &random) {
        case 0: world.schedule(after: milliseconds(100)) { process.exit(0) }
        case 1: world.schedule(after: milliseconds(6000)) { process.exit(1) }
        case 2:
            world.schedule(after: milliseconds(6000)) {
                process.die(.signalled(.abort, coreDumped: false))
            }
        default: break
        }
        let delay = chance(3) ? milliseconds(3000) : 0
        let isDeaf = chance(8)
        process.onSignal = { [unowned self, weak process] signal in
            guard let process, !isDeaf, signal == .terminate || signal == .interrupt else { return }
            world.schedule(after: delay) { process.exit(0) }
        }
    }

    private func verdict(_ call: String) -> World.Verdict {
        guard let due = trouble else { return .succeed }
        guard due.after <= 0 else {
            trouble = (due.after - 1, due.verdict)
            return .succeed
        }
        trouble = nil
        if case .crash = due.verdict {
            crashesLeft -= 1
            // The next crash may come while the successor starts.
            if crashesLeft > 0 { trouble = (Int.random(in: 0..<300, using: &random), .crash) }
            story.append("\(seconds): crash in \(call)")
        } else {
            story.append("\(seconds): \(due.verdict) in \(call)")
        }
        return due.verdict
    }

    private var seconds: Double { Double(world.now / 1_000_000 - 1_000_000) / 1000 }

    // MARK: - A life

    func run(steps: Int) {
        guard host.start() else { return violate("the first supervisor does not start") }
        for _ in 0..<steps where violations.isEmpty {
            step()
            checkInstant()
        }
        settle()
    }

    private func step() {
        switch Int.random(in: 0..<12, using: &random) {
        case 0...4: ask(command())
        case 5:
            trouble = (Int.random(in: 0..<400, using: &random), .fail(pick([.tooManyOpenFiles, .noSpace, .noMemory])))
        case 6:
            crashesLeft = Int.random(in: 1...3, using: &random)
            trouble = (Int.random(in: 0..<400, using: &random), .crash)
        case 7 where chance(2):
            story.append("\(seconds): kill -9")
            host.kill()
        case 8 where chance(3): ask(.reexec)
        case 9:
            if let victim = world.processes.running.randomElement(using: &random) {
                story.append("\(seconds): \(victim.program) \(victim.pid) dies")
                victim.die(chance(2) ? .exited(3) : .signalled(.kill, coreDumped: false))
            }
        default: break
        }
        let span = pick([0, 0.001, 0.05, 0.5, 4])
        if host.run(span) == .endless {
            violate("the supervisor goes round in circles: \(world.recentCalls.suffix(20))")
        }
    }

    private func command() -> Request {
        let name = pick(["app", "web", "job", "site"])
        let release = name == "site" ? "site@" + pick(["v1", "v2", "v3"]) : name
        switch Int.random(in: 0..<12, using: &random) {
        case 0, 1, 2: return .start(name: release, hold: false)
        case 3, 4, 5: return .swap(name: release, hold: chance(5))
        case 6: return .restart(name: name, hard: chance(2))
        case 7: return .stop(name: name)
        case 8: return .rollback(name: name)
        case 9: return .promote(name: name)
        case 10: return .abort(name: name)
        default: return .reload(name: name)
        }
    }

    private func ask(_ request: Request) {
        lastRequest += 1
        guard let identity = RequestIdentity("life-\(seed)-request-number-\(lastRequest)"),
            let client = host.call(request, as: request == .reexec ? nil : identity)
        else { return }
        story.append("\(seconds): \(request)")
        asked.append(Asked(request: request, identity: identity, client: client, time: world.now))
    }

    func violate(_ text: String) { violations.append("\(seconds): \(text)") }
}

/// A generator of random numbers that a seed determines.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
