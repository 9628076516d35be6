/// What an end counts as. The first thing that goes wrong is the result of the run, whenever that is: before it was up, while it
/// was, or while it was being stopped (systemd.exec(5), tables 5 and 6).
extension Instance {
    /// Whether the main process may end so. Nobody saw how an `unknown` one ended; that is no clean end.
    func isClean(main status: ExitStatus) -> Bool { isClean(.start(startIndex), status) }

    /// Whether a command may end so: by its status, or because it has the prefix `-`.
    func isClean(_ command: ServiceCommand, _ status: ExitStatus) -> Bool {
        if spec.commands.mayFail(command) { return true }
        return switch command {
        case .start: spec.isCleanMain(status)
        case .condition, .startPre, .startPost, .reload, .stop, .stopPost: spec.restart.isCleanCommand(status)
        }
    }

    /// How a command counts that could not be executed, if that is no failure: with the prefix `-` as one that did nothing, and
    /// otherwise by the status that stands for it (203 and its siblings).
    func endInPlaceOfSpawn(_ command: ServiceCommand, _ status: Int32?) -> ExitStatus? {
        guard let status else { return nil }
        if spec.commands.mayFail(command) { return .exited(0) }
        return isClean(command, .exited(status)) ? .exited(status) : nil
    }

    /// Nobody saw how a command ended: the supervisor was killed meanwhile, or a tracer keeps its status from us (ptrace(2)). It is
    /// executed again, but not without end, which a tracer could bring about.
    mutating func mayRepeat(_ status: ExitStatus) -> Bool {
        guard status == .unknown, repetitions < 3 else { return false }
        repetitions &+= 1
        return true
    }

    /// Something went wrong on the way out; it counts if nothing did before.
    mutating func add(_ failure: Failure, to ending: inout Ending, _ context: inout Context) {
        guard case .clean = ending.result else { return }
        ending.result = .failed(failure)
        self.failure = failure
        context.emit(.report(.failure(group, failure)))
    }

    /// A process has ended on the way out: the main one, or the command that ran when the way began. False for any other.
    mutating func left(_ token: Token, _ status: ExitStatus, _ ending: inout Ending, _ context: inout Context) -> Bool {
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
        // That nobody saw how it ended is no reason to call a stop unclean.
        if !isClean, status != .unknown { add(failed(.leave, .exited(status)), to: &ending, &context) }
        return true
    }

    /// `TimeoutStopSec=` is over, or `TimeoutAbortSec=`.
    mutating func addTimeout(_ step: Failure.Step, to ending: inout Ending, _ context: inout Context) {
        let abort = isAborting ? spec.lifecycle.abortTimeout : nil
        add(failed(step, .timedOut(abort ?? spec.stopTimeout ?? .zero)), to: &ending, &context)
    }
}

extension CommandCounts {
    /// It has the prefix `-`.
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
