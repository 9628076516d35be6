import Testing
import Vocabulary

@testable import Engine

/// A small simulated machine for one promise at a time: every step that a test does not mention succeeds. Programs are
/// executed, commands exit with 0, killed processes end; only main processes do nothing unless the test makes them.
struct Bench {
    private(set) var engine = Engine()
    private(set) var now = Instant(nanoseconds: 0)
    /// The effects of the engine, in order and in words: `start app@v1.service`, `signal 15 app@v1.service`.
    private(set) var log: [String] = []
    private(set) var results: [FinishedOperation] = []
    private(set) var refusals: [Refusal] = []
    private(set) var drained: [DrainResult] = []
    /// Connections of services that are sent the kill signal while they drain.
    var openConnections: [String: Int] = [:]
    private(set) var unchanged = 0
    private(set) var shutDownAnswers = 0
    private(set) var failures: [Failure] = []

    /// The exits of commands, by words: `startPre app.service`.
    var endings: [String: Ended] = [:]
    /// Commands that do not end, and main processes that cannot be executed.
    var hanging: Set<String> = []
    var notExecutable: Set<String> = []
    /// Answers of probes, by unit; ready by default.
    var probeAnswers: [String: ProbeAnswer] = [:]
    /// Groups whose preparation gets no answer, and the failure of preparations.
    var unprepared: Set<GroupID> = []
    var preparationFailure: Failure?
    /// Units that leave a grandchild until SIGKILL.
    var strayChildren: Set<String> = []
    /// Results of conditions, by unit; met by default.
    var verdicts: [String: ConditionVerdict] = [:]
    /// The result of the search for a forking unit's main process; found by default, and open after `later`.
    enum Search { case found, absent, later }
    var searches: [String: Search] = [:]
    private var openSearches: [InstanceID: Token] = [:]

    private struct Process {
        let instance: InstanceID
        let name: String
        let isMain: Bool
    }
    private var processes: [Token: Process] = [:]
    private(set) var specs: [InstanceID: ServiceSpec] = [:]
    private var births: [InstanceID: Int] = [:]
    private var mains: [InstanceID: Token] = [:]
    private var watches: [InstanceID: Token] = [:]
    private var strays: Set<InstanceID> = []
    private var queue: [Event] = []
    private var lastRequest: UInt64 = 0

    // MARK: - Actions of a test

    mutating func command(_ command: Command) {
        lastRequest += 1
        tell(.command(command, RequestID(number: lastRequest)))
    }

    mutating func start(_ plan: Plan) { command(.start(plan)) }

    mutating func swap(_ plan: Plan, hold: Bool = false, stopFirst: Bool = false, kind: OperationKind = .swap) {
        command(.swap(plan, SwapOptions(kind: kind, hold: hold, stopFirst: stopFirst)))
    }

    mutating func ready(_ unit: String, generation: Int? = nil) {
        var message = NotifyMessage()
        message.ready = true
        notify(unit, generation: generation, message)
    }

    mutating func notify(
        _ unit: String, generation: Int? = nil, _ message: NotifyMessage, by sender: Event.Sender? = nil
    ) {
        guard let id = instance(unit, generation), let main = mains[id] else {
            Issue.record("\(unit) has no main process")
            return
        }
        tell(.notified(id, sender ?? .process(main), message))
    }

    /// The PID file of a unit appears and names one of its processes.
    mutating func pidFileAppears(_ unit: String) {
        guard let id = instance(unit), let search = openSearches.removeValue(forKey: id) else {
            Issue.record("nobody waits for a PID file of \(unit)")
            return
        }
        tell(.mainSought(search, .found(daemon(id))))
    }

    /// Sends `MAINPID=` with one of a unit's processes.
    mutating func namesMain(_ unit: String) -> Token? {
        guard let id = instance(unit) else { return nil }
        let main = daemon(id)
        tell(.mainProcessChanged(id, main))
        return main
    }

    /// Reports an obstacle to the present search for a main process.
    mutating func noteSearch(_ unit: String, _ note: SearchNote) {
        guard let token = instance(unit).flatMap({ openSearches[$0] }) else { return }
        tell(.searchNoted(token, note))
    }

    /// Ends a hanging command, for example `start setup.service` of a oneshot.
    mutating func endControl(_ words: String, _ status: Ended = .exited(0)) {
        guard let token = processes.first(where: { $0.value.name == words })?.key else {
            Issue.record("\(words) does not run")
            return
        }
        end(token, status)
        drainQueue()
    }

    /// Ends all processes of a unit.
    mutating func treeEnds(_ unit: String) {
        guard let id = instance(unit) else { return }
        strays.remove(id)
        answerWatch(id)
        drainQueue()
    }

    mutating func exit(_ unit: String, generation: Int? = nil, _ status: Ended = .exited(0)) {
        guard let id = instance(unit, generation), let main = mains[id] else {
            Issue.record("\(unit) has no main process")
            return
        }
        end(main, status)
        drainQueue()
    }

    /// Advances the time and reports every deadline on the way.
    mutating func pass(_ duration: Duration) {
        let goal = now + duration
        while let next = engine.nextDeadline, next <= goal {
            now = max(now, next)
            tell(.deadlineReached)
        }
        now = goal
    }

    mutating func tell(_ event: Event) {
        queue.append(event)
        drainQueue()
    }

    /// Kills the supervisor; another one continues after the gap.
    mutating func pause(_ gap: Duration) throws {
        engine = try Simulation.reread(engine)
        now = now + gap
        engine.passGap(until: now, heard: nil)
        tell(.deadlineReached)
    }

    /// The log since the last call, only lines with the given prefixes.
    mutating func takeLog(_ prefixes: String...) -> [String] {
        defer { log = [] }
        return prefixes.isEmpty ? log : log.filter { line in prefixes.contains { line.hasPrefix($0) } }
    }

    // MARK: - Observations of a test

    func view(_ group: String) -> GroupView? { engine.view(of: GroupID(group)) }
    func serving(_ group: String) -> Int? { view(group)?.serving }
    func phase(_ group: String) -> PhaseName? { view(group)?.operation?.phase }

    func service(_ unit: String, generation: Int? = nil) -> ServiceView? {
        guard let id = instance(unit, generation) else { return nil }
        for group in engine.groupIDs {
            for generation in engine.view(of: group)?.generations ?? [] {
                for service in generation.services where service.instance == id { return service }
            }
        }
        return nil
    }

    func main(_ unit: String, generation: Int? = nil) -> Token? { instance(unit, generation).flatMap { mains[$0] } }

    func instance(_ unit: String, _ generation: Int? = nil) -> InstanceID? {
        specs.keys.sorted().last { specs[$0]?.unit == unit && (generation == nil || births[$0] == generation) }
    }

    // MARK: - The world

    private mutating func drainQueue() {
        while !queue.isEmpty {
            let event = queue.removeFirst()
            for effect in engine.handle(event, at: now) { carryOut(effect) }
        }
    }

    private mutating func carryOut(_ effect: Effect) {
        switch effect {
        case .prepare(let generation, _):
            log.append("prepare \(generation.group) \(generation.number)")
            if let failure = preparationFailure {
                queue.append(.prepareFailed(generation, failure))
            } else if !unprepared.contains(generation.group) {
                queue.append(.prepared(generation))
            }
        case .createInstance(let id, let generation, let spec):
            specs[id] = spec
            births[id] = generation.number
        case .spawn(let token, let id, let command): spawn(token, id, command)
        case .signal(let token, let signal):
            log.append("signal \(signal.rawValue) \(processes[token]?.name ?? "nobody")")
            if signal == 9 { end(token, .signalled(9, coreDumped: false)) }
        case .signalTree(let id, let signal): log.append("signal \(signal.rawValue) tree of \(name(id))")
        case .killTree(let id):
            log.append("kill tree of \(name(id))")
            strays.remove(id)
            let tokens = processes.filter { $0.value.instance == id }.map(\.key)
            for token in tokens.sorted(by: { $0.number < $1.number }) { end(token, .signalled(9, coreDumped: false)) }
            answerWatch(id)
        case .watchTree(let token, let id):
            watches[id] = token
            answerWatch(id)
        case .unwatchTree(let token, let id): if watches[id] == token { watches[id] = nil }
        case .probe(let token, let id): queue.append(.probeAnswered(token, probeAnswers[name(id)] ?? .ready))
        case .checkConditions(let token, let id):
            log.append("check \(name(id))")
            queue.append(.conditionsChecked(token, verdicts[name(id)] ?? .met))
        case .seekMain(let token, let id):
            log.append("seek \(name(id))")
            switch searches[name(id)] ?? .found {
            case .found: queue.append(.mainSought(token, .found(daemon(id))))
            case .absent: queue.append(.mainSought(token, .absent))
            case .later:
                openSearches[id] = token
                queue.append(.mainSought(token, .later))
            }
        case .cancelSearch(let token):
            log.append("cancel search")
            openSearches = openSearches.filter { $0.value != token }
        case .cancelProbe(let token):
            queue.removeAll { if case .probeAnswered(token, _) = $0 { true } else { false } }
        case .forgetInstance(let id):
            log.append("gone \(name(id))")
            specs[id] = nil
            mains[id] = nil
        case .releaseGeneration(let generation): log.append("release \(generation.number)")
        case .recordServing(let generation, _): log.append("serving \(generation.number)")
        case .startUnits(let units, let cause): log.append("wants \(units.joined(separator: " ")): \(words(cause))")
        case .report(let report): read(report)
        }
    }

    private mutating func spawn(_ token: Token, _ id: InstanceID, _ command: ServiceCommand) {
        let words =
            switch command {
            case .condition: "condition \(name(id))"
            case .startPre: "startPre \(name(id))"
            case .start(0): "start \(name(id))"
            case .start(let index): "start \(index) \(name(id))"
            case .startPost: "startPost \(name(id))"
            case .reload: "reload \(name(id))"
            case .stop: "stop \(name(id))"
            case .stopPost: "stopPost \(name(id))"
            }
        log.append(words)
        guard !notExecutable.contains(words) else {
            return queue.append(.spawnFailed(token, "executing /srv/x: No such file or directory", status: 203))
        }
        let type = specs[id]?.type ?? .simple
        let isStart = if case .start = command { true } else { false }
        let isMain = isStart && type != .forking && type != .oneshot
        processes[token] = Process(instance: id, name: isMain ? name(id) : words, isMain: isMain)
        if isMain {
            mains[id] = token
            if strayChildren.contains(name(id)) { strays.insert(id) }
        }
        queue.append(.spawned(token))
        if !isMain, !hanging.contains(words) { end(token, endings[words] ?? .exited(0)) }
    }

    /// Makes a process that a forking unit has left behind its main process.
    private mutating func daemon(_ id: InstanceID) -> Token {
        let token = engine.newToken(for: id)
        processes[token] = Process(instance: id, name: name(id), isMain: true)
        mains[id] = token
        strays.remove(id)
        return token
    }

    private mutating func end(_ token: Token, _ status: Ended) {
        guard let process = processes.removeValue(forKey: token) else { return }
        if mains[process.instance] == token { mains[process.instance] = nil }
        // A forking program leaves its daemon behind.
        if process.name.hasPrefix("start "), specs[process.instance]?.type == .forking, status == .exited(0) {
            strays.insert(process.instance)
        }
        queue.append(.exited(token, status))
        answerWatch(process.instance)
    }

    private mutating func answerWatch(_ id: InstanceID) {
        guard !strays.contains(id), !processes.values.contains(where: { $0.instance == id }) else { return }
        if let watch = watches.removeValue(forKey: id) { queue.append(.treeEmpty(watch)) }
    }

    private func name(_ id: InstanceID) -> String { specs[id]?.unit ?? "?" }

    private func words(_ cause: StartCause) -> String {
        switch cause {
        case .failure(let unit, _): "failure of \(unit)"
        case .success(let unit, _): "success of \(unit)"
        case .upheld(let group): "upheld by \(group)"
        }
    }

    private mutating func read(_ report: Report) {
        switch report {
        case .finished(let id, let result, let requests):
            results.append(result)
            log.append("\(result.kind) of \(id) \(result.outcome) for \(requests.count)")
        case .refused(_, let refusal): refusals.append(refusal)
        case .unchanged: unchanged += 1
        case .shutDownComplete(let requests): shutDownAnswers += requests.count
        case .failure(_, let failure): failures.append(failure)
        case .phase(_, _, let phase): log.append("phase \(phase)")
        case .skipped(_, let condition): log.append("skipped \(condition)")
        case .stopping(let id, let cause): log.append("\(id) stops: \(cause)")
        case .drained(let id, let result, let requests):
            drained.append(result)
            log.append("\(id) generation \(result.generation.number) drained for \(requests.count)")
        case .drainForced(_, let generation, let force): log.append("force \(generation.number) \(force)")
        case .cutting(let id):
            log.append("cut \(name(id))")
            if let count = openConnections[name(id)] { queue.append(.connectionsCut(id, count)) }
        case .service: break
        }
    }
}

/// Plans for short tests.
enum Plans {
    static let site = GroupID("site@.target")

    /// `site@<release>.target`: an app behind an edge, with drain signals and a soak of 5 s.
    static func site(_ release: String, only members: [String] = ["app", "edge"]) -> Plan {
        var app = ServiceSpec(unit: "app@\(release).service", member: "app@.service")
        var edge = ServiceSpec(unit: "edge@\(release).service", member: "edge@.service")
        edge.startsAfter = [app.unit]
        edge.acceptsShared = true
        app.drain = .init(method: .signal(15), timeout: .seconds(60))
        edge.drain = .init(method: .signal(10), timeout: .seconds(60))
        app.type = .notify
        edge.type = .notify
        app.release = release
        edge.release = release
        let services = [app, edge].filter { spec in members.contains { spec.member.hasPrefix($0) } }
        return Plan(
            group: site, isSwapUnit: true, release: release, settings: SwapSettings(soak: .seconds(5)),
            services: services, isWhole: services.count == 2)
    }

    /// A plan of a plain service or, with `swaps`, of a swap unit.
    static func service(
        _ unit: String = "app.service", swaps: Bool = false, after: Set<String> = [], requires: Set<String> = [],
        strategy: SwapStrategy = .overlap, _ change: (inout ServiceSpec) -> Void = { _ in }
    ) -> Plan {
        var spec = ServiceSpec(unit: unit)
        if swaps {
            spec.acceptsShared = true
            spec.drain = .init(method: .signal(15), timeout: .seconds(60))
        }
        change(&spec)
        return Plan(
            group: GroupID(unit), isSwapUnit: swaps,
            settings: SwapSettings(
                strategy: strategy, readyTimeout: swaps ? .seconds(30) : nil, soak: swaps ? .seconds(1) : .zero),
            services: [spec], after: Set(after.map { GroupID($0) }), requires: Set(requires.map { GroupID($0) }))
    }
}

extension Bench {
    /// app.service of a type, whose start was asked for.
    static func started(_ type: ServiceSpec.StartType, _ change: @escaping (inout ServiceSpec) -> Void = { _ in })
        -> Bench
    {
        var bench = Bench()
        bench.start(
            Plans.service("app.service") {
                $0.type = type
                change(&$0)
            })
        return bench
    }

    /// A bench in which the site runs and serves, generation 1.
    static func servingSite(_ release: String = "v1") -> Bench {
        var bench = Bench()
        bench.start(Plans.site(release))
        bench.ready("app@\(release).service")
        bench.ready("edge@\(release).service")
        _ = bench.takeLog()
        return bench
    }

    /// Swaps the site up to its cutover.
    mutating func swapReady(_ release: String, hold: Bool = false) {
        swap(Plans.site(release), hold: hold)
        ready("app@\(release).service")
        pass(.seconds(5))
        ready("edge@\(release).service")
        pass(.seconds(5))
    }
}
