/// An operation on one unit in a transaction (systemd's job types).
public enum JobType: Sendable, Equatable, CaseIterable {
    case start
    /// No action, but the unit must be active (`Requisite=`).
    case verifyActive
    case stop
    /// Reload of an active unit.
    case reload
    /// Stop and start; start only, if the unit is not active.
    case restart
    /// The result of merging `reload` and `start`.
    case reloadOrStart

    /// The job that does the work of both; nil if they contradict each other. Commutative and associative, so the order
    /// in which jobs are merged does not matter.
    public func merged(with other: JobType) -> JobType? {
        switch (self, other) {
        case (.stop, .stop): return .stop
        case (.stop, _), (_, .stop): return nil
        case (.restart, _), (_, .restart): return .restart
        case (.reloadOrStart, _), (_, .reloadOrStart), (.reload, .start), (.start, .reload): return .reloadOrStart
        case (.reload, _), (_, .reload): return .reload
        case (.start, _), (_, .start): return .start
        case (.verifyActive, .verifyActive): return .verifyActive
        }
    }

    /// The job that is left for a unit in this state; nil if there is nothing to do.
    func collapsed(_ activity: UnitActivity) -> JobType? {
        switch self {
        case .start: activity.isUp ? nil : .start
        case .verifyActive: activity.isUp ? nil : .verifyActive
        case .stop: activity == .inactive ? nil : .stop
        case .reload: .reload
        case .restart: activity.isUp || activity == .deactivating ? .restart : .start
        case .reloadOrStart: activity.isUp ? .reload : .start
        }
    }
}

/// A unit's state, as coarse as transactions need it.
public enum UnitActivity: Sendable, Equatable, CaseIterable {
    case inactive, activating, active, deactivating

    /// True if the unit is active or about to be.
    var isUp: Bool { self == .active || self == .activating }
}
