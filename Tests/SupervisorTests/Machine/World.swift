import Linux
import SystemPackage

@testable import Supervisor

/// The simulated kernel, and all that lives on it beside the supervisor: it outlives supervisors.
///
/// One supervisor process at a time sees it, through its `SimulatedMachine`. Nothing here is random: what fails, and
/// where the supervisor crashes, is decided by `verdict`; what processes and clients do, by the test.
///
/// Parts of the machine (`SimulatedProcesses`, …) keep their state of the world in extensions' own classes, which the
/// world owns: processes, trees, sockets, files and so on survive a crash, handles of the supervisor do not.
final class World {
    /// CLOCK_MONOTONIC in nanoseconds. Only `run` and readings of the clock advance it.
    private(set) var now: Int64 = 1_000_000_000_000
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC in seconds.
    var wallClockOffset: Int64 = 1_700_000_000

    /// How many calls of the seam were made, by all supervisors.
    private(set) var calls = 0
    /// The last calls, oldest first, for the report of a failure.
    private(set) var recentCalls: [String] = []
    /// Decides about a call, before it has an effect: its name and its number.
    var verdict: (_ call: String, _ number: Int) -> Verdict = { _, _ in .succeed }

    /// The living supervisor process's view of this world.
    private(set) var machine: SimulatedMachine?

    /// What the world does by itself at a time: ends of processes, messages, answers. In order of time, then of their
    /// scheduling.
    private var agenda: [(time: Int64, number: Int, act: () -> Void)] = []
    private var lastNumber = 0

    enum Verdict {
        case succeed
        case fail(Errno)
        /// The supervisor dies at this call, which has no effect any more.
        case crash
    }

    /// Unit files.
    let units = WorldUnits()
    let disk = WorldDisk()
    private(set) lazy var sockets = WorldSockets(disk: disk)
    let manager = WorldManager()
    let clients = WorldClients()
    /// Descriptors that a new program of the supervisor's process finds open.
    let handover = WorldHandover()
    /// Processes and process trees.
    private(set) lazy var processes = WorldProcesses(world: self)
    /// Pipes and FIFOs.
    private(set) lazy var pipes = WorldPipes(world: self)
    let probes = WorldProbes()
    let logs = WorldLogs()
    /// Users, groups and facts of the host.
    let host = WorldHost()
    /// Called with the path of each file that a process of a service writes.
    var onFile: [(String) -> Void] = []
    /// Share of its effect that the call has in which the supervisor crashes, where the kernel may have done a part:
    /// 0 is nothing, 1 is all.
    var crashShare = 0.0

    init() { disk.clock = { [unowned self] in now } }

    private var lastRandom: UInt64 = 0

    /// The same numbers in each world, none twice.
    func nextRandom() -> UInt64 {
        lastRandom &+= 0x9E37_79B9_7F4A_7C15
        return lastRandom
    }

    // MARK: - Time

    /// A reading of the clock: a microsecond passes with it, so that no loop with a limit of time runs for ever.
    func readClock() -> Int64 {
        now += 1_000
        return now
    }

    /// Lets the world act `delay` nanoseconds from now.
    func schedule(after delay: Int64, _ act: @escaping () -> Void) {
        lastNumber += 1
        let entry = (time: now + max(0, delay), number: lastNumber, act: act)
        let index = agenda.firstIndex { ($0.time, $0.number) > (entry.time, entry.number) } ?? agenda.endIndex
        agenda.insert(entry, at: index)
    }

    // MARK: - Calls of the seam

    /// Begins a call of the supervisor: every function of a simulated port that may fail calls it first. Throws EIO in a
    /// supervisor that has crashed.
    func step(_ machine: SimulatedMachine, _ call: String, _ subject: String? = nil) throws(SystemError) {
        guard !machine.isDead else { throw SystemError(call, subject, .ioError) }
        note(call, subject)
        switch verdict(call, calls) {
        case .succeed: return
        case .fail(let errno): throw SystemError(call, subject, errno)
        case .crash:
            machine.die()
            throw SystemError(call, subject, .ioError)
        }
    }

    /// The same for a function that cannot fail: whether it has an effect.
    func permits(_ machine: SimulatedMachine, _ call: String, _ subject: String? = nil) -> Bool {
        guard !machine.isDead else { return false }
        note(call, subject)
        guard case .crash = verdict(call, calls) else { return true }
        machine.die()
        return false
    }

    private func note(_ call: String, _ subject: String?) {
        calls += 1
        recentCalls.append(subject.map { "\(call) \($0)" } ?? call)
        if recentCalls.count > 200 { recentCalls.removeFirst(100) }
    }

    // MARK: - Running

    /// Makes a machine for a new supervisor process.
    func boot() -> SimulatedMachine {
        let machine = SimulatedMachine(world: self)
        self.machine = machine
        return machine
    }

    enum Pause: Equatable {
        /// Nothing more happens by itself before the limit.
        case quiet
        /// The supervisor crashed, and is gone.
        case crashed
        /// The supervisor ended its loop with this code.
        case exited(Int32)
        /// `condition` holds.
        case reached
        /// More rounds than any scenario needs: something goes round in circles.
        case endless
    }

    /// Lets the world and its supervisor go on until `condition` holds, but not beyond `limit` nanoseconds from now.
    func run(for limit: Int64, until condition: () -> Bool = { false }) -> Pause {
        let end = now + limit
        for _ in 0..<200_000 {
            if machine?.isDead == true {
                machine = nil
                return .crashed
            }
            if let code = machine?.simulatedLoop.exitCode {
                machine = nil
                return .exited(code)
            }
            if condition() { return .reached }
            if machine?.simulatedLoop.runOnce() == true { continue }
            guard let next = nextTime, next <= end else { return .quiet }
            now = max(now, next)
            while let first = agenda.first, first.time <= now {
                agenda.removeFirst()
                first.act()
            }
        }
        return .endless
    }

    /// When something happens next by itself.
    private var nextTime: Int64? {
        [agenda.first?.time, machine?.simulatedLoop.nextDeadline].compactMap(\.self).min()
    }

    /// Ends the supervisor's process as SIGKILL does: none of its handles has an effect any more.
    func killSupervisor() {
        machine?.die()
        machine = nil
    }
}
