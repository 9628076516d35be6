import Vocabulary

/// Classification of ends as clean or failed. The first failure is the result of the run, whenever it happens: before
/// the service was up, while it was up, or while it was being stopped (systemd.exec(5), tables 5 and 6).
extension Instance {
    /// True if this status is a clean exit of the main process. `unknown` (a lost status) is not clean.
    func isClean(main status: ExitStatus) -> Bool { isClean(.start(startIndex), status) }

    /// True if this status is a clean exit of the command: by the status itself, or by the prefix `-`.
    func isClean(_ command: ServiceCommand, _ status: ExitStatus) -> Bool {
        if spec.commands.mayFail(command) { return true }
        return switch command {
        case .start: spec.isCleanMain(status)
        case .condition, .startPre, .startPost, .reload, .stop, .stopPost: spec.restart.isCleanCommand(status)
        }
    }

    /// The exit status that replaces a failed spawn, if the failed spawn is no failure of the command: 0 with the
    /// prefix `-`, otherwise the status of systemd.exec(5) for the step (203 and its siblings), where that is clean.
    /// nil if it is a failure.
    func endInPlaceOfSpawn(_ command: ServiceCommand, _ status: Int32?) -> ExitStatus? {
        guard let status else { return nil }
        if spec.commands.mayFail(command) { return .exited(0) }
        return isClean(command, .exited(status)) ? .exited(status) : nil
    }

    /// True if a command whose exit status is lost is to be executed again: the supervisor was killed meanwhile, or a
    /// tracer hides the status (ptrace(2)). Limited, because a tracer could cause it without end.
    mutating func mayRepeat(_ status: ExitStatus) -> Bool {
        guard status == .unknown, repetitions < 3 else { return false }
        repetitions &+= 1
        return true
    }

    /// Records a failure while the run is ending; it counts only if nothing failed before.
    mutating func add(_ failure: Failure, to ending: inout Ending, _ context: inout Context) {
        guard case .clean = ending.result else { return }
        ending.result = .failed(failure)
        self.failure = failure
        context.emit(.report(.failure(group, failure)))
    }

    /// Handles the end of the main process, or of the command that ran when the run began to end. False for any other
    /// process.
    mutating func recordExitWhileEnding(
        _ token: Token, _ status: ExitStatus, _ ending: inout Ending, _ context: inout Context
    ) -> Bool {
        let isClean: Bool
        if ending.main == token {
            ending.main = nil
            isClean = self.isClean(main: status)
            if isClean, case .clean = ending.result { ending.result = .clean(status) }
        } else if let control = ending.control, control.token == token {
            ending.control = nil
            isClean = self.isClean(control.command, status)
        } else {
            return false
        }
        // A lost exit status does not make a stop unclean.
        if !isClean, status != .unknown { add(failed(.leave, .exited(status)), to: &ending, &context) }
        return true
    }

    /// Records that `TimeoutStopSec=` or `TimeoutAbortSec=` has expired.
    mutating func addTimeout(_ step: Failure.Step, to ending: inout Ending, _ context: inout Context) {
        let abort = isAborting ? spec.lifecycle.abortTimeout : nil
        add(failed(step, .timedOut(abort ?? spec.stopTimeout ?? .zero)), to: &ending, &context)
    }
}

extension CommandCounts {
    /// True if the command has the prefix `-`.
    func mayFail(_ command: ServiceCommand) -> Bool {
        let (list, index) =
            switch command {
            case .condition(let index): (condition, index)
            case .startPre(let index): (startPre, index)
            case .start(let index): (start, index)
            case .startPost(let index): (startPost, index)
            case .reload(let index): (reload, index)
            case .stop(let index): (stop, index)
            case .stopPost(let index): (stopPost, index)
            }
        return list[safely: index] == .yes
    }
}
