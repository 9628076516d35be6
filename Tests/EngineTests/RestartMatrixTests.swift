import Foundation
import Testing
import Vocabulary

@testable import Engine

/// Combinations of `Restart=`, the settings that modify it, the way of ending and the type, compared with the results
/// of systemd 252 (Tests/Differential/restarts, recorded by record-restarts).
@Suite("Restart= as under systemd")
struct RestartMatrixTests {
    private static let unit = "app.service"
    private static let term = Ended.signalled(15, coreDumped: false)

    private static let policies: [Substring: RestartPolicy] = [
        "no": .no, "on-success": .onSuccess, "on-failure": .onFailure, "on-abnormal": .onAbnormal,
        "on-watchdog": .onWatchdog, "on-abort": .onAbort, "always": .always,
    ]
    private static let types: [Substring: ServiceSpec.StartType] = [
        "simple": .simple, "oneshot": .oneshot, "notify": .notify, "forking": .forking,
    ]
    private static let statuses: [Substring: Ended] = [
        "exit-0": .exited(0), "exit-7": .exited(7), "exit-7-ignored": .exited(7), "term": term,
        "kill": .signalled(9, coreDumped: false), "usr1": .signalled(10, coreDumped: false), "stop-post-7": .exited(0),
    ]

    @Test("whether a service is started again, and its result, are systemd's in every combination")
    func matrix() throws {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let recorded = try String(
            contentsOf: tests.appendingPathComponent("Differential/recorded-restarts"), encoding: .utf8)
        let rows = recorded.split(separator: "\n")
        #expect(rows.count > 900)
        for row in rows {
            let words = row.split(separator: " ")
            let keys = words[0].split(separator: ",")
            let expected = words[3] == "auto-restart" ? "\(words[1]) again" : "\(words[1]) \(words[3])"
            let found = try #require(Self.end(keys[0], keys[1], keys[2], keys[3]))
            #expect(found == expected, "\(words[0])")
        }
    }

    /// Result and state as systemctl shows them: `exit-code again`, `success dead`.
    private static func end(_ policy: Substring, _ type: Substring, _ way: Substring, _ sets: Substring) -> String? {
        guard let policy = policies[policy], let type = types[type] else { return nil }
        var bench = Bench()
        prepare(&bench, way)
        bench.start(
            Plans.service(unit) { spec in
                spec.type = type
                spec.restart.policy = policy
                spec.restart.delay = .seconds(1000)
                spec.startTimeout = .seconds(90)
                switch way {
                case "exit-7-ignored": spec.commands.start = [.yes]
                case "condition": spec.commands.condition = [.no]
                case "pre-7": spec.commands.startPre = [.no]
                case "post-7": spec.commands.startPost = [.no]
                case "stop-post-7": spec.commands.stopPost = [.no]
                case "watchdog": spec.lifecycle.watchdog = .seconds(1)
                case "runtime": spec.lifecycle.runtimeMax = .seconds(1)
                default: break
                }
                change(&spec.restart, sets)
            })
        guard goOn(&bench, way, type) else { return nil }
        return result(bench)
    }

    private static func change(_ rules: inout RestartRules, _ sets: Substring) {
        let all = ExitStatusSet(codes: [0, 7, 203], signals: [15, 6])
        switch sets {
        case "prevented": rules.prevent = all
        case "forced": rules.force = all
        case "both": (rules.prevent, rules.force) = (ExitStatusSet(codes: [7]), ExitStatusSet(codes: [7]))
        case "success": rules.success = ExitStatusSet(codes: [7, 203], signals: [10])
        default: break
        }
    }

    private static func prepare(_ bench: inout Bench, _ way: Substring) {
        let status = statuses[way] ?? .exited(7)
        bench.endings = [
            "start \(unit)": status, "condition \(unit)": .exited(1), "startPre \(unit)": .exited(7),
            "startPost \(unit)": .exited(7), "stopPost \(unit)": .exited(7),
        ]
        // A launcher leaves no daemon behind.
        bench.searches = [unit: .absent]
        if way == "missing" { bench.notExecutable = ["start \(unit)"] }
    }

    private static func goOn(_ bench: inout Bench, _ way: Substring, _ type: ServiceSpec.StartType) -> Bool {
        switch way {
        case "missing", "condition": break
        case "pre-7": if bench.service(unit)?.phase == .running { bench.exit(unit) }
        case "post-7": if bench.service(unit)?.phase == .stopping { bench.exit(unit, term) }
        case "timeout":
            bench.pass(.seconds(90))
            bench.exit(unit, term)
        case "runtime":
            bench.pass(.seconds(1))
            bench.exit(unit, term)
        case "watchdog":
            bench.ready(unit)
            bench.pass(.seconds(1))
            bench.exit(unit, .signalled(6, coreDumped: false))
        default:
            guard let status = statuses[way] else { return false }
            if type == .simple || type == .notify { bench.exit(unit, status) }
        }
        return true
    }

    private static func result(_ bench: Bench) -> String {
        let service = bench.service(unit)
        if service?.phase == .running { return "success running" }
        let failure = service?.failure ?? bench.view(unit)?.lastFailure
        let result = failure?.cause.serviceResult ?? "success"
        if service?.phase == .autoRestart { return "\(result) again" }
        return failure == nil ? "\(result) dead" : "\(result) failed"
    }
}
