import CSpawn
import Glibc
import SystemPackage

/// Which process was executed with which `INVOCATION_ID`, remembered: reading environments is the dear part of a walk.
final class ProcessTable {
    private struct Known {
        var startTime: UInt64
        var cookie: String
    }

    private var known: [Int32: Known] = [:]

    func cookie(of facts: ProcessFacts) -> String? {
        if let entry = known[facts.pid], entry.startTime == facts.startTime { return entry.cookie }
        // Only answers are remembered: a process that is being executed has no environment yet.
        guard let cookie = ProcessFacts.environmentVariable("INVOCATION_ID", of: facts.pid) else { return nil }
        known[facts.pid] = Known(startTime: facts.startTime, cookie: cookie)
        return cookie
    }

    /// Forgets the dead, so that the table is as large as the host's list of processes.
    func keep(only pids: [Int32]) {
        guard known.count > 2 * pids.count + 64 else { return }
        let living = Set(pids)
        known = known.filter { living.contains($0.key) }
    }
}

/// The processes of one service on a host without a writable cgroup v2.
///
/// A process belongs to it if it is the main process, shares its session or process group, has its `INVOCATION_ID` in the
/// environment it was executed with, was known as a member before, or has a parent that belongs. Together with
/// PR_SET_CHILD_SUBREAPER this finds daemons that forked twice and began sessions of their own. What it cannot find: a process
/// that in one go, before anybody looked, left its parent, its session *and* its environment.
public final class SessionTree {
    private let cookie: String
    private let table: ProcessTable
    /// Everything that we started in it: the main process, and commands before, beside and after it. Each leads a session.
    /// By pid, with the start time; forgotten when the kernel may give the number of the session to strangers.
    private var leaders: [Int32: UInt64] = [:]
    /// When the first of them started: nothing older is a member.
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

    init(cookie: String, table: ProcessTable) {
        self.cookie = cookie
        self.table = table
    }

    /// What a successor must know to recognise the same processes.
    public struct State: Codable, Equatable, Sendable {
        /// Start times by pid.
        public var leaders: [Int32: UInt64] = [:]
        public var known: [Int32: UInt64] = [:]
        /// Nothing older is a member; nil: nothing older than the leaders.
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
        // A command that runs beside the main process is no successor of it: what was a member stays one.
        leaders[pid] = start
        firstStart = min(firstStart, start)
        known[pid] = start
    }

    /// One walk over /proc. Everything that started before our first process is passed over unread.
    func members() -> [Int32] {
        guard firstStart != .max else { return [] }
        let pids = ProcessFacts.allPids()
        // /proc has us at least. Without descriptors it cannot be read: then those that were members still are.
        guard !pids.isEmpty else { return Array(known.keys) }
        table.keep(only: pids)
        var living: [Int32: ProcessFacts] = [:]
        for pid in pids {
            if let facts = ProcessFacts.read(pid), facts.startTime >= firstStart { living[pid] = facts }
        }
        updateLeaders(living)
        var found: [Int32: UInt64] = [:]
        for facts in living.values where belongs(facts) { found[facts.pid] = facts.startTime }
        addDescendants(of: &found, living)
        known = found
        return found.keys.filter { living[$0]?.isDead == false }
    }

    /// Whether a living process is a member, by its own marks or those of an ancestor: without a walk over /proc, because
    /// strangers can make us ask as often as they like.
    func contains(_ pid: Int32) -> Bool {
        guard firstStart != .max, let facts = ProcessFacts.read(pid), !facts.isDead else { return false }
        // Whether the numbers of a session and group are still ours is seen only by a walk once their leaders are gone.
        guard leaders.contains(where: { ProcessFacts.read($0.key)?.startTime == $0.value }) else {
            return members().contains(pid)
        }
        for candidate in [pid] + ProcessFacts.ancestors(of: pid) {
            guard let facts = ProcessFacts.read(candidate), facts.startTime >= firstStart else { return false }
            if belongs(facts) { return true }
        }
        return false
    }

    /// A number is not given away while a session or group has it. With another start time it has been.
    private func updateLeaders(_ living: [Int32: ProcessFacts]) {
        var used: Set<Int32> = []
        for facts in living.values {
            used.insert(facts.session)
            used.insert(facts.processGroup)
        }
        // One whose number is free tells nothing any more: a probe program is started every half second.
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
            // By start time: a member whose pid has passed to a stranger meanwhile is gone.
            guard let start = known[pid], let handle = try? ProcessHandle(pid: pid, startTime: start) else { continue }
            try? handle.send(signal)
        }
    }

    /// Kills until a walk finds nobody alive. A process that forks faster than we look is stopped first, so that it cannot.
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
        try lookAgain(loop)
    }

    /// Holds a pidfd on each living member; when the last one known is gone, looks whether there are others.
    private func lookAgain(_ loop: EventLoop) throws(SystemError) {
        for pid in members() where watched[pid] == nil {
            guard let start = known[pid], let handle = try? ProcessHandle(pid: pid, startTime: start) else {
                continue
            }
            let raw = handle.descriptor.raw
            let watch = Watch(handle)
            watch.source = try loop.addIO(raw, .readable, priority: .childExits) { [unowned self] _ in
                watched[pid] = nil
                if watched.isEmpty { finishOrLookAgain(loop) }
            }
            watched[pid] = watch
        }
        guard watched.isEmpty else { return }
        deferred = try loop.addDeferred(priority: .childExits) { [unowned self] in
            // Between the walk and the handle somebody died: maybe it left a child.
            if members().isEmpty { finish() } else { finishOrLookAgain(loop) }
        }
    }

    private func finishOrLookAgain(_ loop: EventLoop) {
        // Out of descriptors or memory: without a watch nobody would ever hear of the end, so the answer is given now and
        // the caller's own `isEmpty` tells it the truth.
        do throws(SystemError) { try lookAgain(loop) } catch { finish() }
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
