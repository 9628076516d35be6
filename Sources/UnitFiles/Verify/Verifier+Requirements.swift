/// Units without which another cannot be started, followed transitively: `Requires=`, `BindsTo=` and `Requisite=`.
extension Verifier {
    /// A unit that requires another, and the place of the directive.
    private struct Requirement {
        var subject: UnitName
        var directive: String
        var reference: UnitReference
    }

    /// Units that could never be started because a unit that they require is missing, masked or unusable, or requires
    /// such a unit in turn.
    ///
    /// A work list replaces recursion: the files may contain a chain of any length.
    func unmetRequirements(of names: [UnitName]) -> [Diagnostic] {
        var dependents: [UnitName: [Requirement]] = [:]
        var unmet: [(Requirement, DiagnosticCode, reason: String)] = []
        var seen = Set(names)
        var queue = names
        var next = 0
        while next < queue.count {
            for requirement in requirements(of: queue[next]) {
                let name = requirement.reference.name
                if let (code, reason) = reasonForNotStarting(name, requirement) {
                    unmet.append((requirement, code, reason))
                } else {
                    dependents[name, default: []].append(requirement)
                    if seen.insert(name).inserted { queue.append(name) }
                }
            }
            next += 1
        }
        var diagnostics: [Diagnostic] = []
        var unstartable: Set<UnitName> = []
        while let (requirement, code, reason) = unmet.popLast() {
            let subject = requirement.subject
            diagnostics.append(
                Diagnostic(
                    .error, code, at: requirement.reference.location, directive: requirement.directive,
                    "\(subject) requires \(requirement.reference.name), \(reason)"))
            guard unstartable.insert(subject).inserted else { continue }
            unmet += (dependents[subject] ?? []).map { ($0, .unusableUnit, "which cannot be started itself") }
        }
        return diagnostics
    }

    private func requirements(of name: UnitName) -> [Requirement] {
        guard let section = resolver.load(name).unit?.definition.unit else { return [] }
        let lists = [
            ("Requires", section.requires), ("BindsTo", section.graph.bindsTo), ("Requisite", section.graph.requisite),
        ]
        return lists.flatMap { directive, references in
            references.filter { $0.name != name }.map {
                Requirement(subject: name, directive: directive, reference: $0)
            }
        }
    }

    /// Why a required unit can never be started, judging by its own files.
    private func reasonForNotStarting(_ name: UnitName, _ requirement: Requirement) -> (DiagnosticCode, String)? {
        switch resolver.resolve(name) {
        case .unusable(let unit):
            switch unit.outcome {
            case .missing:
                if SpecialUnits.isNeverReached(name) { return (.missingUnit, "which is never reached") }
                return SpecialUnits.isAssumed(name) ? nil : (.missingUnit, "which has no unit file")
            case .masked(let path): return (.unusableUnit, "which is masked by \(path)")
            case .usable, .unusable: return (.unusableUnit, "which cannot be used")
            }
        case .swapUnit(let whole), .plain(let whole):
            return whole.isUsable ? nil : (.unusableUnit, "which cannot be used")
        case .list, .socket, .needsRelease: return nil
        }
    }
}
