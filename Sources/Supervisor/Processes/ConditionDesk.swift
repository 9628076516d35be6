import Engine
import Linux
import Logging
import UnitFiles
import UnitStore

/// `Condition…=` and `Assert…=`, checked when a service is about to start.
final class ConditionDesk {
    /// Processes that check conditions at the same time; further checks wait.
    private static let maximumChecks = 32

    private unowned let host: any EventHost
    private let machine: any Machine
    private let instances: Instances
    /// Path of the supervisor's program, which checks conditions that may take long.
    private let program: String
    private let environment: [String: String]
    private var checks: [Token: ConditionCheck] = [:]
    /// Checks that have no process yet.
    private var waitingChecks: [(Token, InstanceID)] = []

    init(
        _ machine: any Machine, _ instances: Instances, program: String, environment: [String: String],
        host: any EventHost
    ) {
        self.machine = machine
        self.instances = instances
        self.program = program
        self.environment = environment
        self.host = host
    }

    /// Checks the conditions of an instance; the event `conditionsChecked` of the token follows, now or later.
    func check(_ token: Token, of id: InstanceID) {
        guard let sections = instances[id]?.definition.conditions else { return answer(token, .met) }
        let slow = slowConditions(of: sections)
        guard !slow.isEmpty else { return answer(token, verdict(sections, [:])) }
        guard checks.count < Self.maximumChecks else { return waitingChecks.append((token, id)) }
        let check = ConditionCheck(
            slow, on: machine, answered: { [unowned self] result in didCheck(token, sections, result) },
            ended: { [unowned self] in didEnd(token) })
        do throws(SystemError) {
            try check.start(plan, machine.loop)
            checks[token] = check
        } catch {
            answer(token, .assertFailed("cannot check \(slow[0].text(isAssert: false)): \(error)"))
        }
    }

    /// Ends all checks without answers.
    func cancelAll() { for check in checks.values { check.cancel() } }

    private func answer(_ token: Token, _ verdict: ConditionVerdict) {
        host.handle(.conditionsChecked(token, verdict))
    }

    private var plan: SpawnPlan {
        var plan = SpawnPlan(
            program: program, arguments: ["holdfastd"], environment: ["PATH": ProgramSearch.path],
            standardInput: -1, standardOutput: -1, standardError: -1)
        plan.workingDirectory = SpawnPlan.WorkingDirectory(path: "/")
        plan.nice = 10
        plan.keyring = .ownSession
        plan.noNewPrivileges = true
        return plan
    }

    private func slowConditions(of sections: [ConditionSection]) -> [Condition] {
        machine.accounts.slowConditions(sections.flatMap { $0.conditions + $0.asserts })
    }

    private func didCheck(
        _ token: Token, _ sections: [ConditionSection], _ result: Result<[Condition: Bool], ConditionCheck.Failure>
    ) {
        switch result {
        case .success(let known): answer(token, verdict(sections, known))
        case .failure(let failure):
            // An unknown result is neither met nor unmet: the start fails with the reason.
            let slow = Set(slowConditions(of: sections))
            let names = sections.flatMap { section in
                section.conditions.filter(slow.contains).map { $0.text(isAssert: false) }
                    + section.asserts.filter(slow.contains).map { $0.text(isAssert: true) }
            }
            answer(token, .assertFailed("cannot check \(names.joined(separator: ", ")): \(failure.text)"))
        }
    }

    private func didEnd(_ token: Token) {
        checks[token] = nil
        guard !waitingChecks.isEmpty else { return }
        let (next, id) = waitingChecks.removeFirst()
        check(next, of: id)
    }

    /// Verdict on the conditions, which include those of the target that the service is a member of.
    /// - Parameter known: results that another process has already determined.
    private func verdict(_ sections: [ConditionSection], _ known: [Condition: Bool]) -> ConditionVerdict {
        let holds = { [machine, environment] (condition: Condition) in
            known[condition] ?? machine.accounts.holds(condition, environment: environment)
        }
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
