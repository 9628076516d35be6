import ControlProtocol
import Engine
import UnitFiles

// What the desks ask of the supervisor.

extension Supervisor: TemplatesHost {}

extension Supervisor: PlanningHost {
    func release(of group: GroupID) -> String? { engine.servingRelease(of: group) ?? memory.release(of: group) }
    func servingRelease(of group: GroupID) -> String? { engine.servingRelease(of: group) }
    var relatedGroups: [GroupID] { engine.relatedGroups }
    func definition(of instance: InstanceID) -> Definition? { instances[instance]?.definition }
    var definitionsInUse: Set<UInt64> { engine.definitionsInUse }
    func unitFilesWereRead() { logDesk.forgetFiles() }
    func refuseBesideUnaccounted(_ group: GroupID, _ verb: String) throws(ControlError) {
        try unaccounted.refuse(beside: group, verb)
    }
    func record(_ definition: Definition) { journal.record(definition) }
    func endJournal(ofDefinition id: UInt64) { journal.end(.definition(id)) }
}
