/// All jobs of one request, checked as a whole before any of them begins (systemd's transactions).
///
/// Built in systemd's steps: collect the jobs of the request and its dependencies; drop jobs that cannot be done, and
/// fail the units that require them; drop jobs whose result holds already; break ordering cycles by dropping jobs that
/// are not essential; merge the jobs of each unit, or drop one of two that contradict each other.
public struct Transaction: Sendable, Equatable {
    public struct Job: Sendable, Equatable {
        public var unit: String
        public var type: JobType
        public init(_ unit: String, _ type: JobType) {
            self.unit = unit
            self.type = type
        }
    }

    /// The way a transaction treats dependencies (`systemctl --job-mode=`).
    public enum Mode: Sendable, Equatable {
        case replace
        /// Without the jobs of dependencies.
        case ignoreDependencies
    }

    /// Stops first; each start after the starts that it is ordered after.
    public var jobs: [Job]
    /// Messages about jobs that were dropped although they were asked for.
    public var notes: [String]
}

/// The reason why a request is refused as a whole.
public enum TransactionError: Error, Sendable, Equatable {
    case missing(unit: String, neededBy: String?)
    case unusable(unit: String, reason: String, neededBy: String?)
    /// `Requisite=` names a unit that is not active.
    case notActive(unit: String, neededBy: String)
    /// Units that each start after the next one; the first is repeated at the end.
    case orderingCycle([String])
    /// The unit would have to be started and stopped.
    case contradiction(unit: String)
    /// `RefuseManualStart=`, `RefuseManualStop=`
    case refused(unit: String, JobType)
    /// A unit of the host, which Holdfast cannot stop.
    case notOurs(unit: String)
}

extension Transaction {
    /// - Parameter activity: the present state of each unit.
    public init(
        _ type: JobType, _ unit: String, in graph: UnitGraph, mode: Mode = .replace, isManual: Bool = true,
        activity: (String) -> UnitActivity
    ) throws(TransactionError) {
        if isManual {
            let node = graph.node(unit)
            let starts = type == .start || type == .restart || type == .reloadOrStart
            if starts && node.refusesManualStart { throw .refused(unit: unit, .start) }
            if (type == .stop || type == .restart) && node.refusesManualStop { throw .refused(unit: unit, .stop) }
        }
        var builder = TransactionBuilder(graph: graph)
        let states = { (name: String) -> UnitActivity in
            switch graph.node(name).kind {
            case .assumed: .active
            case .neverReached, .missing, .unusable, .request: .inactive
            case .real: activity(name)
            }
        }
        builder.add(type, unit, followsDependencies: mode == .replace, activity: states)
        try builder.checkRequirements(activity: states)
        builder.dropRedundant(activity: states)
        try builder.breakCycles()
        try builder.merge(activity: states)
        self.init(jobs: builder.ordered(activity: states), notes: builder.notes)
    }
}
