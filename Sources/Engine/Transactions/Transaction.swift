/// Everything that one request comes to, checked whole before anything is begun (systemd's transactions).
///
/// Built in the steps of systemd: the jobs that the request and its dependencies ask for; what cannot be done makes those
/// that must have it fail, and is left out where it is only wanted; ordering cycles are broken by leaving out what is not
/// essential; jobs of one unit are merged, or one of them gives way; what is so already is left out.
public struct Transaction: Sendable, Equatable {
    public struct Job: Sendable, Equatable {
        public var unit: String
        public var type: JobType
        public init(_ unit: String, _ type: JobType) {
            self.unit = unit
            self.type = type
        }
    }

    /// How it goes together with what is asked (`systemctl --job-mode=`).
    public enum Mode: Sendable, Equatable {
        case replace
        /// Without what the dependencies would bring.
        case ignoreDependencies
    }

    /// Stops first, and each start behind those that it starts after.
    public var jobs: [Job]
    /// What was left out although it was asked for, in words.
    public var notes: [String]
}

/// Why a request is refused as a whole.
public enum TransactionError: Error, Sendable, Equatable {
    case missing(unit: String, neededBy: String?)
    case unusable(unit: String, reason: String, neededBy: String?)
    /// `Requisite=` of a unit that is not active.
    case notActive(unit: String, neededBy: String)
    /// Each starts after the next, the first is repeated at the end.
    case orderingCycle([String])
    /// It would have to be started and stopped.
    case contradiction(unit: String)
    /// `RefuseManualStart=`, `RefuseManualStop=`
    case refused(unit: String, JobType)
    /// One of the host's own units cannot be stopped from here.
    case notOurs(unit: String)
}

extension Transaction {
    /// - Parameter activity: how far each unit is now.
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
