import Engine

/// The instances of services, by identity and by the mark of their processes.
final class Instances {
    private var instancesByID: [InstanceID: RunningInstance] = [:]
    private var idsByMark: [String: InstanceID] = [:]

    subscript(id: InstanceID) -> RunningInstance? { instancesByID[id] }

    var isEmpty: Bool { instancesByID.isEmpty }
    var ids: Set<InstanceID> { Set(instancesByID.keys) }

    /// All instances in no particular order.
    var values: some Collection<RunningInstance> { instancesByID.values }

    /// All instances in the order in which they were made.
    var sorted: [RunningInstance] { instancesByID.values.sorted { $0.id < $1.id } }

    func of(_ group: GroupID) -> [RunningInstance] { sorted.filter { $0.definition.group == group } }

    /// The newest instance of a service.
    func newest(named name: String) -> RunningInstance? {
        instancesByID.values.filter { $0.name == name }.max { $0.id < $1.id }
    }

    func add(_ instance: RunningInstance) { instancesByID[instance.id] = instance }

    func remove(_ id: InstanceID) -> RunningInstance? {
        guard let instance = instancesByID.removeValue(forKey: id) else { return nil }
        idsByMark[instance.mark] = nil
        return instance
    }

    /// Gives an instance the process tree of a run, whose processes are known by their mark from now on.
    func begin(_ run: RunningTree, of instance: RunningInstance) {
        instance.run = run
        instance.mark = run.tree.cgroupName ?? instance.invocation
        idsByMark[instance.mark] = instance.id
    }

    /// Ends the run of an instance. Its tree has ended, or is removed by the caller.
    func endRun(of instance: RunningInstance) {
        instance.run = nil
        idsByMark[instance.mark] = nil
    }

    func id(markedBy mark: String) -> InstanceID? { idsByMark[mark] }
}
