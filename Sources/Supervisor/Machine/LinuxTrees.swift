import Linux
import Vocabulary

/// Process trees of this host.
final class LinuxTrees: TreesPort {
    private let trees: ProcessTrees
    private let children: Children
    private let loop: EventLoop

    /// - Parameter name: unique among the supervisors of a host, and the same after a restart.
    init(name: String, children: Children, loop: EventLoop) {
        trees = ProcessTrees(name: name)
        self.children = children
        self.loop = loop
    }

    var usesCgroups: Bool { trees.usesCgroups }

    func follow(isFresh: Bool) { trees.follow(children, isFresh: isFresh) }

    func make(name: String, cookie: String) throws(SystemError) -> any MachineTree {
        tree(try trees.make(name: name, cookie: cookie))
    }

    func adopt(name: String, cookie: String, session: SessionTree.State?) throws(SystemError) -> any MachineTree {
        tree(try trees.adopt(name: name, cookie: cookie, session: session))
    }

    func leftovers(kept: Set<String>) -> [(name: String, members: [Int32])] { trees.leftovers(kept: kept) }
    func directoryName(_ name: String) -> String { trees.directoryName(name) }

    func marked(by variable: String, prefix: String) -> [ProcessTrees.MarkedRun] {
        ProcessTrees.marked(by: variable, prefix: prefix)
    }
    func tree(of run: ProcessTrees.MarkedRun) -> any MachineTree { tree(trees.tree(of: run)) }

    private func tree(_ tree: ProcessTree) -> any MachineTree { LinuxTree(tree, of: trees, loop: loop) }

    var strays: [StrayProcess] { trees.strays }
    var knownStrays: [StrayProcess] { trees.knownStrays }
    var savedStrays: [StrayProcess.Saved] { trees.savedStrays }
    func restore(_ strays: [StrayProcess.Saved]) { trees.restore(strays) }
    func signalStrays(_ signal: Signal) { trees.signalStrays(signal) }

    func remove() { trees.remove() }
}

/// A process tree of this host.
private final class LinuxTree: MachineTree {
    private let tree: ProcessTree
    private let trees: ProcessTrees
    private let loop: EventLoop

    init(_ tree: ProcessTree, of trees: ProcessTrees, loop: EventLoop) {
        self.tree = tree
        self.trees = trees
        self.loop = loop
    }

    var cgroupName: String? { tree.cgroupName }
    var session: SessionTree.State? { tree.session }
    var isEmpty: Bool { tree.isEmpty }

    func enter(_ plan: inout SpawnPlan) { tree.enter(&plan) }
    func started(main pid: Int32) { tree.started(main: pid) }
    func members() -> [Int32] { tree.members() }
    func contains(_ pid: Int32) -> Bool { tree.contains(pid) }
    func recordMembers() { tree.recordMembers() }
    func registerOutputs(_ outputs: [FileID]) { tree.registerOutputs(outputs) }
    func releaseMembers() { tree.releaseMembers() }
    func signalAll(_ signal: Signal) { tree.signalAll(signal) }
    func killAll() { tree.killAll() }

    func whenEmpty(_ handler: @escaping () -> Void) throws(SystemError) { try tree.whenEmpty(loop: loop, handler) }
    func cancelWait() { tree.cancelWait() }
    func remove() throws(SystemError) { try tree.remove() }
    func end() { trees.end(tree, loop) }
}
