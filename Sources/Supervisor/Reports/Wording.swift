import ControlProtocol
import Engine
import Linux
import UnitFiles

/// Sentences for failures and refusals, in one place so that they stay consistent.
enum Wording {
    /// Reason for a skipped start.
    static func skip(_ condition: String) -> String { "\(condition) does not hold" }

    /// `cannot start app@v3.service: exited with status 3 before it was ready`
    static func sentence(_ failure: Failure, of unit: ServiceUnit? = nil) -> String {
        var text = "\(verb(failure)) \(failure.unit): \(cause(failure, unit))"
        if let number = failure.errno, number > 0 {
            text += " (the service says: \(SystemError("", nil, .init(rawValue: number)).errno.text))"
        }
        return text
    }

    private static func verb(_ failure: Failure) -> String {
        switch failure.step {
        case .dependency, .prepare, .condition, .startPre, .start, .readiness, .startPost: "cannot start"
        case .soak: "cannot keep"
        case .run: "lost"
        case .reload: "cannot reload"
        // The processes are gone in spite of the failure.
        case .stop, .leave, .stopPost: "unclean stop of"
        }
    }

    private static func cause(_ failure: Failure, _ unit: ServiceUnit?) -> String {
        // The text names the command that hangs.
        if case .timedOut(let limit) = failure.cause, case .command(let command) = failure.awaited {
            return "\(line(command, unit)) not done within \(span(limit))"
        }
        let text = cause(failure)
        // The probe's answer is the cause itself.
        if case .probe = failure.cause { return text }
        return text + (failure.awaited.flatMap { missing($0, of: unit) }.map { ": \($0)" } ?? "")
    }

    private static func cause(_ failure: Failure) -> String {
        let what = command(failure.step)
        switch failure.cause {
        case .spawn(let text, _): return what.map { "\($0): \(text)" } ?? text
        case .exited(let status), .endedEarly(let status):
            return "\(what.map { "\($0) " } ?? "")\(status)\(when(failure.step))"
        case .timedOut(let limit):
            switch failure.step {
            case .readiness: return "not ready within \(span(limit))"
            case .leave: return "not gone within \(span(limit)), killed"
            case .dependency, .prepare, .condition, .startPre, .start, .startPost, .soak, .run, .reload, .stop,
                .stopPost:
                return "\(what.map { "\($0) " } ?? "")not done within \(span(limit))"
            }
        case .protocolError(let text): return text
        case .watchdog(let limit): return "did not say WATCHDOG=1 within \(span(limit))"
        case .probe(let answer):
            return failure.step == .soak ? "its probe failed during soak: \(answer)" : "its probe failed: \(answer)"
        case .startLimit(let burst, let interval):
            return "started \(burst) times within \(span(interval)), which is the limit (StartLimitBurst=)"
        case .text(let text): return text
        }
    }

    /// Cause of a start that no client has requested.
    static func name(_ cause: StartCause) -> String {
        switch cause {
        case .failure(let unit, _): "OnFailure= of \(unit)"
        case .success(let unit, _): "OnSuccess= of \(unit)"
        case .upheld(let group): "Upholds= of \(group)"
        }
    }

    /// Cause of a stop that no client has requested.
    static func reason(_ cause: StopCause) -> String {
        switch cause {
        case .lost(let group): "because \(group), which it is bound to, is gone (BindsTo=)"
        case .propagated(let group): "because \(group) has ended (PropagatesStopTo=, StopPropagatedFrom=)"
        case .unneeded: "because nothing needs it any more (StopWhenUnneeded=)"
        }
    }

    /// Reason why a socket unit failed.
    static func sentence(_ failure: SocketFailure) -> String {
        switch failure {
        case .command(let command, let end): "\(name(command)) \(end)"
        case .timedOut(let command): "\(name(command)) not done within TimeoutSec="
        case .open(let text), .service(let text): text
        case .serviceStartLimit: "its service failed too often (StartLimitBurst=)"
        case .triggerLimit(let burst, let interval):
            "activated \(burst) times within \(span(interval)), which is the limit (TriggerLimitBurst=)"
        }
    }

    private static func name(_ command: SocketCommand) -> String {
        switch command {
        case .startPre: "ExecStartPre="
        case .startPost: "ExecStartPost="
        case .stopPre: "ExecStopPre="
        case .stopPost: "ExecStopPost="
        }
    }

    private static func command(_ step: Failure.Step) -> String? {
        switch step {
        case .condition: "ExecCondition="
        case .startPre: "ExecStartPre="
        case .startPost: "ExecStartPost="
        case .reload: "ExecReload="
        case .stop: "ExecStop="
        case .stopPost: "ExecStopPost="
        case .dependency, .prepare, .start, .readiness, .soak, .run, .leave: nil
        }
    }

    private static func when(_ step: Failure.Step) -> String {
        switch step {
        case .start, .readiness: " before it was ready"
        case .soak: " during soak"
        case .dependency, .prepare, .condition, .startPre, .startPost, .run, .reload, .stop, .leave, .stopPost: ""
        }
    }

    /// `30s`, `1min 30s`, `250ms`
    static func span(_ duration: Duration) -> String {
        let milliseconds = duration.wholeNanoseconds / 1_000_000
        if milliseconds < 1000 { return "\(milliseconds)ms" }
        let seconds = milliseconds / 1000
        var parts: [String] = []
        if seconds >= 3600 { parts.append("\(seconds / 3600)h") }
        if seconds % 3600 >= 60 { parts.append("\(seconds % 3600 / 60)min") }
        if seconds % 60 > 0 || milliseconds % 1000 > 0 {
            let rest = milliseconds % 1000
            parts.append(rest == 0 ? "\(seconds % 60)s" : "\(seconds % 60).\(tenths(rest))s")
        }
        return parts.joined(separator: " ")
    }

    /// Measured (not configured) time, rounded: `2.4s`, `37s`, `1h 5min`.
    static func age(_ duration: Duration) -> String {
        let nanoseconds = duration.wholeNanoseconds
        let unit: Int64 =
            nanoseconds < 1_000_000_000 ? 1_000_000 : nanoseconds < 10_000_000_000 ? 100_000_000 : 1_000_000_000
        let (minute, hour): (Int64, Int64) = (60_000_000_000, 3_600_000_000_000)
        return span(.nanoseconds(nanoseconds < hour ? nanoseconds / unit * unit : nanoseconds / minute * minute))
    }

    private static func tenths(_ milliseconds: Int64) -> String {
        var digits = String(milliseconds + 1000).dropFirst()
        while digits.last == "0" { digits = digits.dropLast() }
        return String(digits)
    }

    static func name(_ kind: OperationKind) -> String {
        switch kind {
        case .start: "start"
        case .swap: "swap"
        case .rollback: "rollback"
        case .restart: "restart"
        case .stop: "stop"
        case .reload: "reload"
        }
    }

    static func name(_ phase: PhaseName) -> String {
        switch phase {
        case .waiting: "waiting"
        case .prepare: "preparing"
        case .start: "starting"
        case .soak: "soaking"
        case .hold: "held"
        case .drain: "draining"
        case .rollBack: "rolling back"
        case .stopOld: "stopping the old generation"
        case .restore: "starting the old release again"
        case .stop: "stopping"
        case .reload: "reloading"
        }
    }

    /// State of a service, for a line of progress.
    static func sentence(_ phase: ServicePhase) -> String {
        switch phase {
        case .waiting: "waiting for units that it is ordered after"
        case .condition: "its conditions are being checked"
        case .startPre: "ExecStartPre= runs"
        case .starting: "started, not ready yet"
        case .startPost: "ExecStartPost= runs"
        case .probing: "started; its readiness probe has not passed yet"
        case .running: "ready"
        case .reloading: "reloading"
        case .draining: "draining: finishing its accepted connections"
        case .stopping, .killing, .stopPost: "stopping"
        case .autoRestart: "ended, will be restarted"
        case .exited: "exited"
        case .skipped: "skipped"
        case .stopped: "stopped"
        case .failed: "failed"
        }
    }

    static func error(_ refusal: Refusal) -> ControlError {
        switch refusal {
        case .busy(let group, let kind, let phase):
            .busy(unit: group.name, operation: name(kind), detail: name(phase))
        case .notRunning(let group): .notRunning(unit: group.name)
        case .notASwapUnit(let group):
            .notSwappable(
                name: group.name,
                reason: "it has no [X-Swap] section; add one (it may be empty), or use restart")
        case .otherReleaseServes(let group, let release):
            .failed(message: "\(group.name) serves release \(release ?? "-"); use swap to replace it")
        case .nothingToPromote(let group): .nothingToPromote(unit: group.name)
        case .nothingToAbort(let group, nil): .nothingToAbort(unit: group.name)
        case .nothingToAbort(let group, let phase?):
            .failed(message: "cannot abort \(group.name): it is past its cutover (\(name(phase)))")
        case .nothingToRollBack(let group): .nothingToRollBack(unit: group.name)
        case .nothingDrains(let group): .failed(message: "nothing of \(group.name) is draining")
        case .holdNeedsOverlap(let group):
            .failed(
                message:
                    "cannot hold \(group.name): its old generation stops before the new one starts (Strategy=queue)")
        case .noReload(let group):
            .failed(message: "cannot reload \(group.name): it has no ExecReload= or is not running")
        case .shuttingDown: .shuttingDown
        }
    }
}
