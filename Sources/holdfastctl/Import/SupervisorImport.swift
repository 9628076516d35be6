/// Translates Supervisor's `[program:x]`, `[fcgi-program:x]` and `[group:x]` to units of Holdfast.
///
/// Where the defaults differ, the unit sets Supervisor's, with a comment. Where Holdfast has a better replacement
/// (captured logs, whole process trees), the unit uses that, also with a comment.
enum SupervisorImport {
    /// - Parameter files: the main file and the files it includes, in order.
    static func translate(_ files: [SupervisorFile]) throws(ImportError) -> ImportResult {
        var result = ImportResult()
        var programs: [SupervisorProgram] = []
        var groups: [SupervisorFile.Section] = []
        for section in files.flatMap(\.sections) {
            switch section.kind {
            case "program", "fcgi-program":
                programs.append(SupervisorProgram(section))
            case "group":
                groups.append(section)
            case "eventlistener":
                result.general.append(
                    omission(section, "Holdfast has no event listeners; `holdfastctl events` prints events."))
            case "supervisord":
                for setting in section.settings
                where ["environment", "umask", "user", "directory"].contains(setting.key) {
                    result.general.append(
                        ImportOmission(
                            setting: .init(
                                key: setting.key, value: setting.value, origin: "\(section.path):\(setting.line)"),
                            reason: "It applied to all programs; set it in each unit that needs it."))
                }
            default:
                // These sections configure Supervisor's own sockets, clients and plug-ins.
                break
            }
        }
        guard !programs.isEmpty else { throw ImportError(text: "there is no [program:…] section") }
        let priorities = priorities(programs)
        result.units = programs.flatMap { $0.units(after: priorities[$0.priority] ?? []) }
        result.units += groups.map { group($0, programs) }
        result.omitUnsupported()
        return result
    }

    private static func omission(_ section: SupervisorFile.Section, _ reason: String) -> ImportOmission {
        ImportOmission(setting: .init(key: "", value: "[\(section.name)]", origin: section.path), reason: reason)
    }

    /// Priority -> units of the next lower one. Empty if all programs have the same priority, because it then has no
    /// meaning.
    private static func priorities(_ programs: [SupervisorProgram]) -> [Int: [String]] {
        let used = Set(programs.map(\.priority)).sorted()
        var result: [Int: [String]] = [:]
        for (lower, higher) in zip(used, used.dropFirst()) {
            result[higher] = programs.filter { $0.priority == lower }.map(\.mainUnit)
        }
        return result
    }

    private static func group(_ section: SupervisorFile.Section, _ programs: [SupervisorProgram]) -> ImportedUnit {
        let name = UnitSyntax.unitName(section.title)
        var target = ImportedUnit(
            name: name + ".target", about: "Made from \(section.path): [\(section.name)] by holdfastctl import.")
        target.section("Unit")
        let members = (section["programs"] ?? "").split(separator: ",").map { part in
            let member = String(part.filter { !$0.isWhitespace })
            return programs.first { $0.title == member }?.mainUnit ?? UnitSyntax.unitName(member) + ".service"
        }
        target.set(
            "Wants", members.joined(separator: " "), from: section.path,
            because:
                "`holdfastctl start \(name).target` starts all of them, as `supervisorctl start \(section.title):*` did."
        )
        return target
    }
}
