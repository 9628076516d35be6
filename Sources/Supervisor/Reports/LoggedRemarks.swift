import UnitFiles

/// Remarks on unit files and starts that are already in the log: each is logged once for each version of the files,
/// however often a unit is started.
struct LoggedRemarks {
    /// A diagnostic without the parts that differ between instances of a template.
    private struct Place: Hashable {
        var location: SourceLocation
        var code: DiagnosticCode
    }

    /// Remarks of the last start of a unit.
    private struct Start {
        var unit = ""
        var texts: [String] = []
        /// Remarks of the start before it.
        var before: [String] = []
    }

    private var places: Set<Place> = []
    /// Last starts by the identity of the unit: an instance of a template replaces the one before.
    private var starts: [String: Start] = [:]

    mutating func forgetFiles() { places = [] }

    mutating func isNew(_ diagnostic: Diagnostic) -> Bool {
        places.insert(Place(location: diagnostic.location, code: diagnostic.code)).inserted
    }

    /// Starts a new run of the unit: remarks of the last start are not logged again.
    mutating func startRun(of unit: UnitName) {
        let key = unit.identity.description
        guard var start = starts[key] else { return }
        (start.unit, start.before, start.texts) = (unit.description, start.texts, [])
        starts[key] = start.before.isEmpty ? nil : start
    }

    mutating func isNew(_ text: String, of unit: UnitName) -> Bool {
        let key = unit.identity.description
        var start = starts[key] ?? Start(unit: unit.description)
        defer { starts[key] = start }
        guard !start.texts.contains(text) else { return false }
        start.texts.append(text)
        return !start.before.contains(text)
    }

    /// Remarks of the last start of a unit; for a template only the newest instance is known.
    func texts(of unit: UnitName) -> [String] {
        guard let start = starts[unit.identity.description], start.unit == unit.description else { return [] }
        return start.texts
    }
}
