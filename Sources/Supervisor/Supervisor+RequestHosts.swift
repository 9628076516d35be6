import ControlProtocol
import Engine
import Linux
import Logging
import UnitFiles

// What the desks of requests and reports ask of the supervisor, and what other rooms ask of these desks.

extension Supervisor: SubscriptionsHost {
    func groups(named names: [String]) throws(ControlError) -> Set<GroupID> { Set(try named(names).map(\.group)) }
    func release(of generation: GenerationID) -> String? { generations[generation]?.release }
    func service(of instance: InstanceID) -> (name: String, generation: GenerationID)? {
        instances[instance].map { ($0.name, $0.generation) }
    }
}

extension Supervisor: HelperCallsHost {
    func refreshUnits() throws(ControlError) { try planning.refresh() }
    var serviceLimits: [SpawnPlan.Limit] { launcher.limits }
}

extension Supervisor {
    func log(_ level: Logger.Level, about subject: String, _ text: String) { logDesk.log(level, about: subject, text) }
    func logDiagnostics(_ diagnostics: [Diagnostic]) { logDesk.logDiagnostics(diagnostics) }
    func noteDiagnostics(_ diagnostics: [Diagnostic], of unit: UnitName) -> [String] {
        logDesk.noteDiagnostics(diagnostics, of: unit)
    }
}
