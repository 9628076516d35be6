import Vocabulary

@testable import Linux
@testable import Supervisor

/// One supervisor's view of the world's process trees.
///
/// Without control groups a tree's members are known here in the same way; only their marks differ.
final class SimulatedTrees: TreesPort {
    private unowned let machine: SimulatedMachine
    private var world: World { machine.world }
    private var processes: WorldProcesses { machine.world.processes }
    /// Trees by the number that stands for them in a plan.
    private var namesByPlan: [Int32: String] = [:]
    private var lastNumber: Int32 = 1 << 29

    init(machine: SimulatedMachine) { self.machine = machine }

    var usesCgroups: Bool { processes.usesCgroups }

    func follow(isFresh: Bool) { _ = world.permits(machine, "find children") }

    func make(name: String, cookie: String) throws(SystemError) -> any MachineTree {
        try world.step(machine, "make tree", name)
        guard processes.members(of: name).isEmpty else {
            throw SystemError(
                "processes of an earlier run are still there: make control group", name, .resourceBusy)
        }
        return tree(name)
    }

    func adopt(name: String, cookie: String, session: SessionTree.State?) throws(SystemError) -> any MachineTree {
        try world.step(machine, "adopt tree", name)
        return tree(name)
    }

    private func tree(_ name: String) -> SimulatedTree {
        processes.trees.insert(name)
        lastNumber += 1
        namesByPlan[lastNumber] = name
        return SimulatedTree(name, number: lastNumber, machine)
    }

    /// The tree that a plan enters.
    func name(of plan: SpawnPlan) -> String? { namesByPlan[plan.cgroup] }

    func leftovers(kept: Set<String>) -> [(name: String, members: [Int32])] {
        guard world.permits(machine, "list trees"), usesCgroups else { return [] }
        var found: [(name: String, members: [Int32])] = []
        for name in processes.trees.sorted() where !kept.contains(name) {
            let members = processes.members(of: name).map(\.pid)
            if members.isEmpty { processes.trees.remove(name) } else { found.append((name, members)) }
        }
        return found
    }

    func directoryName(_ name: String) -> String { name }

    func marked(by variable: String, prefix: String) -> [ProcessTrees.MarkedRun] {
        var runs: [String: ProcessTrees.MarkedRun] = [:]
        for process in processes.running {
            guard let value = process.environment[variable], value.hasPrefix(prefix),
                let cookie = process.environment["INVOCATION_ID"]
            else { continue }
            let mark = String(value.dropFirst(prefix.count))
            runs[cookie, default: ProcessTrees.MarkedRun(mark: mark, cookie: cookie)].members.append(process.pid)
        }
        return runs.values.sorted { ($0.mark, $0.cookie) < ($1.mark, $1.cookie) }
    }

    func tree(of run: ProcessTrees.MarkedRun) -> any MachineTree {
        tree(run.members.lazy.compactMap { [processes] in processes[$0]?.tree }.first ?? run.mark)
    }

    var strays: [StrayProcess] { [] }
    var knownStrays: [StrayProcess] { [] }
    var savedStrays: [StrayProcess.Saved] { [] }
    func restore(_ strays: [StrayProcess.Saved]) {}
    func signalStrays(_ signal: Signal) { _ = world.permits(machine, "signal strays") }

    func remove() {
        guard world.permits(machine, "remove all trees") else { return }
        processes.trees = processes.trees.filter { !processes.members(of: $0).isEmpty }
    }
}

/// A process tree.
final class SimulatedTree: MachineTree {
    private let name: String
    private let number: Int32
    private unowned let machine: SimulatedMachine
    private var world: World { machine.world }
    private var processes: WorldProcesses { machine.world.processes }
    private var handler: (() -> Void)?

    fileprivate init(_ name: String, number: Int32, _ machine: SimulatedMachine) {
        (self.name, self.number, self.machine) = (name, number, machine)
    }

    var cgroupName: String? { processes.usesCgroups ? "/holdfast/\(name)" : nil }
    var session: SessionTree.State? { processes.usesCgroups ? nil : SessionTree.State() }
    var isEmpty: Bool { world.permits(machine, "look at tree", name) && processes.members(of: name).isEmpty }

    func enter(_ plan: inout SpawnPlan) { plan.cgroup = number }
    func started(main pid: Int32) {}

    func members() -> [Int32] {
        world.permits(machine, "list tree", name) ? processes.members(of: name).map(\.pid) : []
    }

    func contains(_ pid: Int32) -> Bool {
        guard world.permits(machine, "look at tree", name) else { return false }
        // A zombie is in its control group until it is reaped.
        return processes[pid]?.tree == name
    }

    func recordMembers() {}
    func registerOutputs(_ outputs: [FileID]) {}
    func releaseMembers() {}

    func signalAll(_ signal: Signal) {
        guard world.permits(machine, "send \(signal) to tree", name) else { return }
        for process in processes.members(of: name) { process.receive(signal) }
    }

    func killAll() {
        guard world.permits(machine, "kill tree", name) else { return }
        // A member may fork as another one dies.
        for _ in 0..<1000 {
            guard let first = processes.members(of: name).first else { return }
            first.receive(.kill)
        }
    }

    func whenEmpty(_ handler: @escaping () -> Void) throws(SystemError) {
        try world.step(machine, "watch tree", name)
        cancelWait()
        self.handler = handler
        processes.onEmpty[name, default: []].append(self)
        processes.treeChanged(name)
    }

    /// The tree is empty: reports it in the loop's next round.
    func reportEmpty() {
        machine.simulatedLoop.post(.childExits) { [weak self] in
            guard let self, let handler else { return }
            self.handler = nil
            handler()
        }
    }

    func cancelWait() {
        handler = nil
        processes.onEmpty[name]?.removeAll { $0 === self }
    }

    func remove() throws(SystemError) {
        try world.step(machine, "remove tree", name)
        guard processes.members(of: name).isEmpty else {
            throw SystemError("remove control group", name, .resourceBusy)
        }
        processes.trees.remove(name)
    }

    func end() {
        killAll()
        try? remove()
    }
}
