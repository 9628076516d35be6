import Vocabulary

@testable import Engine

/// Events that the kernel delivers to the engine.
extension FakeKernel {
    /// Undoes the discovery of a daemon that was never delivered.
    mutating func unfind(_ token: Token) {
        guard let process = processes[token], !process.spawnIsTold else { return }
        // The engine may have recorded the token, and keeps it as long as the instance.
        processes[token] = nil
        living.removeAll { $0 == token }
        trees[process.instance]?.processes.removeAll { $0 == token }
        trees[process.instance]?.main = nil
        if process.isAlive { trees[process.instance]?.daemons += 1 }
    }

    /// Takes one of the answers; the start of a process is delivered before its end.
    mutating func takePending() -> Event? {
        guard !pending.isEmpty else { return nil }
        let index = random.below(pending.count)
        if case .exited(let token, _) = pending[index], processes[token]?.spawnIsTold == false,
            let first = pending.firstIndex(where: { event in
                switch event {
                case .spawned(token), .mainSought(_, .found(token)): true
                default: false
                }
            })
        {
            return pending.remove(at: first)
        }
        return pending.remove(at: index)
    }

    /// Updates the kernel's own record of the engine's knowledge.
    mutating func noteDelivery(_ event: Event, at now: Instant) {
        switch event {
        case .spawnFailed(let token, _, _), .exited(let token, _), .treeEmpty(let token), .probeAnswered(let token, _),
            .conditionsChecked(let token, _), .mainSought(let token, .found), .mainSought(let token, .absent):
            openTokens.remove(token)
        case .mainSought(_, .later), .searchNoted: break
        case .spawned, .notified, .mainProcessChanged, .command, .commands, .prepared, .prepareFailed, .deadlineReached,
            .restored, .connectionsCut:
            break
        }
        switch event {
        case .spawned(let token):
            processes[token]?.spawnIsTold = true
            guard let process = processes[token], process.command == .start(0) else { return }
            if trees[process.instance]?.spec.type == .simple { trees[process.instance]?.isUp = true }
            noteReady(process.instance, now)
        case .spawnFailed(let token, _, let status):
            if let process = processes[token], let status { noteCondition(process, .exited(status)) }
            // With the prefix `-` this is no failure; without a status the program did not cause it.
            if status != nil { noteStep(token, succeeded: false, now) }
        case .exited(let token, let status):
            processes[token]?.exitIsTold = true
            guard let process = processes[token] else { return }
            noteCondition(process, status)
            // A command whose end is unknown is run once more, even if it may fail.
            if status != .unknown {
                let isClean = trees[process.instance]?.spec.restart.isCleanCommand(status) ?? false
                noteStep(token, succeeded: isClean, now)
            }
            noteOneshot(process, status, now)
        case .conditionsChecked(let token, .unmet):
            if let id = checks[token] { trees[id]?.wasSkipped = true }
        case .mainSought(let token, .found), .mainSought(let token, .absent):
            if case .mainSought(_, .found(let main)) = event { processes[main]?.spawnIsTold = true }
            // Services of other types are up by other events, and search only for a successor.
            if let id = seekers[token], trees[id]?.spec.type == .forking {
                trees[id]?.isUp = true
                noteReady(id, now)
            }
        case .probeAnswered(let token, .ready):
            if let id = probes[token] {
                trees[id]?.probeAgreed = true
                noteReady(id, now)
            }
        case .notified(let id, let sender, let message):
            guard let tree = trees[id], let main = tree.main, message.ready else { return }
            guard sender == .process(main) || isHeardOfAll(sender, id, tree) else { return }
            trees[id]?.isUp = true
            noteReady(id, now)
        case .prepared(let generation): generations[generation] = .open
        case .prepareFailed(let generation, _): generations[generation] = .failed
        case .command, .commands, .treeEmpty, .probeAnswered, .mainProcessChanged, .deadlineReached, .connectionsCut,
            .restored,
            .conditionsChecked, .mainSought, .searchNoted:
            break
        }
    }

    private mutating func noteOneshot(_ process: Process, _ status: ExitStatus, _ now: Instant) {
        guard case .start(let index) = process.command, let tree = trees[process.instance], tree.spec.type == .oneshot,
            index == tree.spec.commands.start.count - 1
        else { return }
        if tree.spec.isCleanMain(status) || tree.spec.commands.start[safely: index] == .yes {
            tree.isUp = true
            noteReady(process.instance, now)
        }
    }

    private mutating func noteStep(_ token: Token, succeeded: Bool, _ now: Instant) {
        guard let process = processes[token], case .startPost(let index) = process.command,
            process.run == trees[process.instance]?.runs
        else { return }
        let mayFail = trees[process.instance]?.spec.commands.startPost[safely: index] == .yes
        // A command whose end is unknown is run once more.
        let done = max(trees[process.instance]?.startPostsDone ?? 0, index + 1)
        if succeeded || mayFail { trees[process.instance]?.startPostsDone = done }
        noteReady(process.instance, now)
    }

    private mutating func noteReady(_ id: InstanceID, _ now: Instant) {
        if let tree = trees[id], tree.isReady, tree.readySince == nil { trees[id]?.readySince = now }
    }
}
