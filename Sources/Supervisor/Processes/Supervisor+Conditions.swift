import Engine
import Linux
import UnitFiles
import UnitStore

/// `Condition…=` and `Assert…=`, checked when a service is about to start.
extension Supervisor {
    /// Processes that check conditions at the same time; further checks wait.
    private static let mostChecks = 32

    func checkConditions(_ token: Token, _ id: InstanceID) {
        guard let sections = instances[id]?.definition.conditions else {
            return handle(.conditionsChecked(token, .met))
        }
        let slow = slowConditions(sections)
        guard !slow.isEmpty else { return handle(.conditionsChecked(token, verdict(sections, [:]))) }
        guard conditionChecks.count < Self.mostChecks else { return waitingChecks.append((token, id)) }
        let check = ConditionCheck(
            slow, answered: { [unowned self] result in checked(token, sections, result) },
            ended: { [unowned self] in checkEnded(token) })
        do {
            var plan = SpawnPlan(
                program: program, arguments: ["holdfastd"], environment: ["PATH": ProgramSearch.path],
                standardInput: -1,
                standardOutput: -1, standardError: -1)
            plan.workingDirectory = SpawnPlan.WorkingDirectory(path: "/")
            plan.nice = 10
            plan.keyring = .ownSession
            plan.noNewPrivileges = true
            try check.begin(plan, children, eventLoop)
            conditionChecks[token] = check
        } catch {
            handle(.conditionsChecked(token, .assertFailed("looking at \(slow[0].text(isAssert: false)): \(error)")))
        }
    }

    private func slowConditions(_ sections: [ConditionSection]) -> [Condition] {
        let about = sections.flatMap { $0.conditions + $0.asserts }.filter(ConditionEvaluator.isAboutPath)
        guard !about.isEmpty else { return [] }
        let mounts = MountTable.current()
        return about.filter { ConditionEvaluator.mayTakeLong($0, mounts) }
    }

    private func checked(
        _ token: Token, _ sections: [ConditionSection], _ result: Result<[Condition: Bool], ConditionCheck.Failure>
    ) {
        switch result {
        case .success(let known): handle(.conditionsChecked(token, verdict(sections, known)))
        case .failure(let failure):
            // An unknown result is neither met nor unmet: the start fails with the reason.
            let slow = Set(slowConditions(sections))
            let names = sections.flatMap { section in
                section.conditions.filter(slow.contains).map { $0.text(isAssert: false) }
                    + section.asserts.filter(slow.contains).map { $0.text(isAssert: true) }
            }
            let text = names.joined(separator: ", ")
            handle(.conditionsChecked(token, .assertFailed("looking at \(text): \(failure.text)")))
        }
    }

    private func checkEnded(_ token: Token) {
        conditionChecks[token] = nil
        guard !waitingChecks.isEmpty else { return }
        let (next, id) = waitingChecks.removeFirst()
        checkConditions(next, id)
    }

    /// Verdict on the conditions, which include those of the target that the service is a member of.
    /// - Parameter known: results that another process has already determined.
    private func verdict(_ sections: [ConditionSection], _ known: [Condition: Bool]) -> ConditionVerdict {
        let host = ConditionEvaluator(environment: environment)
        let holds = { (condition: Condition) in known[condition] ?? host.holds(condition) }
        for section in sections {
            if let failed = Condition.firstFailing(section.conditions, holds: holds) {
                return .unmet(failed.text(isAssert: false))
            }
        }
        for section in sections {
            if let failed = Condition.firstFailing(section.asserts, holds: holds) {
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

extension Lifecycle {
    init(_ definition: Definition) {
        self.init()
        let settings = definition.unit.lifecycle
        remainsAfterExit = settings.remainAfterExit
        endsWithTree = settings.exitType == .cgroup
        hasPidFile = settings.pidFile != nil
        hasConditions = !definition.conditions.isEmpty
        reloadSignal = settings.reloadSignal
        startFailureMode = settings.startFailureMode
        stopFailureMode = settings.stopFailureMode
        // "infinity" as a finite time that no process outlives.
        abortTimeout = settings.timeoutAbort.map { $0.duration ?? .seconds(Int64.max / 4) }
        watchdogSignal = settings.watchdogSignal
        watchdog = settings.watchdog
        runtimeMax = settings.runtimeMax.duration.map { $0 + Self.random(upTo: settings.runtimeRandomizedExtra) }
        restartKillSignal = settings.restartKillSignal
        sendsHangup = settings.sendsSIGHUP
    }

    private static func random(upTo limit: Duration) -> Duration {
        let nanoseconds = limit.wholeNanoseconds
        return nanoseconds > 0 ? .nanoseconds(Int64.random(in: 0...nanoseconds)) : .zero
    }
}
