import ControlProtocol
import Engine
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

    /// Begins a new start of the unit: remarks of the last start are not logged again.
    mutating func begin(_ unit: UnitName) {
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

/// Requirements that a start does without. `verify` reports most of them in advance; the client that starts a unit gets
/// them in the answer, and the log, `why` and `show` have them for all others.
extension Supervisor {
    /// Diagnostics of one unit that are reported one by one.
    private static let shownDiagnostics = 10

    /// Logs diagnostics of unit files, and returns the sentences for the answer to the client that starts the unit.
    func noteDiagnostics(_ diagnostics: [Diagnostic], of unit: UnitName) -> [String] {
        guard !diagnostics.isEmpty else { return [] }
        logDiagnostics(diagnostics)
        let warnings = Diagnostic.inFileOrder(diagnostics).filter { $0.severity == .warning }
        let shown = warnings.prefix(Self.shownDiagnostics).map { UnitDiagnostic($0).sentence }
        let left = warnings.count - shown.count
        return left == 0 ? shown : shown + ["\(left) more warnings: holdfastctl verify \(unit)"]
    }

    func logDiagnostics(_ diagnostics: [Diagnostic]) {
        for diagnostic in diagnostics.prefix(Self.shownDiagnostics) where loggedRemarks.isNew(diagnostic) {
            let text = UnitDiagnostic(diagnostic).sentence
            switch diagnostic.severity {
            case .error: logger.error("\(text)")
            case .warning: logger.warning("\(text)")
            }
        }
    }

    /// Records requirements that a starting service does without.
    func remark(_ instance: RunningInstance, _ remarks: [String]) {
        let new = remarks.filter { !instance.remarks.contains($0) }
        guard !new.isEmpty else { return }
        instance.remarks += new
        journal.record(instance)
        let unit = instance.definition.unit.name
        for text in new where loggedRemarks.isNew(text, of: unit) {
            logger.warning("\(unit): \(text)")
        }
        for (id, request) in requests.of(instance.generation.group) {
            let told = new.map { "\(unit): \($0)" }.filter { !request.notes.contains($0) }
            requests[id]?.notes += told
        }
    }

    /// Records requirements that a command of a socket unit does without.
    func remark(_ id: SocketID, _ remarks: [String]) {
        let new = remarks.filter { socketUnits[id]?.remarks.contains($0) == false }
        socketUnits[id]?.remarks += new
        for text in new { logger.warning("\(id): \(text)") }
    }

    /// Findings about requirements that the running services do without, and about settings without effect.
    func remarkFindings(_ group: GroupID, _ view: GroupView?) -> [Finding] {
        var told: Set<String> = []
        let running = instances.values.filter { $0.generation.group == group }.sorted { $0.id < $1.id }
        func findings(_ unit: String, _ texts: [String]) -> [Finding] {
            texts.filter { told.insert("\(unit): \($0)").inserted }.map { Finding(unit: unit, text: $0) }
        }
        var result = running.flatMap { findings($0.name, $0.remarks) }
        let release = view.flatMap { view in view.generations.first { $0.number == view.serving }?.release }
        guard var name = try? UnitName(group.name) else { return result }
        if name.isTemplate, let release, let instance = try? name.instantiated(release) { name = instance }
        guard let whole = planning.resolver.resolve(name).definition else { return result }
        for service in whole.services where !running.contains(where: { $0.definition.unit.name == service.name }) {
            result += findings(service.name.description, loggedRemarks.texts(of: service.name))
        }
        let diagnostics =
            whole.diagnostics + planning.resolver.warnings(about: whole)
            + whole.services.flatMap(planning.resolver.warnings)
        return result + self.findings(for: diagnostics, of: name)
    }

    func findings(for diagnostics: [Diagnostic], of name: UnitName) -> [Finding] {
        Diagnostic.inFileOrder(diagnostics).filter { $0.severity == .warning }.prefix(Self.shownDiagnostics).map {
            Finding(text: UnitDiagnostic($0).sentence, hint: "holdfastctl verify \(name)")
        }
    }

    /// Remarks on limits that the host denies. As under systemd in a container, a service with lower limits is better
    /// than none.
    static func remarks(on eased: [String]) -> [String] {
        eased.map { "\($0): not permitted here, the nearest that is permitted counts" }
    }
}
