import Foundation
import Testing

@testable import UnitFiles

/// Forms of values, as systemd 252 took them (Tests/Differential/record-values).
struct RecordedForms: Decodable {
    struct Case: Decodable {
        /// The values that were assigned one after the other.
        var values: [String]
        /// systemd complained of a line.
        var isComplaint: Bool
        /// The unit could be loaded.
        var isLoaded: Bool
        /// The property; nil as without the directive.
        var shown: String?

        init(from decoder: any Decoder) throws {
            var list = try decoder.unkeyedContainer()
            values = try list.decode([String].self)
            let flags = try list.decode(String.self)
            isComplaint = flags.contains("c")
            isLoaded = !flags.contains("x")
            shown = try list.decode(String?.self)
        }
    }
    struct Directive: Decodable {
        var section: String
        var name: String
        var properties: String
        var standard: String

        init(from decoder: any Decoder) throws {
            var list = try decoder.unkeyedContainer()
            section = try list.decode(String.self)
            name = try list.decode(String.self)
            properties = try list.decode(String.self)
            standard = try list.decode(String.self)
        }
    }
    struct Group: Decodable {
        var directives: [Directive]
        var cases: [Case]
    }
    var groups: [Group]

    static func load() throws -> RecordedForms {
        let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let data = try Data(contentsOf: directory.appendingPathComponent("Differential/recorded-values.json"))
        return try JSONDecoder().decode(RecordedForms.self, from: data)
    }
}

@Suite("Every value form that systemd 252 takes")
struct ValueFormsTests {
    private func text(_ directive: RecordedForms.Directive, _ values: [String]) -> String {
        let isSocket = directive.section == "Socket"
        var base = isSocket ? "ListenStream=/run/base\n" : "ExecStart=/bin/true\n"
        if directive.name == "ExecStart" || directive.name.hasPrefix("Listen") { base = "" }
        if directive.name == "CPUSchedulingPriority" { base += "CPUSchedulingPolicy=rr\n" }
        let lines = values.map { "\(directive.name)=\($0)\n" }.joined()
        let own = isSocket ? "[Socket]\n" : "[Service]\n"
        return directive.section == "Unit" ? "[Unit]\n\(lines)\(own)\(base)" : "\(own)\(base)\(lines)"
    }

    @Test("each is accepted or refused as systemd does, and means the same, but for those with a reason")
    func forms() throws {
        var used: Set<Int> = []
        var count = 0
        for group in try RecordedForms.load().groups {
            for directive in group.directives {
                for recorded in group.cases {
                    count += 1
                    let found = try difference(directive, recorded)
                    guard !found.isEmpty else { continue }
                    let reasons = DeliberateForms.all.indices.filter {
                        DeliberateForms.all[$0].covers(directive.name, recorded.values)
                    }
                    used.formUnion(reasons)
                    if reasons.isEmpty { Issue.record("\(found.joined(separator: "; "))") }
                }
            }
        }
        #expect(count > 10_000)
        let unused = DeliberateForms.all.indices.filter { !used.contains($0) }.map { DeliberateForms.all[$0].reason }
        #expect(unused == [], "reasons for what is no difference any more")
    }

    private func difference(
        _ directive: RecordedForms.Directive, _ recorded: RecordedForms.Case
    ) throws -> [String] {
        let unit = directive.section == "Socket" ? "v00000.socket" : "v00000.service"
        var host = SpecifierEnvironment()
        // Of packaging/test/base-system.
        host.hostName = "holdfast-test"
        let loaded = loader([unit: text(directive, recorded.values)], specifiers: host).load(try name(unit))
        let own = loaded.diagnostics.filter { $0.directive == directive.name || $0.directive == nil }
        let label = "\(directive.section) \(directive.name)=\(recorded.values)"
        var found: [String] = []
        if own.isEmpty == recorded.isComplaint {
            let theirs = own.isEmpty ? "refused" : "accepted"
            found.append("\(label): \(own.first?.message ?? "accepted"); \(theirs) there")
        }
        guard let known = loaded.unit else {
            if recorded.isLoaded, !recorded.isComplaint {
                found.append("\(label): unusable, loaded there: \(loaded.diagnostics.map(\.message))")
            }
            return found
        }
        if !recorded.isLoaded { found.append("\(label): usable, not loaded there") }
        let properties = directive.properties.split(separator: ",").map(String.init)
        let ours = properties.map { ShownProperties.value($0, of: known) }
        guard recorded.isLoaded, !ours.contains(nil) else { return found }
        let shown = ours.compactMap { $0 }.joined(separator: "|")
        let theirs = recorded.shown ?? directive.standard
        if shown != theirs { found.append("\(label): \(shown), there \(theirs)") }
        return found
    }
}
