// [Service]: protection that Holdfast does not implement yet.

extension UnitBuilder {
    /// Registers protection that a `[Service]` asks for and would not get; `finishProtection` reports it.
    mutating func noteProtection(_ protection: Protection, _ assignment: Assignment) {
        if protection.isNeutral(assignment.value) {
            missingProtection[assignment.key] = nil
        } else {
            missingProtection[assignment.key, default: []].append(assignment.keyLocation)
        }
    }

    /// Reports each directive whose protection is missing, and refuses the unit unless it has X-AllowUnsupported=yes.
    mutating func finishProtection() {
        guard !missingProtection.isEmpty else { return }
        let starts = allowsUnsupported
        for (directive, locations) in missingProtection.sorted(by: { $0.key < $1.key }) {
            for location in locations {
                let message =
                    starts
                    ? "\(directive)= is not supported yet, the service starts without it (X-AllowUnsupported=yes)"
                    : "\(directive)= is not supported yet, and without it the service would be less confined than the "
                        + "unit asks for; X-AllowUnsupported=yes in [Service] starts it all the same"
                let diagnostic = Diagnostic(
                    starts ? .warning : .error, .unsupportedDirective, at: location, directive: directive, message)
                if starts { report(diagnostic) } else { refuse(diagnostic) }
            }
        }
    }
}
