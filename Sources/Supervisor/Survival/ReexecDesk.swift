import ControlProtocol
import Linux
import Logging

/// Interface of the supervisor to the desk of re-executions.
protocol ReexecHost: AnyObject {
    var isShuttingDown: Bool { get }

    /// State for the successor.
    func savedState() -> SavedState
    /// State for the successor that takes over in this moment; no event is handled any more.
    func finalState() -> SavedState

    /// Ends the probes, whose programs the successor does not know, and starts those that are still awaited again.
    func cancelProbes()
    func repeatProbes()

    func answer(_ call: ControlSessions.CallID, _ reply: Reply)
}

/// `holdfastctl daemon-reexec`: replaces the program of this process by the one that is installed now.
///
/// First the installed program, as a child, reads a state like the one that it would get, and reports whether it could
/// continue from there; meanwhile this process works as usual. Only then the state is taken, and no event is handled
/// between that and execve(2): notifications, exits and requests of that time wait in the kernel (in the notify socket,
/// as zombies and pending signals, in the backlog of sockets, in FIFOs), and the successor finds them there. If any
/// step fails, nothing has changed.
final class ReexecDesk {
    private unowned let host: any ReexecHost
    private let machine: any Machine
    private let logger: Logger
    private let program: String
    private let arguments: [String]
    private let environment: [String: String]
    /// Check whether the installed program could continue from the present state.
    private var check: ReexecCheck?
    /// Calls that wait for the re-execution.
    private(set) var calls: [ControlSessions.CallID] = []

    init(
        _ host: any ReexecHost, _ machine: any Machine, logger: Logger, program: String,
        arguments: [String], environment: [String: String]
    ) {
        self.host = host
        self.machine = machine
        self.logger = logger
        self.program = program
        self.arguments = arguments
        self.environment = environment
    }

    var isChecking: Bool { check != nil }

    /// Takes over the calls that led to this program.
    func restore(_ calls: [ControlSessions.CallID]) { self.calls = calls }

    /// Has a repeated call wait for the re-execution that is under way.
    func addCall(_ call: ControlSessions.CallID) { calls.append(call) }

    func start(for call: ControlSessions.CallID?) throws(ControlError) {
        guard !host.isShuttingDown else { throw .shuttingDown }
        if let call { calls.append(call) }
        guard check == nil else { return }
        let check = ReexecCheck(on: machine) { [unowned self] problem in
            self.check = nil
            if let problem { fail(problem) } else { execute() }
        }
        do {
            let state = try StateFile.write(host.savedState(), machine.handover)
            try check.start(program, arguments, environment, state)
            self.check = check
        } catch {
            calls.removeAll { $0 == call }
            throw .failed(message: "cannot execute \(program): \(error)")
        }
    }

    private func execute() {
        // Events since the check may have begun a shutdown.
        guard !host.isShuttingDown else { return fail("it is shutting down") }
        let file: OwnedDescriptor
        let kept: [Int32]
        do {
            let state = host.finalState()
            kept = state.descriptors
            file = try StateFile.write(state, machine.handover)
        } catch {
            return fail("\(error)")
        }
        logger.info("executing \(program)")
        machine.manager.notify("RELOADING=1\nMONOTONIC_USEC=\(machine.loop.now / 1000)\nWATCHDOG=1")
        host.cancelProbes()
        var environment = environment
        environment[StateFile.variable] = "\(file.raw)"
        let error = machine.handover.execute(
            program, arguments: arguments, environment: environment, keeping: kept + [file.raw])
        machine.manager.notify("READY=1")
        host.repeatProbes()
        fail("\(error)")
    }

    private func fail(_ problem: String) {
        let message =
            "cannot re-execute \(program): \(problem); holdfastd \(Holdfast.version) keeps running, unaffected"
        logger.error("\(message)")
        for call in calls { host.answer(call, Reply(ControlError.failed(message: message))) }
        calls = []
    }

    /// Answers the calls that led to this program, as its successor.
    func answerCalls(_ head: SavedHead) {
        let pause = head.takenAt.map { Double(machine.loop.now - $0) / 1e9 } ?? 0
        for call in calls {
            host.answer(
                call, Reply(ReexecReply(version: Holdfast.version, previousVersion: head.version, pause: pause)))
        }
        calls = []
    }
}

/// Check by the installed program: it reads a state and reports whether it could continue from there.
final class ReexecCheck {
    /// Nanoseconds; longer than any working program needs.
    private static let timeout: Int64 = 60_000_000_000
    private let loop: any Loop
    private let helper: HelperProgram
    private var deferred: (any LoopSource)?
    private let onEnd: (String?) -> Void

    /// `onEnd` receives the reason why the program could not continue, nil if it could; once, in a later round of the
    /// loop.
    init(on machine: any Machine, _ onEnd: @escaping (String?) -> Void) {
        loop = machine.loop
        helper = HelperProgram(on: machine)
        self.onEnd = onEnd
    }

    func start(
        _ program: String, _ arguments: [String], _ environment: [String: String], _ state: borrowing OwnedDescriptor
    ) throws(SystemError) {
        var plan = SpawnPlan(
            program: program, arguments: arguments + ["--check-state", "3"], environment: environment,
            standardInput: -1, standardOutput: -1, standardError: -1)
        plan.descriptors = [state.raw]
        try helper.start(plan, within: Self.timeout) { [unowned self] outcome in didEnd(outcome) }
    }

    private func didEnd(_ outcome: HelperProgram.Outcome) {
        let problem = Self.problem(outcome)
        // Deferred until this child has been reaped and all events that are ready now have been handled.
        deferred = try? loop.callLater(priority: .controlRequests) { [unowned self] in onEnd(problem) }
        if deferred == nil { onEnd(problem ?? "out of memory") }
    }

    private static func problem(_ outcome: HelperProgram.Outcome) -> String? {
        switch outcome {
        case .succeeded: return nil
        case .timedOut: return "it timed out after \(timeout / 1_000_000_000) s"
        case .failed(let status, let complaint):
            let prefix = "Error: "
            let line = complaint ?? ""
            let reason = line.hasPrefix(prefix) ? String(line.dropFirst(prefix.count)) : line
            return reason.isEmpty ? "it \(status)" : reason
        }
    }
}
