import ControlProtocol
import Linux
import Logging
import Vocabulary

/// What the desk of re-executions asks of the supervisor.
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
    private let children: Children
    private let logger: Logger
    private let program: String
    private let arguments: [String]
    private let environment: [String: String]
    /// Check whether the installed program could continue from the present state.
    private var check: ReexecCheck?
    /// Calls that wait for the re-execution.
    private(set) var calls: [ControlSessions.CallID] = []

    init(
        _ host: any ReexecHost, _ machine: any Machine, _ children: Children, logger: Logger, program: String,
        arguments: [String], environment: [String: String]
    ) {
        self.host = host
        self.machine = machine
        self.children = children
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
        let check = ReexecCheck(machine.loop) { [unowned self] problem in
            self.check = nil
            if let problem { fail(problem) } else { execute() }
        }
        do {
            let state = try StateFile.write(host.savedState(), machine.handover)
            try check.start(program, arguments, environment, state, children)
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
    private var process: ProcessHandle?
    private var complaint: OwnedDescriptor?
    private var source: ChildExitSource?
    private var timer: (any LoopTimer)?
    private var deferred: (any LoopSource)?
    private var isLate = false
    private let onEnd: (String?) -> Void

    /// `onEnd` receives the reason why the program could not continue, nil if it could; once, in a later round of the
    /// loop.
    init(_ loop: any Loop, _ onEnd: @escaping (String?) -> Void) {
        self.loop = loop
        self.onEnd = onEnd
    }

    func start(
        _ program: String, _ arguments: [String], _ environment: [String: String],
        _ state: borrowing OwnedDescriptor, _ children: Children
    ) throws {
        let null = try OwnedDescriptor.null()
        let pipe = try Pipe(nonBlockingReader: true)
        let reading = pipe.reading
        let writing = pipe.writing
        var plan = SpawnPlan(
            program: program, arguments: arguments + ["--check-state", "3"], environment: environment,
            standardInput: null.raw, standardOutput: null.raw, standardError: writing.raw)
        plan.descriptors = [state.raw]
        let timer = try loop.makeTimer { [unowned self] in expire() }
        let child = try children.spawn(plan)
        let pid = child.pid
        let handle = child.takeHandle()
        do {
            source = try children.watch(handle) { [unowned self] status in ended(status) }
        } catch {
            try? handle.send(.kill)
            children.abandon(pid: pid)
            throw error
        }
        process = consume handle
        complaint = consume reading
        self.timer = timer
        timer.arm(after: Self.timeout)
    }

    private func expire() {
        isLate = true
        switch process {
        case .some(let process): try? process.send(.kill)
        case .none: break
        }
    }

    private func ended(_ status: ExitStatus) {
        timer?.cancel()
        let problem = status.isSuccess ? nil : reason(status)
        // Deferred until this child has been reaped and all events that are ready now have been handled.
        deferred = try? loop.callLater(priority: .controlRequests) { [unowned self] in onEnd(problem) }
        if deferred == nil { onEnd(problem ?? "out of memory") }
    }

    private func reason(_ status: ExitStatus) -> String {
        if isLate { return "it did not answer within \(Self.timeout / 1_000_000_000) s" }
        let prefix = "Error: "
        let line = complaintLine ?? ""
        let reason = line.hasPrefix(prefix) ? String(line.dropFirst(prefix.count)) : line
        return reason.isEmpty ? "it \(status)" : reason
    }

    /// First line of the program's standard error. The program has ended, so the output is complete.
    private var complaintLine: String? {
        switch complaint {
        case .some(let complaint): complaint.firstLine()
        case .none: nil
        }
    }
}
