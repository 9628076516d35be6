import UnitFiles

extension ImportResult {
    /// Takes the effect from every assignment that Holdfast does not honour, or that does not fit together, so that what is
    /// written passes `holdfastctl verify`. Asked of the verifier itself: what Holdfast learns later is imported at once.
    mutating func leaveOutUnsupported() {
        let directory = "/import"
        // Each round takes at least one line away; what a line hid may show in the next one.
        while true {
            var files: [String: String] = [:]
            for unit in units { files["\(directory)/\(unit.name)"] = unit.text }
            let loader = UnitLoader(
                source: InMemoryUnitFileSource(files: files), searchPath: [directory],
                specifiers: SpecifierEnvironment())
            var hasChanged = false
            // From the last line up: those that wait their turn keep their numbers.
            for diagnostic in Verifier(loader: loader).verifyAll().reversed() where Self.isOfALine(diagnostic.code) {
                guard let index = units.firstIndex(where: { "\(directory)/\($0.name)" == diagnostic.location.file })
                else {
                    continue
                }
                let reason = diagnostic.message + (diagnostic.suggestion.map { " (did you mean \($0)?)" } ?? "")
                if units[index].leaveOut(line: diagnostic.location.line, because: reason) { hasChanged = true }
            }
            guard hasChanged else { return }
        }
    }

    /// Whether the thing complained of is that line, and not something that is missing elsewhere or may be meant so.
    private static func isOfALine(_ code: DiagnosticCode) -> Bool {
        switch code {
        case .unknownDirective, .unsupportedDirective, .invalidValue, .unsupportedValue, .unknownSpecifier,
            .unsupportedUnitKind, .missingUnit, .missingSocket, .unknownEscape, .notText, .orderingCycle,
            .duplicateAddress:
            true
        default: false
        }
    }
}
