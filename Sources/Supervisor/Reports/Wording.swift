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
        var text = opening(failure) + cause(failure, unit)
        if let number = failure.errno, number > 0 {
            let error = SystemError("", nil, .init(rawValue: number)).errno.text
            text += " (the service reported ERRNO=\(number): \(error))"
        }
        return text
    }

    private static func opening(_ failure: Failure) -> String {
        switch failure.step {
        case .dependency, .prepare, .condition, .startPre, .start, .readiness, .startPost:
            return "cannot start \(failure.unit): "
        case .soak: return "\(failure.unit) failed during soak: "
        case .run:
            switch failure.cause {
            case .exited, .endedEarly, .watchdog: return "\(failure.unit) "
            case .spawn, .protocolError, .timedOut, .probe, .startLimit, .text: return "\(failure.unit) failed: "
            }
        case .reload: return "cannot reload \(failure.unit): "
        // The processes are gone in spite of the failure.
        case .stop, .leave, .stopPost: return "\(failure.unit) did not stop cleanly: "
        }
    }

    private static func cause(_ failure: Failure, _ unit: ServiceUnit?) -> String {
        let command = failure.awaited.flatMap { awaited in
            if case .command(let command) = awaited { line(command, unit) } else { nil }
        }
        switch failure.cause {
        case .timedOut(let limit):
            let text = timedOut(failure.step, limit, unit)
            // The text names the command that hangs.
            if let command { return "\(command) \(text)" }
            return "\(self.command(failure.step).map { "\($0) " } ?? "")\(text)" + notYet(failure, unit)
        // The probe's answer is the cause itself.
        case .probe(let answer): return "its probe failed: \(answer)"
        case .exited(let status), .endedEarly(let status):
            let when = [.start, .readiness].contains(failure.step) ? " before it was ready" : ""
            let name = self.command(failure.step).map { "\($0) " } ?? ""
            return "\(name)\(status)\(when)" + notYet(failure, unit)
        case .spawn(let text, _):
            return (self.command(failure.step).map { "\($0): " } ?? "") + text + notYet(failure, unit)
        case .protocolError(let text), .text(let text): return text + notYet(failure, unit)
        case .watchdog(let limit): return "sent no WATCHDOG=1 within \(span(limit)) (WatchdogSec=)"
        case .startLimit(let burst, let interval):
            return "started \(burst) times within \(span(interval)), which is the limit (StartLimitBurst=)"
        }
    }

    /// The condition that did not come to hold, after a colon.
    private static func notYet(_ failure: Failure, _ unit: ServiceUnit?) -> String {
        failure.awaited.flatMap { missing($0, of: unit) }.map { ": \($0)" } ?? ""
    }

    /// `timed out after 30 s (TimeoutStartSec=)`, with the setting to change.
    private static func timedOut(_ step: Failure.Step, _ limit: Duration, _ unit: ServiceUnit?) -> String {
        let setting: String?
        switch step {
        case .dependency, .prepare, .soak, .run: setting = nil
        // The whole generation has its own limit.
        case .readiness:
            setting = unit.map { $0.timeoutStart.duration == limit ? "TimeoutStartSec=" : "ReadyTimeoutSec=" }
        case .condition, .startPre, .start, .startPost, .reload: setting = "TimeoutStartSec="
        case .stop, .stopPost: setting = "TimeoutStopSec="
        case .leave:
            let name = unit.map { $0.timeoutStop.duration == limit ? "TimeoutStopSec=" : "DrainTimeoutSec=" }
            return "still ran after \(span(limit))\(name.map { " (\($0))" } ?? ""); killed"
        }
        return "timed out after \(span(limit))\(setting.map { " (\($0))" } ?? "")"
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
        case .lost(let group): "because \(group) is gone (BindsTo=)"
        case .propagated(let group): "because \(group) has ended (PropagatesStopTo=, StopPropagatedFrom=)"
        case .unneeded: "because no unit needs it (StopWhenUnneeded=)"
        }
    }

    /// Reason why a socket unit failed.
    static func sentence(_ failure: SocketFailure) -> String {
        switch failure {
        case .command(let command, let end): "\(name(command)) \(end)"
        case .timedOut(let command): "\(name(command)) timed out (TimeoutSec=)"
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

    /// `250 ms`, `30 s`, `1 min 30 s`, `3 d 4 h`
    static func span(_ duration: Duration) -> String {
        let milliseconds = duration.wholeNanoseconds / 1_000_000
        if milliseconds < 1000 { return "\(milliseconds) ms" }
        let seconds = milliseconds / 1000
        let units: [(Int64, String)] = [
            (seconds / 86_400, "d"), (seconds % 86_400 / 3600, "h"), (seconds % 3600 / 60, "min"),
        ]
        var parts = units.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
        let rest = milliseconds % 1000
        if seconds % 60 > 0 || rest > 0 { parts.append("\(seconds % 60)\(rest == 0 ? "" : ".\(tenths(rest))") s") }
        return parts.joined(separator: " ")
    }

    /// Measured (not configured) time, rounded: `2.4 s`, `37 s`, `1 h 5 min`, `3 d 4 h`.
    static func age(_ duration: Duration) -> String {
        let nanoseconds = duration.wholeNanoseconds
        let (second, minute, hour): (Int64, Int64, Int64) = (1_000_000_000, 60_000_000_000, 3_600_000_000_000)
        let unit =
            switch nanoseconds {
            case ..<second: second / 1000
            case ..<(10 * second): second / 10
            case ..<hour: second
            case ..<(24 * hour): minute
            default: hour
            }
        return span(.nanoseconds(nanoseconds / unit * unit))
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

    /// The end of a drain: `drained in 12 s; 3 connections were cut (DrainTimeoutSec= was over)`.
    static func drained(_ end: DrainEnd) -> String {
        var text = "drained in \(age(.seconds(end.seconds)))"
        if let force = end.forced {
            let count = end.connectionsCut.map { $0 == 1 ? "1 connection was cut" : "\($0) connections were cut" }
            text += "; \(count ?? "it was ended by force") (\(reason(force)))"
        }
        if let unclean = end.unclean { text += "; \(unclean)" }
        return text
    }

    static func reason(_ force: DrainForceReason) -> String {
        switch force {
        case .timeout: "DrainTimeoutSec= was over"
        case .limit: "more than MaxDraining= generations drained"
        case .request: "on request"
        case .queue: "the next generation has Strategy=queue"
        }
    }

    /// A generation as it is named in sentences: `generation 3 (v1)`.
    static func name(_ generation: GenerationSummary) -> String {
        "generation \(generation.number)" + (generation.release.map { " (\($0))" } ?? "")
    }

    static func name(_ phase: PhaseName) -> String {
        switch phase {
        case .waiting: "waiting"
        case .prepare: "preparing"
        case .start: "starting"
        case .soak: "soaking"
        case .hold: "held"
        case .cutOver: "cutting over"
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
        case .nothingDrains(let group): .failed(message: "no generation of \(group.name) is draining")
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
