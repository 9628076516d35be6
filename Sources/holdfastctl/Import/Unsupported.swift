import UnitFiles

extension ImportResult {
    /// Leaves out every assignment that Holdfast does not honour or that contradicts others, so that the written units
    /// pass `holdfastctl verify`. The verifier itself decides, so that newly supported directives are imported at once.
    mutating func omitUnsupported() {
        let directory = "/import"
        // Each round leaves out at least one line, which may reveal problems of others in the next round.
        while true {
            var files: [String: String] = [:]
            for unit in units { files["\(directory)/\(unit.name)"] = unit.text }
            let loader = UnitLoader(
                source: InMemoryUnitFileSource(files: files), searchPath: [directory],
                specifiers: SpecifierEnvironment())
            var hasChanged = false
            // From the last line to the first, so that the remaining lines keep their numbers.
            for diagnostic in Verifier(loader: loader).verifyAll().reversed() where Self.concernsLine(diagnostic.code) {
                guard let index = units.firstIndex(where: { "\(directory)/\($0.name)" == diagnostic.location.file })
                else {
                    continue
                }
                let reason = diagnostic.message + (diagnostic.suggestion.map { " (did you mean \($0)?)" } ?? "")
                if units[index].omit(line: diagnostic.location.line, because: reason) { hasChanged = true }
            }
            guard hasChanged else { return }
        }
    }

    /// Whether the line itself is the problem, rather than something that is missing elsewhere or may be intended.
    private static func concernsLine(_ code: DiagnosticCode) -> Bool {
        switch code {
        case .unknownDirective, .unsupportedDirective, .invalidValue, .unsupportedValue, .unknownSpecifier,
            .unsupportedUnitKind, .missingUnit, .missingSocket, .unknownEscape, .notText, .orderingCycle,
            .duplicateAddress:
            true
        default: false
        }
    }
}
