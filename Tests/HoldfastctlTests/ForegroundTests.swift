import ControlProtocol
import Foundation
import Testing

@testable import holdfastctl

/// `fg` in a real pseudo-terminal, against a scripted daemon.
@Suite("fg", .serialized)
struct ForegroundTests {
    private func with(_ input: FakeDaemon.Script, _ body: (FakeDaemon, String) throws -> Void) throws {
        let daemon = try FakeDaemon([
            Site.manager + "Input": input,
            Site.manager + "Status": .replies([Reply(StatusReply(units: [Site.worker]))]),
        ])
        let logs = FileManager.default.temporaryDirectory.path + "/holdfast-logs-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: logs, withIntermediateDirectories: true)
        defer {
            daemon.stop()
            try? FileManager.default.removeItem(atPath: logs)
        }
        try print("before", logs)
        try body(daemon, logs)
    }

    /// Appends a line as the daemon writes it.
    private func print(_ text: String, _ logs: String) throws {
        let file = open("\(logs)/worker.service.log", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        let line = "2026-11-23T05:02:57.000000Z worker.service#1 out: \(text)\n"
        _ = Array(line.utf8).withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
        close(file)
    }

    private func typed(_ daemon: FakeDaemon) -> [String] {
        daemon.calls.compactMap { call in
            guard case .input(_, let text)? = try? Request(call) else { return nil }
            return text
        }
    }

    private static let accepts = FakeDaemon.Script.replies([Reply(InputReply(unit: "worker.service", accepted: true))])

    @Test("It shows what comes, sends what is typed, and ^C leaves with 0", arguments: ["\u{03}", "\u{04}"])
    func session(leaving: String) throws {
        try with(Self.accepts) { daemon, logs in
            let terminal = try PseudoTerminal(["fg", "worker", "--log-dir", logs, "--socket", daemon.path])
            try terminal.expect("worker.service: typed lines are sent to it")
            terminal.type("save-all\r")
            try terminal.expect("save-all")
            try print("saved \u{1b}[31mred", logs)
            try terminal.expect("saved ")
            terminal.type(leaving)
            #expect(terminal.end() == 0)
            #expect(typed(daemon) == ["", "save-all\n"])
            #expect(!terminal.output.contains("before"))
            #expect(!terminal.output.contains("\u{1b}[31m"), "what a service prints does not paint the terminal")
        }
    }

    @Test("In the shell ^C and ^D end fg and not the shell")
    func shell() throws {
        try with(Self.accepts) { daemon, logs in
            let environment = ["HOLDFAST_SOCKET": daemon.path, "HOME": logs]
            let terminal = try PseudoTerminal([], environment: environment)
            for leaving in ["\u{03}", "\u{04}"] {
                try terminal.expect("holdfast> ")
                terminal.type("fg worker --log-dir \(logs)\r")
                try terminal.expect("typed lines are sent to it")
                terminal.type(leaving)
            }
            try terminal.expect("holdfast> ")
            terminal.type("\u{04}")
            #expect(terminal.end() == 0)
        }
    }

    @Test("What nobody may type, or can, is said; the output is shown all the same")
    func lookingOnly() throws {
        let refusals: [(ControlError, String)] = [
            (.permissionDenied(required: "root or group holdfast"), "sending input requires root"),
            (.noInput(unit: "worker.service", reason: "its StandardInput= is null"), "its StandardInput= is null"),
        ]
        for (refusal, said) in refusals {
            try with(.replies([Reply(refusal)])) { daemon, logs in
                let terminal = try PseudoTerminal(["fg", "worker", "--log-dir", logs, "--socket", daemon.path])
                try terminal.expect(said)
                try print("still there", logs)
                try terminal.expect("still there")
                terminal.type("x\r")
                try terminal.expect("holdfastctl: ")
                terminal.type("\u{03}")
                #expect(terminal.end() == 0)
            }
        }
    }

    @Test("Input is cut at lines, never within a character, and nothing of it is lost")
    func pieces() throws {
        var random = Seeded(state: 7)
        let text = (0..<3000).map { _ in ["a", "ü", "漢", "🙂", "\n"].randomElement(using: &random) ?? "" }.joined()
        var pieces = InputPieces()
        var sent = ""
        var rest = ArraySlice(text.utf8)
        while !rest.isEmpty {
            let count = Int.random(in: 1...6000, using: &random)
            pieces.append(ArraySlice(rest.prefix(count)))
            rest = rest.dropFirst(count)
            while let piece = try pieces.first(isAtEnd: rest.isEmpty) {
                #expect(piece.utf8.count <= Request.inputLimit)
                sent += piece
                pieces.removeFirst(piece.utf8.count)
            }
        }
        #expect(sent == text)
        pieces.append([0xC3])
        #expect(try pieces.first(isAtEnd: false) == nil)
        #expect(throws: InputPieces.NotText.self) { try pieces.first(isAtEnd: true) }
    }
}

/// A small generator (SplitMix64): a failing run can be repeated from its seed.
private struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
