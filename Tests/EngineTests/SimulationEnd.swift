@testable import Engine

/// The end of a schedule: from now on all parties behave, and then everything must end.
extension Simulation {
    /// Stops the injection of events and makes all processes obey.
    mutating func calmDown() {
        kernel.isCalm = true
        for token in kernel.living {
            kernel.processes[token]?.ignoresSignals = false
        }
    }

    /// Deploys one release after the other, while the old generations hold long connections.
    mutating func deployInARow() {
        guard let group = groups.first(where: { [.target, .swapService].contains($0.kind) && $0.strategy == .overlap })
        else { return }
        for _ in 0..<(2 + random.below(5)) where violation == nil {
            command(.swap(plans.plan(group, release: random.pick(group.releases), &random), SwapOptions()))
            var steps = 0
            while violation == nil, engine.groups[group.id]?.operation != nil, steps < 200 {
                steps += 1
                if calmStep(obeying: false) { continue }
                guard let next = engine.nextDeadline else { break }
                now = max(now, next)
                handle(.deadlineReached)
            }
        }
    }

    /// Takes one step of a well-behaved world. False if only waiting is left.
    /// - Parameter obeying: whether signalled processes end.
    private mutating func calmStep(obeying: Bool = true) -> Bool {
        if deliver() { return true }
        for token in kernel.living {
            guard let process = kernel.processes[token], process.spawnIsTold else { continue }
            if process.lastSignal != nil {
                guard obeying else { continue }
                obey(process)
                return true
            }
            if isLauncher(process), !process.hangs {
                kernel.launch(process)
                return true
            }
            if process.mustReload {
                answerReload(process)
                return true
            }
            let isMain = isLongMain(process)
            if !isMain, !process.hangs {
                kernel.end(token, .exited(0))
                return true
            }
            let type = kernel.trees[process.instance]?.spec.type
            if isMain, !process.saidReady, !process.hangs, type == .notify || type == .notifyReload {
                kernel.processes[token]?.saidReady = true
                var message = NotifyMessage()
                message.ready = true
                handle(.notified(process.instance, .process(token), message))
                return true
            }
        }
        if pidFileAppears() || reloadsEnd() { return true }
        guard obeying else { return false }
        let next = engine.nextDeadline
        // The deadline of a watchdog that is fed is never reached, and that of RuntimeMaxSec= is not awaited.
        let waitsForNobody =
            next == nil
            || engine.instances.values.contains { $0.watchdogDeadline == next || $0.runtimeDeadline == next }
        return waitsForNobody && stubbornOnesLeave()
    }

    /// Ends the processes that would be waited for without a limit, with `SendSIGKILL=no` or without a time-out.
    private mutating func stubbornOnesLeave() -> Bool {
        for id in kernel.instances {
            guard let tree = kernel.trees[id], !tree.spec.sendsFinalKill,
                tree.stubborn + tree.stragglers + tree.daemons > 0
            else {
                continue
            }
            kernel.stragglersLeave(id)
            return true
        }
        for token in kernel.living {
            guard let process = kernel.processes[token], process.hangs, !isLongMain(process),
                kernel.trees[process.instance]?.spec.startTimeout == nil
            else { continue }
            kernel.end(token, .exited(0))
            return true
        }
        return false
    }

    private mutating func calm(_ what: String, until isDone: (borrowing Simulation) -> Bool) {
        let start = now
        var steps = 0
        while violation == nil, !isDone(self) {
            steps += 1
            if steps > 5000 { return fail("liveness", "\(what): no end after 5000 steps") }
            if calmStep() { continue }
            guard let next = engine.nextDeadline else {
                return fail("liveness", "\(what): nothing happens any more: \(waiting)")
            }
            if next - start > .seconds(3600) {
                return fail("liveness", "\(what): no end within an hour: \(waiting)")
            }
            now = max(now, next)
            // In a well-behaved world no watchdog expires.
            for token in kernel.living { feedWatchdog(token) }
            handle(.deadlineReached)
        }
    }

    /// The unfinished operations and instances, for the failure message.
    private var waiting: String {
        let operations =
            engine.groups.values.compactMap { group in
                group.operation.map { "\($0.kind) of \(group.id) \($0.phase)" }
            }
            + engine.groups.values.flatMap { group in
                group.drains.map { "generation \($0.generation.number) of \(group.id) drains" }
            }
        let states = engine.instances.values.map {
            "i\($0.id.number) \($0.state) until \($0.deadline?.nanoseconds ?? 0)"
        }
        return (operations + states).joined(separator: "; ")
    }

    private mutating func feedWatchdog(_ token: Token) {
        guard let process = kernel.processes[token], isLongMain(process), !process.hangs, process.isAlive,
            kernel.trees[process.instance]?.spec.lifecycle.watchdog != nil
        else { return }
        var message = NotifyMessage()
        message.watchdog = .keepAlive
        handle(.notified(process.instance, .process(token), message))
    }

    mutating func finishOperations() {
        for group in groups where engine.groups[group.id]?.operation?.hold == true {
            command(random.chance(50) ? .promote(group.id) : .abort(group.id))
        }
        calm("operations") { simulation in
            simulation.engine.groups.values.allSatisfy { $0.operation == nil && $0.drains.isEmpty }
                && simulation.kernel.pending.isEmpty
        }
        if violation == nil, !hasCrashed, let open = answers.firstIndex(where: { $0 != 1 }),
            !engine.isShuttingDown || answers[open] > 1
        {
            let count = answers[open]
            fail("answers", "request \(open) was answered \(count) times")
        }
    }

    /// Whether the service announced its own stop (`STOPPING=1`).
    func isStoppingByItself(_ id: InstanceID) -> Bool { engine.instances[id]?.isStoppingByItself == true }

    mutating func shutDown() {
        command(.shutDown)
        calm("shutdown") { simulation in
            let isOver = simulation.hasCrashed ? simulation.kernel.instances.isEmpty : true
            return isOver && simulation.answers.allSatisfy { $0 > 0 } && simulation.kernel.pending.isEmpty
        }
        checkNothingIsLeft()
    }

    /// Repeats an event of an earlier life, which must change nothing (I6).
    mutating func tellAgain() {
        guard !history.isEmpty else { return }
        if let next = engine.nextDeadline, next <= now { return }
        let event = random.pick(history)
        guard isStale(event) else { return }
        log?.append("\(now.nanoseconds / 1_000_000) > again \(Short.text(event))")
        let before = engine.groupIDs.map { engine.view(of: $0) }
        let effects = engine.handle(event, at: now)
        if !effects.isEmpty { fail("I6", "\(Short.text(event)), told again, led to \(effects.map(Short.text))") }
        if before != engine.groupIDs.map({ engine.view(of: $0) }) {
            fail("I6", "\(Short.text(event)), told again, changed the view")
        }
    }

    private func isStale(_ event: Event) -> Bool {
        switch event {
        case .exited, .treeEmpty, .probeAnswered, .spawnFailed, .spawned, .prepared, .prepareFailed,
            .conditionsChecked:
            true
        case .searchNoted, .connectionsCut: false
        case .mainSought(let token, _): kernel.searches[token] == nil
        case .notified(_, .process(let token), _), .mainProcessChanged(_, let token):
            kernel.processes[token]?.exitIsTold ?? true
        case .notified(_, .other, _), .command, .commands, .deadlineReached, .restored: false
        }
    }
}
