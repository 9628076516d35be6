import ControlProtocol
import Engine
import UnitFiles

/// Remarks in the `Why` and `Show` calls.
extension StatusDesk {
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
            result += findings(service.name.description, explanations.remarkTexts(of: service.name))
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
