import ControlProtocol
import Engine
import Glibc
import Linux

/// `holdfastctl daemon-reexec`: replaces the program of this process by the one that is installed now.
///
/// First the installed program, as a child, reads a state like the one that it would get, and reports whether it could
/// continue from there; meanwhile this process works as usual. Only then the state is taken, and no event is handled
/// between that and execve(2): notifications, exits and requests of that time wait in the kernel (in the notify socket,
/// as zombies and pending signals, in the backlog of sockets, in FIFOs), and the successor finds them there. If any
/// step fails, nothing has changed.
extension Supervisor {
    func reexec(for call: ControlSessions.CallID?) throws(ControlError) {
        guard !engine.isShuttingDown, shutdownRequests == nil else { throw .shuttingDown }
        if let call { reexecCalls.append(call) }
        guard reexecution == nil else { return }
        let rehearsal = rehearsal()
        do {
            let state = try StateFile.write(savedState())
            try rehearsal.begin(program, arguments, environment, state, children)
            reexecution = rehearsal
        } catch {
            reexecCalls.removeAll { $0 == call }
            throw .failed(message: "cannot execute \(program): \(error)")
        }
    }

    private func rehearsal() -> Rehearsal {
        Rehearsal(loop: eventLoop) { [unowned self] problem in
            reexecution = nil
            if let problem { reexecFailed(problem) } else { execute() }
        }
    }

    private func execute() {
        // Events since the check may have begun a shutdown.
        guard !engine.isShuttingDown else { return reexecFailed("it is shutting down") }
        let file: OwnedDescriptor
        let kept: [Int32]
        do {
            var state = savedState()
            state.strays = trees.savedStrays
            kept = state.descriptors
            file = try StateFile.write(state)
        } catch {
            return reexecFailed("\(error)")
        }
        logger.info("executing \(program)")
        notifyParent("RELOADING=1\nMONOTONIC_USEC=\(loop.now / 1000)\nWATCHDOG=1")
        for probe in probes.values { probe.cancel() }
        var environment = environment
        environment[StateFile.variable] = "\(file.raw)"
        let error = Reexecution.execute(
            program, arguments: arguments, environment: environment, keeping: kept + [file.raw])
        notifyParent("READY=1")
        probes = [:]
        for effect in engine.outstandingEffects { if case .probe = effect { perform(effect) } }
        reexecFailed("\(error)")
    }

    private func reexecFailed(_ problem: String) {
        let message = "holdfastd \(Holdfast.version) goes on: \(program) cannot take over: \(problem)"
        logger.error("\(message)")
        for call in reexecCalls { conclude(call, Reply(ControlError.failed(message: message))) }
        reexecCalls = []
    }

    func answerReexec(_ call: ControlSessions.CallID, _ head: SavedHead) {
        let pause = head.takenAt.map { Double(loop.now - $0) / 1e9 } ?? 0
        conclude(
            call, Reply(ReexecReply(version: Holdfast.version, previousVersion: head.version, pause: pause)))
    }
}

/// Check by the installed program: it reads a state and reports whether it could continue from there.
final class Rehearsal {
    /// Nanoseconds; longer than any working program needs.
    private static let patience: Int64 = 60_000_000_000
    private let loop: EventLoop
    private var process: ProcessHandle?
    private var complaint: OwnedDescriptor?
    private var source: ChildExitSource?
    private var timer: (any LoopTimer)?
    private var deferred: (any LoopSource)?
    private var isLate = false
    private let done: (String?) -> Void

    /// `done` receives the reason why the program could not continue, nil if it could; once, in a later round of the
    /// loop.
    init(loop: EventLoop, _ done: @escaping (String?) -> Void) {
        self.loop = loop
        self.done = done
    }

    func begin(
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
        timer.arm(after: Self.patience)
    }

    private func expire() {
        isLate = true
        switch process {
        case .some(let process): try? process.send(.kill)
        case .none: break
        }
    }

    private func ended(_ status: Linux.ExitStatus) {
        timer?.cancel()
        let problem = status.isSuccess ? nil : reason(status)
        // Deferred until this child has been reaped and all events that are ready now have been handled.
        deferred = try? loop.callLater(priority: .controlRequests) { [unowned self] in done(problem) }
        if deferred == nil { done(problem ?? "out of memory") }
    }

    private func reason(_ status: Linux.ExitStatus) -> String {
        if isLate { return "it did not answer within \(Self.patience / 1_000_000_000) s" }
        let prefix = "Error: "
        let line = complaintLine ?? ""
        let reason = line.hasPrefix(prefix) ? String(line.dropFirst(prefix.count)) : line
        return reason.isEmpty ? "it \(Wording.end(status.engine))" : reason
    }

    /// First line of the program's standard error. The program has ended, so the output is complete.
    private var complaintLine: String? {
        switch complaint {
        case .some(let complaint): complaint.firstLine()
        case .none: nil
        }
    }
}
