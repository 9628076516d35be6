import ControlProtocol
import Engine
import UnitFiles

/// Requirements that a start does without. `verify` reports most of them in advance; the client that starts a unit gets
/// them in the answer, and the log, `why` and `show` have them for all others.
extension Supervisor {
    /// Records requirements that a starting service does without.
    func remark(_ instance: RunningInstance, _ remarks: [String]) {
        let new = remarks.filter { !instance.remarks.contains($0) }
        guard !new.isEmpty else { return }
        instance.remarks += new
        journal.record(instance)
        let unit = instance.definition.unit.name
        logDesk.logRemarks(new, of: unit)
        for (id, request) in requests.of(instance.generation.group) {
            let told = new.map { "\(unit): \($0)" }.filter { !request.notes.contains($0) }
            requests[id]?.notes += told
        }
    }

    /// Records requirements that a command of a socket unit does without.
    func remark(_ id: SocketID, _ remarks: [String]) {
        let new = remarks.filter { socketUnits[id]?.remarks.contains($0) == false }
        socketUnits[id]?.remarks += new
        logDesk.logRemarks(new, of: id.name)
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
            result += findings(service.name.description, logDesk.remarkTexts(of: service.name))
        }
        let diagnostics =
            whole.diagnostics + planning.resolver.warnings(about: whole)
            + whole.services.flatMap(planning.resolver.warnings)
        return result + self.findings(for: diagnostics, of: name)
    }

    func findings(for diagnostics: [Diagnostic], of name: UnitName) -> [Finding] {
        Diagnostic.inFileOrder(diagnostics).filter { $0.severity == .warning }.prefix(LogDesk.shownDiagnostics).map {
            Finding(text: UnitDiagnostic($0).sentence, hint: "holdfastctl verify \(name)")
        }
    }
}
