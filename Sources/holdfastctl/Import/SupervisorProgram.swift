/// One `[program:x]` or `[fcgi-program:x]`.
struct SupervisorProgram {
    private let section: SupervisorFile.Section
    private let name: String
    private let count: Int
    private let firstNumber: Int

    init(_ section: SupervisorFile.Section) {
        self.section = section
        name = UnitSyntax.unitName(section.title)
        count = max(1, min(Int(section["numprocs"] ?? "1") ?? 1, 1000))
        firstNumber = Int(section["numprocs_start"] ?? "0") ?? 0
    }

    /// Supervisor starts low priorities first; 999 is its default.
    var priority: Int { Int(section["priority"] ?? "999") ?? 999 }

    /// The part of the section's name after the colon: `app` of `[program:app]`.
    var title: String { section.title }

    /// The unit that represents the whole program in other units.
    var mainUnit: String { count > 1 ? "\(name).target" : "\(name).service" }

    private var isFastCGI: Bool { section.kind == "fcgi-program" }
    private var about: String { "Made from \(section.path): [\(section.name)] by holdfastctl import." }

    /// - Parameter after: units of the programs with lower priorities.
    func units(after: [String]) -> [ImportedUnit] {
        var units = [service(after: after)]
        if isFastCGI { units.append(socket()) }
        if count > 1 {
            var target = ImportedUnit(name: "\(name).target", about: about)
            target.section("Unit")
            let members = (0..<count).map { "\(name)@\(instance(firstNumber + $0)).service" }
            target.set(
                "Wants", members.joined(separator: " "), from: origin("numprocs"),
                because: "numprocs=\(count): \(count) instances of the template \(name)@.service; %i is process_num.")
            units.append(target)
        }
        return units
    }

    /// `process_num`, padded with zeros as in the program's settings (`%(process_num)02d`), because `%i` cannot be
    /// padded.
    private func instance(_ number: Int) -> String {
        let text = section.settings.map(\.value).joined(separator: " ")
        guard let format = text.range(ofWidthAfter: "%(process_num)0"), let width = Int(text[format]) else {
            return "\(number)"
        }
        let digits = "\(number)"
        return String(repeating: "0", count: max(0, min(width, 20) - digits.count)) + digits
    }

    // MARK: The service

    private func service(after: [String]) -> ImportedUnit {
        var unit = ImportedUnit(name: count > 1 ? "\(name)@.service" : "\(name).service", about: about)
        if !after.isEmpty {
            unit.section("Unit")
            unit.set(
                "After", after.joined(separator: " "), from: origin("priority"),
                because: "priority=\(priority). Unlike Supervisor, Holdfast waits until these units are ready.")
        }
        unit.section("Service")
        if isFastCGI { addSocket(to: &unit) }
        addCommand(to: &unit)
        addSurroundings(to: &unit)
        addEnvironment(to: &unit)
        addOutput(to: &unit)
        addRestart(to: &unit)
        addStop(to: &unit)
        for setting in section.settings where !Self.handled.contains(setting.key) {
            unit.omit(
                self.setting(setting.key), because: Self.reasons[setting.key] ?? "Holdfast has no such setting.")
        }
        unit.section("Install")
        if (section["autostart"] ?? "true").lowercased() == "true" {
            unit.set("WantedBy", "multi-user.target", from: origin("autostart"))
        } else {
            unit.comment("autostart=false: not started at boot.")
        }
        return unit
    }

    private func addSocket(to unit: inout ImportedUnit) {
        unit.set("Sockets", "\(name).socket", from: origin("socket"))
        unit.set(
            "StandardInput", "socket", from: origin("socket"),
            because: "FastCGI programs expect the listening socket as standard input.")
    }

    private func addCommand(to unit: inout ImportedUnit) {
        guard let command = section["command"], let expanded = expansion.expand(command) else {
            unit.omit(setting("command"), because: "It uses a value that is not known here.")
            return
        }
        guard let words = ShellWords.split(expanded), let program = words.first, !UnitSyntax.hasVariable(program) else {
            unit.omit(setting("command"), because: "It is not a program with arguments.")
            return
        }
        let reason =
            UnitSyntax.hasVariable(expanded)
            ? "%(ENV_X)s came from Supervisor's own environment: set each ${X} with Environment= or EnvironmentFile=."
            : nil
        unit.set("ExecStart", UnitSyntax.commandLine(words), from: origin("command"), because: reason)
    }

    private func addSurroundings(to unit: inout ImportedUnit) {
        for (key, directive) in [("directory", "WorkingDirectory"), ("user", "User"), ("umask", "UMask")] {
            guard let value = section[key] else { continue }
            guard let expanded = expansion.expand(value), !UnitSyntax.hasVariable(expanded) else {
                unit.omit(setting(key), because: "It uses a value that is not known here.")
                continue
            }
            unit.set(directive, UnitSyntax.value(expanded), from: origin(key))
        }
    }

    private func addEnvironment(to unit: inout ImportedUnit) {
        guard let text = section["environment"] else { return }
        guard let pairs = Self.pairs(text) else {
            unit.omit(setting("environment"), because: "Expected KEY=\"value\", separated by commas.")
            return
        }
        for (key, value) in pairs {
            guard let expanded = expansion.expand(value), !UnitSyntax.hasVariable(expanded) else {
                unit.omit(
                    .init(key: "environment", value: "\(key)=\(value)", origin: origin("environment")),
                    because: "It uses Supervisor's own environment, which units do not get; write the value instead.")
                continue
            }
            unit.set("Environment", UnitSyntax.environment(key, expanded), from: origin("environment"))
        }
    }

    private func addOutput(to unit: inout ImportedUnit) {
        let merged = (section["redirect_stderr"] ?? "false").lowercased() == "true"
        for (key, directive) in [("stdout_logfile", "StandardOutput"), ("stderr_logfile", "StandardError")] {
            guard let path = section[key], path.uppercased() != "AUTO", !(merged && key == "stderr_logfile") else {
                continue
            }
            if path.uppercased() == "NONE" || path == "/dev/null" {
                unit.set(directive, "null", from: origin(key))
            } else {
                unit.comment(
                    "\(key)=\(path): Holdfast captures and rotates the output; see `holdfastctl logs`. To keep this file and "
                        + "rotate it yourself: \(directive)=append:\(path)")
            }
        }
    }

    private func addRestart(to unit: inout ImportedUnit) {
        let policy = (section["autorestart"] ?? "unexpected").lowercased()
        let codes = (section["exitcodes"] ?? "0").split(separator: ",").compactMap {
            Int($0.filter { !$0.isWhitespace })
        }
        switch policy {
        case "true":
            unit.set("Restart", "always", from: origin("autorestart"))
        case "false":
            unit.set("Restart", "no", from: origin("autorestart"))
        default:
            unit.set("Restart", "on-failure", from: origin("autorestart"), because: "autorestart=unexpected.")
            let others = codes.filter { $0 != 0 }
            if !others.isEmpty {
                unit.set("SuccessExitStatus", others.map(String.init).joined(separator: " "), from: origin("exitcodes"))
            }
            if !codes.contains(0) { unit.set("RestartForceExitStatus", "0", from: origin("exitcodes")) }
        }
        guard policy != "false" else { return }
        let retries = max(0, min(Int(section["startretries"] ?? "3") ?? 3, 10_000))
        let seconds = max(1, min(Int(section["startsecs"] ?? "1") ?? 1, 86_400))
        unit.set(
            "RestartSec", "1s", from: origin("startretries"),
            because:
                "Supervisor waits 1, 2, 3, … seconds between restarts and gives up after startretries=\(retries) failed "
                + "starts in a row; a start has failed if the process exits within startsecs=\(seconds).")
        unit.set("StartLimitBurst", "\(retries + 1)", from: origin("startretries"))
        unit.set("StartLimitIntervalSec", "\((retries + 1) * (seconds + 1))s", from: origin("startsecs"))
    }

    private func addStop(to unit: inout ImportedUnit) {
        let signal = (section["stopsignal"] ?? "TERM").uppercased()
        if signal != "TERM" {
            unit.set("KillSignal", signal.hasPrefix("SIG") ? signal : "SIG" + signal, from: origin("stopsignal"))
        }
        unit.set("TimeoutStopSec", "\(section["stopwaitsecs"] ?? "10")s", from: origin("stopwaitsecs"))
        if (section["stopasgroup"] ?? "false").lowercased() != "true" {
            unit.set(
                "KillMode", "mixed", from: origin("stopasgroup"),
                because:
                    "As without stopasgroup, the signal goes to the main process only. After the timeout all remaining "
                    + "processes are killed; Supervisor would leave the children running.")
        }
    }

    // MARK: The socket

    private func socket() -> ImportedUnit {
        var unit = ImportedUnit(name: "\(name).socket", about: about)
        unit.section("Socket")
        guard let text = section["socket"], let expanded = expansion.expand(text), let address = Self.address(expanded)
        else {
            unit.omit(setting("socket"), because: "It is neither tcp://HOST:PORT nor unix:///PATH.")
            return unit
        }
        unit.set("ListenStream", UnitSyntax.value(address), from: origin("socket"))
        if let owner = section["socket_owner"] {
            let parts = owner.split(separator: ":", maxSplits: 1).map(String.init)
            if let user = parts.first { unit.set("SocketUser", user, from: origin("socket_owner")) }
            if parts.count > 1 { unit.set("SocketGroup", parts[1], from: origin("socket_owner")) }
        }
        if address.hasPrefix("/") {
            unit.set("SocketMode", section["socket_mode"] ?? "0700", from: origin("socket_mode"))
        }
        if let backlog = section["socket_backlog"] { unit.set("Backlog", backlog, from: origin("socket_backlog")) }
        return unit
    }

    private static func address(_ text: String) -> String? {
        if text.hasPrefix("unix://") { return String(text.dropFirst(7)) }
        guard text.hasPrefix("tcp://") else { return nil }
        let rest = text.dropFirst(6)
        guard let colon = rest.lastIndex(of: ":") else { return nil }
        let port = rest[colon...].dropFirst()
        // systemd requires addresses instead of host names.
        return switch rest[..<colon] {
        case "localhost": "127.0.0.1:\(port)"
        case "", "*": "0.0.0.0:\(port)"
        case let host: "\(host):\(port)"
        }
    }

    // MARK: Values

    private var expansion: SupervisorExpansion {
        let directory =
            section.path.contains("/")
            ? String(section.path[..<(section.path.lastIndex(of: "/") ?? section.path.startIndex)]) : "."
        var values = [
            "program_name": section.title, "group_name": section.title, "here": directory, "numprocs": "\(count)",
        ]
        // The only number of the program, or the placeholder of the template's instance, which is written as a
        // specifier later.
        values["process_num"] = count > 1 ? UnitSyntax.instance : "\(firstNumber)"
        return SupervisorExpansion(values: values)
    }

    private func origin(_ key: String) -> String {
        let line = section.settings.last { $0.key == key }?.line
        return line.map { "\(section.path):\($0)" } ?? section.path
    }

    private func setting(_ key: String) -> ImportedUnit.Setting {
        .init(key: key, value: section[key] ?? "", origin: origin(key))
    }

    /// Parses `KEY="val",KEY2=val2`, possibly over several lines.
    static func pairs(_ text: String) -> [(String, String)]? {
        var pairs: [(String, String)] = []
        var rest = text.drop { $0.isWhitespace || $0 == "," }
        while !rest.isEmpty {
            guard let equals = rest.firstIndex(of: "=") else { return nil }
            let key = rest[..<equals].filter { !$0.isWhitespace }
            guard !key.isEmpty else { return nil }
            rest = rest[equals...].dropFirst().drop(while: \.isWhitespace)
            var value: Substring
            if let quote = rest.first, quote == "\"" || quote == "'" {
                rest = rest.dropFirst()
                guard let end = rest.firstIndex(of: quote) else { return nil }
                value = rest[..<end]
                rest = rest[end...].dropFirst()
            } else {
                value = rest.prefix { $0 != "," && !$0.isNewline }
                rest = rest.dropFirst(value.count)
                while value.last?.isWhitespace == true { value = value.dropLast() }
            }
            pairs.append((String(key), String(value)))
            rest = rest.drop(while: \.isWhitespace)
            guard rest.isEmpty || rest.first == "," else { return nil }
            rest = rest.drop { $0.isWhitespace || $0 == "," }
        }
        return pairs
    }

    private static let handled: Set<String> = [
        "command", "process_name", "numprocs", "numprocs_start", "priority", "autostart", "startsecs", "startretries",
        "autorestart", "exitcodes", "stopsignal", "stopwaitsecs", "stopasgroup", "killasgroup", "user",
        "redirect_stderr",
        "stdout_logfile", "stderr_logfile", "environment", "directory", "umask", "socket", "socket_owner",
        "socket_mode",
        "socket_backlog",
    ]

    private static let reasons: [String: String] = {
        var reasons = [
            "serverurl": "Holdfast's protocol is Varlink, at /run/holdfast/io.holdfast.",
            "stdout_syslog": "Set StandardOutput=journal to send it there.",
            "stderr_syslog": "Set StandardError=journal to send it there.",
        ]
        for stream in ["stdout", "stderr"] {
            reasons["\(stream)_logfile_maxbytes"] =
                "Holdfast rotates captured output by its own limits (X-LogMaxBytes=, X-LogKeep=)."
            reasons["\(stream)_logfile_backups"] =
                "Holdfast rotates captured output by its own limits (X-LogMaxBytes=, X-LogKeep=)."
            reasons["\(stream)_capture_maxbytes"] = "Holdfast has no process-communication events."
            reasons["\(stream)_events_enabled"] =
                "Holdfast has no log events; `holdfastctl logs --follow` prints new lines."
        }
        return reasons
    }()
}

extension String {
    /// The digits after the first occurrence of `prefix`.
    fileprivate func range(ofWidthAfter prefix: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(prefix) {
                let digits = index(start, offsetBy: prefix.count)
                return digits..<(self[digits...].firstIndex { !$0.isNumber } ?? endIndex)
            }
            start = index(after: start)
        }
        return nil
    }
}
