// [Unit]: relations to other units.

extension UnitBuilder {
    /// [Unit]: relations to other units, with their old spellings.
    static let dependencyDirectives: [Directive] = [
        Directive("Requisite", .unit, in: .unit) { $0.add($1, \.requisite, .required) },
        Directive("RequisiteOverridable", .unit, in: .unit) { $0.add($1, \.requisite, .required) },
        Directive("RequiresOverridable", .unit, in: .unit) {
            $0.unit.requires += $0.dependencies($1, .required)
        },
        Directive("BindsTo", .unit, in: .unit) { $0.add($1, \.bindsTo, .bound) },
        Directive("BindTo", .unit, in: .unit) { $0.add($1, \.bindsTo, .bound) },
        Directive("PartOf", .unit, in: .unit) { $0.add($1, \.partOf) },
        Directive("Upholds", .unit, in: .unit) { $0.add($1, \.upholds) },
        Directive("Conflicts", .unit, in: .unit) { $0.add($1, \.conflicts, .ignored) },
        Directive("PropagatesReloadTo", .unit, in: .unit) { $0.add($1, \.propagatesReloadTo) },
        Directive("PropagateReloadTo", .unit, in: .unit) { $0.add($1, \.propagatesReloadTo) },
        Directive("ReloadPropagatedFrom", .unit, in: .unit) { $0.add($1, \.reloadPropagatedFrom) },
        Directive("PropagateReloadFrom", .unit, in: .unit) { $0.add($1, \.reloadPropagatedFrom) },
        Directive("PropagatesStopTo", .unit, in: .unit) { $0.add($1, \.propagatesStopTo) },
        Directive("StopPropagatedFrom", .unit, in: .unit) { $0.add($1, \.stopPropagatedFrom) },
        Directive("OnFailure", .unit, in: .unit) { $0.add($1, \.onFailure) },
        Directive("OnSuccess", .unit, in: .unit) { $0.add($1, \.onSuccess) },
        Directive("OnFailureJobMode", .unit, in: .unit) { $0.jobMode($1, \.onFailureJobMode) },
        Directive("OnSuccessJobMode", .unit, in: .unit) { $0.jobMode($1, \.onSuccessJobMode) },
        Directive("OnFailureIsolate", .unit, in: .unit, ignoredBecause: "units are never isolated") {
            if $0.value($1, .ignored, Value.boolean) == true { $0.refuseIsolate($1) }
        },
        Directive("RequiresMountsFor", .unit, in: .unit) {
            for word in $0.words($1, escapes: .interpreted) {
                do throws(ValueError) {
                    $0.unit.graph.requiresMountsFor.append(try Value.absolutePath(word.text))
                } catch {
                    $0.reject($1, ValueError(error.message, at: word.offset), .ignored)
                }
            }
        },
        Directive("DefaultDependencies", .unit, in: .unit) { $0.flag($1, \.hasDefaultDependencies) },
        Directive("StopWhenUnneeded", .unit, in: .unit) { $0.flag($1, \.stopWhenUnneeded) },
        Directive("RefuseManualStart", .unit, in: .unit) { $0.flag($1, \.refusesManualStart) },
        Directive("RefuseManualStop", .unit, in: .unit) { $0.flag($1, \.refusesManualStop) },
        Directive("IgnoreOnIsolate", .unit, in: .unit, ignoredBecause: "units are never isolated") {
            _ = $0.value($1, .ignored, Value.boolean)
        },
        Directive("AllowIsolate", .unit, in: .unit, ignoredBecause: "units are never isolated") {
            _ = $0.value($1, .ignored, Value.boolean)
        },
        Directive("CollectMode", .unit, in: .unit, ignoredBecause: "stopped units are never kept") {
            _ = $0.value($1, .ignored) { (text) throws(ValueError) in
                guard ["inactive", "inactive-or-failed"].contains(text) else {
                    throw ValueError("expected inactive or inactive-or-failed, not \"\(text)\"")
                }
            }
        },
        Directive("SourcePath", .unit, in: .unit, ignoredBecause: "information only") {
            if !$1.value.isEmpty { _ = $0.expanded($1, .ignored, Value.absolutePath) }
        },
        Directive(
            "FailureAction", .unit, in: .unit,
            ignoredBecause: "only none is accepted: other values act on the whole host"
        ) { $0.emergencyAction($1) },
        Directive(
            "SuccessAction", .unit, in: .unit,
            ignoredBecause: "only none is accepted: other values act on the whole host"
        ) { $0.emergencyAction($1) },
        Directive(
            "StartLimitAction", .unit, in: .unit,
            ignoredBecause: "only none is accepted: other values act on the whole host"
        ) { $0.emergencyAction($1) },
    ]

    private mutating func add(
        _ assignment: Assignment, _ list: WritableKeyPath<DependencySection, [UnitReference]>,
        _ foreign: ForeignUnits = .reported
    ) {
        unit.graph[keyPath: list] += dependencies(assignment, foreign)
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
