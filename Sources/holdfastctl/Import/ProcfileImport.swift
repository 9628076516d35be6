/// Translates a Procfile (a line for each kind of process: `web: bundle exec puma -p $PORT`) to units of Holdfast.
enum ProcfileImport {
    /// - Parameters:
    ///   - directory: the absolute path of its directory, which is the processes' working directory.
    ///   - application: the prefix of the units' names.
    static func translate(_ text: String, path: String, directory: String, application: String) throws(ImportError)
        -> ImportResult
    {
        var result = ImportResult()
        var names: [String] = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let origin = "\(path):\(index + 1)"
            guard let (type, command) = entry(line) else {
                let stripped = line.drop(while: \.isWhitespace)
                guard !stripped.isEmpty, !stripped.hasPrefix("#") else { continue }
                result.general.append(
                    ImportOmission(
                        setting: .init(key: "", value: String(stripped), origin: origin),
                        reason: "expected \"NAME: COMMAND\""))
                continue
            }
            let name = UnitSyntax.unitName("\(application)-\(type)")
            guard !names.contains(name) else {
                result.general.append(
                    ImportOmission(
                        setting: .init(key: type, value: command, origin: origin),
                        reason: "\(type) is already defined above"))
                continue
            }
            result.units.append(
                service(name, type: type, command, number: names.count, origin: origin, directory: directory))
            names.append(name)
        }
        guard !names.isEmpty else { throw ImportError(text: "\(path): no line is \"NAME: COMMAND\"") }
        result.units.append(target(application, names, path))
        result.omitUnsupported()
        return result
    }

    private static func entry(_ line: Substring) -> (type: String, command: String)? {
        guard let colon = line.firstIndex(of: ":") else { return nil }
        let type = line[..<colon]
        guard !type.isEmpty, type.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "_-".contains($0)) }) else {
            return nil
        }
        let command = trimmed(line[line.index(after: colon)...])
        return command.isEmpty ? nil : (String(type), command)
    }

    private static func service(
        _ name: String, type: String, _ command: String, number: Int, origin: String, directory: String
    ) -> ImportedUnit {
        var unit = ImportedUnit(name: "\(name).service", about: "Made from \(origin) (\(type)) by holdfastctl import.")
        unit.section("Service")
        unit.set("WorkingDirectory", UnitSyntax.value(directory), from: origin)
        unit.set(
            "EnvironmentFile", "-" + UnitSyntax.value(directory) + "/.env", from: origin,
            because: "foreman reads this file, too.")
        if command.contains("PORT") {
            unit.set(
                "Environment", "PORT=\(5000 + 100 * number)", from: origin,
                because:
                    "The port that foreman assigns. The service binds it itself, so it cannot be swapped; see "
                    + "X-Pass=address in holdfast.unit(5), or let the program use a passed socket (LISTEN_FDS) and add a "
                    + ".socket unit and [X-Swap].")
        }
        if ShellWords.needsShell(command) {
            // `exec` replaces the shell by the program, so that signals and READY=1 concern the program; it works for a
            // single command only.
            let isOneCommand = !command.contains { "|&;<>()\n".contains($0) }
            unit.set(
                "ExecStart", UnitSyntax.commandLine(["/bin/sh", "-c", (isOneCommand ? "exec " : "") + command]),
                from: origin,
                because: "A shell runs the lines of a Procfile.")
        } else {
            var words = ShellWords.split(command) ?? [command]
            // A shell looks up `bin/web` from the working directory; a unit needs the absolute path.
            if let program = words.first, program.contains("/"), !program.hasPrefix("/") {
                words[0] = directory + "/" + (program.hasPrefix("./") ? String(program.dropFirst(2)) : program)
            }
            unit.set("ExecStart", UnitSyntax.commandLine(words), from: origin)
        }
        unit.set("Restart", "always", from: origin)
        unit.section("Install")
        unit.set("WantedBy", "multi-user.target", from: origin)
        return unit
    }

    private static func target(_ application: String, _ names: [String], _ path: String) -> ImportedUnit {
        var target = ImportedUnit(
            name: UnitSyntax.unitName(application) + ".target",
            about: "Made from \(path) by holdfastctl import: all its processes.")
        target.section("Unit")
        target.set("Wants", names.map { $0 + ".service" }.joined(separator: " "))
        return target
    }

    private static func trimmed(_ text: Substring) -> String {
        let start = text.drop(while: \.isWhitespace)
        guard let last = start.lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return String(start[...last])
    }
}
