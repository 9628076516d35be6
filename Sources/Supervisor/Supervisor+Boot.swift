import ControlProtocol
import Engine
import UnitFiles

/// What is started with the supervisor, because it is enabled.
extension Supervisor {
    /// Not after a re-exec or a crash: then everything is as operators have left it.
    func startEnabled() {
        logDiagnostics(resolver.loader.nameDiagnostics)
        let wanted = BootUnits.wanted(resolver.loader)
        guard !wanted.isEmpty else { return }
        logger.info("starting what is enabled: \(wanted.map(\.name.description).joined(separator: ", "))")
        startTogether(wanted)
    }
}
