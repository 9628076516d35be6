import Foundation
import Testing

@testable import holdfastctl

@Suite("Manual pages")
struct ManualTests {
    private static let directory =
        "/"
        + #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/packaging/man/"

    @Test("holdfastctl(1) has every command and every exit code")
    func complete() throws {
        let page = try String(contentsOfFile: Self.directory + "holdfastctl.1", encoding: .utf8)
        for name in Holdfastctl.commandNames {
            #expect(page.contains("\n.It Cm \(name)"), "command \(name)")
        }
        for status: holdfastctl.ExitStatus in [
            .ok, .failure, .badInvocation, .notRunning, .unreachable, .startFailed, .interrupted,
        ] {
            #expect(page.contains("\n.It \(status.rawValue)\n"), "exit status \(status)")
        }
    }

    @Test(
        "They are formatted without a warning", .enabled(if: FileManager.default.fileExists(atPath: "/usr/bin/man")),
        arguments: [
            "holdfastctl.1", "holdfastd.8", "holdfast-probe.1", "holdfast-static.1", "holdfast.unit.5", "holdfast.swap.7",
        ])
    func warnings(page: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/man")
        process.arguments = ["--warnings", "-l", Self.directory + page]
        process.environment = ["PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANPAGER": "cat"]
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        _ = output.fileHandleForReading.readDataToEndOfFile()
        let complaint = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        #expect(complaint.isEmpty, "\(String(decoding: complaint, as: UTF8.self))")
    }
}
