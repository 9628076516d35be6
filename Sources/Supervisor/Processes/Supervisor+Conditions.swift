import Engine
import UnitFiles
import UnitStore

/// `Condition…=` and `Assert…=`, looked at when a service is about to start.
extension Supervisor {
    func checkConditions(_ token: Token, _ id: InstanceID) {
        guard let definition = instances[id]?.definition else { return handle(.conditionsChecked(token, .met)) }
        handle(.conditionsChecked(token, verdict(definition.conditions)))
    }

    /// The conditions of the target that it is a member of count for it, too.
    private func verdict(_ sections: [ConditionSection]) -> ConditionVerdict {
        let host = ConditionEvaluator(environment: environment)
        for section in sections {
            if let failed = Condition.firstFailing(section.conditions, holds: host.holds) {
                return .unmet(failed.text(isAssert: false))
            }
        }
        for section in sections {
            if let failed = Condition.firstFailing(section.asserts, holds: host.holds) {
                return .assertFailed("\(failed.text(isAssert: true)) does not hold")
            }
        }
        return .met
    }
}

extension Definition {
    var conditions: [ConditionSection] {
        ([target?.unit.conditions].compactMap { $0 } + [unit.unit.conditions]).filter { !$0.isEmpty }
    }
}

extension ServiceSpec.StartType {
    init(_ type: ServiceType) {
        self =
            switch type {
            case .simple, .exec, .idle: .simple
            case .notify: .notify
            case .notifyReload: .notifyReload
            case .forking: .forking
            case .oneshot: .oneshot
            }
    }
}

extension EngineFailureMode {
    init(_ mode: UnitFiles.TimeoutFailureMode) {
        self =
            switch mode {
            case .terminate: .terminate
            case .abort: .abort
            case .kill: .kill
            }
    }
}

extension Lifecycle {
    init(_ definition: Definition) {
        self.init()
        let settings = definition.unit.lifecycle
        remainsAfterExit = settings.remainAfterExit
        endsWithTree = settings.exitType == .cgroup
        hasPidFile = settings.pidFile != nil
        hasConditions = !definition.conditions.isEmpty
        reloadSignal = settings.reloadSignal.number
        startFailureMode = .init(settings.startFailureMode)
        stopFailureMode = .init(settings.stopFailureMode)
        // Without an end: longer than anything lives.
        abortTimeout = settings.timeoutAbort.map { $0.duration ?? .seconds(Int64.max / 4) }
        watchdogSignal = settings.watchdogSignal.number
        watchdog = settings.watchdog
        runtimeMax = settings.runtimeMax.duration.map { $0 + Self.random(upTo: settings.runtimeRandomizedExtra) }
        restartKillSignal = settings.restartKillSignal?.number
        sendsHangup = settings.sendsSIGHUP
    }

    private static func random(upTo limit: Duration) -> Duration {
        let nanoseconds = limit.wholeNanoseconds
        return nanoseconds > 0 ? .nanoseconds(Int64.random(in: 0...nanoseconds)) : .zero
    }
}
