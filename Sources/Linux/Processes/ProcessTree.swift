import CSpawn
import Glibc
import SystemPackage
import Vocabulary

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

    /// Makes the program of a plan start as a member of the tree.
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
    public func recordMembers() {
        switch kind {
        case .group: break
        case .session(let session): _ = session.members()
        }
    }

    /// Registers the outputs that only this tree's processes write to. Has no effect on cgroups.
    public func registerOutputs(_ outputs: [FileID]) {
        switch kind {
        case .group: break
        case .session(let session): session.outputs = outputs
        }
    }

    /// Notes that the living members may stay although their service is over. Has no effect on cgroups, which stay as
    /// well.
    public func releaseMembers() {
        switch kind {
        case .group: break
        case .session(let session): session.releaseMembers()
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
    /// Trees that are no longer used but still have processes.
    private var ending: [ObjectIdentifier: ProcessTree] = [:]

    /// `name` is the directory under our own cgroup, `holdfast-NAME`. Without `useCgroups` all trees are sessions.
    public init(name: String, useCgroups: Bool = true) {
        root = useCgroups ? ControlGroup.delegatedRoot(name: "holdfast-\(name)") : nil
    }

    /// Whether trees are cgroups on this host.
    public var usesCgroups: Bool { root != nil }

    /// Kills the members of a tree, and removes the tree when they are gone. (Right after the kill a cgroup is still
    /// busy.)
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
            // Without descriptors for the wait, the tree is removed with all others at the end.
            ending[key] = nil
        }
    }

    /// Excludes children that existed before the first start from the orphans: neither they nor their future orphans
    /// belong to a service.
    ///
    /// - Parameter children: knows the children that we start.
    public func follow(_ children: Children, isFresh: Bool) {
        guard root == nil else { return }
        table.strays.isOwn = { [unowned children] pid in children.isOwn(pid) }
        guard isFresh else { return }
        let us = getpid()
        for pid in ProcessFacts.allPids() {
            guard let facts = ProcessFacts.read(pid), facts.parent == us, !facts.isDead else { continue }
            table.strays.registerLeft([pid: facts.startTime], of: "")
        }
    }

    /// Living processes left by services that cannot be assigned to a tree; none with cgroups. Walks /proc.
    public var strays: [StrayProcess] {
        guard root == nil else { return [] }
        return table.strayFacts().map(StrayProcess.init)
    }

    /// The strays found by earlier walks; does not walk /proc itself.
    public var knownStrays: [StrayProcess] {
        root == nil ? table.strays.living(table.livingTrees).map(StrayProcess.init) : []
    }

    /// Signals the strays at the end of all services, except processes that are not ours to end, or may descend from
    /// one.
    public func signalStrays(_ signal: Signal) {
        guard root == nil, !StrayProcesses.isInit else { return }
        // The children of an ended process become ours, and the next walk finds them.
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

    /// The strays for a successor of this process, which will have the same children.
    public var savedStrays: [StrayProcess.Saved] {
        // The walk must be now: later it could not be told which trees existed.
        guard root == nil else { return [] }
        _ = table.strayFacts()
        return table.strays.saved
    }

    public func restore(_ strays: [StrayProcess.Saved]) { table.strays.restore(strays) }

    /// The path of the cgroup that contains all trees, for people; nil if there is none.
    public var rootPath: String? { root?.path }

    /// Makes a tree without members; fails if one with this name has members. `name` must be unique among living trees;
    /// `cookie` is the value of `INVOCATION_ID` in the environment of the service, 128 random bits in hexadecimal.
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

    /// Processes that a supervisor with this runtime directory started according to their environment, grouped by run.
    /// For hosts where trees are not cgroups. Walks /proc.
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

    /// One run of a service, found by the environment of its processes.
    public struct MarkedRun: Sendable {
        public var mark: String
        public var cookie: String
        public var members: [Int32] = []
    }

    /// The tree of a run found by `marked(by:prefix:)`.
    public func tree(of run: MarkedRun) -> ProcessTree {
        let session = SessionTree(name: run.mark, cookie: run.cookie, table: table)
        var state = SessionTree.State()
        // The first process of the run may be gone, so processes of any age are examined.
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

    /// Removes the directory of all trees at the end of this process. Killed processes may need a moment to end.
    public func remove() {
        guard let root else { return }
        do throws(SystemError) { try root.remove() } catch {
            root.awaitEmpty(milliseconds: ending.isEmpty ? 0 : 1000)
            try? root.remove()
        }
    }
}
