import CSpawn
import Glibc
import SystemPackage
import Vocabulary

/// The children of the daemon: those it started, and orphans that it got as a subreaper.
///
/// A child of ours is reaped only after its exit was dispatched, so that its pid, /proc entry and process group stay
/// its own while the handler runs. Orphans have no handler and are reaped at once. Nothing polls: SIGCHLD starts a pass
/// over the dead, and a pass that meets a child of ours whose exit has not been dispatched yet continues after that
/// dispatch.
public final class Children {
    private let loop: EventLoop
    private var own: Set<Int32> = []
    private var signalSource: SignalSource?
    private var passPending = false
    /// Children still to be checked one by one, because a dead child of our own hides them.
    private var unseen: [Int32] = []
    private var unseenContinuation: DeferredSource?
    /// Whether a child has ended since the list was made.
    private var mustListAgain = false
    /// The rest of a pass, in a later turn of the loop.
    private var continuation: DeferredSource?
    /// The most orphans reaped in one turn: a service can create them as fast as it can fork.
    private static let orphansPerTurn = 64

    public init(loop: EventLoop) { self.loop = loop }

    /// Makes us the parent of orphaned descendants (PR_SET_CHILD_SUBREAPER) and reaps them from now on. SIGCHLD must be
    /// blocked (`EventLoop.blockSignals`).
    public func adoptOrphans() throws(SystemError) {
        try check(holdfast_become_subreaper(1), "become subreaper")
        signalSource = try loop.addSignal(.child, priority: .orphans) { [unowned self] in reapOrphans() }
    }

    /// Starts a program. The caller must call `watch` or `abandon` for it.
    public func spawn(_ plan: SpawnPlan) throws(SpawnError) -> Child {
        let child = try ProcessSpawner.spawn(plan)
        // No event is dispatched between the start and this line: the reaper never sees an unknown child.
        own.insert(child.pid)
        return child
    }

    /// Waits for the end of a child, or of any process by handle: the status of a process that is not our child is
    /// `.unknown`. The handle must outlive the source. The child is reaped after `handler` has returned.
    public func watch(
        _ handle: borrowing ProcessHandle, _ handler: @escaping (ExitStatus) -> Void
    ) throws(SystemError) -> ChildExitSource {
        let pid = handle.pid
        let source = ChildExitSource(pid: pid, descriptor: handle.descriptor.raw, children: self, handler)
        let io = try loop.addIO(handle.descriptor.raw, .readable, priority: .childExits) { [unowned source] _ in
            source.fire()
        }
        source.attach(io)
        // Also for an orphan that became our child (MAINPID=): a pass over the dead would reap it before the source has
        // its status.
        own.insert(pid)
        return source
    }

    /// Whether the process is a child that we started, one that closes descriptors for us, or another whose exit is watched.
    func isOwn(_ pid: Int32) -> Bool { own.contains(pid) || holdfast_reap_closer(pid) != 0 }

    /// Leaves a child to the reaper of orphans, without a report of its exit.
    public func abandon(pid: Int32) {
        own.remove(pid)
        reapOrphans()
    }

    /// Reaps dead children that are not ours, without waiting; if there are many, the rest in later turns of the loop.
    public func reapOrphans() {
        passPending = false
        for _ in 0..<Self.orphansPerTurn {
            var dead = holdfast_exit()
            // This call does not reap: the pid decides afterwards.
            guard holdfast_wait(Int32(HOLDFAST_WAIT_ANY), 0, 0, &dead) == 0, dead.pid > 0 else { return }
            if holdfast_reap_closer(dead.pid) != 0 { continue }
            if own.contains(dead.pid) {
                // The kernel returns the same child first each time until its own dispatch has reaped it.
                passPending = true
                return reapBehind()
            }
            guard holdfast_wait(Int32(HOLDFAST_WAIT_PID), dead.pid, 1, &dead) == 0 else { return }
        }
        continuation = try? loop.addDeferred(priority: .orphans) { [unowned self] in reapOrphans() }
        // Without memory for it the next exit continues the pass.
        passPending = continuation == nil
    }

    /// Checks each child that is not our own separately, and reaps the dead ones.
    private func reapBehind() {
        guard unseen.isEmpty else {
            mustListAgain = true
            return
        }
        mustListAgain = false
        unseen = Self.list()
        reapUnseen()
    }

    private func reapUnseen() {
        unseenContinuation = nil
        for _ in 0..<Self.orphansPerTurn {
            guard let pid = unseen.popLast() else { return mustListAgain ? reapBehind() : () }
            guard !isOwn(pid) else { continue }
            // A process that lives, or is no longer our child, is left alone.
            var dead = holdfast_exit()
            _ = holdfast_wait(Int32(HOLDFAST_WAIT_PID), pid, 1, &dead)
        }
        unseenContinuation = try? loop.addDeferred(priority: .orphans) { [unowned self] in reapUnseen() }
        // Without memory for it, the next exit starts the check anew.
        if unseenContinuation == nil { unseen = [] }
    }

    /// The pids of our children, dead or alive.
    private static func list() -> [Int32] {
        let threads = (try? UnitDirectory.list("/proc/self/task")) ?? []
        let texts = threads.compactMap { ProcFile.read("/proc/self/task/\($0)/children", limit: 1 << 22) }
        guard texts.isEmpty else {
            return texts.flatMap { $0.split(separator: UInt8(ascii: " ")).compactMap { Int32(ascii: $0) } }
        }
        // Fallback for a kernel without CONFIG_PROC_CHILDREN.
        let us = getpid()
        return ProcessFacts.allPids().filter { ProcessFacts.read($0)?.parent == us }
    }

    fileprivate func reaped(_ pid: Int32) {
        own.remove(pid)
        if passPending { reapOrphans() }
    }
}

/// The wait for one process. Its handler runs once.
public final class ChildExitSource {
    private let pid: Int32
    private let descriptor: Int32
    private unowned let children: Children
    private var io: IOSource?
    private var handler: ((ExitStatus) -> Void)?
    /// How often the process was found dead without an exit status.
    private var looks = 0

    /// With the pauses of `IOSource.postpone` about 1.3 s: time for a debugger to collect its own report first.
    private static let maximumLooks = 8

    fileprivate init(pid: Int32, descriptor: Int32, children: Children, _ handler: @escaping (ExitStatus) -> Void) {
        self.pid = pid
        self.descriptor = descriptor
        self.children = children
        self.handler = handler
    }

    fileprivate func attach(_ source: IOSource) { io = source }

    /// Ends the wait. A child of ours then stays a zombie until `Children.abandon`.
    public func cancel() {
        io?.cancel()
        handler = nil
    }

    fileprivate func fire() {
        var dead = holdfast_exit()
        let result = holdfast_wait(Int32(HOLDFAST_WAIT_PIDFD), descriptor, 0, &dead)
        // The pidfd reports death, and yet the process cannot be waited for: another process traces it (ptrace(2)), and
        // the kernel shows a zombie to its parent only after the tracer has released it. The pidfd stays readable all
        // that time.
        let isWithheld = result == 0 && dead.pid == 0
        if isWithheld {
            looks += 1
            // A tracer that never releases it, perhaps a process of the service itself, must not keep it alive for us.
            guard looks >= Self.maximumLooks else { return io?.postpone() ?? () }
        }
        let status = result == 0 && !isWithheld ? ExitStatus(dead) : .unknown
        let handler = handler
        let children = children
        let pid = pid
        cancel()
        handler?(status)
        // By pid, because the handler may have closed the descriptor; a zombie's pid is not reused. A withheld process
        // is reaped as an orphan after its release.
        if result == 0 { _ = holdfast_wait(Int32(HOLDFAST_WAIT_PID), pid, 1, &dead) }
        children.reaped(pid)
    }
}
