import Foundation
import Testing
import UnitFiles

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
        for status: CommandStatus in [
            .ok, .failure, .badInvocation, .notRunning, .unreachable, .startFailed, .interrupted,
        ] {
            #expect(page.contains("\n.It \(status.rawValue)\n"), "exit status \(status)")
        }
    }

    /// The section of the page about one command.
    private func section(_ name: String, of page: String) -> Substring? {
        guard let start = page.firstRange(of: "\n.It Cm \(name)")?.lowerBound else { return nil }
        let rest = page[page.index(after: start)...]
        let ends = ["\n.It Cm ", "\n.El"].compactMap { rest.dropFirst(4).firstRange(of: $0)?.lowerBound }
        return rest[..<(ends.min() ?? rest.endIndex)]
    }

    @Test("It has every option of every command, as the parser knows them")
    func options() throws {
        let page = try String(contentsOfFile: Self.directory + "holdfastctl.1", encoding: .utf8)
        let dump = try JSONDecoder().decode(Dump.self, from: Data(Holdfastctl._dumpHelp().utf8))
        let global: Set<String> = ["socket", "user", "json", "help", "version"]
        for command in dump.command.subcommands ?? [] where Holdfastctl.commandNames.contains(command.commandName) {
            let text = try #require(section(command.commandName, of: page), "command \(command.commandName)")
            for argument in command.arguments ?? [] {
                for name in argument.names ?? [] where !global.contains(name.name) && name.kind == "long" {
                    #expect(
                        text.contains("Fl -\(name.name)") || text.contains("| -\(name.name)"),
                        "\(command.commandName) --\(name.name)")
                }
            }
        }
    }

    /// ArgumentParser's description of itself.
    private struct Dump: Decodable {
        struct Command: Decodable {
            var commandName: String
            var subcommands: [Command]?
            var arguments: [Argument]?
        }
        struct Argument: Decodable {
            struct Name: Decodable {
                var kind: String
                var name: String
            }
            var names: [Name]?
        }
        var command: Command
    }

    /// Files move; the page must follow.
    @Test("ARCHITECTURE.md names only files that exist")
    func architecture() throws {
        let root = String(Self.directory.dropLast("packaging/man/".count))
        let page = try String(contentsOfFile: root + "ARCHITECTURE.md", encoding: .utf8)
        let paths = page.split(separator: "`").filter { $0.hasPrefix("Sources/") || $0.hasPrefix("Tests/") }
        #expect(paths.count > 40)
        for path in paths { #expect(FileManager.default.fileExists(atPath: root + path), "\(path)") }
    }

    @Test("holdfast.unit(5) has every code of a diagnostic")
    func codes() throws {
        let page = try String(contentsOfFile: Self.directory + "holdfast.unit.5", encoding: .utf8)
        for code in DiagnosticCode.allCases { #expect(page.contains("Ic \(code.rawValue)"), "\(code.rawValue)") }
    }

    @Test(
        "They are formatted without a warning", .enabled(if: FileManager.default.fileExists(atPath: "/usr/bin/man")),
        arguments: [
            "holdfastctl.1", "holdfastd.8", "holdfast-probe.1", "holdfast-static.1", "holdfast.unit.5",
            "holdfast.swap.7",
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
