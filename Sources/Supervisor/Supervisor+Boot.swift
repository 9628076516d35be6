import ControlProtocol
import Engine
import UnitFiles

/// Start of the enabled units together with the supervisor.
extension Supervisor {
    /// Starts all enabled units. Not called after a re-exec or a crash: then every unit stays as operators have left
    /// it.
    func startEnabled() {
        logDiagnostics(planning.resolver.loader.nameDiagnostics)
        let wanted = BootUnits.wanted(planning.resolver.loader)
        guard !wanted.isEmpty else { return }
        logger.info("starting enabled units: \(wanted.map(\.name.description).joined(separator: ", "))")
        operations.startTogether(wanted)
    }
}
