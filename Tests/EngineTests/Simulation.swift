@testable import Engine

/// One random schedule, named by its seed: an engine, a fake kernel, a clock, an operator with bad manners.
///
/// The schedule injects events for a while; then everybody behaves, and all operations must end; then everything is
/// shut down, and nothing may be left. After every event the checks of `Simulation+Checks` compare what the engine
/// did and shows with what the kernel knows.
struct Simulation {
    var engine = Engine()
    var kernel: FakeKernel
    var random: SplitMix64
    var plans = PlanMaker()
    var groups: [SimulatedGroup] = []
    var now = Instant(nanoseconds: 1_000_000_000)
    /// How often each request was answered.
    var answers: [Int] = []
    /// Events delivered before, to be told again.
    var history: [Event] = []
    var violation: Violation?
    var events = 0
    var coverage = Coverage()
    /// Kept only to explain a failure.
    var log: [String]?
    /// How many events are injected before everybody behaves.
    let length: Int
    /// After every event the engine is replaced by what becomes of it through a re-exec of the supervisor.
    var reexecsAfterEvents = false
    /// In so many of a hundred events the supervisor is killed before it has done what follows from the event.
    var crashes = 0
    var written = Written()
    var isRecovering = false
    /// Answers may have been lost, or given to nobody.
    var hasCrashed = false

    struct Violation: Error, CustomStringConvertible {
        let rule: String
        let text: String
        var description: String { "\(rule): \(text)" }
        /// The same for all schedules that fail for the same reason, as far as a text can tell.
        var kind: String { rule + ": " + text.filter { !$0.isNumber }.prefix(60) }
    }

    /// What was seen, so that a schedule which never gets anywhere does not count as proof.
    struct Coverage: Sendable {
        var ends: [String: Int] = [:]
        var events = 0
        mutating func merge(_ other: Coverage) {
            ends.merge(other.ends) { $0 + $1 }
            events += other.events
        }
    }

    init(seed: UInt64, logging: Bool = false) {
        random = SplitMix64(seed: seed)
        kernel = FakeKernel(random: SplitMix64(seed: seed ^ 0xA5A5_A5A5_A5A5_A5A5))
        length = 15 + random.below(65)
        if logging { log = [] }
    }

    /// Runs the whole schedule.
    mutating func run() {
        groups = plans.groups(&random)
        for group in groups where random.chance(85) {
            command(.start(plans.plan(group, release: random.pick(group.releases), &random)))
        }
        while violation == nil, events < length { step() }
        calmDown()
        if violation == nil { finishOperations() }
        if violation == nil { shutDown() }
        coverage.events = events
    }

    mutating func fail(_ rule: String, _ text: String) {
        if violation == nil { violation = Violation(rule: rule, text: text) }
    }

    // MARK: - Steps

    private mutating func step() {
        switch random.below(100) {
        case 0..<46: if !deliver() { act() }
        case 46..<74: act()
        case 74..<82: operate()
        case 82..<94: passTime()
        default: tellAgain()
        }
    }

    private mutating func deliver() -> Bool {
        guard let event = kernel.takePending() else { return false }
        handle(event)
        return true
    }

    private mutating func passTime() {
        if random.chance(25), let next = engine.nextDeadline {
            // Told on time or late.
            now = max(now, next) + .milliseconds(random.chance(50) ? 0 : random.below(3000))
            handle(.deadlineReached)
        } else {
            now = now + .milliseconds(random.below(700))
            if let next = engine.nextDeadline, next <= now, random.chance(50) { handle(.deadlineReached) }
        }
    }

    /// A request of the operator.
    mutating func command(_ command: Command) {
        answers.append(0)
        handle(.command(command, RequestID(number: UInt64(answers.count - 1))))
    }

    mutating func handle(_ event: Event) {
        events += 1
        log?.append("\(now.nanoseconds / 1_000_000) > \(Short.text(event))")
        kernel.noteDelivery(event, at: now)
        let effects = engine.handle(event, at: now, catchingUp: isRecovering)
        remember(event)
        let done = write(before: effects)
        for effect in effects.prefix(done ?? effects.count) {
            log?.append("        \(Short.text(effect))")
            carryOut(effect)
            if violation != nil { return }
        }
        if let done { crash(undone: Array(effects.dropFirst(done))) }
        if reexecsAfterEvents { reexecute() }
        check()
    }

    private mutating func remember(_ event: Event) {
        switch event {
        case .spawned, .spawnFailed, .exited, .treeEmpty, .probeAnswered, .prepared, .prepareFailed, .notified,
            .mainProcessChanged, .conditionsChecked, .mainSought:
            history.append(event)
        case .command, .commands, .deadlineReached, .restored: break
        }
    }

    // MARK: - The operator

    /// What a transaction makes of several groups: begun together.
    private mutating func transact() {
        var list: [Requested] = []
        for group in groups where random.chance(70) {
            let plan = plans.plan(group, release: random.pick(group.releases), &random)
            let command =
                random.pick([
                    Command.start(plan), .stop(group.id), .swap(plan, SwapOptions(kind: .restart)),
                ])
            answers.append(0)
            list.append(Requested(command, RequestID(number: UInt64(answers.count - 1))))
        }
        handle(.commands(list))
    }

    /// As the supervisor does when nobody has asked for it.
    mutating func start(_ units: [String]) {
        for group in groups where units.contains(group.id.name) {
            answers.append(0)
            let plan = plans.plan(group, release: random.pick(group.releases), &random)
            kernel.pending.append(.command(.start(plan), RequestID(number: UInt64(answers.count - 1))))
        }
    }

    private mutating func operate() {
        let group = random.pick(groups)
        let plan = plans.plan(group, release: random.pick(group.releases), isWhole: random.chance(65), &random)
        let hold = random.chance(20)
        switch random.below(100) {
        case 0..<18: command(.start(plan))
        case 18..<50: command(.swap(plan, SwapOptions(hold: hold)))
        case 50..<56: command(.swap(plan, SwapOptions(kind: .restart)))
        case 56..<61: command(.swap(plan, SwapOptions(kind: .restart, stopFirst: true)))
        case 61..<69: command(.rollback(group.id, hold: hold))
        case 69..<75: command(.promote(group.id))
        case 75..<79: command(.abort(group.id))
        case 79..<84: command(.stop(group.id))
        case 84..<87: transact()
        case 87..<92: command(.reload(group.id))
        case 92..<97: command(.drainNow(group.id))
        case 97: command(.shutDown)
        default: handle(.restored(group.id, GroupMemory(lastNumber: random.below(5))))
        }
    }

    // MARK: - Processes

    /// A living process does something.
    private mutating func act() {
        guard !kernel.living.isEmpty else { return }
        let token = random.pick(kernel.living)
        guard let process = kernel.processes[token], process.spawnIsTold else { return }
        if process.lastSignal != nil, !process.ignoresSignals, random.chance(60) { return obey(process) }
        if process.mustReload, random.chance(70) { return answerReload(process) }
        if !kernel.searches.isEmpty, random.chance(30), pidFileAppears() { return }
        if isLauncher(process) {
            if !process.hangs { kernel.launch(process) }
        } else if isLongMain(process) {
            actAsMain(process)
        } else if !process.hangs {
            let status: ExitStatus =
                random.chance(85)
                ? .exited(0) : random.pick([.exited(1), .exited(255), .signalled(11, coreDumped: true)])
            kernel.end(token, status)
        } else if random.chance(20) {
            kernel.straggle(process.instance)
        }
    }

    private func isLauncher(_ process: FakeKernel.Process) -> Bool {
        guard case .start = process.command, let tree = kernel.trees[process.instance] else { return false }
        return tree.spec.type == .forking && tree.main != process.token && !process.saidReady
    }

    private func isLongMain(_ process: FakeKernel.Process) -> Bool {
        guard let tree = kernel.trees[process.instance], tree.spec.type != .oneshot else { return false }
        if tree.main == process.token { return true }
        if case .start = process.command { return true }
        return false
    }

    private mutating func answerReload(_ process: FakeKernel.Process) {
        process.mustReload = false
        var message = NotifyMessage()
        message.reloading = true
        message.monotonic = random.chance(90) ? .nanoseconds(now.nanoseconds) : nil
        handle(.notified(process.instance, .process(process.token), message))
        var done = NotifyMessage()
        done.ready = true
        if process.isAlive { handle(.notified(process.instance, .process(process.token), done)) }
    }

    /// A PID file that was awaited is there; false if none is.
    private mutating func pidFileAppears() -> Bool {
        for token in kernel.searches.keys.sorted(by: { $0.number < $1.number }) {
            guard let id = kernel.searches[token], let tree = kernel.trees[id], tree.daemons > 0 else { continue }
            kernel.searches[token] = nil
            let daemon = findDaemon(id)
            handle(.mainSought(token, .found(daemon)))
            return true
        }
        return false
    }

    /// A service that is in the middle of a reload, or has not answered its signal, goes on with it; false if none is.
    private mutating func reloadsEnd() -> Bool {
        for id in kernel.instances {
            guard let instance = engine.instances[id] else { continue }
            var message = NotifyMessage()
            switch instance.state {
            case .reloadAnnounced: message.ready = true
            case .reloadSignalled:
                message.reloading = true
                message.monotonic = .nanoseconds(now.nanoseconds)
            default: continue
            }
            handle(.notified(id, instance.mainProcess.map { .process($0) } ?? .other, message))
            if engine.instances[id]?.state != instance.state { return true }
        }
        return false
    }

    private mutating func obey(_ process: FakeKernel.Process) {
        let signal = process.lastSignal ?? 15
        kernel.end(process.token, random.chance(50) ? .exited(0) : .signalled(signal, coreDumped: false))
    }

    private mutating func actAsMain(_ process: FakeKernel.Process) {
        let spec = kernel.trees[process.instance]?.spec
        let roll = random.below(100)
        let notifies = spec?.type == .notify || spec?.type == .notifyReload
        if !process.saidReady, !process.hangs, notifies, roll < 70 {
            kernel.processes[process.token]?.saidReady = true
            var message = NotifyMessage()
            message.ready = true
            return handle(.notified(process.instance, .process(process.token), message))
        }
        switch roll {
        case 70..<76: kernel.straggle(process.instance)
        case 76..<79: kernel.stragglersLeave(process.instance)
        case 79..<83:
            var message = NotifyMessage()
            message.status = "busy"
            message.watchdog = random.pick([nil, .keepAlive, .keepAlive, .keepAlive, .trigger])
            message.reloading = random.chance(10)
            message.ready = random.chance(10)
            message.extendTimeout = random.chance(50) ? .seconds(random.below(10)) : nil
            handle(.notified(process.instance, random.chance(50) ? .other : .process(process.token), message))
        case 83..<86: changeMain(process)
        case 86..<90: crash(process)
        default: break
        }
    }

    private mutating func crash(_ process: FakeKernel.Process) {
        let status = random.pick([
            ExitStatus.exited(0), .exited(1), .exited(3), .signalled(11, coreDumped: true),
            .signalled(9, coreDumped: false), .unknown,
        ])
        kernel.end(process.token, status)
    }

    /// `MAINPID=`: another process of the tree is the main one from now on.
    private mutating func changeMain(_ process: FakeKernel.Process) {
        guard kernel.trees[process.instance]?.main == process.token else { return }
        let token = engine.newToken(for: process.instance)
        let successor = FakeKernel.Process(token: token, instance: process.instance, command: .start(0))
        successor.spawnIsTold = true
        successor.saidReady = process.saidReady
        successor.lastSignal = process.lastSignal
        kernel.processes[token] = successor
        kernel.openTokens.insert(token)
        kernel.living.append(token)
        kernel.trees[process.instance]?.processes.append(token)
        kernel.trees[process.instance]?.main = token
        handle(.mainProcessChanged(process.instance, token))
    }

    // MARK: - The end

    /// From now on nothing is injected, and everybody obeys.
    private mutating func calmDown() {
        kernel.isCalm = true
        for token in kernel.living {
            kernel.processes[token]?.ignoresSignals = false
        }
    }

    /// One step of a world in which everybody does what is expected. False if nothing is left to do but to wait.
    private mutating func calmStep() -> Bool {
        if deliver() { return true }
        for token in kernel.living {
            guard let process = kernel.processes[token], process.spawnIsTold else { continue }
            if process.lastSignal != nil {
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
        let next = engine.nextDeadline
        // A watchdog that is fed is nothing to wait for.
        let waitsForNobody =
            next == nil
            || engine.instances.values.contains { $0.watchdogDeadline == next || $0.runtimeDeadline == next }
        return waitsForNobody && stubbornOnesLeave()
    }

    /// With `SendSIGKILL=no`, or without a time-out, whoever does not go is waited for: so it goes by itself in the end.
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
            // Everybody behaves, so nobody is bitten by a watchdog.
            for token in kernel.living { feedWatchdog(token) }
            handle(.deadlineReached)
        }
    }

    /// What has not ended, for people.
    private var waiting: String {
        let operations = engine.groups.values.compactMap { group in
            group.operation.map { "\($0.kind) of \(group.id) \($0.phase)" }
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

    private mutating func finishOperations() {
        for group in groups where engine.groups[group.id]?.operation?.hold == true {
            command(random.chance(50) ? .promote(group.id) : .abort(group.id))
        }
        calm("operations") { $0.engine.groups.values.allSatisfy { $0.operation == nil } && $0.kernel.pending.isEmpty }
        if violation == nil, !hasCrashed, let open = answers.firstIndex(where: { $0 != 1 }),
            !engine.isShuttingDown || answers[open] > 1
        {
            let count = answers[open]
            fail("answers", "request \(open) was answered \(count) times")
        }
    }

    private mutating func shutDown() {
        command(.shutDown)
        calm("shutdown") { simulation in
            let isOver = simulation.hasCrashed ? simulation.kernel.instances.isEmpty : true
            return isOver && simulation.answers.allSatisfy { $0 > 0 } && simulation.kernel.pending.isEmpty
        }
        checkNothingIsLeft()
    }

    /// An event of an earlier life comes once more; it must change nothing (I6).
    private mutating func tellAgain() {
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
        case .mainSought(let token, _): kernel.searches[token] == nil
        case .notified(_, .process(let token), _), .mainProcessChanged(_, let token):
            kernel.processes[token]?.exitIsTold ?? true
        case .notified(_, .other, _), .command, .commands, .deadlineReached, .restored: false
        }
    }
}
