import CSpawn
import Glibc
import SystemPackage
import Vocabulary

/// A cache of the `INVOCATION_ID` of each process: reading environments is the expensive part of a walk.
final class ProcessTable {
    private struct Known {
        var startTime: UInt64
        var cookie: String
    }

    private var known: [Int32: Known] = [:]
    private struct WeakTree { weak var tree: SessionTree? }
    private var trees: [UInt64: WeakTree] = [:]
    private var lastTree = StrayProcesses.foreign
    let strays = StrayProcesses()

    /// Registers a tree under a new number, which no other tree has had.
    func add(_ tree: SessionTree) -> UInt64 {
        lastTree &+= 1
        trees[lastTree] = WeakTree(tree: tree)
        return lastTree
    }

    func remove(_ number: UInt64) { trees[number] = nil }

    var livingTrees: [SessionTree] { trees.values.compactMap(\.tree) }

    func cookie(of facts: ProcessFacts) -> String? {
        if let entry = known[facts.pid], entry.startTime == facts.startTime { return entry.cookie }
        // Only found values are cached: a process that is being executed has no environment yet.
        guard let cookie = ProcessFacts.environmentVariable("INVOCATION_ID", of: facts.pid) else { return nil }
        known[facts.pid] = Known(startTime: facts.startTime, cookie: cookie)
        return cookie
    }

    /// Removes dead processes, so that the table is no larger than the host's list of processes.
    func removeAll(except pids: [Int32]) {
        guard known.count > 2 * pids.count + 64 else { return }
        let living = Set(pids)
        known = known.filter { living.contains($0.key) }
    }
}

/// The processes of one service on a host without a writable cgroup v2.
///
/// A process is a member if it is the main process, shares its session or process group, was executed with its
/// `INVOCATION_ID` in the environment, was known as a member before, or has a parent that is a member. Together with
/// PR_SET_CHILD_SUBREAPER this finds daemons that forked twice and began sessions of their own. A process that, between
/// two walks, left its parent, its session *and* its environment becomes our child. It is a member if it still has the
/// output of the service, or if no other tree can have left it (`StrayProcesses`).
public final class SessionTree {
    private let cookie: String
    private let table: ProcessTable
    /// The name for messages.
    let name: String
    private(set) var number: UInt64 = 0
    /// FIFOs that only processes of this tree have as output.
    var outputs: [FileID] = []
    /// All processes that we started in the tree: the main process, and commands before, beside and after it. Each
    /// leads a session. Start times by pid; an entry is removed when the kernel may reuse the number of the session.
    private var leaders: [Int32: UInt64] = [:]
    /// The start time of the first leader: no member is older.
    private var firstStart: UInt64 = .max
    private var known: [Int32: UInt64] = [:]
    private var watched: [Int32: Watch] = [:]
    private var handler: (() -> Void)?
    private var deferred: DeferredSource?

    private final class Watch {
        let handle: ProcessHandle
        var source: IOSource?
        init(_ handle: consuming ProcessHandle) { self.handle = handle }
    }

    init(name: String, cookie: String, table: ProcessTable) {
        self.name = name
        self.cookie = cookie
        self.table = table
        number = table.add(self)
    }

    deinit { table.remove(number) }

    /// Whether the tree had a process when the given one was started.
    func began(before facts: ProcessFacts) -> Bool { firstStart <= facts.startTime }

    /// The state with which a successor recognises the same processes.
    public struct State: Codable, Equatable, Sendable {
        /// Start times by pid.
        public var leaders: [Int32: UInt64] = [:]
        public var known: [Int32: UInt64] = [:]
        /// The start time before which no process is a member; nil: that of the oldest leader.
        public var firstStart: UInt64?
        public init() {}
    }

    var state: State {
        get {
            var state = State()
            state.leaders = leaders
            state.known = known
            state.firstStart = firstStart == .max ? nil : firstStart
            return state
        }
        set {
            leaders = newValue.leaders
            known = newValue.known
            firstStart = newValue.firstStart ?? leaders.values.min() ?? .max
        }
    }

    func started(main pid: Int32) {
        guard let start = ProcessFacts.startTime(of: pid) else { return }
        // A command beside the main process is not its successor: earlier members stay members.
        leaders[pid] = start
        firstStart = min(firstStart, start)
        known[pid] = start
    }

    /// The members, found by one walk over /proc. Processes that started before our first one are skipped unread.
    func members() -> [Int32] {
        guard firstStart != .max else { return [] }
        let pids = ProcessFacts.allPids()
        // /proc always has our own entry. Without descriptors it cannot be read: the known members still count.
        guard !pids.isEmpty else { return Array(known.keys) }
        table.removeAll(except: pids)
        var living: [Int32: ProcessFacts] = [:]
        for pid in pids {
            if let facts = ProcessFacts.read(pid), facts.startTime >= firstStart { living[pid] = facts }
        }
        updateLeaders(living)
        var found: [Int32: UInt64] = [:]
        for facts in living.values where belongs(facts) { found[facts.pid] = facts.startTime }
        addDescendants(of: &found, living)
        if takeOrphans(&found, living) { addDescendants(of: &found, living) }
        table.strays.removeDead(living)
        known = found
        return found.keys.filter { living[$0]?.isDead == false }
    }

    /// Adds orphans that became our children and that only this tree can have left.
    private func takeOrphans(_ found: inout [Int32: UInt64], _ living: [Int32: ProcessFacts]) -> Bool {
        let us = getpid()
        var hasGrown = false
        for facts in living.values where facts.parent == us && !facts.isDead && found[facts.pid] == nil {
            guard !table.strays.isOwn(facts.pid) else { continue }
            let trees = table.livingTrees
            if !hasOutput(facts) {
                if trees.contains(where: { $0 !== self && $0.isOwnMember(facts) }) { continue }
                let origins = table.strays.origins(of: facts, among: trees)
                guard origins.count == 1, origins[number] != nil else { continue }
            }
            found[facts.pid] = facts.startTime
            hasGrown = true
        }
        return hasGrown
    }

    /// Whether the process is a member by its own marks, without those of its ancestors.
    func isOwnMember(_ facts: ProcessFacts) -> Bool { began(before: facts) && (belongs(facts) || hasOutput(facts)) }

    /// Whether the process writes to the tree's output: most programs that go into the background keep it.
    private func hasOutput(_ facts: ProcessFacts) -> Bool {
        !outputs.isEmpty
            && (1...2).contains { FileID(at: "/proc/\(facts.pid)/fd/\($0)").map(outputs.contains) ?? false }
    }

    /// Whether no member is left. It walks /proc twice, because a walk is not atomic: it may miss a process started
    /// meanwhile, whose parent has already gone when the walk reaches it.
    var isEmpty: Bool { members().isEmpty && members().isEmpty }

    /// Notes that the service is over and its remaining processes may stay.
    func releaseMembers() {
        guard !members().isEmpty else { return }
        table.strays.registerLeft(known, of: name)
    }

    /// Whether a living process is a member, by its own marks or those of an ancestor: without a walk over /proc,
    /// because other users can cause this call as often as they like.
    func contains(_ pid: Int32) -> Bool {
        guard firstStart != .max, let facts = ProcessFacts.read(pid), !facts.isDead else { return false }
        // After their leaders have gone, only a walk shows whether the numbers of a session and group are still ours.
        guard leaders.contains(where: { ProcessFacts.read($0.key)?.startTime == $0.value }) else {
            return members().contains(pid)
        }
        for candidate in [pid] + ProcessFacts.ancestors(of: pid) {
            guard let facts = ProcessFacts.read(candidate), facts.startTime >= firstStart else { return false }
            if belongs(facts) { return true }
        }
        return false
    }

    /// Removes stale leaders. A number is not reused while a session or group has it, and then has another start time.
    private func updateLeaders(_ living: [Int32: ProcessFacts]) {
        var used: Set<Int32> = []
        for facts in living.values {
            used.insert(facts.session)
            used.insert(facts.processGroup)
        }
        // An entry whose number is free has no use any more: a probe program is started every half second.
        leaders = leaders.filter { pid, leader in
            living[pid].map { $0.startTime == leader } ?? used.contains(pid)
        }
    }

    private func belongs(_ facts: ProcessFacts) -> Bool {
        if known[facts.pid] == facts.startTime { return true }
        if facts.isDead { return false }
        if leaders[facts.session] != nil || leaders[facts.processGroup] != nil { return true }
        return !cookie.isEmpty && table.cookie(of: facts) == cookie
    }

    private func addDescendants(of found: inout [Int32: UInt64], _ living: [Int32: ProcessFacts]) {
        var changed = true
        while changed {
            changed = false
            for facts in living.values where found[facts.pid] == nil && found[facts.parent] != nil {
                found[facts.pid] = facts.startTime
                changed = true
            }
        }
    }

    func signal(_ signal: Signal, except: Int32?) {
        for pid in members() where pid != except {
            // Identified by start time: a member whose pid was reused meanwhile is gone.
            guard let start = known[pid], let handle = try? ProcessHandle(pid: pid, startTime: start) else { continue }
            try? handle.send(signal)
        }
    }

    /// Kills until a walk finds no living member. A process that forks faster than the walks is stopped first.
    func kill() {
        for round in 0..<64 {
            let pids = members()
            if pids.isEmpty { return }
            for pid in pids {
                guard let start = known[pid], let handle = try? ProcessHandle(pid: pid, startTime: start) else {
                    continue
                }
                if round > 0 { try? handle.send(.stop) }
                try? handle.send(.kill)
            }
        }
    }

    func whenEmpty(loop: EventLoop, _ handler: @escaping () -> Void) throws(SystemError) {
        cancelWait()
        self.handler = handler
        try checkAgain(loop)
    }

    /// Opens a pidfd of each living member; when the last known one is gone, looks for others.
    private func checkAgain(_ loop: EventLoop) throws(SystemError) {
        for pid in members() where watched[pid] == nil {
            guard let start = known[pid], let handle = try? ProcessHandle(pid: pid, startTime: start) else {
                continue
            }
            let raw = handle.descriptor.raw
            let watch = Watch(handle)
            watch.source = try loop.addIO(raw, .readable, priority: .childExits) { [unowned self] _ in
                watched[pid] = nil
                if watched.isEmpty { finishOrCheckAgain(loop) }
            }
            watched[pid] = watch
        }
        guard watched.isEmpty else { return }
        deferred = try loop.addDeferred(priority: .childExits) { [unowned self] in
            // A process died between the walk and the handle, and may have left a child.
            if members().isEmpty { finish() } else { finishOrCheckAgain(loop) }
        }
    }

    private func finishOrCheckAgain(_ loop: EventLoop) {
        // Out of descriptors or memory: without a watch the end would never be reported, so the handler is called now,
        // and the caller's own `isEmpty` shows the truth.
        do throws(SystemError) { try checkAgain(loop) } catch { finish() }
    }

    private func finish() {
        let handler = handler
        cancelWait()
        handler?()
    }

    func cancelWait() {
        for watch in watched.values { watch.source?.cancel() }
        watched = [:]
        deferred?.cancel()
        deferred = nil
        handler = nil
    }
}
