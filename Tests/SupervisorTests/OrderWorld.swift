import Vocabulary

@testable import Engine
@testable import Supervisor

/// One service between an engine and a kernel that reports events in the order that a test chooses.
///
/// It carries out effects as the supervisor does, with the same table of tree watches (`TreeWatch`). Reports of the
/// kernel about processes are not delivered at once but collected (`notices`): the caller chooses the next delivery or
/// action. A copy of a world can follow another sequence of events.
struct OrderWorld {
    /// A report that waits for delivery.
    enum Notice: Equatable {
        case spawned(Token)
        case exited(Token, ExitStatus)
        /// The kernel reports that the watched tree of this run is empty.
        case treeReport(Int)
        /// `READY=1` and similar messages, from a process that may be dead by now.
        case message(Token, Word)
        case strayMessage(Word)
        /// A change at the path of the PID file.
        case pidFileTouched
    }

    enum Word: Equatable { case ready, reloading, stopping, mainPid }

    /// Outside actions, each taken once.
    enum Action: Equatable {
        case mainDies(Int32)
        case strayDies
        case says(Word)
        /// One of the stray processes sends the message.
        case straySays(Word)
        case writesPidFile
        case time
        case command(Order)
    }

    enum Order: Equatable { case stop, reload, drainNow }

    enum Choice: Equatable {
        case tell(Int)
        case act(Int)
        /// A command (`ExecStartPre=`, the process that a forking service executes, …) ends by itself.
        case finish(Token)
    }

    static let unit = "app.service"
    static let reloadSignal = Signal.user2
    static let drainSignal = Signal.user1

    var engine = Engine()
    var now = Instant(nanoseconds: 1_000_000_000)
    let plan: Plan
    var spec: ServiceSpec { plan.services[0] }
    var instance: InstanceID?
    var watch: TreeWatch?
    var runs = 0
    /// Living processes; the value is true for a command that ends by itself.
    var alive: [Token: Bool] = [:]
    /// Processes of the tree that are unknown to the engine.
    var strays = 0
    /// Whether `GuessMainPID=` finds the daemon.
    var guesses = true
    enum PidFile: Equatable {
        case missing, namesStray
        case names(Token)
    }
    var pidFile = PidFile.missing
    var notices: [Notice] = []
    var actions: [Action] = []
    var searches: Set<Token> = []
    /// Whether processes ignore all signals except SIGKILL.
    var isStubborn = false
    var violation: String?
    var trace: [String] = []
    private var queue: [Event] = []
    private var requests: UInt64 = 0

    init(_ spec: ServiceSpec) {
        plan = Plan(group: GroupID(Self.unit), isSwapUnit: false, services: [spec])
    }

    // MARK: - Possible next steps

    var choices: [Choice] {
        var list: [Choice] = []
        for index in notices.indices where isDue(index) { list.append(.tell(index)) }
        for index in actions.indices where isPossible(actions[index]) { list.append(.act(index)) }
        for (token, ends) in alive where ends { list.append(.finish(token)) }
        return list
    }

    /// Whether a notice may be delivered: a process's start before its end, messages of one sender in order.
    private func isDue(_ index: Int) -> Bool {
        switch notices[index] {
        case .exited(let token, _): !notices.contains(.spawned(token))
        case .message(let token, _):
            !notices[..<index].contains { notice in
                if case .message(let sender, _) = notice { sender == token } else { false }
            }
        case .spawned, .treeReport, .strayMessage, .pidFileTouched: true
        }
    }

    private func isPossible(_ action: Action) -> Bool {
        switch action {
        case .mainDies: livingMain != nil
        case .strayDies: strays > 0
        case .says(.mainPid): livingMain != nil && strays > 0
        case .says: livingMain != nil
        case .straySays: strays > 0
        case .writesPidFile: strays > 0 || livingMain != nil
        case .time: engine.nextDeadline != nil
        case .command: true
        }
    }

    private var livingMain: Token? {
        alive.filter { !$0.value }.keys.min { $0.number < $1.number }
    }

    mutating func take(_ choice: Choice) {
        switch choice {
        case .tell(let index): tell(notices.remove(at: index))
        case .act(let index): act(actions.remove(at: index))
        case .finish(let token): finish(token)
        }
    }

    /// Whether no notice and no ending command is left: awaited processes must exist then.
    var isQuiet: Bool { notices.isEmpty && !alive.values.contains(true) }

    // MARK: - Actions

    mutating func act(_ action: Action) {
        trace.append("\(action)")
        switch action {
        case .mainDies(let code): if let main = livingMain { end(main, .exited(code)) }
        case .strayDies:
            strays -= 1
            reportIfEmpty()
        case .says(let word): if let main = livingMain { notices.append(.message(main, word)) }
        case .straySays(let word): notices.append(.strayMessage(word))
        case .writesPidFile:
            pidFile = strays > 0 ? .namesStray : livingMain.map { .names($0) } ?? .missing
            if !searches.isEmpty { notices.append(.pidFileTouched) }
        case .time:
            if let next = engine.nextDeadline {
                now = max(now, next)
                handle(.deadlineReached)
            }
        case .command(.stop): command(.stop(plan.group))
        case .command(.reload): command(.reload(plan.group))
        case .command(.drainNow): command(.drain(plan.group, DrainRequest(isNow: true)))
        }
    }

    mutating func start() { command(.start(plan)) }

    private mutating func command(_ command: Command) {
        requests += 1
        handle(.command(command, RequestID(number: requests)))
    }

    private mutating func finish(_ token: Token) {
        trace.append("finish \(token.number)")
        // The process that a forking service executes leaves a daemon behind.
        if spec.type == .forking, instance.flatMap({ engine.instances[$0]?.state }) == .forking(control: token) {
            strays += 1
        }
        end(token, .exited(0))
    }

    private mutating func end(_ token: Token, _ status: ExitStatus) {
        guard alive.removeValue(forKey: token) != nil else { return }
        notices.append(.exited(token, status))
        reportIfEmpty()
    }

    private var treeIsEmpty: Bool { alive.isEmpty && strays == 0 }

    private mutating func reportIfEmpty() {
        guard treeIsEmpty, watch?.isArmed == true, !notices.contains(.treeReport(runs)) else { return }
        notices.append(.treeReport(runs))
    }

    // MARK: - Deliveries

    private mutating func tell(_ notice: Notice) {
        trace.append("told \(notice)")
        switch notice {
        case .spawned(let token): handle(.spawned(token))
        case .exited(let token, let status):
            handle(.exited(token, status))
            if let step = watch?.ended(token) { follow(step) }
        case .treeReport(let run):
            guard run == runs, let step = watch?.reported() else { return }
            follow(step)
        case .message(let token, let word):
            // After the end of a process was delivered, its messages have no known sender.
            if watch?.processes.contains(token) == true { tell(word, by: .process(token)) }
        case .strayMessage(let word):
            // The same holds for a stray process that has died.
            if strays > 0 { tell(word, by: .other) }
        case .pidFileTouched:
            for token in searches.sorted(by: { $0.number < $1.number }) where searches.contains(token) {
                let answer = readPidFile()
                guard answer != .later else { continue }
                searches.remove(token)
                handle(.mainSought(token, answer))
            }
        }
    }

    private mutating func tell(_ word: Word, by sender: Event.Sender) {
        guard let instance else { return }
        if word == .mainPid {
            guard strays > 0 else { return }
            let main = find()
            return handle(.mainProcessChanged(instance, main))
        }
        var message = NotifyMessage()
        message.ready = word == .ready
        message.reloading = word == .reloading
        message.stopping = word == .stopping
        message.monotonic = .nanoseconds(now.nanoseconds)
        handle(.notified(instance, sender, message))
    }

    /// Gives one of the stray processes a token.
    private mutating func find() -> Token {
        let token = engine.newToken(for: instance ?? InstanceID(number: 0))
        strays -= 1
        alive[token] = false
        watch?.began(token)
        return token
    }

    private mutating func readPidFile() -> MainSearch {
        switch pidFile {
        case .missing: return .later
        case .namesStray:
            guard strays > 0 else { return .later }
            let token = find()
            pidFile = .names(token)
            return .found(token)
        case .names(let token):
            guard alive[token] != nil else { return .later }
            return instance.flatMap { engine.mainProcess(of: $0) } == token ? .absent : .found(token)
        }
    }

    // MARK: - Effects

    mutating func handle(_ event: Event) {
        queue.append(event)
        guard queue.count == 1 else { return }
        while let next = queue.first {
            for effect in engine.handle(next, at: now) { carryOut(effect) }
            queue.removeFirst()
        }
        check()
    }

    private mutating func carryOut(_ effect: Effect) {
        switch effect {
        case .prepare(let generation, _): queue.append(.prepared(generation))
        case .createInstance(let id, _, _): instance = id
        case .spawn(let token, _, let command): spawn(token, command)
        case .signal(_, Self.reloadSignal): break
        case .signal(let token, let signal): if obeys(signal) { end(token, .signalled(signal, coreDumped: false)) }
        case .signalTree(_, let signal): if obeys(signal) { endAll(signal) }
        case .killTree: endAll(.kill)
        case .watchTree(let token, _):
            guard let step = watch?.wait(token) else { return queue.append(.treeEmpty(token)) }
            follow(step)
        case .unwatchTree(let token, _): if let step = watch?.giveUp(token) { follow(step) }
        case .probe(let token, _): queue.append(.probeAnswered(token, .ready))
        case .checkConditions(let token, _): queue.append(.conditionsChecked(token, .met))
        case .seekMain(let token, _): seek(token)
        case .cancelSearch(let token): searches.remove(token)
        case .forgetInstance:
            if watch != nil { violation = violation ?? "forgotten with a tree" }
            instance = nil
        case .cancelProbe, .releaseGeneration, .recordServing, .startUnits, .report: break
        }
    }

    private func obeys(_ signal: Signal) -> Bool { signal == .kill || !isStubborn }

    private mutating func endAll(_ signal: Signal) {
        for token in alive.keys.sorted(by: { $0.number < $1.number }) {
            end(token, .signalled(signal, coreDumped: false))
        }
        strays = 0
        reportIfEmpty()
    }

    private mutating func spawn(_ token: Token, _ command: ServiceCommand) {
        if watch == nil {
            watch = TreeWatch()
            runs += 1
        }
        watch?.began(token)
        let isMain = if case .start = command { spec.type != .forking && spec.type != .oneshot } else { false }
        alive[token] = !isMain
        notices.append(.spawned(token))
    }

    private mutating func seek(_ token: Token) {
        guard spec.lifecycle.hasPidFile else {
            let answer = guesses && strays == 1 ? MainSearch.found(find()) : .absent
            return queue.append(.mainSought(token, answer))
        }
        let answer = readPidFile()
        if answer == .later { searches.insert(token) }
        queue.append(.mainSought(token, answer))
    }

    private mutating func follow(_ step: TreeWatch.Step) {
        switch step {
        case .nothing: break
        case .look:
            let isEmpty = treeIsEmpty
            if let next = watch?.looked(isEmpty: isEmpty) { follow(next) }
        // The check and the arming are one step: a tree that became empty in between is reported at once.
        case .arm: reportIfEmpty()
        case .disarm: notices.removeAll { $0 == .treeReport(runs) }
        case .answer(let tokens):
            if !treeIsEmpty { violation = violation ?? "said to be empty, and is not" }
            watch = nil
            for token in tokens { handle(.treeEmpty(token)) }
        }
    }
}
