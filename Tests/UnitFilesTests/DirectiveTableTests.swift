import Foundation
import Testing

@testable import UnitFiles

@Suite("The table of directives")
struct DirectiveTableTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }

    @Test("every directive of systemd 252 has a row in its section, with the manual page that describes it")
    func complete() throws {
        let recorded = try Self.text("Tests/Differential/recorded-directives").split(separator: "\n")
        #expect(recorded.count > 600)
        for line in recorded {
            let words = line.split(separator: " ").map(String.init)
            let section = try #require(UnitSectionName(rawValue: words[0]))
            let row = DirectiveTable.row(words[1], in: section)
            #expect(row != nil, "\(line)")
            // The pages do not mention old spellings.
            guard let row, words.count > 2 else { continue }
            #expect(words.dropFirst(2).contains(row.page.rawValue), "\(line): \(row.page)")
        }
    }

    @Test("no directive has two rows in a section; Holdfast's own are in its manual page")
    func unique() throws {
        let manual = try Self.text("packaging/man/holdfast.unit.5")
        for section in UnitSectionName.allCases {
            let names = DirectiveTable.names(in: section)
            #expect(Set(names).count == names.count, "\(section)")
        }
        for row in DirectiveTable.rows {
            #expect(!row.sections.isEmpty)
            if row.page == .holdfast { #expect(manual.contains(row.name), "\(row.name)") }
        }
    }

    /// Values of which each directive accepts at least one that differs from its default.
    private static let values = [
        "yes", "no", "7", "0700", "/x", "a", "30s", "64K", "10%", "a.service", "b.service", "a.socket", "a.target",
        "man:a(1)", "A=b", "A", "a:b", "a:/x", "/a:b", "root", "QQ==", "SIGUSR2", "CAP_KILL", "noroot", "null", "all",
        "err", "local0", "us", "sctp", "both", "lo", "route 1", "notify", "always", "mixed", "kill", "cgroup", "stop",
        "direct", "fail", "replace", "restart", "shared", "idle", "fifo", "nginx", "address", "generation", "queue",
        "private",
        "tcp /x",
    ]

    /// Settings without which a directive has no effect.
    private static let contexts = [
        "ExecStart": "ExecStart=",
        "X-AllowUnsupported": "ProtectHome=yes", "CPUSchedulingPriority": "CPUSchedulingPolicy=fifo",
        "MessageQueueMaxMessages": "MessageQueueMessageSize=1", "MessageQueueMessageSize": "MessageQueueMaxMessages=1",
    ]

    private static func build(_ section: UnitSectionName, _ lines: String) -> (unit: UnitFiles.Unit?, [Diagnostic]) {
        let kind = section == .socket ? "socket" : "service"
        guard let name = try? UnitName("x.\(kind)") else { return (nil, []) }
        let own = section == .socket ? "[Socket]\nListenStream=/run/x\n" : "[Service]\nExecStart=/x\n"
        let environment = SpecifierEnvironment()
        var builder = UnitBuilder(name: name, environment: environment, fragmentPath: nil)
        let file = UnitFileParser.parse("\(own)[\(section.rawValue)]\n\(lines)\n", path: "x")
        builder.apply(file, isDropIn: false)
        return (builder.finish(origin: UnitOrigin()), builder.diagnostics)
    }

    @Test("every honoured directive changes the unit, every ignored one never does, and every other one is reported")
    func effects() throws {
        let values = Self.values + [SpecifierEnvironment().architecture]
        for row in DirectiveTable.rows {
            for section in row.sections {
                let context = Self.contexts[row.name] ?? ""
                let before = "\(Self.build(section, context).unit as Any)"
                let results = values.map { Self.build(section, "\(context)\n\(row.name)=\($0)") }
                let hasEffect = results.contains { $0.unit != nil && "\($0.unit as Any)" != before }
                switch row.status {
                case .honoured: #expect(hasEffect, "\(row.name)= in [\(section.rawValue)]")
                case .ignored(let reason, _): #expect(!hasEffect && !reason.isEmpty, "\(row.name)")
                case .unsupported, .protection:
                    #expect(!hasEffect && results.contains { !$0.1.isEmpty }, "\(row.name)")
                }
            }
        }
    }
}
