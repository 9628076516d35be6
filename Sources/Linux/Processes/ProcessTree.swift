import CSpawn
import Glibc
import SystemPackage

/// All processes of one started service: its main process and its descendants, also those with sessions of their own.
///
/// With a writable cgroup v2 a tree is a cgroup: the kernel knows its members, kills them at once and reports when the
/// last is gone. Otherwise it is a `SessionTree`, which walks /proc on demand. Callers need not distinguish them.
public final class ProcessTree {
    private enum Kind {
        case group(ControlGroup)
        case session(SessionTree)
    }

    private let kind: Kind

    /// A tree that is a cgroup.
    public init(group: ControlGroup) { kind = .group(group) }

    /// A tree without a cgroup; `SessionTree` explains how members are recognised.
    public init(session: SessionTree) { kind = .session(session) }

    /// The descriptor for `SpawnPlan.cgroup`; -1 if trees are not cgroups.
    public var spawnCgroup: Int32 {
        switch kind {
        case .group(let group): group.descriptor.raw
        case .session: -1
        }
    }

    /// Makes the program of a plan start as a member.
    public func enter(_ plan: inout SpawnPlan) {
        plan.cgroup = spawnCgroup
        switch kind {
        case .group(let group): plan.joinsCgroup = group.isSpent
        case .session: break
        }
    }

    /// The text in /proc/PID/cgroup of a member, or its beginning; nil if trees are not cgroups.
    public var cgroupName: String? {
        switch kind {
        case .group(let group): group.name
        case .session: nil
        }
    }

    /// Sets the main process of the tree, right after the spawn and before any event is dispatched.
    public func started(main pid: Int32) {
        switch kind {
        case .group: break
        case .session(let session): session.started(main: pid)
        }
    }

    /// The state for a successor of a tree that is not a cgroup.
    public var session: SessionTree.State? {
        switch kind {
        case .group: nil
        case .session(let session): session.state
        }
    }

    fileprivate func restore(_ state: SessionTree.State) {
        switch kind {
        case .group: break
        case .session(let session): session.state = state
        }
    }

    /// The living members without zombies, as of now.
    public func members() -> [Int32] {
        switch kind {
        case .group(let group): group.members()
        case .session(let session): session.members()
        }
    }

    public func contains(_ pid: Int32) -> Bool {
        switch kind {
        case .group(let group): group.contains(pid)
        case .session(let session): session.contains(pid)
        }
    }

    /// Records the present members. Must be called before a member is signalled to end, because the children that it
    /// leaves may have no other mark than their parent. Does nothing for cgroups.
    public func noteMembers() {
        switch kind {
        case .group: break
        case .session(let session): _ = session.members()
        }
    }

    /// Where its processes write to, and no others. Nothing to do with cgroups.
    public func mark(by outputs: [FileID]) {
        switch kind {
        case .group: break
        case .session(let session): session.outputs = outputs
        }
    }

    /// Notes that what still lives of it may stay, although its service is over. Nothing to do with cgroups, which stay as well.
    public func leaveMembers() {
        switch kind {
        case .group: break
        case .session(let session): session.leaveMembers()
        }
    }

    public var isEmpty: Bool {
        switch kind {
        case .group(let group): !group.isPopulated
        case .session(let session): session.isEmpty
        }
    }

    /// Sends a signal to every member except `except`; members that have gone meanwhile are ignored.
    public func signalAll(_ signal: Signal, except: Int32? = nil) {
        switch kind {
        case .group(let group): group.signal(signal, except: except)
        case .session(let session): session.signal(signal, except: except)
        }
    }

    /// Kills every member with SIGKILL, including those that fork meanwhile.
    public func killAll() {
        switch kind {
        case .group(let group): group.kill()
        case .session(let session): session.kill()
        }
    }

    /// Calls `handler` once, in a later round of the loop, when no member lives; replaces an earlier call.
    public func whenEmpty(loop: EventLoop, _ handler: @escaping () -> Void) throws(SystemError) {
        switch kind {
        case .group(let group): try group.whenEmpty(loop: loop, handler)
        case .session(let session): try session.whenEmpty(loop: loop, handler)
        }
    }

    /// Cancels `whenEmpty`.
    public func cancelWait() {
        switch kind {
        case .group(let group): group.cancelWait()
        case .session(let session): session.cancelWait()
        }
    }

    /// Removes the tree's directory, if it has one. Fails with EBUSY while a member lives.
    public func remove() throws(SystemError) {
        switch kind {
        case .group(let group): try group.remove()
        case .session: break
        }
    }
}

/// Makes trees: cgroups if the host permits them, else sessions. Decided once, by an attempt.
public final class ProcessTrees {
    private let root: ControlGroup?
    private let table = ProcessTable()
    /// Trees of which nothing is needed any more, until their last processes are gone.
    private var ending: [ObjectIdentifier: ProcessTree] = [:]

    /// `name` is the directory under our own cgroup, `holdfast-NAME`. Without `useCgroups` all trees are sessions.
    public init(name: String, useCgroups: Bool = true) {
        root = useCgroups ? ControlGroup.delegatedRoot(name: "holdfast-\(name)") : nil
    }

    /// Whether trees are cgroups on this host.
    public var usesCgroups: Bool { root != nil }

    /// Kills what is in a tree, and removes it when that is gone. (Right after the kill a group is busy still.)
    public func end(_ tree: ProcessTree, _ loop: EventLoop) {
        tree.killAll()
        do throws(SystemError) {
            try tree.remove()
            return
        } catch {}
        let key = ObjectIdentifier(tree)
        ending[key] = tree
        do throws(SystemError) {
            try tree.whenEmpty(loop: loop) { [unowned self] in
                if let tree = ending.removeValue(forKey: key) { try? tree.remove() }
            }
        } catch {
            // No descriptors: it goes with all of them at the end.
            ending[key] = nil
        }
    }

    /// Children of ours that are there before anything is started are nobody's orphans, and their own will fall to us as well.
    ///
    /// - Parameter children: where those that we start are known.
    public func follow(_ children: Children, isFresh: Bool) {
        guard root == nil else { return }
        table.strays.isOwn = { [unowned children] pid in children.isOwn(pid) }
        guard isFresh else { return }
        let us = getpid()
        for pid in ProcessFacts.allPids() {
            guard let facts = ProcessFacts.read(pid), facts.parent == us, !facts.isDead else { continue }
            table.strays.leave([pid: facts.startTime], of: "")
        }
    }

    /// Living processes that are left of services and that no tree can be made out for; with cgroups there are none. A walk over
    /// /proc.
    public var strays: [StrayProcess] {
        guard root == nil else { return [] }
        return table.strayFacts().map(StrayProcess.init)
    }

    /// Those of them that were met before: without a walk.
    public var knownStrays: [StrayProcess] {
        root == nil ? table.strays.living(table.livingTrees).map(StrayProcess.init) : []
    }

    /// Everything is over: what is left of it ends, but for what is not ours to end, or may be of that.
    public func signalStrays(_ signal: Signal) {
        guard root == nil, !StrayProcesses.isInit else { return }
        // What a process leaves when it ends is ours, and found by the next walk.
        for round in 0..<(signal == .kill ? 64 : 1) {
            let ending = table.strayFacts().filter { $0.origins[StrayProcesses.foreign] == nil }
            if ending.isEmpty { return }
            for (facts, _) in ending {
                guard let handle = try? ProcessHandle(pid: facts.pid, startTime: facts.startTime) else { continue }
                if round > 0 { try? handle.send(.stop) }
                try? handle.send(signal)
            }
        }
    }

    /// For a successor of this process, which will have the same children.
    public var savedStrays: [StrayProcess.Saved] {
        // Looked at now: later nobody could tell which trees had been there.
        guard root == nil else { return [] }
        _ = table.strayFacts()
        return table.strays.saved
    }

    public func restore(_ strays: [StrayProcess.Saved]) { table.strays.restore(strays) }

    /// The path of the cgroup that contains all trees, for people; nil if there is none.
    public var rootPath: String? { root?.path }

    /// A new tree without members: an error if there is one of this name with members. `name` must be unique among living
    /// trees; `cookie` is the value of `INVOCATION_ID` in the environment of the service, 128 random bits in hexadecimal.
    public func make(name: String, cookie: String) throws(SystemError) -> ProcessTree {
        guard let root else { return ProcessTree(session: SessionTree(name: name, cookie: cookie, table: table)) }
        return ProcessTree(group: try root.makeChild(name))
    }

    /// Trees of an earlier supervisor process with living members; empty ones are removed. Must be called before the
    /// first `make`. Empty if trees are not cgroups.
    ///
    /// - Parameter kept: trees that have been taken over (`directoryName`), and are skipped.
    public func leftovers(kept: Set<String> = []) -> [(name: String, members: [Int32])] {
        root?.populatedChildren(except: kept) ?? []
    }

    /// Processes whose environment says that a supervisor with this runtime directory has started them, by their run: what is found
    /// where trees are not cgroups. Walks /proc.
    public static func marked(by variable: String, prefix: String) -> [MarkedRun] {
        var found: [String: MarkedRun] = [:]
        for pid in ProcessFacts.allPids().sorted() where pid != getpid() {
            guard let value = ProcessFacts.environmentVariable(variable, of: pid), value.hasPrefix(prefix),
                let cookie = ProcessFacts.environmentVariable("INVOCATION_ID", of: pid),
                let facts = ProcessFacts.read(pid),
                !facts.isDead
            else { continue }
            found[cookie, default: MarkedRun(mark: String(value.dropFirst(prefix.count)), cookie: cookie)].members
                .append(pid)
        }
        return found.values.sorted { ($0.mark, $0.cookie) < ($1.mark, $1.cookie) }
    }

    /// One run of a service, found by its processes' environment.
    public struct MarkedRun: Sendable {
        public var mark: String
        public var cookie: String
        public var members: [Int32] = []
    }

    /// The tree of a run that was found in that way.
    public func tree(of run: MarkedRun) -> ProcessTree {
        let session = SessionTree(name: run.mark, cookie: run.cookie, table: table)
        var state = SessionTree.State()
        // Whoever began the run may be gone: everybody is looked at.
        state.firstStart = 0
        for pid in run.members { state.known[pid] = ProcessFacts.startTime(of: pid) }
        session.state = state
        return ProcessTree(session: session)
    }

    /// The name in `leftovers` of the tree that `make` makes under this name.
    public func directoryName(_ name: String) -> String { ControlGroup.directoryName(name) }

    /// The tree that an earlier supervisor process made under this name, with the state that it recorded in `session`.
    public func adopt(name: String, cookie: String, session: SessionTree.State?) throws(SystemError) -> ProcessTree {
        let tree =
            try root.map { root throws(SystemError) in ProcessTree(group: try root.child(name)) }
            ?? ProcessTree(session: SessionTree(name: name, cookie: cookie, table: table))
        if let session { tree.restore(session) }
        return tree
    }

    /// Removes the directory of all trees, at the end of this process. What was killed a moment ago may not be gone yet.
    public func remove() {
        guard let root else { return }
        do throws(SystemError) { try root.remove() } catch {
            root.awaitEmpty(milliseconds: ending.isEmpty ? 0 : 1000)
            try? root.remove()
        }
    }
}
