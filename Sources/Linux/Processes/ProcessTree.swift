import CSpawn
import Glibc
import SystemPackage

/// All processes of one started service: its main process and whatever that started, also with sessions of their own.
///
/// Where a cgroup v2 is writable a tree is a cgroup: the kernel knows its members, kills them at once and says when the last
/// is gone. Elsewhere it is a `SessionTree`, found by walking /proc when somebody asks. Callers need not know which.
public final class ProcessTree {
    private enum Kind {
        case group(ControlGroup)
        case session(SessionTree)
    }

    private let kind: Kind

    /// A tree that is a cgroup.
    public init(group: ControlGroup) { kind = .group(group) }

    /// A tree without a cgroup; see `SessionTree` for how members are recognised.
    public init(session: SessionTree) { kind = .session(session) }

    /// For `SpawnPlan.cgroup`; -1 where trees are not cgroups.
    public var spawnCgroup: Int32 {
        switch kind {
        case .group(let group): group.descriptor.raw
        case .session: -1
        }
    }

    /// What /proc/PID/cgroup says of a member, or the beginning of it; nil where trees are not cgroups.
    public var cgroupName: String? {
        switch kind {
        case .group(let group): group.name
        case .session: nil
        }
    }

    /// Tells the tree its main process, right after the spawn and before any event is dispatched.
    public func started(main pid: Int32) {
        switch kind {
        case .group: break
        case .session(let session): session.started(main: pid)
        }
    }

    /// What a successor must be told about a tree that is no cgroup.
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

    /// The living members, zombies not counted. Asks the kernel now.
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

    /// Notes who is a member now: to be called before a member is told to end, because those that it leaves behind may have
    /// no other mark than their parent. Nothing to do with cgroups.
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

    /// Sends a signal to every member but `except`; members that are gone meanwhile do not matter.
    public func signalAll(_ signal: Signal, except: Int32? = nil) {
        switch kind {
        case .group(let group): group.signal(signal, except: except)
        case .session(let session): session.signal(signal, except: except)
        }
    }

    /// Kills every member with SIGKILL, those included that fork while it happens.
    public func killAll() {
        switch kind {
        case .group(let group): group.kill()
        case .session(let session): session.kill()
        }
    }

    /// Calls `handler` once, in a later round of the loop, as soon as no member lives; replaces an earlier one.
    public func whenEmpty(loop: EventLoop, _ handler: @escaping () -> Void) throws(SystemError) {
        switch kind {
        case .group(let group): try group.whenEmpty(loop: loop, handler)
        case .session(let session): try session.whenEmpty(loop: loop, handler)
        }
    }

    /// Takes `whenEmpty` back.
    public func cancelWait() {
        switch kind {
        case .group(let group): group.cancelWait()
        case .session(let session): session.cancelWait()
        }
    }

    /// Removes what stands for the tree in the file system. Fails with EBUSY while a member lives.
    public func remove() throws(SystemError) {
        switch kind {
        case .group(let group): try group.remove()
        case .session: break
        }
    }
}

/// Makes trees: as cgroups where the host lets us, else as sessions. Found out once, by trying.
public final class ProcessTrees {
    private let root: ControlGroup?
    private let table = ProcessTable()

    /// `name` is the directory under our own cgroup, `holdfast-NAME`. With `useCgroups: false` trees are sessions anyway.
    public init(name: String, useCgroups: Bool = true) {
        root = useCgroups ? ControlGroup.delegatedRoot(name: "holdfast-\(name)") : nil
    }

    /// Whether trees are cgroups on this host.
    public var usesCgroups: Bool { root != nil }

    /// The path of the cgroup that holds all trees, for people; nil without.
    public var rootPath: String? { root?.path }

    /// A new, empty tree. `name` must be unique among living trees; `cookie` is the value of `INVOCATION_ID` in the
    /// environment of the service, 128 random bits in hexadecimal.
    public func make(name: String, cookie: String) throws(SystemError) -> ProcessTree {
        guard let root else { return ProcessTree(session: SessionTree(cookie: cookie, table: table)) }
        return ProcessTree(group: try root.makeChild(name))
    }

    /// Trees of an earlier supervisor process in which somebody lives; what it left empty is removed. Before the first `make`.
    /// Nothing where trees are not cgroups.
    ///
    /// - Parameter kept: trees that have been taken over (`directoryName`), and are passed over.
    public func leftovers(kept: Set<String> = []) -> [(name: String, members: [Int32])] {
        root?.populatedChildren(except: kept) ?? []
    }

    /// How `leftovers` calls the tree that `make` would make under this name.
    public func directoryName(_ name: String) -> String { ControlGroup.directoryName(name) }

    /// The tree that an earlier supervisor process made under this name. `session` is what its tree said of itself.
    public func adopt(name: String, cookie: String, session: SessionTree.State?) throws(SystemError) -> ProcessTree {
        let tree = try make(name: name, cookie: cookie)
        if let session { tree.restore(session) }
        return tree
    }

    /// Removes the directory of all trees when the last is gone.
    public func remove() { try? root?.remove() }
}
