/// What is to be done with one unit in a transaction (systemd's job types).
public enum JobType: Sendable, Equatable, CaseIterable {
    case start
    /// Nothing is done, but the unit must be active (`Requisite=`).
    case verifyActive
    case stop
    /// Of a unit that is active.
    case reload
    /// Stop and start, or start what is not active.
    case restart
    /// What merging makes of `reload` and `start`.
    case reloadOrStart

    /// What does the work of both; nil if they contradict each other. Commutative and associative, so that the order in
    /// which jobs meet does not matter.
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

    /// What it comes to for a unit in this state; nil if there is nothing to do.
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

/// How far a unit is, as coarse as transactions need it.
public enum UnitActivity: Sendable, Equatable, CaseIterable {
    case inactive, activating, active, deactivating

    /// Active, or about to be.
    var isUp: Bool { self == .active || self == .activating }
}
