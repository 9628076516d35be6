import Vocabulary

@testable import Engine

/// One random schedule, identified by its seed: an engine, a fake kernel, a clock, and an operator who sends arbitrary
/// requests.
///
/// The schedule injects events for a while; then all parties behave, and all operations must end; then everything is
/// shut down, and nothing may be left. After every event the checks of `SimulationChecks.swift` compare the engine's
/// effects and views with the state of the kernel.
struct Simulation {
    var engine = Engine()
    var kernel: FakeKernel
    var random: SplitMix64
    var plans = PlanMaker()
    var groups: [SimulatedGroup] = []
    var now = Instant(nanoseconds: 1_000_000_000)
    /// The number of answers to each request.
    var answers: [Int] = []
    /// Delivered events, some of which are delivered again.
    var history: [Event] = []
    var violation: Violation?
    var events = 0
    var coverage = Coverage()
    /// The log, kept only to explain a failure.
    var log: [String]?
    /// The number of events injected before all parties behave.
    let length: Int
    /// Whether, after every event, the engine is replaced by its state after a re-exec of the supervisor.
    var reexecsAfterEvents = false
    /// The percentage of events after which the supervisor is killed before it has carried out all effects.
    var crashes = 0
    var written = Written()
    var isRecovering = false
    /// The number of supervisors killed during their work.
    var crashCount = 0
    /// Whether processes have ended between the last killed supervisor and its successor.
    var diedUnseen = false
    /// The state that the present supervisor found.
    var found = SurvivingState()
    /// Operations before the event that is being handled: a cutover ends its operation.
    var operationsBefore: [GroupID: Operation] = [:]
    /// Whether answers may have been lost.
    var hasCrashed = false

    struct Violation: Error, CustomStringConvertible {
        let rule: String
        let text: String
        var description: String { "\(rule): \(text)" }
        /// The same text for all schedules that fail for the same reason, as far as a text can show.
        var kind: String { rule + ": " + text.filter { !$0.isNumber }.prefix(60) }
    }

    /// Outcomes seen, so that schedules which never reach anything do not count as proof.
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
        if random.chance(12) { deployInARow() }
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

    mutating func step() {
        switch random.below(100) {
        case 0..<46: if !deliver() { act() }
        case 46..<74: act()
        case 74..<82: operate()
        case 82..<94: passTime()
        default: tellAgain()
        }
    }

    mutating func deliver() -> Bool {
        guard let event = kernel.takePending() else { return false }
        handle(event)
        return true
    }

    private mutating func passTime() {
        if random.chance(25), let next = engine.nextDeadline {
            // Delivered on time or late.
            now = max(now, next) + .milliseconds(random.chance(50) ? 0 : random.below(3000))
            handle(.deadlineReached)
        } else {
            now = now + .milliseconds(random.below(700))
            if let next = engine.nextDeadline, next <= now, random.chance(50) { handle(.deadlineReached) }
        }
    }

    /// Sends a request of the operator.
    mutating func command(_ command: Command) {
        answers.append(0)
        handle(.command(command, RequestID(number: UInt64(answers.count - 1))))
    }

    mutating func handle(_ event: Event) {
        events += 1
        operationsBefore = engine.groups.all.compactMapValues(\.operation)
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
        if let done { crash(done: Array(effects.prefix(done)), undone: Array(effects.dropFirst(done))) }
        if reexecsAfterEvents { reexecute() }
        check()
    }

    private mutating func remember(_ event: Event) {
        switch event {
        case .spawned, .spawnFailed, .exited, .treeEmpty, .probeAnswered, .prepared, .prepareFailed, .notified,
            .mainProcessChanged, .conditionsChecked, .mainSought, .searchNoted, .connectionsCut:
            history.append(event)
        case .command, .commands, .deadlineReached, .restored: break
        }
    }

    // MARK: - The operator

    /// Begins the operations of several groups together, as a transaction does.
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

    /// Waits for draining generations or ends them, all or one of the last few.
    private mutating func drain(_ id: GroupID) {
        let last = engine.groups[id]?.lastNumber ?? 0
        let one = Set([max(0, last - random.below(5))])
        command(.drain(id, DrainRequest(generations: random.chance(40) ? one : nil, isNow: random.chance(60))))
    }

    /// Starts units as the supervisor does without a request.
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
        case 92..<97: drain(group.id)
        case 97: command(.shutDown)
        default: handle(.restored(group.id, GroupMemory(lastNumber: random.below(5))))
        }
    }

    // MARK: - Processes

    /// Makes a living process act.
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

    func isLauncher(_ process: FakeKernel.Process) -> Bool {
        guard case .start = process.command, let tree = kernel.trees[process.instance] else { return false }
        return tree.spec.type == .forking && tree.main != process.token && !process.saidReady
    }

    func isLongMain(_ process: FakeKernel.Process) -> Bool {
        guard let tree = kernel.trees[process.instance], tree.spec.type != .oneshot else { return false }
        if tree.main == process.token { return true }
        if case .start = process.command { return true }
        return false
    }

    mutating func answerReload(_ process: FakeKernel.Process) {
        process.mustReload = false
        var message = NotifyMessage()
        message.reloading = true
        message.monotonic = random.chance(90) ? .nanoseconds(now.nanoseconds) : nil
        handle(.notified(process.instance, .process(process.token), message))
        var done = NotifyMessage()
        done.ready = true
        if process.isAlive { handle(.notified(process.instance, .process(process.token), done)) }
    }

    /// Makes an awaited PID file appear; false if none is awaited.
    mutating func pidFileAppears() -> Bool {
        for token in kernel.searches.keys.sorted(by: { $0.number < $1.number }) {
            guard let id = kernel.searches[token], let tree = kernel.trees[id], tree.daemons > 0 else { continue }
            kernel.searches[token] = nil
            let daemon = findDaemon(id)
            handle(.mainSought(token, .found(daemon)))
            return true
        }
        return false
    }

    /// Continues a service that is reloading, or has not answered its signal; false if there is none.
    mutating func reloadsEnd() -> Bool {
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

    mutating func obey(_ process: FakeKernel.Process) {
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
            message.stopping = random.chance(10)
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

    /// Makes another process of the tree the main one (`MAINPID=`).
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
}
