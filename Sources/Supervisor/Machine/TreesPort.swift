import Linux
import Vocabulary

/// Process trees of the machine: control groups if the host permits them, else sessions.
protocol TreesPort: AnyObject {
    /// Whether trees are control groups on this host.
    var usesCgroups: Bool { get }

    /// Excludes children that existed before the first start from the orphans.
    func follow(isFresh: Bool)

    /// Makes a tree without members; fails if one with this name has members.
    func make(name: String, cookie: String) throws(SystemError) -> any MachineTree

    /// The tree that an earlier supervisor process made under this name, with the state that it recorded in `session`.
    func adopt(name: String, cookie: String, session: SessionTree.State?) throws(SystemError) -> any MachineTree

    /// Trees of an earlier supervisor process with living members; empty ones are removed. Empty without control
    /// groups.
    /// - Parameter kept: names of the trees that have been taken over (`directoryName`).
    func leftovers(kept: Set<String>) -> [(name: String, members: [Int32])]

    /// Name in `leftovers` of the tree that `make` makes under this name.
    func directoryName(_ name: String) -> String

    /// Runs of services by the environment of their processes, for hosts where trees are not control groups.
    func marked(by variable: String, prefix: String) -> [ProcessTrees.MarkedRun]
    func tree(of run: ProcessTrees.MarkedRun) -> any MachineTree

    /// Living processes left by services that cannot be assigned to a tree; none with control groups. Walks /proc.
    var strays: [StrayProcess] { get }
    /// The strays found by earlier walks.
    var knownStrays: [StrayProcess] { get }
    /// The strays for a successor of this process, which will have the same children.
    var savedStrays: [StrayProcess.Saved] { get }
    func restore(_ strays: [StrayProcess.Saved])
    /// Signals the strays at the end of all services, except processes that are not the supervisor's to end.
    func signalStrays(_ signal: Signal)

    /// Removes the directory of all trees at the end of the supervisor.
    func remove()
}

/// All processes of one started service.
protocol MachineTree: AnyObject {
    /// Beginning of the text in /proc/PID/cgroup of a member; nil if trees are not control groups.
    var cgroupName: String? { get }
    /// State for a successor of a tree that is not a control group.
    var session: SessionTree.State? { get }
    var isEmpty: Bool { get }

    /// Makes the program of a plan start as a member of the tree.
    func enter(_ plan: inout SpawnPlan)
    /// Sets the main process of the tree, right after the spawn and before any event is dispatched.
    func started(main pid: Int32)
    /// The living members without zombies.
    func members() -> [Int32]
    func contains(_ pid: Int32) -> Bool
    /// Records the present members, before a member is signalled to end. Does nothing for control groups.
    func recordMembers()
    /// Registers the outputs that only this tree's processes write to.
    func registerOutputs(_ outputs: [FileID])
    /// Notes that the living members may stay although their service is over.
    func releaseMembers()
    func signalAll(_ signal: Signal)
    /// Kills every member, including those that fork meanwhile.
    func killAll()
    /// Calls `handler` once, in a later round of the loop, when no member lives; replaces an earlier call.
    func whenEmpty(_ handler: @escaping () -> Void) throws(SystemError)
    func cancelWait()
    /// Removes the tree's directory, if it has one. Fails with EBUSY while a member lives.
    func remove() throws(SystemError)
    /// Kills the members, and removes the tree when they are gone.
    func end()
}
