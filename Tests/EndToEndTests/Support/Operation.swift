import ControlProtocol
import Foundation

import struct ControlProtocol.Progress

/// A running holdfastctl operation (swap, stop, …) and its output so far.
final class Operation {
    let program: Program

    init(_ arguments: [String], in world: World) throws {
        program = try Program(
            "\(World.binaries)/holdfastctl", arguments + Self.wait(arguments) + ["--json"],
            environment: world.environment)
    }

    /// Tests look at what a swap has left, and so wait for the end of its drain unless they say otherwise.
    private static func wait(_ arguments: [String]) -> [String] {
        guard ["swap", "rollback", "restart", "promote", "abort"].contains(arguments.first),
            !arguments.contains("--wait"), !arguments.contains("--no-wait"), !arguments.contains("--hold")
        else { return [] }
        return ["--wait", "drained"]
    }

    private static func replies(_ output: [UInt8]) -> [OperationReply] {
        // The last line may not be complete yet.
        guard let end = output.lastIndex(of: UInt8(ascii: "\n")) else { return [] }
        return output[..<end].split(separator: UInt8(ascii: "\n")).compactMap {
            try? JSONDecoder().decode(OperationReply.self, from: Data($0))
        }
    }

    /// Waits for matching progress of the operation.
    @discardableResult
    func waitFor(_ what: String, _ matches: (Progress) -> Bool) throws -> Progress {
        try program.waitFor(what) { output, _ in
            Self.replies(output).lazy.compactMap(\.progress).first(where: matches)
        }
    }

    @discardableResult
    func waitFor(_ phase: SwapPhase) throws -> Progress { try waitFor("phase \(phase)") { $0.phase == phase } }

    /// The operation's own result: that of its drain follows it.
    private static func result(_ results: [OperationResult]) -> OperationResult? {
        results.count > 1 ? results.dropLast().last : results.last
    }

    func end() throws -> Ended {
        let status = try program.end()
        let replies = Self.replies(Array(program.outputText.utf8))
        return Ended(
            status: status, result: Self.result(replies.compactMap(\.result)), progress: replies.compactMap(\.progress),
            output: program.outputText, errors: program.errorText)
    }
}

/// The end of an operation.
struct Ended {
    let status: Int32
    let result: OperationResult?
    let progress: [Progress]
    let output: String
    /// Standard error, with the messages for operators.
    let errors: String

    var outcome: OperationOutcome? { result?.outcome }
    var reason: FailureReport? { result?.reason }
}
