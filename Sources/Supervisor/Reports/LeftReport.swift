import ControlProtocol
import Engine
import Linux

/// Reports on processes that no record accounts for.
extension Supervisor {
    /// State of a group; a stopped or failed one with unaccounted processes is `unknown`, or `stopping` while they are
    /// ended.
    func state(of group: GroupID) -> UnitState {
        let view = engine.view(of: group)
        let state = view.map(state) ?? .stopped
        let found = unaccounted.processes.trees(of: group)
        guard !found.isEmpty, state == .stopped || state == .failed else { return state }
        return found.allSatisfy { $0.ending != nil } ? .stopping : .unknown
    }

    func leftNote(_ group: GroupID) -> String? {
        let found = unaccounted.processes.trees(of: group)
        guard !found.isEmpty else { return nil }
        if found.allSatisfy({ $0.ending != nil }) {
            return "\(unaccounted.text(group)) \(found.flatMap(\.members).count == 1 ? "is" : "are") being stopped"
        }
        return
            "\(unaccounted.sentence(group)); holdfastctl adopt \(group) takes them over, holdfastctl stop \(group) ends them"
    }

    /// Findings that name the unaccounted processes with their ages, the cause, and the commands that help.
    func leftFindings(_ group: GroupID) -> [Finding] {
        let found = unaccounted.processes.trees(of: group)
        guard !found.isEmpty, let cause = unaccounted.processes.cause else { return [] }
        var findings = found.map { tree in
            let processes = tree.members.prefix(8).map { pid in
                let age = machine.processes.facts(of: pid)?.age.map { ", for \(Wording.age(.seconds($0)))" } ?? ""
                return "\(pid) (\(machine.processes.commandName(of: pid) ?? "?")\(age))"
            }
            let generation = tree.name.generation.map { " as generation \($0)" } ?? ""
            let more = tree.members.count > 8 ? ", …" : ""
            return Finding(
                unit: tree.name.unit,
                text:
                    "runs\(generation) without a record of the supervisor: \(processes.joined(separator: ", "))\(more)")
        }
        let at = Timestamp.string(unixSeconds: cause.foundAt)
        findings.append(
            Finding(
                text: "found at \(at): \(cause.reason)",
                hint: "holdfastctl adopt \(group) to take them over, or holdfastctl stop \(group) to end them"))
        return findings
    }
}
