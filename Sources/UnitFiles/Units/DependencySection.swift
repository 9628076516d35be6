import Vocabulary

/// How the jobs of units named by `OnFailure=` or `OnSuccess=` combine with queued jobs (systemd.unit(5)).
public enum JobMode: String, Keyword {
    case fail, replace
    case replaceIrreversibly = "replace-irreversibly"
    case isolate, flush
    case ignoreDependencies = "ignore-dependencies"
    case ignoreRequirements = "ignore-requirements"
}

/// The relations of `[Unit]` beyond `Wants=`, `Requires=`, `After=` and `Before=`.
public struct DependencySection: Sendable, Hashable {
    public var requisite: [UnitReference] = []
    public var bindsTo: [UnitReference] = []
    public var partOf: [UnitReference] = []
    public var upholds: [UnitReference] = []
    public var conflicts: [UnitReference] = []
    public var propagatesReloadTo: [UnitReference] = []
    public var reloadPropagatedFrom: [UnitReference] = []
    public var propagatesStopTo: [UnitReference] = []
    public var stopPropagatedFrom: [UnitReference] = []
    public var onFailure: [UnitReference] = []
    public var onSuccess: [UnitReference] = []
    public var onFailureJobMode = JobMode.replace
    public var onSuccessJobMode = JobMode.fail
    /// Whether systemd adds `sysinit.target`, `basic.target` and `shutdown.target`; all of them always count as reached
    /// here.
    public var hasDefaultDependencies = true
    public var stopWhenUnneeded = false
    public var refusesManualStart = false
    public var refusesManualStop = false
    /// Paths of `RequiresMountsFor=`. File systems mounted at boot are mounted before Holdfast runs.
    public var requiresMountsFor: [String] = []

    public init() {}

    /// All lists of units, for reading or changing every one of them.
    static var lists: [WritableKeyPath<DependencySection, [UnitReference]>] {
        [
            \.requisite, \.bindsTo, \.partOf, \.upholds, \.conflicts, \.propagatesReloadTo, \.reloadPropagatedFrom,
            \.propagatesStopTo, \.stopPropagatedFrom, \.onFailure, \.onSuccess,
        ]
    }
}
