import ControlProtocol
import Engine
import Linux
import UnitFiles

/// Strays, on hosts without control groups: processes that left their service in a way that hides which one it was.
/// They are shown for every service that they may belong to, and are ended at `shutdown`.
extension Supervisor {
    /// Sentence on strays that may belong to a group; nil if there are none.
    func strayText(_ group: GroupID, among strays: [StrayProcess]) -> String? {
        let pids = strays.filter { stray in
            !stray.isForeign
                && (stray.origins.isEmpty || stray.origins.contains { self.group(ofTree: $0) == group })
        }.map { stray in
            "\(stray.pid)" + (machine.processes.commandName(of: stray.pid).map { " (\($0))" } ?? "")
        }
        guard !pids.isEmpty else { return nil }
        let list = pids.prefix(16).joined(separator: ", ") + (pids.count > 16 ? ", …" : "")
        return pids.count == 1
            ? "process \(list) may be left of it, or of another service"
            : "processes \(list) may be left of it, or of others"
    }

    func strayFindings(_ group: GroupID) -> [Finding] {
        guard let text = strayText(group, among: machine.trees.strays) else { return [] }
        return [
            Finding(
                text: text
                    + ": it left its parent, session, environment and output, and there are no control groups here",
                hint: "kill what is not wanted; holdfastctl shutdown ends it")
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
