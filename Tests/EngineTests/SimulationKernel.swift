import Vocabulary

@testable import Engine

/// The name for files that import `Testing`, which has an `ExitStatus` of its own; the type `Engine` hides its module.
typealias Ended = ExitStatus

/// The real state of a simulated run, independent of the engine's view: processes, trees, generations with open
/// sockets; and the answers that are not delivered yet.
struct FakeKernel {
    /// A class like `Tree`: copying processes by the million would take most of a run's time.
    final class Process {
        let token: Token
        let instance: InstanceID
        let command: ServiceCommand
        var isAlive = true
        /// Whether the engine knows of its execution, and of its end.
        var spawnIsTold = false
        var exitIsTold = false
        /// Whether it never ends or becomes ready without a signal.
        var hangs = false
        var ignoresSignals = false
        /// A signal that it will obey sooner or later.
        var lastSignal: Signal?
        var saidReady = false
        /// Whether `ReloadSignal=` was sent and is not answered yet.
        var mustReload = false
        /// The run of its instance: a step of an earlier run makes nothing ready.
        var run = 0

        init(token: Token, instance: InstanceID, command: ServiceCommand) {
            self.token = token
            self.instance = instance
            self.command = command
        }
    }

    /// The processes of one instance.
    final class Tree {
        let id: InstanceID
        let generation: GenerationID
        let spec: ServiceSpec
        var main: Token?
        var processes: [Token] = []
        /// Grandchildren that outlive their parent; the stubborn ones end on SIGKILL only.
        var stragglers = 0
        var stubborn = 0
        var watches: [Token] = []
        /// Processes forked by a forking service's program, and not known to the engine yet.
        var daemons = 0
        /// Whether the service is up as far as the engine knows: executed, or READY=1 was delivered.
        var isUp = false
        var probeAgreed = false
        var startPostsDone = 0
        var readySince: Instant?
        var wasSkipped = false
        /// Whether a signal or `ExecStop=` has reached the main process.
        var isToldToGo = false
        /// Whether such a signal was sent because its group retires it.
        var isRetired = false
        var runs = 0
        var hasBegun = false

        init(id: InstanceID, generation: GenerationID, spec: ServiceSpec) {
            self.id = id
            self.generation = generation
            self.spec = spec
        }

        /// Whether its main process is the executed one, and stays.
        var hasLongMain: Bool { spec.type != .oneshot && spec.type != .forking }

        var isReady: Bool {
            isUp && (!spec.hasProbe || probeAgreed) && startPostsDone == spec.commands.startPost.count
        }
    }

    enum GenerationState { case preparing, open, failed }

    var processes: [Token: Process] = [:]
    /// Living processes, in the order of their start.
    var living: [Token] = []
    var trees: [InstanceID: Tree] = [:]
    /// Existing instances, in the order of their creation.
    var instances: [InstanceID] = []
    var generations: [GenerationID: GenerationState] = [:]
    /// Undelivered answers.
    var pending: [Event] = []
    /// Tokens whose last event has not been delivered: the only ones that the engine may keep an owner for.
    var openTokens: Set<Token> = []
    var random: SplitMix64
    /// Whether new processes succeed, and end when signalled.
    var isCalm = false

    init(random: SplitMix64) { self.random = random }

    func isEmpty(_ tree: Tree) -> Bool {
        tree.stragglers == 0 && tree.stubborn == 0 && tree.daemons == 0
            && !tree.processes.contains { processes[$0]?.isAlive ?? false }
    }

    func isEmpty(_ id: InstanceID) -> Bool { trees[id].map(isEmpty) ?? true }

    /// Whether a process, or all of a tree, has ended without the engine's knowledge.
    var hasUntoldEnds: Bool {
        processes.values.contains { !$0.isAlive && !$0.exitIsTold }
            || pending.contains {
                switch $0 {
                case .exited, .treeEmpty, .spawnFailed: true
                default: false
                }
            }
    }

    /// Whether its main process lives, or its death has not been delivered.
    func mainLives(_ tree: Tree) -> Bool {
        guard let main = tree.main, let process = processes[main] else { return false }
        return process.isAlive || !process.exitIsTold
    }

    /// Skips the service if the program of a condition exits with 1 to 254, unless its line or `SuccessExitStatus=`
    /// makes that a success.
    mutating func noteCondition(_ process: Process, _ status: ExitStatus) {
        guard case .condition = process.command, case .exited(1...254) = status,
            let spec = trees[process.instance]?.spec,
            !spec.commands.mayFail(process.command), !spec.restart.isCleanCommand(status)
        else { return }
        trees[process.instance]?.wasSkipped = true
    }

    /// Whether it counts as running: its main process or, without one, any lives, or the end is not delivered.
    func isAlive(_ tree: Tree) -> Bool {
        if tree.spec.type == .oneshot || tree.spec.lifecycle.remainsAfterExit { return true }
        if mainLives(tree) || !isEmpty(tree) { return true }
        return pending.contains { event in
            switch event {
            case .treeEmpty(let token): watchers[token] == tree.id
            // A search for a successor of its main process, which the supervisor answers at once.
            case .mainSought(let token, _): seekers[token] == tree.id
            default: false
            }
        }
    }

    /// Whether a command was started while its process, under the same token, lived.
    var isSpawnedTwice = false
    /// The instance whose tree a token watches.
    var watchers: [Token: InstanceID] = [:]
    /// Searches with the answer "later".
    var searches: [Token: InstanceID] = [:]

    /// The instance whose conditions, and whose main process, a token checks.
    var checks: [Token: InstanceID] = [:]
    var seekers: [Token: InstanceID] = [:]
    /// The instance that a probe checks.
    var probes: [Token: InstanceID] = [:]

    // MARK: - Effects

    mutating func spawn(_ token: Token, _ id: InstanceID, _ command: ServiceCommand) {
        openTokens.insert(token)
        if processes[token]?.isAlive == true { isSpawnedTwice = true }
        if command == .start(0) { trees[id]?.runs += 1 }
        let process = Process(token: token, instance: id, command: command)
        process.run = trees[id]?.runs ?? 0
        if random.chance(isCalm ? 0 : 4) {
            process.isAlive = false
            processes[token] = process
            let status = random.pick([203, 203, nil] as [Int32?])
            pending.append(.spawnFailed(token, "executing /srv/x: No such file or directory", status: status))
            return
        }
        process.hangs = !isCalm && random.chance(8)
        process.ignoresSignals = !isCalm && random.chance(10)
        processes[token] = process
        living.append(token)
        trees[id]?.processes.append(token)
        if case .start(let index) = command {
            trees[id]?.main = trees[id]?.spec.type == .forking ? nil : token
            guard index == 0 else { return pending.append(.spawned(token)) }
            trees[id]?.isUp = false
            trees[id]?.probeAgreed = false
            trees[id]?.startPostsDone = 0
            trees[id]?.readySince = nil
            trees[id]?.isToldToGo = false
        }
        pending.append(.spawned(token))
    }

    mutating func signal(_ token: Token, _ signal: Signal) {
        guard let process = processes[token], process.isAlive else { return }
        if signal == 9 { return end(token, .signalled(9, coreDumped: false)) }
        processes[token]?.lastSignal = signal
    }

    mutating func signalTree(_ id: InstanceID, _ number: Signal) {
        for token in trees[id]?.processes ?? [] { signal(token, number) }
        trees[id]?.stragglers = 0
        trees[id]?.daemons = 0
        answerWatches(id)
    }

    mutating func killTree(_ id: InstanceID) {
        for token in trees[id]?.processes ?? [] { signal(token, 9) }
        trees[id]?.stragglers = 0
        trees[id]?.stubborn = 0
        trees[id]?.daemons = 0
        answerWatches(id)
    }

    mutating func watch(_ token: Token, _ id: InstanceID) {
        openTokens.insert(token)
        watchers[token] = id
        trees[id]?.watches.append(token)
        answerWatches(id)
    }

    mutating func unwatch(_ token: Token, _ id: InstanceID) {
        openTokens.remove(token)
        trees[id]?.watches.removeAll { $0 == token }
        // The answer may be under way already.
        guard isCalm || random.chance(70) else { return }
        pending.removeAll { if case .treeEmpty(token) = $0 { true } else { false } }
    }

    mutating func probe(_ token: Token) {
        openTokens.insert(token)
        // Answered on time or late, with success or failure; a probe that hangs is one that is cancelled before its
        // answer.
        if isCalm || random.chance(75) {
            pending.append(.probeAnswered(token, .ready))
        } else {
            pending.append(.probeAnswered(token, .notReady("503 Service Unavailable")))
        }
    }

    mutating func cancelProbe(_ token: Token) {
        openTokens.remove(token)
        // The answer may be under way already.
        guard isCalm || random.chance(70) else { return }
        pending.removeAll { if case .probeAnswered(token, _) = $0 { true } else { false } }
    }

    // MARK: - Actions of processes

    mutating func end(_ token: Token, _ status: ExitStatus) {
        guard let process = processes[token], process.isAlive else { return }
        process.isAlive = false
        living.removeAll { $0 == token }
        pending.append(.exited(token, status))
        answerWatches(process.instance)
    }

    mutating func straggle(_ id: InstanceID) {
        // A server that replaces itself leaves a process named in its PID file.
        if trees[id]?.spec.lifecycle.hasPidFile == true, random.chance(50) {
            trees[id]?.daemons += 1
            return
        }
        if random.chance(50) { trees[id]?.stragglers += 1 } else { trees[id]?.stubborn += 1 }
    }

    /// Ends the program of a forking service; a daemon continues.
    mutating func launch(_ process: Process) {
        if random.chance(isCalm ? 100 : 90) { trees[process.instance]?.daemons += 1 }
        end(process.token, random.chance(isCalm ? 100 : 92) ? .exited(0) : .exited(1))
    }

    mutating func checkConditions(_ token: Token) {
        openTokens.insert(token)
        let verdict: ConditionVerdict =
            isCalm || random.chance(80)
            ? .met : random.pick([.unmet("ConditionPathExists=/x"), .assertFailed("AssertPathExists=/x")])
        pending.append(.conditionsChecked(token, verdict))
    }

    mutating func stragglersLeave(_ id: InstanceID) {
        trees[id]?.stragglers = 0
        trees[id]?.daemons = 0
        trees[id]?.stubborn = 0
        answerWatches(id)
    }

    private mutating func answerWatches(_ id: InstanceID) {
        guard let tree = trees[id], !tree.watches.isEmpty, isEmpty(tree) else { return }
        for token in tree.watches { pending.append(.treeEmpty(token)) }
        trees[id]?.watches = []
    }
}
