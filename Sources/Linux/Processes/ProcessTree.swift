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

    public var isEmpty: Bool {
        switch kind {
        case .group(let group): !group.isPopulated
        case .session(let session): session.members().isEmpty
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

    /// `name` is the directory under our own cgroup, `holdfast-NAME`. Without `useCgroups` all trees are sessions.
    public init(name: String, useCgroups: Bool = true) {
        root = useCgroups ? ControlGroup.delegatedRoot(name: "holdfast-\(name)") : nil
    }

    /// Whether trees are cgroups on this host.
    public var usesCgroups: Bool { root != nil }

    /// The path of the cgroup that contains all trees, for people; nil if there is none.
    public var rootPath: String? { root?.path }

    /// A new, empty tree. `name` must be unique among living trees; `cookie` is the value of `INVOCATION_ID` in the
    /// environment of the service, 128 random bits in hexadecimal.
    public func make(name: String, cookie: String) throws(SystemError) -> ProcessTree {
        guard let root else { return ProcessTree(session: SessionTree(cookie: cookie, table: table)) }
        return ProcessTree(group: try root.makeChild(name))
    }

    /// Trees of an earlier supervisor process with living members; empty ones are removed. Must be called before the
    /// first `make`. Empty if trees are not cgroups.
    ///
    /// - Parameter kept: trees that have been taken over (`directoryName`), and are skipped.
    public func leftovers(kept: Set<String> = []) -> [(name: String, members: [Int32])] {
        root?.populatedChildren(except: kept) ?? []
    }

    /// The name in `leftovers` of the tree that `make` makes under this name.
    public func directoryName(_ name: String) -> String { ControlGroup.directoryName(name) }

    /// The tree that an earlier supervisor process made under this name, with the state that it recorded in `session`.
    public func adopt(name: String, cookie: String, session: SessionTree.State?) throws(SystemError) -> ProcessTree {
        let tree = try make(name: name, cookie: cookie)
        if let session { tree.restore(session) }
        return tree
    }

    /// Removes the directory of all trees after the last tree is gone.
    public func remove() { try? root?.remove() }
}
