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
}
