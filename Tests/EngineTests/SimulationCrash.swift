import StateCoding

@testable import Engine

/// The supervisor is killed between any two effects, and another process goes on from what was written before them.
extension Simulation {
    /// What is in the journal.
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

    /// Writes what the engine has decided; then, maybe, that was the last thing that the process did. Answers how many of the
    /// effects are carried out before.
    mutating func write(before effects: [Effect]) -> Int? {
        guard crashes > 0 else { return nil }
        do {
            try written.write(&engine)
        } catch {
            fail("I7", "the engine cannot be written: \(error)")
        }
        guard !isRecovering, random.chance(crashes) else { return nil }
        return random.below(effects.count + 1)
    }

    mutating func crash(undone: [Effect]) {
        log?.append("        KILLED")
        coverage.ends["crash", default: 0] += 1
        do {
            engine = try written.read()
        } catch {
            return fail("I7", "the journal cannot be read: \(error)")
        }
        isRecovering = true
        defer { isRecovering = false }
        // Whoever had asked for something has lost the connection.
        for index in answers.indices where answers[index] == 0 { answers[index] = 1 }
        hasCrashed = true
        let found = loseWhatWasOnItsWay()
        for effect in undone { if case .report(let report) = effect { read(report) } }
        for effect in engine.recovery(found) {
            log?.append("        \(Short.text(effect))")
            carryOut(effect)
        }
        for effect in undone {
            switch effect {
            case .signal, .signalTree: carryOut(effect)
            default: break
            }
        }
        for event in engine.missedEvents(found) where violation == nil {
            if case .prepareFailed(let id, _) = event { kernel.generations[id] = .failed }
            handle(event)
        }
        let left = kernel.processes.values.filter { !$0.exitIsTold && found.processes.contains($0.token) }
        for process in left.sorted(by: { $0.token.number < $1.token.number }) where violation == nil {
            handle(.spawned(process.token))
            if !process.isAlive { handle(.exited(process.token, .unknown)) }
        }
        for token in engine.awaitedProcesses where violation == nil {
            if kernel.processes[token] == nil { handle(.exited(token, .unknown)) }
        }
        kernel.openTokens.formUnion(engine.owners.keys)
        isRecovering = false
        if violation == nil { handle(.deadlineReached) }
    }

    /// Answers that nobody has taken are gone with the process; what exists in the kernel is found.
    private mutating func loseWhatWasOnItsWay() -> Found {
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
        var found = Found()
        found.generations = Set(kernel.generations.keys)
        found.instances = Set(kernel.instances)
        found.processes = Set(kernel.processes.keys)
        return found
    }
}
