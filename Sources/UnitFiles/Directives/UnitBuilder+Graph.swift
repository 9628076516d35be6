// [Unit]: relations to other units.

/// Directives of systemd.unit(5) with their old spellings.
enum DependencyDirective: String, CaseIterable {
    case requisite = "Requisite"
    case requisiteOverridable = "RequisiteOverridable"
    case requiresOverridable = "RequiresOverridable"
    case bindsTo = "BindsTo"
    case bindTo = "BindTo"
    case partOf = "PartOf"
    case upholds = "Upholds"
    case conflicts = "Conflicts"
    case propagatesReloadTo = "PropagatesReloadTo"
    case propagateReloadTo = "PropagateReloadTo"
    case reloadPropagatedFrom = "ReloadPropagatedFrom"
    case propagateReloadFrom = "PropagateReloadFrom"
    case propagatesStopTo = "PropagatesStopTo"
    case stopPropagatedFrom = "StopPropagatedFrom"
    case onFailure = "OnFailure"
    case onSuccess = "OnSuccess"
    case onFailureJobMode = "OnFailureJobMode"
    case onSuccessJobMode = "OnSuccessJobMode"
    case onFailureIsolate = "OnFailureIsolate"
    case requiresMountsFor = "RequiresMountsFor"
    case defaultDependencies = "DefaultDependencies"
    case stopWhenUnneeded = "StopWhenUnneeded"
    case refuseManualStart = "RefuseManualStart"
    case refuseManualStop = "RefuseManualStop"
    // These always hold: nothing is ever isolated here, and unneeded units are not kept.
    case ignoreOnIsolate = "IgnoreOnIsolate"
    case allowIsolate = "AllowIsolate"
    case collectMode = "CollectMode"
    case sourcePath = "SourcePath"
    // Only the value `none` is supported: this is no init system that could reboot the host.
    case failureAction = "FailureAction"
    case successAction = "SuccessAction"
    case startLimitAction = "StartLimitAction"

    static let byName = Dictionary(uniqueKeysWithValues: allCases.map { ($0.rawValue, $0) })
}

extension UnitBuilder {
    mutating func apply(_ directive: DependencyDirective, _ assignment: Assignment) {
        switch directive {
        case .requisite, .requisiteOverridable: add(assignment, \.requisite)
        case .requiresOverridable: unit.requires += dependencies(assignment, ordering: false)
        case .bindsTo, .bindTo: add(assignment, \.bindsTo)
        case .partOf: add(assignment, \.partOf)
        case .upholds: add(assignment, \.upholds)
        case .conflicts: add(assignment, \.conflicts, ordering: true)
        case .propagatesReloadTo, .propagateReloadTo: add(assignment, \.propagatesReloadTo)
        case .reloadPropagatedFrom, .propagateReloadFrom: add(assignment, \.reloadPropagatedFrom)
        case .propagatesStopTo: add(assignment, \.propagatesStopTo)
        case .stopPropagatedFrom: add(assignment, \.stopPropagatedFrom)
        case .onFailure: add(assignment, \.onFailure)
        case .onSuccess: add(assignment, \.onSuccess)
        case .onFailureJobMode: jobMode(assignment, \.onFailureJobMode)
        case .onSuccessJobMode: jobMode(assignment, \.onSuccessJobMode)
        case .onFailureIsolate:
            if value(assignment, .ignored, Value.boolean) == true { refuseIsolate(assignment) }
        case .requiresMountsFor:
            for word in words(assignment, escapes: .interpreted) {
                do {
                    unit.graph.requiresMountsFor.append(try Value.absolutePath(word.text))
                } catch {
                    reject(assignment, ValueError(error.message, at: word.offset), .ignored)
                }
            }
        case .defaultDependencies: flag(assignment, \.hasDefaultDependencies)
        case .stopWhenUnneeded: flag(assignment, \.stopWhenUnneeded)
        case .refuseManualStart: flag(assignment, \.refusesManualStart)
        case .refuseManualStop: flag(assignment, \.refusesManualStop)
        case .ignoreOnIsolate, .allowIsolate: _ = value(assignment, .ignored, Value.boolean)
        case .collectMode:
            _ = value(assignment, .ignored) { (text) throws(ValueError) in
                guard ["inactive", "inactive-or-failed"].contains(text) else {
                    throw ValueError("expected inactive or inactive-or-failed, not \"\(text)\"")
                }
            }
        case .sourcePath: if !assignment.value.isEmpty { _ = expanded(assignment, .ignored, Value.absolutePath) }
        case .failureAction, .successAction, .startLimitAction: emergencyAction(assignment)
        }
    }

    private mutating func add(
        _ assignment: Assignment, _ list: WritableKeyPath<DependencySection, [UnitReference]>, ordering: Bool = false
    ) {
        unit.graph[keyPath: list] += dependencies(assignment, ordering: ordering)
    }

    private mutating func flag(_ assignment: Assignment, _ flag: WritableKeyPath<DependencySection, Bool>) {
        if let value = value(assignment, .ignored, Value.boolean) { unit.graph[keyPath: flag] = value }
    }

    private mutating func jobMode(_ assignment: Assignment, _ mode: WritableKeyPath<DependencySection, JobMode>) {
        guard let chosen = choice(assignment, .ignored, of: JobMode.self) else { return }
        if chosen == .isolate { return refuseIsolate(assignment) }
        unit.graph[keyPath: mode] = chosen
    }

    private mutating func refuseIsolate(_ assignment: Assignment) {
        let message = "isolating units is not supported"
        reject(assignment, ValueError(message, code: .unsupportedValue), .ignored)
    }

    /// Accepts only `none` for `StartLimitAction=` and its siblings: other values act on the whole host.
    mutating func emergencyAction(_ assignment: Assignment) {
        if assignment.value == "none" { return }
        guard !assignment.value.isEmpty else { return reject(assignment, ValueError("expected \"none\""), .ignored) }
        report(
            Diagnostic(
                .warning, .unsupportedValue, at: assignment.valueLocation, directive: assignment.key,
                "\(assignment.key)=: \"\(assignment.value)\" would act on the whole host; only \"none\" is supported"))
    }
}
