import StateCoding

@testable import Engine

/// Kills the supervisor between any two effects; another process continues from the state written before them.
extension Simulation {
    /// The contents of the journal.
    struct Written {
        var core: [UInt8] = []
        var groups: [GroupID: [UInt8]] = [:]
        var instances: [InstanceID: [UInt8]] = [:]

        mutating func write(_ engine: inout Engine) throws {
            let changes = engine.takeChanges()
            for id in changes.groups { groups[id] = try engine.record(of: id).map { try StateEncoder.encode($0) } }
            for id in changes.instances {
                instances[id] = try engine.record(of: id).map { try StateEncoder.encode($0) }
            }
            core = try StateEncoder.encode(engine.core)
        }

        func read() throws -> Engine {
            Engine(
                try StateDecoder.decode(Engine.CoreRecord.self, from: core),
                try groups.values.map { try StateDecoder.decode(Engine.GroupRecord.self, from: $0) },
                try instances.values.map { try StateDecoder.decode(Engine.InstanceRecord.self, from: $0) })
        }
    }

    /// Writes the engine's decisions; this may be the last action of the process. Returns the number of effects to
    /// carry out before the kill, or nil if the process is not killed.
    mutating func write(before effects: [Effect]) -> Int? {
        guard crashes > 0 else { return nil }
        do {
            try written.write(&engine)
        } catch {
            fail("I7", "the engine cannot be written: \(error)")
        }
        // Commands beside a running process are rare, and so are the processes that they could be mistaken for.
        guard random.chance(effects.contains(where: \.startsBeside) ? 10 * crashes : crashes) else { return nil }
        return random.below(effects.count + 1)
    }

    /// Replaces the supervisor.
    /// - Parameters:
    ///   - done: the effects carried out before the end.
    ///   - undone: the effects not carried out.
    mutating func crash(done: [Effect], undone: [Effect]) {
        coverage.ends["crash", default: 0] += 1
        crashCount += 1
        let count = crashCount
        hasCrashed = true
        // Clients with open requests have lost their connections.
        for index in answers.indices where answers[index] == 0 { answers[index] = 1 }
        let isNested = isRecovering
        isRecovering = true
        defer { if !isNested { isRecovering = false } }
        // Services that undone effects would have signalled count as signalled.
        let isQuiet = !undone.contains(where: \.endsProcesses) && !kernel.hasUntoldEnds
        let healthy = isQuiet && !isNested ? healthyInstances.map { ($0, kernel.trees[$0]?.runs) } : []
        for effect in undone { if case .report(let report) = effect { read(report) } }
        if !isNested { diedUnseen = false }
        var unsent = undone.filter(\.isSignal)
        // The successor may be killed as well, before any event: then the next one begins from the same state.
        var last: [Effect]? = done
        while let before = last, violation == nil {
            log?.append("        KILLED")
            last = takeOver(after: before.last, &unsent)
        }
        tellEnds()
        guard crashCount == count else { return }
        if !isNested { isRecovering = false }
        if violation == nil { handle(.deadlineReached) }
        guard crashCount == count else { return }
        // Services that ended without a supervisor may end others with them.
        if !diedUnseen { for (id, runs) in healthy { checkUntouched(id, runs) } }
    }

    /// Lets one supervisor take over. Returns its effects if it was killed before it had carried out all of them.
    private mutating func takeOver(after last: Effect?, _ unsent: inout [Effect]) -> [Effect]? {
        do {
            engine = try written.read()
        } catch {
            fail("I7", "the journal cannot be read: \(error)")
            return nil
        }
        let isLong = !kernel.isCalm && random.chance(40)
        now = now + .milliseconds(random.below(isLong ? 200_000 : 200))
        engine.passGap(until: now, heard: nil)
        kernel.openTokens.formUnion(engine.owners.keys)
        found = loseWhatWasOnItsWay(last)
        let effects = engine.recovery(found)
        checkKills(effects)
        let all = effects + unsent
        let cut = random.chance(25) ? random.below(all.count + 1) : nil
        for effect in all.prefix(cut ?? all.count) {
            log?.append("        \(Short.text(effect))")
            carryOut(effect)
        }
        unsent.removeFirst(max(0, min(unsent.count, (cut ?? all.count) - effects.count)))
        guard let cut else { return nil }
        coverage.ends["crash while taking over", default: 0] += 1
        return Array(all.prefix(cut))
    }

    /// Delivers ends and answers that occurred without a supervisor.
    private mutating func tellEnds() {
        let count = crashCount
        for event in engine.missedEvents(found) where violation == nil {
            if case .prepareFailed(let id, _) = event { kernel.generations[id] = .failed }
            handle(event)
            // Another supervisor has taken over meanwhile, and has delivered the rest.
            guard crashCount == count else { return }
        }
        let left = kernel.processes.values.filter { !$0.exitIsTold && found.processes.contains($0.token) }
        for process in left.sorted(by: { $0.token.number < $1.token.number }) where violation == nil {
            for event in [Event.spawned(process.token), .exited(process.token, .unknown)] {
                if case .exited = event, process.isAlive { continue }
                handle(event)
                guard crashCount == count else { return }
            }
        }
        for token in engine.awaitedProcesses where violation == nil && kernel.processes[token] == nil {
            handle(.exited(token, .unknown))
            guard crashCount == count else { return }
        }
        kernel.openTokens.formUnion(engine.owners.keys)
    }

    /// Drops answers that were not taken, which are lost with the process; existing processes are found.
    private mutating func loseWhatWasOnItsWay(_ last: Effect?) -> SurvivingState {
        for event in kernel.pending {
            switch event {
            case .spawnFailed(let token, _, _): kernel.processes[token] = nil
            case .prepared(let generation), .prepareFailed(let generation, _): kernel.generations[generation] = nil
            case .treeEmpty(let token), .probeAnswered(let token, _): kernel.openTokens.remove(token)
            case .mainSought(_, .found(let token)): kernel.unfind(token)
            default: break
            }
        }
        kernel.pending = []
        for id in kernel.instances { kernel.trees[id]?.watches = [] }
        kernel.searches = [:]
        for (id, state) in kernel.generations
        where state == .failed && engine.groups[id.group]?.generations[id.number] == nil {
            kernel.generations[id] = nil
        }
        // Processes end without a supervisor as they do at any other time.
        for token in kernel.living where random.chance(4) {
            kernel.end(token, .exited(0))
            diedUnseen = true
        }
        kernel.pending = []
        if case .spawn(let token, _, let command)? = last, random.chance(60) { loseRecord(of: token, command) }
        var found = SurvivingState()
        found.generations = Set(kernel.generations.keys)
        found.instances = Set(kernel.instances)
        found.processes = Set(kernel.processes.keys)
        return found
    }

    /// Loses a process that was started in the last moment and not recorded: it is found if it lives or has left a
    /// tree; else it counts as never started.
    private mutating func loseRecord(of token: Token, _ command: ServiceCommand) {
        guard let process = kernel.processes[token], !process.isAlive, !process.exitIsTold,
            let tree = kernel.trees[process.instance]
        else { return }
        if case .start = command, tree.spec.type != .oneshot, !kernel.isEmpty(tree) { return }
        coverage.ends["unrecorded process", default: 0] += 1
        kernel.processes[token] = nil
        tree.processes.removeAll { $0 == token }
        if tree.main == token { tree.main = nil }
    }

    // MARK: - A crash by itself ends no service

    /// Instances that are up and not signalled, of groups without an operation other than a reload.
    private var healthyInstances: [InstanceID] {
        kernel.instances.filter { id in
            guard let tree = kernel.trees[id], let instance = engine.instances[id], instance.isUp, !tree.isToldToGo,
                !engine.isShuttingDown
            else { return false }
            guard engine.groups[instance.group]?.drains.contains(where: { $0.leaving.contains(id) }) != true else {
                return false
            }
            switch engine.groups[instance.group]?.operation?.kind {
            case nil, .reload: break
            default: return false
            }
            return instance.mainProcess.map { kernel.processes[$0]?.isAlive ?? false } ?? !kernel.isEmpty(tree)
        }
    }

    /// Checks that a repeated command does not kill other processes of its service.
    private mutating func checkKills(_ effects: [Effect]) {
        for case .killTree(let id) in effects where engine.instances[id]?.treeWatch == nil {
            fail("I7", "instance \(id.number) is killed because a supervisor was killed")
        }
    }

    private mutating func checkUntouched(_ id: InstanceID, _ runs: Int?) {
        guard violation == nil else { return }
        guard let tree = kernel.trees[id], !tree.isToldToGo, tree.runs == runs else {
            return fail("I7", "instance \(id.number) is told to go because a supervisor was killed")
        }
    }
}

extension Effect {
    /// Whether it is a signal, which is recorded separately.
    fileprivate var isSignal: Bool {
        switch self {
        case .signal, .signalTree: true
        default: false
        }
    }

    fileprivate var startsBeside: Bool {
        switch self {
        case .spawn(_, _, .reload), .spawn(_, _, .startPost): true
        default: false
        }
    }

    fileprivate var endsProcesses: Bool {
        switch self {
        case .signal, .signalTree, .killTree, .spawn(_, _, .stop): true
        default: false
        }
    }
}
