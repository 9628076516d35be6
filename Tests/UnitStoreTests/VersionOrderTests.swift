import Foundation
import Testing

@testable import UnitStore

@Suite("Versions")
struct VersionOrderTests {
    /// Each is older than the next (UAPI group, "Version Format Specification").
    private let ascending = [
        "~1", "", "ab", "abb", "abc", "0001", "002", "12", "122", "122.9", "123~rc1", "123", "123-a", "123-a.1",
        "123-a1", "123-a1.1", "123-3", "123-3.1", "123^patch1", "123^1", "123.a-1", "123.1-1", "123a-1", "124",
    ]

    private static let program = "/usr/bin/systemd-analyze"

    @Test(
        "versions are ordered as systemd orders them",
        .enabled(if: FileManager.default.isExecutableFile(atPath: program)))
    func order() throws {
        for (left, right) in zip(ascending, ascending.dropFirst()) where !left.isEmpty {
            let process = Process()
            process.executableURL = URL(filePath: Self.program)
            // "12 with the first newer, 11 with the second newer"
            process.arguments = ["compare-versions", left, right]
            process.standardOutput = FileHandle.nullDevice
            try process.run()
            process.waitUntilExit()
            let theirs = [0: 0, 11: 1, 12: -1][process.terminationStatus]
            #expect(VersionOrder.compare(left, right).signum() == theirs, "\(left) \(right)")
            #expect(VersionOrder.compare(right, left).signum() == theirs.map { -$0 }, "\(right) \(left)")
        }
    }

    @Test("what is the same is neither older nor newer")
    func equal() {
        for text in ascending { #expect(VersionOrder.compare(text, text) == 0) }
        #expect(VersionOrder.compare("1.01", "1.1") == 0)
        #expect(VersionOrder.compare("1_2", "1.2") != 0)
    }

    @Test(
        "newer versions are newer",
        arguments: [
            ("6.1.0-18-amd64", "6.1.0-9-amd64"), ("6.10", "6.9"), ("252.39", "252~rc3"), ("12", "11.9"),
            ("1.0", "1.0~beta"),
        ])
    func newer(_ pair: (String, String)) {
        #expect(VersionOrder.compare(pair.0, pair.1) > 0)
        #expect(VersionOrder.compare(pair.1, pair.0) < 0)
    }
}
