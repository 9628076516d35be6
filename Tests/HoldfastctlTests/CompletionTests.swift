import ControlProtocol
import Foundation
import Testing

@testable import holdfastctl

/// Completion at Tab in shells: the generated script in a real bash calls the program, which asks the daemon.
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

    private static let units = [
        ListedUnit(unit: "site@.target", operand: "site@v2.target", state: .running),
        ListedUnit(unit: "cron.service", operand: "cron.service", state: .stopped),
    ]

    private func with(_ body: (FakeDaemon) throws -> Void) throws {
        let daemon = try FakeDaemon(["io.holdfast.Manager.List": .replies([Reply(ListReply(units: Self.units))])])
        defer { daemon.stop() }
        try body(daemon)
    }

    @Test("bash completes commands, options and the daemon's units; without a daemon it says nothing")
    func bash() throws {
        try with { (daemon) throws in
            #expect(try complete(["holdfastctl", "stat"], daemon.path) == ["status"])
            #expect(try complete(["holdfastctl", "swap", "--ho"], daemon.path) == ["--hold"])
            #expect(try Set(complete(["holdfastctl", "swap", ""], daemon.path)).isSuperset(of: ["site@v2", "cron"]))
            #expect(try complete(["holdfastctl", "swap", "si"], daemon.path) == ["site@v2"])
            #expect(try complete(["holdfastctl", "swap", "si"], "/nonexistent") == [])
        }
    }

    /// Types into a shell, completes with Tab, and makes the shell print the completed line.
    private func check(_ terminal: PseudoTerminal) throws {
        for (typed, completed) in [
            ("holdfastctl stat", "holdfastctl status"), ("holdfastctl swap --ho", "holdfastctl swap --hold"),
            ("holdfastctl swap si", "holdfastctl swap site@v2"), ("holdfastctl start cr", "holdfastctl start cron"),
        ] {
            terminal.type(typed + "\t")
            // Moves to the beginning of the line and inserts "echo".
            terminal.type("\u{01}echo done \r")
            try terminal.expect("done \(completed)")
        }
        terminal.type("exit\r")
        _ = terminal.end()
    }

    private func withShell(
        _ path: String, _ arguments: [String], _ prepare: (PseudoTerminal, _ home: String) throws -> Void
    ) throws {
        try with { (daemon) throws in
            let home = FileManager.default.temporaryDirectory.path + "/holdfast-shell-\(UUID().uuidString)"
            try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: home) }
            let directory = (Program.path as NSString).deletingLastPathComponent
            let environment = [
                "PATH": directory + ":/usr/bin:/bin", "HOLDFAST_SOCKET": daemon.path, "HOME": home,
                "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home,
            ]
            let terminal = try PseudoTerminal(arguments, program: path, environment: environment, columns: 200)
            try prepare(terminal, home)
            try terminal.expect("loaded\r\n")
            try check(terminal)
        }
    }

    @Test(
        "fish completes commands, options and the daemon's units, in a terminal",
        .enabled(if: FileManager.default.fileExists(atPath: "/usr/bin/fish")))
    func fish() throws {
        try withShell("/usr/bin/fish", ["--no-config"]) { terminal, _ in
            terminal.type("holdfastctl --generate-completion-script fish | source; echo loaded\r")
        }
    }

    @Test(
        "zsh completes commands, options and the daemon's units, in a terminal",
        .enabled(if: FileManager.default.fileExists(atPath: "/usr/bin/zsh")))
    func zsh() throws {
        try withShell("/usr/bin/zsh", ["-f", "-i"]) { terminal, home in
            terminal.type("holdfastctl --generate-completion-script zsh > ~/_holdfastctl; fpath=(~ $fpath)\r")
            terminal.type("autoload compinit; compinit -u -D; echo loaded\r")
        }
    }
}
