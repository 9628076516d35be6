/// How the jobs of a unit that `OnFailure=` or `OnSuccess=` names go together with those under way (systemd.unit(5)).
public enum JobMode: String, Sendable, CaseIterable {
    case fail, replace
    case replaceIrreversibly = "replace-irreversibly"
    case isolate, flush
    case ignoreDependencies = "ignore-dependencies"
    case ignoreRequirements = "ignore-requirements"
}

/// What `[Unit]` says about other units beyond `Wants=`, `Requires=`, `After=` and `Before=`.
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
    /// Without, systemd leaves out `sysinit.target`, `basic.target` and `shutdown.target`, which are always reached here.
    public var hasDefaultDependencies = true
    public var stopWhenUnneeded = false
    public var refusesManualStart = false
    public var refusesManualStop = false
    /// Paths of `RequiresMountsFor=`. What is mounted at boot is mounted before Holdfast runs.
    public var requiresMountsFor: [String] = []

    public init() {}

    /// Every list of units, to look at or change all of them.
    static var lists: [WritableKeyPath<DependencySection, [UnitReference]>] {
        [
            \.requisite, \.bindsTo, \.partOf, \.upholds, \.conflicts, \.propagatesReloadTo, \.reloadPropagatedFrom,
            \.propagatesStopTo, \.stopPropagatedFrom, \.onFailure, \.onSuccess,
        ]
    }
}
