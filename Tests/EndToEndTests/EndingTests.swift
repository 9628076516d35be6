import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// The units of Tests/Differential/endings under holdfastd, compared with the ends of the same units under systemd
    /// 252 (`record-endings` there): the values of `$SERVICE_RESULT`, `$EXIT_CODE` and `$EXIT_STATUS`, the failed
    /// state, and the units that this has started.
    @Suite struct Endings {
        struct Recorded: Decodable {
            /// `stopPost exit-code exited 7`: a command that ran, and its variables.
            var commands: [String]
            /// `failed (failed)`, as systemctl shows it.
            var state: String
        }

        /// Intended differences from systemd, with the expected end.
        private static let deliberate: [String: (expected: String, reason: String)] = [
            "run-exit-7": (
                "failed (failed): stop exit-code exited 7 | stopPost exit-code exited 7 | OnFailure exit-code exited 7",
                always
            ),
            "run-die-kill": (
                "failed (failed): stop signal killed KILL | stopPost signal killed KILL | OnFailure signal killed KILL",
                always
            ),
            "reload-main-fails": (
                "failed (failed): stop exit-code exited 7 | stopPost exit-code exited 7 | OnFailure exit-code exited 7",
                always
            ),
            "reload-stopped": (
                "inactive (dead): stop success - - | stopPost success exited 0 | OnSuccess success exited 0",
                "\(always); and that a stop has ended a reload is no failure of the service"
            ),
            "stop-child-stays": (
                "failed (failed): stopPost timeout exited 0 | OnFailure timeout exited 0",
                "ExecStopPost= runs when nothing of the service is left (invariant I3), and knows the result"
            ),
            "stop-auto-restart": (
                "inactive (dead): stopPost exit-code exited 7 | OnSuccess success exited 7",
                "what OnSuccess= starts is not told that the unit has failed"
            ),
        ]
        private static let always =
            "\"the stop operation is always performed if the service started successfully, even if the processes in the service terminated on their own or were killed\" (systemd.service(5), ExecStop=)"

        private static var directory: String {
            URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .appendingPathComponent("Differential").path
        }

        @Test(
            "What ends, fails or times out in whichever phase ends as under systemd, and its commands are told so (needs root)",
            .enabled(if: supervisorIsRoot))
        func comparison() throws {
            let data = try Data(contentsOf: URL(fileURLWithPath: Self.directory + "/recorded-endings.json"))
            let recorded = try JSONDecoder().decode([String: Recorded].self, from: data)
            let expected = recorded.mapValues(Self.text).merging(Self.deliberate.mapValues(\.expected)) { $1 }
            // A few at a time: time limits are a part of the cases, and the machine may have two cores, and other work.
            // Differing cases are tried again with fewer at once: a true difference stays.
            var different = try differences(from: expected, atOnce: 20)
            for atOnce in [8, 3] where !different.isEmpty {
                different = try differences(from: expected.filter { different[$0.key] != nil }, atOnce: atOnce)
            }
            for (name, found) in different.sorted(by: { $0.key < $1.key }) {
                Issue.record("\(name): \(found)\n    under systemd \(expected[name] ?? "unknown")")
            }
        }

        /// The cases that did not end as expected, with their ends.
        private func differences(from expected: [String: String], atOnce: Int) throws -> [String: String] {
            var cases: [Case] = []
            var different: [String: String] = [:]
            try withWorld {
                let all = try layOut($0)
                cases = all.filter { expected[$0.name] != nil }
                // The first run has all cases.
                let isComplete = cases.count == expected.count && (atOnce < 20 || all.count == cases.count)
                #expect(isComplete, "record-endings is to be run again")
            } then: { world in
                var programs: [Program] = []
                defer { for program in programs { program.killIfAlive() } }
                while let first = cases.firstIndex(where: { !$0.isOver }) {
                    let active = cases.indices[first...].filter { !cases[$0].isOver }.prefix(atOnce)
                    let states = try states(world)
                    for index in active {
                        let name = cases[index].name
                        cases[index].look(states[name] ?? "unknown", world, expected: expected[name] ?? "")
                        if let verb = cases[index].nextVerb() {
                            programs.append(
                                try Program(
                                    "\(World.binaries)/holdfastctl", [verb, name + ".service"],
                                    environment: world.environment))
                        }
                    }
                    // One question about all of them in place of a stream of events for each.
                    usleep(100_000)
                }
                // Checked once more: a case that has reached the expected state may leave it again.
                let states = try states(world)
                for var last in cases {
                    last.look(states[last.name] ?? "unknown", world, expected: "")
                    guard let expected = expected[last.name], last.found != expected else { continue }
                    different[last.name] = last.found
                }
            }
            return different
        }

        /// A unit, and its progress.
        private struct Case {
            let name: String
            /// Actions on the unit, one after the other.
            let verbs: [String]
            private var done = 0
            private var begun: Date?
            private(set) var found = ""
            private(set) var isOver = false
            private var state = ""
            /// All observations of the unit, and the time since which they have not changed.
            private var seen: (text: String, since: Date) = ("", .distantPast)

            init(_ words: [String]) {
                name = words[0].replacing(".service", with: "")
                verbs = ["start"] + words.dropFirst()
            }

            mutating func look(_ state: String, _ world: World, expected: String) {
                let log = world.contents("endings/out/\(name)") ?? ""
                let steps = world.contents("endings/out/\(name).steps") ?? ""
                self.state = state
                found = Endings.text(Recorded(commands: log.split(separator: "\n").map(String.init), state: state))
                let text = found + steps
                if seen.text != text { seen = (text, Date()) }
                if let begun, Date().timeIntervalSince(begun) > patience { isOver = true }
                if done == verbs.count, found == expected { isOver = true }
            }

            /// The next action, if one is due.
            mutating func nextVerb() -> String? {
                guard done < verbs.count, !isOver else { return nil }
                if done == 0 {
                    begun = Date()
                } else {
                    // Longer than `restart-ignored` takes until it is killed.
                    guard !seen.text.hasSuffix(found), Date().timeIntervalSince(seen.since) > 1.5 else { return nil }
                    if verbs[done] == "running", state != "active (running)" { return nil }
                }
                done += 1
                seen.since = Date()
                return ["wait", "running"].contains(verbs[done - 1]) ? nil : verbs[done - 1]
            }
        }

        /// States by unit, in the words of systemctl.
        private func states(_ world: World) throws -> [String: String] {
            let all = try world.status().map { status in
                (status.unit.replacing(".service", with: ""), Self.state(status))
            }
            return Dictionary(all) { first, _ in first }
        }

        private static func state(_ status: UnitStatus) -> String {
            let services = status.generations.flatMap(\.services)
            if services.contains(where: { $0.state == .autoRestart }) { return "activating (auto-restart)" }
            switch status.state {
            case .failed: return "failed (failed)"
            case .stopped: return "inactive (dead)"
            case .running: return services.contains { $0.state == .exited } ? "active (exited)" : "active (running)"
            case .starting, .swapping, .stopping, .unknown: return "busy"
            }
        }

        /// The end without commands that the two systems order differently, and without units that systemd 252 starts
        /// by OnSuccess= between restarts: a service that is about to be restarted has not ended.
        private static func text(_ ending: Recorded) -> String {
            let commands = ending.commands.filter { !$0.hasPrefix("On") }
            let failures = ending.commands.filter { $0.hasPrefix("OnFailure") }
            let isDead = ending.state == "inactive (dead)"
            let success = isDead ? ending.commands.last { $0.hasPrefix("OnSuccess") } : nil
            return "\(ending.state): " + (commands + failures + [success].compactMap(\.self)).joined(separator: " | ")
        }

        private func layOut(_ layout: World.Layout) throws -> [Case] {
            try layout.makeDirectory("endings/out")
            try FileManager.default.copyItem(
                atPath: Self.directory + "/endings/act", toPath: "\(layout.path)/endings/act")
            let made = try Program.run(
                Self.directory + "/endings/units", ["\(layout.path)/units", "\(layout.path)/endings"])
            #expect(try made.end() == 0, "\(made.errorText)")
            return made.outputText.split(separator: "\n").map { Case($0.split(separator: " ").map(String.init)) }
        }
    }
}
