import ControlProtocol
import Foundation
import Testing

@testable import holdfastctl

/// What shells offer at Tab: the generated script in a real bash, which asks the program, which asks the daemon.
@Suite("Completion in shells", .serialized)
struct CompletionTests {
    private func complete(_ words: [String], _ daemon: String) throws -> [String] {
        let script = """
            source <("$1" --generate-completion-script bash)
            shift
            COMP_WORDS=("$@")
            COMP_CWORD=$(($# - 1))
            COMP_LINE="$*"
            COMP_POINT=${#COMP_LINE}
            "$(complete -p holdfastctl | sed 's/.*-F \\([^ ]*\\).*/\\1/')" holdfastctl "${COMP_WORDS[COMP_CWORD]}" ""
            printf '%s\\n' "${COMPREPLY[@]}"
            """
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = ["--norc", "-c", script, "bash", Program.path] + words
        let directory = (Program.path as NSString).deletingLastPathComponent
        process.environment = ["PATH": "\(directory):/usr/bin:/bin", "HOLDFAST_SOCKET": daemon]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    }

    @Test("bash completes commands, options and the daemon's units; without a daemon it says nothing")
    func bash() throws {
        let units = [
            ListedUnit(unit: "site@.target", operand: "site@v2.target", state: .running),
            ListedUnit(unit: "cron.service", operand: "cron.service", state: .stopped),
        ]
        let daemon = try FakeDaemon(["io.holdfast.Manager.List": .replies([Reply(ListReply(units: units))])])
        defer { daemon.stop() }
        #expect(try complete(["holdfastctl", "stat"], daemon.path) == ["status"])
        #expect(try complete(["holdfastctl", "swap", "--ho"], daemon.path) == ["--hold"])
        #expect(try Set(complete(["holdfastctl", "swap", ""], daemon.path)).isSuperset(of: ["site@v2", "cron"]))
        #expect(try complete(["holdfastctl", "swap", "si"], daemon.path) == ["site@v2"])
        #expect(try complete(["holdfastctl", "swap", "si"], "/nonexistent") == [])
    }
}
