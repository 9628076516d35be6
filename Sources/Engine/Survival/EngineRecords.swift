/// The engine in pieces: each changed piece is written down before any effect of the change is carried out. A process
/// that takes over the state of a killed one builds an engine from the pieces.
extension Engine {
    /// One group, with the deadline of its operation.
    public struct GroupRecord: Codable, Sendable {
        private let rest: Group
        let deadline: Instant?
        /// True if the plan is stored only once: an operation and its new generation mostly have the same plan.
        private let isPlanOfGeneration: Bool?

        enum CodingKeys: String, CodingKey {
            case rest = "group"
            case deadline, isPlanOfGeneration
        }

        init(_ group: Group, deadline: Instant?) {
            var rest = group
            let isSame = group.planOfNew != nil && group.planOfNew == group.operation?.plan
            if isSame { rest.operation?.plan = nil }
            self.rest = rest
            self.deadline = deadline
            isPlanOfGeneration = isSame ? true : nil
        }

        var id: GroupID { rest.id }

        var group: Group {
            guard isPlanOfGeneration == true else { return rest }
            var group = rest
            group.operation?.plan = rest.planOfNew
            return group
        }
    }

    /// One instance. Its deadlines and the owners of its tokens follow from it.
    public struct InstanceRecord: Codable, Sendable {
        let instance: Instance
    }

    /// The rest of the engine, which is small.
    public struct CoreRecord: Codable, Sendable {
        let engine: Engine
    }

    /// The groups and instances that were added, changed or removed since the last call.
    public mutating func takeChanges() -> (groups: [GroupID], instances: [InstanceID]) {
        (groups.takeChanged().sorted(), instances.takeChanged().sorted())
    }

    /// The record of a group; nil if the group is gone.
    public func record(of id: GroupID) -> GroupRecord? {
        groups[id].map { GroupRecord($0, deadline: deadlines.deadline(of: .group(id))) }
    }

    /// The record of an instance; nil if the instance is gone.
    public func record(of id: InstanceID) -> InstanceRecord? { instances[id].map { InstanceRecord(instance: $0) } }

    public var core: CoreRecord {
        var rest = self
        rest.groups = Tracked()
        rest.instances = Tracked()
        rest.owners = [:]
        rest.deadlines = Deadlines()
        rest.waitingToStart = []
        // With a thousand starts at once this would be most of the record.
        rest.unansweredPreparations = []
        return CoreRecord(engine: rest)
    }

    public init(_ core: CoreRecord, _ groups: [GroupRecord], _ instances: [InstanceRecord]) {
        self = core.engine
        unansweredPreparations.formUnion(abandonedPreparations)
        self.groups = Tracked(Dictionary(groups.map(\.group).map { ($0.id, $0) }) { $1 })
        self.instances = Tracked(Dictionary(instances.map { ($0.instance.id, $0.instance) }) { $1 })
        for record in groups { deadlines.set(.group(record.id), record.deadline) }
        for (id, group) in self.groups {
            guard let operation = group.operation else { continue }
            if operation.phase == .draining { touch(id) }
            if operation.waitsForOthers { waitingToStart.insert(id) }
            if operation.phase == .preparing, let new = operation.new {
                unansweredPreparations.insert(GenerationID(group: id, number: new))
            }
        }
        for instance in instances.map(\.instance) {
            setDeadlines(of: instance)
            for token in instance.openTokens { owners[token] = instance.id }
        }
        // Starts that were due when the other process ended may not have been carried out.
        relationsMayHaveChanged()
    }
}

extension Group {
    /// The plan of the generation that is being started.
    fileprivate var planOfNew: Plan? { operation?.new.flatMap { generations[$0]?.plan } }
}
