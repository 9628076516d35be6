import ControlProtocol
import Glibc

/// The drain that follows an operation.
extension Session {
    /// Waits for the drain of the generation that an operation has replaced, or shows it until ^C.
    /// - Parameters:
    ///   - moment: nil: shows it, on a terminal.
    ///   - status: that of the operation. After a failure the rejected generation may drain.
    func followDrain(
        after result: OperationResult, _ moment: SwapWait.Moment?, _ status: CommandStatus
    ) throws(CommandFailure) -> CommandStatus {
        let leaves = result.outcome == .completed ? result.fromGeneration : result.generation
        guard let leaves, result.draining?.contains(where: { $0.generation == leaves }) == true else { return status }
        switch moment {
        case .cutover: return status
        case .drained: break
        case nil: guard status == .ok, !json, output.width != nil, isatty(STDIN_FILENO) == 1 else { return status }
        }
        let end = try followDrain(of: leaves, result, isWatch: moment == nil)
        return status == .ok ? end : status
    }

    private func followDrain(
        of number: Int, _ result: OperationResult, isWatch: Bool
    ) throws(CommandFailure) -> CommandStatus {
        let conversation = try Conversation(
            self, .drain(name: result.unit, now: false, generation: number), more: true)
        var live = LiveProgress(output, silent: json)
        defer { live.erase() }
        while true {
            switch try conversation.next(tick: live.interval, onDisconnect: { live.erase() }) {
            case .tick: live.redraw()
            case .interrupted:
                live.erase()
                if isatty(STDIN_FILENO) == 1 { emit("\n", to: STDERR_FILENO) }
                printError(DrainText.detached(result, number))
                return isWatch ? .ok : .interrupted
            case .reply(let reply):
                if let refusal = reply.failure { throw .refused(refusal) }
                let answer: OperationReply = try decode(reply)
                if json { printJSON(reply) }
                if let progress = answer.progress { live.show(progress) }
                guard let drained = answer.result else { continue }
                live.finish(total: drained.durations.total)
                let ends = drained.drained ?? []
                show(ends.map { DrainText.end($0, result.unit, output) } + ResultText.notes(drained))
                guard let loss = ends.compactMap(\.lost).first else { return .ok }
                printError(DrainText.lost(result, loss))
                return .lost
            }
        }
    }
}

/// Sentences about drains.
enum DrainText {
    static func end(_ end: DrainEnd, _ unit: String, _ screen: Screen) -> String {
        let name = Text.harmless(Text.shortName(unit, release: end.release))
        return "\(name): generation \(end.generation) " + screen.paint("drained", end.forced == nil ? .green : .yellow)
            + " in \(summary(end))"
    }

    /// The time of a drain and the connections that it cut: `12 s, 3 connections cut (DrainTimeoutSec=)`.
    static func summary(_ end: DrainEnd) -> String {
        var text = Text.duration(end.seconds)
        if let forced = end.forced {
            let cut = end.connectionsCut.map { Text.counted($0, "connection") + " cut" } ?? "ended by force"
            text += ", \(cut) (\(reason(forced)))"
        }
        if let unclean = end.unclean { text += "; \(Text.harmless(unclean))" }
        return text
    }

    private static func reason(_ forced: DrainForceReason) -> String {
        switch forced {
        case .timeout: "DrainTimeoutSec="
        case .limit: "MaxDraining="
        case .request: "on request"
        case .queue: "Strategy=queue"
        }
    }

    /// `site@v1 (generation 1)`, the oldest first.
    static func list(_ generations: [GenerationReference], of unit: String) -> String {
        generations.map { reference in
            let name = Text.harmless(Text.shortName(unit, release: reference.release))
            return "\(name) (generation \(reference.generation))"
        }.joined(separator: ", ")
    }

    /// The message after ^C has ended the watching.
    static func detached(_ result: OperationResult, _ number: Int) -> String {
        let name = Text.harmless(Text.shortName(result.unit, release: result.fromRelease))
        return "generation \(number) drains on; `holdfastctl status \(name)` shows it, "
            + "`holdfastctl drain --now \(name)` ends it"
    }

    static func lost(_ result: OperationResult, _ loss: String) -> String {
        let name = Text.harmless(Text.shortName(result.unit))
        return "\(name) does not serve any more: \(Text.harmless(loss)); `holdfastctl rollback \(name)` starts what "
            + "served before"
    }
}
