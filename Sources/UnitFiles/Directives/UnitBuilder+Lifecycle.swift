// [Service]: service types, restarts, time limits and signals besides those of UnitBuilder+Service.

import Vocabulary

extension UnitBuilder {
    /// [Service]: service types, and the course of a run and its end.
    static let lifecycleDirectives: [Directive] = [
        Directive("RemainAfterExit", .service, in: .service) {
            $0.set(\.remainAfterExit, $0.value($1, .fatal, Value.boolean))
        },
        Directive("PIDFile", .service, in: .service) { $0.pidFile($1) },
        Directive("GuessMainPID", .service, in: .service) {
            $0.set(\.guessesMainPid, $0.value($1, .ignored, Value.boolean))
        },
        Directive("ExitType", .service, in: .service) {
            $0.set(\.exitType, $0.choice($1, .fatal, of: ServiceExitType.self))
        },
        Directive("BusName", .service, in: .service, ignoredBecause: "only Type=dbus uses it, which is refused") {
            _, _ in
        },
        Directive("ReloadSignal", .service, in: .service) {
            $0.set(\.reloadSignal, $0.value($1, .fatal, Signal.parse))
        },
        Directive("RestartSteps", .service, in: .service) {
            $0.set(\.restartSteps, $0.number($1, .ignored, in: UInt32.min...UInt32.max))
        },
        Directive("RestartMaxDelaySec", .service, in: .service) {
            $0.set(\.restartMaxDelay, $0.value($1, .ignored, TimeSpan.parse))
        },
        Directive("RestartMode", .service, in: .service) { $0.restartMode($1) },
        Directive("TimeoutStartFailureMode", .service, in: .service) {
            $0.set(\.startFailureMode, $0.choice($1, .ignored, of: TimeoutFailureMode.self))
        },
        Directive("TimeoutStopFailureMode", .service, in: .service) {
            $0.set(\.stopFailureMode, $0.choice($1, .ignored, of: TimeoutFailureMode.self))
        },
        Directive("TimeoutAbortSec", .service, in: .service) {
            if $1.value.isEmpty {
                $0.service.lifecycle.timeoutAbort = nil
                return
            }
            if let limit = $0.value($1, .ignored, TimeSpan.parse) { $0.service.lifecycle.timeoutAbort = limit }
        },
        Directive("WatchdogSec", .service, in: .service) {
            guard let limit = $0.value($1, .ignored, TimeSpan.parse) else { return }
            $0.service.lifecycle.watchdog = limit.duration.flatMap { $0 > .zero ? $0 : nil }
        },
        Directive("WatchdogSignal", .kill, in: .service) {
            $0.set(\.watchdogSignal, $0.value($1, .fatal, Signal.parse))
        },
        Directive("RuntimeMaxSec", .service, in: .service) {
            guard let limit = $0.value($1, .fatal, TimeSpan.parse) else { return }
            // Old units use 0 for "never", as with the other limits.
            $0.service.lifecycle.runtimeMax = limit == .after(.zero) ? .infinite : limit
        },
        Directive("RuntimeRandomizedExtraSec", .service, in: .service) {
            $0.set(\.runtimeRandomizedExtra, $0.value($1, .ignored, TimeSpan.parseLong))
        },
        Directive("RestartKillSignal", .kill, in: .service) {
            if let signal = $0.value($1, .fatal, Signal.parse) { $0.service.lifecycle.restartKillSignal = signal }
        },
        Directive("SendSIGHUP", .kill, in: .service) { $0.set(\.sendsSIGHUP, $0.value($1, .ignored, Value.boolean)) },
        Directive("OOMPolicy", .service, in: .service) { $0.oomPolicy($1) },
        Directive(
            "StartLimitAction", .unit, in: .service,
            ignoredBecause: "only none is accepted: other values act on the whole host"
        ) { $0.emergencyAction($1) },
        Directive(
            "FailureAction", .unit, in: .service,
            ignoredBecause: "only none is accepted: other values act on the whole host"
        ) { $0.emergencyAction($1) },
    ]

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
