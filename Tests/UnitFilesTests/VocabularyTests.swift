import Foundation
import Testing
import Vocabulary

@testable import UnitFiles

@Suite("One vocabulary")
struct VocabularyTests {
    @Test("no two targets of the supervisor and its command line have types of one name")
    func names() throws {
        let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Sources")
        let targets = [
            "Vocabulary", "Engine", "UnitFiles", "Linux", "UnitStore", "ControlProtocol", "StateCoding", "Multibinder",
            "Supervisor", "holdfastctl",
        ]
        var owners: [String: Set<String>] = [:]
        for target in targets {
            let files = FileManager.default.enumerator(atPath: sources.appendingPathComponent(target).path)
            for case let file as String in files ?? .init() where file.hasSuffix(".swift") {
                let text = try String(contentsOf: sources.appendingPathComponent("\(target)/\(file)"), encoding: .utf8)
                for name in Self.types(in: text) { owners[name, default: []].insert(target) }
            }
        }
        #expect(owners.count > 500)
        for (name, targets) in owners where targets.count > 1 { Issue.record("\(name): \(targets.sorted())") }
    }

    /// Types declared at the left margin, except those that no other file sees.
    private static func types(in text: String) -> [String] {
        text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard !line.hasPrefix(" "), !words.contains("private"), !words.contains("fileprivate"),
                let kind = words.firstIndex(where: { ["struct", "enum", "class", "protocol", "actor"].contains($0) }),
                kind + 1 < words.count, words[kind + 1].first?.isUppercase == true, !line.hasPrefix("//")
            else { return nil }
            return String(words[kind + 1].prefix { $0.isLetter || $0.isNumber })
        }
    }

    private static func coded(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return String(decoding: try encoder.encode([value]), as: UTF8.self)
    }

    @Test("the values have the form that saved state has had from the start")
    func savedForms() throws {
        #expect(try Self.coded(KillMode.controlGroup) == #"[{"controlGroup":{}}]"#)
        #expect(try Self.coded(RestartPolicy.onFailure) == #"[{"onFailure":{}}]"#)
        #expect(try Self.coded(NotifyAccess.main) == #"[{"main":{}}]"#)
        #expect(try Self.coded(TimeoutFailureMode.abort) == #"[{"abort":{}}]"#)
        #expect(try Self.coded(SwapStrategy.queue) == #"[{"queue":{}}]"#)
        #expect(try Self.coded(SocketScope.generation) == #"["generation"]"#)
        #expect(try Self.coded(Signal.terminate) == "[15]")
        let killed = Vocabulary.ExitStatus.signalled(.kill, coreDumped: false)
        #expect(try Self.coded(killed) == #"[{"signalled":{"_0":9,"coreDumped":false}}]"#)
        #expect(try Self.coded(ExitStatusSet(codes: [7], signals: [.abort])) == #"[{"codes":[7],"signals":[6]}]"#)
    }

    @Test("each keyword names its value again")
    func keywords() {
        func check<K: Keyword>(_: K.Type) {
            for value in K.allCases { #expect(K(keyword: value.keyword) == value) }
            #expect(K(keyword: "") == nil)
        }
        check(KillMode.self)
        check(RestartPolicy.self)
        check(NotifyAccess.self)
        check(TimeoutFailureMode.self)
        check(SwapStrategy.self)
        check(SocketScope.self)
    }
}
