import ControlProtocol
import Engine
import Linux
import UnitFiles

/// Strays, on hosts without control groups: processes that left their service in a way that hides which one it was.
/// They are shown for every service that they may belong to, and are ended at `shutdown`.
extension Supervisor {
    /// Sentence on strays that may belong to a group; nil if there are none.
    func strayText(_ group: GroupID, among strays: [StrayProcess]) -> String? {
        let pids = pids(ofStrays: strays, of: group)
        guard !pids.isEmpty else { return nil }
        let names = pids.prefix(16).map { pid in
            "\(pid)" + (machine.processes.commandName(of: pid).map { " (\($0))" } ?? "")
        }
        let list = names.joined(separator: ", ") + (pids.count > 16 ? ", …" : "")
        return pids.count == 1
            ? "process \(list) may be left of it, or of another service"
            : "processes \(list) may be left of it, or of others"
    }

    private func pids(ofStrays strays: [StrayProcess], of group: GroupID) -> [Int32] {
        strays.filter { stray in
            !stray.isForeign
                && (stray.origins.isEmpty || stray.origins.contains { self.group(ofTree: $0) == group })
        }.map(\.pid)
    }

    func strayFindings(_ group: GroupID) -> [Finding] {
        let strays = machine.trees.strays
        guard let text = strayText(group, among: strays) else { return [] }
        let pids = pids(ofStrays: strays, of: group)
        let (subject, own, object) = pids.count == 1 ? ("it", "its", "it") : ("they", "their", "them")
        let list = pids.prefix(16).map(String.init).joined(separator: " ")
        return [
            Finding(
                text: text
                    + ": \(subject) left \(own) parent, session, environment and output, and there are no control groups here",
                hint: "if unwanted: kill \(list); holdfastctl shutdown ends \(object), too")
        ]
    }

    /// Notes on strays in the answer to a stop.
    func strayNotes(_ group: GroupID, _ result: FinishedOperation) -> [String] {
        guard result.kind == .stop, !machine.trees.usesCgroups else { return [] }
        return strayText(group, among: machine.trees.strays).map { ["\($0); holdfastctl why \(group) explains it"] }
            ?? []
    }

    /// Group of a tree from its name, `UNIT#GENERATION.INSTANCE`.
    private func group(ofTree name: String) -> GroupID? {
        guard let end = name.lastIndex(of: "#"), let unit = try? UnitName(name[..<end]) else { return nil }
        return planning.group(of: unit)
    }
}
