import Foundation
import Testing

extension EndToEnd {
    /// The units of Tests/Differential under holdfastd, compared with the observations of the same units under systemd
    /// 252 (`record` there).
    ///
    /// Two machines differ in limits, capabilities and the like. So the comparison uses the difference of each command
    /// from `baseline.service`, which has no settings; the baseline's environment is compared as it is.
    @Suite struct Differential {
        /// Observations of a command: field -> value.
        typealias Observation = [String: String]

        /// Intended differences from systemd. A field is left out of the comparison for these commands, nil meaning
        /// all.
        private static let deliberate: [(field: String, commands: Set<String>?, reason: String)] = [
            ("env.JOURNAL_STREAM", nil, "output goes to our log, through a FIFO: a program must not bypass it"),
            (
                "fd.0", ["input-data.start"],
                "a memory file as well, but one that cannot be written to, as the manual says"
            ),
            (
                "limit.open-files", ["prefixes.plus", "start-only.pre"],
                "a command with + has our default limit, not the supervisor's own raised one"
            ),
            (
                "status.groups", ["prefixes.plus", "prefixes.bang", "start-only.pre"],
                "a command that stays root does not get the user's groups, as the manual says of + and !"
            ),
            ("status.capinh", ["prefixes.plus", "start-only.pre"], "the inheritable set of a container's pid 1"),
            (
                "env.LISTEN_FDNAMES", ["listening.start"],
                "in the order of Sockets=; systemd 252 has the order of a hash table"
            ),
        ]

        /// Variables that only Holdfast sets.
        private static let ours = ["GENERATION", "GENERATION_DIRECTORY", "LISTEN_FD_"]

        private static var directory: String {
            URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .appendingPathComponent("Differential").path
        }

        private func recorded() throws -> [String: Observation] {
            let data = try Data(contentsOf: URL(fileURLWithPath: Self.directory + "/recorded.json"))
            return try JSONDecoder().decode([String: Observation].self, from: data)
        }

        @Test(
            "Every unit of Tests/Differential sees under holdfastd what it sees under systemd (needs root)",
            .enabled(if: supervisorIsRoot))
        func comparison() throws {
            let expected = try recorded()
            var found: [String: Observation] = [:]
            try withWorld {
                try layOut($0)
            } then: { world in
                defer { removeDirectories() }
                for unit in try unitNames() where unit.hasSuffix(".service") {
                    _ = try world.run("start", unit)
                    if unit == "oneshot.service" { try stop(unit, world) }
                    if unit == "lifecycle.service" {
                        try reload(unit, world)
                        try stop(unit, world)
                    }
                }
                for command in expected.keys.sorted() {
                    do {
                        try eventually("\(command) to have looked") { observation(command, world) != nil }
                    } catch { Issue.record(error) }
                    found[command] = observation(command, world)
                }
            }
            for command in expected.keys.sorted() { compare(command, expected, found) }
        }

        private func stop(_ unit: String, _ world: World) throws {
            #expect(try world.run("stop", unit).status == 0, "\(unit)")
        }

        private func reload(_ unit: String, _ world: World) throws {
            let script = """
                import json, socket, sys
                manager = socket.socket(socket.AF_UNIX)
                manager.connect(sys.argv[1])
                call = {'method': 'io.holdfast.Manager.Reload', 'parameters': {'name': sys.argv[2]}}
                manager.sendall(json.dumps(call).encode() + b'\\0')
                reply = b''
                while not reply.endswith(b'\\0'):
                    reply += manager.recv(65536)
                print(reply.decode())
                sys.exit('error' in json.loads(reply[:-1]))
                """
            let call = try Program.run("python3", ["-c", script, world.controlSocket, unit])
            #expect(try call.end() == 0, "\(call.outputText)\(call.errorText)")
        }

        private func unitNames() throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: Self.directory + "/units").sorted()
        }

        private func layOut(_ layout: World.Layout) throws {
            let place = "\(layout.path)/differential"
            try layout.makeDirectory("differential/out")
            chmod(place + "/out", 0o1777)
            try layout.write("differential/out/both", "", mode: 0o666)
            for name in ["observe", "environment.d"] {
                try FileManager.default.copyItem(atPath: "\(Self.directory)/\(name)", toPath: "\(place)/\(name)")
            }
            for name in try unitNames() {
                let text = try String(contentsOfFile: "\(Self.directory)/units/\(name)", encoding: .utf8)
                // The world has its runtime directories in place of /run; the units must not use the machine's own.
                try layout.unit(
                    name, text.replacing("@DIR@", with: place).replacing("/run/", with: "\(layout.path)/run/"))
            }
        }

        private func observation(_ command: String, _ world: World) -> Observation? {
            guard let text = world.contents("differential/out/\(command)") else { return nil }
            let normal = text.replacing("\(world.path)/differential", with: "@DIR@")
                .replacing("\(world.path)/run/", with: "/run/")
            let fields = normal.split(separator: "\n").map { line in
                let parts = line.split(separator: "\t", maxSplits: 1, omittingEmptySubsequences: false)
                return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
            }
            return Dictionary(fields, uniquingKeysWith: { first, _ in first })
        }

        private func compare(
            _ command: String, _ expected: [String: Observation], _ found: [String: Observation]
        ) {
            let theirs = difference(command, expected)
            let ours = difference(command, found)
            for field in Set(theirs.keys).union(ours.keys).sorted() {
                let isDeliberate = Self.deliberate.contains { entry in
                    entry.field == field && entry.commands?.contains(command) ?? true
                }
                if isDeliberate { continue }
                #expect(
                    ours[field] == theirs[field],
                    "\(command): \(field) is \(ours[field] ?? "unset"), under systemd \(theirs[field] ?? "unset")")
            }
        }

        /// The difference of a command from the baseline; for the baseline itself, its environment and streams.
        private func difference(_ command: String, _ all: [String: Observation]) -> Observation {
            guard var own = all[command].map(normalised), let baseline = all["baseline.start"].map(normalised) else {
                return [:]
            }
            if command == "baseline.start" {
                return own.filter { field, _ in
                    ["env.", "fd.", "status.sig", "leads", "cwd"].contains { field.hasPrefix($0) }
                }
            }
            for (field, value) in baseline {
                if own[field] == value { own[field] = nil } else if own[field] == nil { own[field] = "unset" }
            }
            return own
        }

        /// The observation without values that are new in every run.
        private func normalised(_ observation: Observation) -> Observation {
            let main = observation["env.MAINPID"]
            return observation.reduce(into: [:]) { result, entry in
                var (field, value) = entry
                if Self.ours.contains(where: { field.hasPrefix("env.\($0)") }) { return }
                if field == "env.INVOCATION_ID" { value = value.count == 32 ? "an id" : value }
                if field == "env.SYSTEMD_EXEC_PID", value != "self" { value = "a parent" }
                if field == "env.NOTIFY_SOCKET" { value = "a socket" }
                // The log is a FIFO under Holdfast, a socket of the journal under systemd.
                if value.hasPrefix("/run/holdfast/output/") { value = "the log" }
                if observation["env.JOURNAL_STREAM"] != nil, ["fd.1", "fd.2"].contains(field), value == "socket rw" {
                    value = "the log"
                }
                if let main, value == main { value = "the main process" }
                result[field] = value
            }
        }

        private func removeDirectories() {
            for root in ["/var/lib", "/var/cache", "/var/log", "/etc"] {
                try? FileManager.default.removeItem(atPath: "\(root)/differential")
            }
        }
    }
}
