// [Service]: service types, restarts, time limits and signals besides those of UnitBuilder+Service.

import Vocabulary

enum LifecycleDirective: String, CaseIterable {
    case remainAfterExit = "RemainAfterExit"
    case pidFile = "PIDFile"
    case guessMainPID = "GuessMainPID"
    case exitType = "ExitType"
    case busName = "BusName"
    case reloadSignal = "ReloadSignal"
    case restartSteps = "RestartSteps"
    case restartMaxDelaySec = "RestartMaxDelaySec"
    case restartMode = "RestartMode"
    case timeoutStartFailureMode = "TimeoutStartFailureMode"
    case timeoutStopFailureMode = "TimeoutStopFailureMode"
    case timeoutAbortSec = "TimeoutAbortSec"
    case watchdogSec = "WatchdogSec"
    case watchdogSignal = "WatchdogSignal"
    case runtimeMaxSec = "RuntimeMaxSec"
    case runtimeRandomizedExtraSec = "RuntimeRandomizedExtraSec"
    case restartKillSignal = "RestartKillSignal"
    case sendSIGHUP = "SendSIGHUP"
    case oomPolicy = "OOMPolicy"
    case startLimitAction = "StartLimitAction"
    case failureAction = "FailureAction"

    static let byName = Dictionary(uniqueKeysWithValues: allCases.map { ($0.rawValue, $0) })
}

extension UnitBuilder {
    mutating func apply(_ directive: LifecycleDirective, _ assignment: Assignment) {
        switch directive {
        case .remainAfterExit: set(\.remainAfterExit, value(assignment, .fatal, Value.boolean))
        case .pidFile: pidFile(assignment)
        case .guessMainPID: set(\.guessesMainPid, value(assignment, .ignored, Value.boolean))
        case .exitType: set(\.exitType, choice(assignment, .fatal, of: ServiceExitType.self))
        // Only Type=dbus uses the name, and that is refused; otherwise it is mere information.
        case .busName: break
        case .reloadSignal: set(\.reloadSignal, value(assignment, .fatal, Signal.parse))
        case .restartSteps: set(\.restartSteps, number(assignment, .ignored, in: UInt32.min...UInt32.max))
        case .restartMaxDelaySec: set(\.restartMaxDelay, value(assignment, .ignored, TimeSpan.parse))
        case .restartMode: restartMode(assignment)
        case .timeoutStartFailureMode:
            set(\.startFailureMode, choice(assignment, .ignored, of: TimeoutFailureMode.self))
        case .timeoutStopFailureMode:
            set(\.stopFailureMode, choice(assignment, .ignored, of: TimeoutFailureMode.self))
        case .timeoutAbortSec:
            if assignment.value.isEmpty {
                service.lifecycle.timeoutAbort = nil
                return
            }
            if let limit = value(assignment, .ignored, TimeSpan.parse) { service.lifecycle.timeoutAbort = limit }
        case .watchdogSec:
            guard let limit = value(assignment, .ignored, TimeSpan.parse) else { return }
            service.lifecycle.watchdog = limit.duration.flatMap { $0 > .zero ? $0 : nil }
        case .watchdogSignal: set(\.watchdogSignal, value(assignment, .fatal, Signal.parse))
        case .runtimeMaxSec:
            guard let limit = value(assignment, .fatal, TimeSpan.parse) else { return }
            // Old units use 0 for "never", as with the other limits.
            service.lifecycle.runtimeMax = limit == .after(.zero) ? .infinite : limit
        case .runtimeRandomizedExtraSec:
            set(\.runtimeRandomizedExtra, value(assignment, .ignored, TimeSpan.parseLong))
        case .restartKillSignal:
            if let signal = value(assignment, .fatal, Signal.parse) { service.lifecycle.restartKillSignal = signal }
        case .sendSIGHUP: set(\.sendsSIGHUP, value(assignment, .ignored, Value.boolean))
        case .oomPolicy: oomPolicy(assignment)
        case .startLimitAction, .failureAction: emergencyAction(assignment)
        }
    }

    /// Accepts `direct`, which is how Holdfast works: dependents are not notified of a service's restarts.
    private mutating func restartMode(_ assignment: Assignment) {
        guard let mode = choice(assignment, .ignored, of: RestartMode.self) else { return }
        service.lifecycle.restartMode = mode
        guard mode == .normal else { return }
        report(
            Diagnostic(
                .warning, .unsupportedValue, at: assignment.valueLocation, directive: assignment.key,
                "RestartMode=: \"normal\" is not supported yet; dependent units are not notified of a restart"))
    }

    private mutating func set<T>(_ path: WritableKeyPath<LifecycleSettings, T>, _ value: T?) {
        if let value { service.lifecycle[keyPath: path] = value }
    }

    /// Reads a path: "a relative path is taken below /run/" (%t in a user's supervisor).
    private mutating func pidFile(_ assignment: Assignment) {
        guard !assignment.value.isEmpty else {
            service.lifecycle.pidFile = nil
            return
        }
        let runtime = expander.environment.runtimeDirectory
        let path = expanded(assignment, .fatal) { (text) throws(ValueError) in
            try Value.absolutePath(text.hasPrefix("/") ? text : runtime + "/" + text)
        }
        // /var/run gets no warning (systemd warns since version 221): it is the same directory.
        if let path { service.lifecycle.pidFile = path }
    }

    private mutating func oomPolicy(_ assignment: Assignment) {
        guard let policy = choice(assignment, .ignored, of: OOMPolicy.self) else { return }
        service.lifecycle.oomPolicy = policy
        guard policy != .continue else { return }
        report(
            Diagnostic(
                .warning, .unsupportedValue, at: assignment.valueLocation, directive: assignment.key,
                "OOMPolicy=: \"\(policy.rawValue)\" is not supported yet; the remaining processes keep running"))
    }

    /// Checks and defaults that need all files of the unit.
    mutating func finishLifecycle() {
        let oneshotByNature = service.execStart.isEmpty && typeLocation == nil && !service.execStop.isEmpty
        if oneshotByNature { service.type = .oneshot }
        if service.type == .oneshot {
            finishOneshot()
        } else if service.execStart.isEmpty, isUsable || !hasRefusedEssential {
            missing("ExecStart", "the service has no ExecStart=")
        } else if service.execStart.count > 1 {
            let location = service.execStart[1].location
            refuse(
                Diagnostic(
                    .error, .invalidValue, at: location, directive: "ExecStart",
                    "ExecStart=: a second command is only allowed with Type=oneshot"))
        }
        // "If those options are used but NotifyAccess= is not configured, it will be implicitly set to main."
        let needsNotify =
            service.type == .notify || service.type == .notifyReload || service.lifecycle.watchdog != nil
            || service.descriptorStoreLimit > 0
        if needsNotify, service.notifyAccess == .none { service.notifyAccess = .main }
    }

    private mutating func finishOneshot() {
        if service.execStart.isEmpty, !service.lifecycle.remainAfterExit || service.execStop.isEmpty {
            missing(
                "ExecStart",
                "the service has no ExecStart=, which is optional only with RemainAfterExit=yes and ExecStop=")
        }
        // "not allowed for oneshot": systemd refuses these as well.
        let location = typeLocation ?? SourceLocation(file: name.description)
        let restart = service.restart
        if restart == .always || restart == .onSuccess {
            let message = "Restart=\(restart.keyword) is not allowed with Type=oneshot"
            refuse(Diagnostic(.error, .invalidValue, at: location, directive: "Restart", message))
        }
        if !service.restartForceExitStatus.isEmpty {
            let message = "RestartForceExitStatus= is not allowed with Type=oneshot"
            refuse(Diagnostic(.error, .invalidValue, at: location, directive: "RestartForceExitStatus", message))
        }
        if service.lifecycle.exitType == .cgroup {
            let message = "ExitType=cgroup is not allowed with Type=oneshot"
            refuse(Diagnostic(.error, .invalidValue, at: location, directive: "ExitType", message))
        }
        // A oneshot service has no start timeout unless it sets one.
        if !hasStartTimeout { service.timeoutStart = .infinite }
    }
}
