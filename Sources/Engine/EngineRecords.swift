/// The engine in pieces: what changed is written down, piece by piece, before anything is done that follows from it. A process
/// that takes over the state of one that was killed makes an engine of the pieces again.
extension Engine {
    /// One group, with the time that its operation has left.
    public struct GroupRecord: Codable, Sendable {
        let group: Group
        let deadline: Instant?
    }

    /// One instance. Its deadlines and the owners of its tokens follow from it.
    public struct InstanceRecord: Codable, Sendable {
        let instance: Instance
    }

    /// All the rest, which is small.
    public struct CoreRecord: Codable, Sendable {
        let engine: Engine
    }

    /// What was added, changed or removed since this was asked last.
    public mutating func takeChanges() -> (groups: [GroupID], instances: [InstanceID]) {
        (groups.takeChanged().sorted(), instances.takeChanged().sorted())
    }

    /// nil: it is gone.
    public func record(of id: GroupID) -> GroupRecord? {
        groups[id].map { GroupRecord(group: $0, deadline: deadlines.deadline(of: .group(id))) }
    }

    /// nil: it is gone.
    public func record(of id: InstanceID) -> InstanceRecord? { instances[id].map { InstanceRecord(instance: $0) } }

    public var core: CoreRecord {
        var rest = self
        rest.groups = Tracked()
        rest.instances = Tracked()
        rest.owners = [:]
        rest.deadlines = Deadlines()
        rest.waitingToStart = []
        return CoreRecord(engine: rest)
    }

    public init(_ core: CoreRecord, _ groups: [GroupRecord], _ instances: [InstanceRecord]) {
        self = core.engine
        self.groups = Tracked(Dictionary(groups.map { ($0.group.id, $0.group) }) { $1 })
        self.instances = Tracked(Dictionary(instances.map { ($0.instance.id, $0.instance) }) { $1 })
        for record in groups {
            let id = record.group.id
            deadlines.set(.group(id), record.deadline)
            if record.group.operation?.waitsForOthers == true { waitingToStart.insert(id) }
        }
        for instance in instances.map(\.instance) {
            deadlines.set(.instance(instance.id), instance.deadline)
            deadlines.set(.probe(instance.id), instance.probeDeadline)
            deadlines.set(.watchdog(instance.id), instance.watchdogDeadline)
            deadlines.set(.runtime(instance.id), instance.runtimeDeadline)
            for token in instance.openTokens { owners[token] = instance.id }
        }
        // What was to be started when the other process ended may not have been.
        relationsMayHaveChanged()
    }
}
