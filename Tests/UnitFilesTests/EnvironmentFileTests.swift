import Foundation
import Testing

@testable import UnitFiles

@Suite("Environment files")
struct EnvironmentFileTests {
    private struct Recorded: Decodable {
        /// One character for each byte.
        var file: String
        /// What a service had; nil if it was not started.
        var environment: [String: String]?
    }

    @Test("each file of Tests/Differential/environment.json gives the variables that systemd 252 made of it")
    func recorded() throws {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let data = try Data(contentsOf: tests.appendingPathComponent("Differential/environment.json"))
        let all = try JSONDecoder().decode([Recorded].self, from: data)
        #expect(all.count > 50)
        for recorded in all {
            let bytes = recorded.file.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
            let parsed = try? EnvironmentFile.parse(FileText.decode(bytes), path: "e").assignments
            let found = parsed.map { Dictionary($0.map { ($0.name, $0.value) }, uniquingKeysWith: { _, last in last }) }
            #expect(found == recorded.environment, "\(recorded.file.debugDescription)")
        }
    }
}
