@testable import Engine

/// Carries out effects one by one and checks each against the kernel's state.
extension Simulation {
    mutating func carryOut(_ effect: Effect) {
        switch effect {
        case .prepare(let generation, _):
            checkConflicts(generation.group, atPrepare: true)
            if kernel.generations[generation] != nil { fail("I6", "\(generation) is prepared twice") }
            kernel.generations[generation] = .preparing
            let failure = Failure(unit: "http.socket", step: .prepare, cause: .text("Address already in use"))
            let fails = !kernel.isCalm && random.chance(7)
            kernel.pending.append(fails ? .prepareFailed(generation, failure) : .prepared(generation))
        case .createInstance(let id, let generation, let spec):
            if kernel.generations[generation] != .open {
                fail("I3", "\(spec.unit) in \(generation), which is not open")
            }
            checkConflicts(generation.group, atPrepare: false)
            kernel.trees[id] = FakeKernel.Tree(id: id, generation: generation, spec: spec)
            kernel.instances.append(id)
        case .spawn(let token, let id, let command):
            checkSpawn(id, command)
            kernel.spawn(token, id, command)
            if kernel.isSpawnedTwice { fail("I7", "a command runs twice at once") }
        case .signal(let token, PlanMaker.reloadSignal): kernel.processes[token]?.mustReload = true
        case .signal(let token, let signal):
            if let process = kernel.processes[token], kernel.trees[process.instance]?.main == token {
                tellToGo(process.instance)
            }
            kernel.signal(token, signal)
        case .signalTree(let id, let signal):
            tellToGo(id)
            kernel.signalTree(id, signal)
        case .killTree(let id):
            tellToGo(id)
            kernel.killTree(id)
        case .watchTree(let token, let id): kernel.watch(token, id)
        case .unwatchTree(let token, let id): kernel.unwatch(token, id)
        case .probe(let token, let id):
            kernel.probes[token] = id
            kernel.probe(token)
        case .cancelProbe(let token): kernel.cancelProbe(token)
        case .checkConditions(let token, let id):
            kernel.checks[token] = id
            kernel.checkConditions(token)
        case .seekMain(let token, let id): seekMain(token, id)
        case .cancelSearch(let token):
            kernel.searches[token] = nil
            kernel.openTokens.remove(token)
        case .forgetInstance(let id):
            if !kernel.isEmpty(id) { fail("I3", "instance \(id.number) is forgotten while its processes live") }
            if kernel.trees[id] == nil { fail("I3", "instance \(id.number) is forgotten twice") }
            kernel.trees[id] = nil
            kernel.instances.removeAll { $0 == id }
        case .releaseGeneration(let generation): release(generation)
        case .recordServing(let generation, _): checkServing(generation)
        case .startUnits(let units, _): start(units)
        case .report(let report): read(report)
        }
    }

    private mutating func release(_ generation: GenerationID) {
        if kernel.generations[generation] == nil { return fail("I3", "\(generation) is released twice") }
        if kernel.generations[generation] == .preparing { fail("I3", "\(generation) is released while it is prepared") }
        for id in kernel.instances where kernel.trees[id]?.generation == generation {
            fail("I3", "\(generation) is released while instance \(id.number) exists")
        }
        kernel.generations[generation] = nil
    }

    mutating func read(_ report: Report) {
        switch report {
        case .finished(let id, let result, let requests):
            for request in requests { answers[Int(request.number)] += 1 }
            let kind = engine.isShuttingDown ? "shutting down" : "\(result.kind)"
            coverage.ends["\(kind) \(result.outcome)", default: 0] += 1
            if result.outcome == .completed { checkCompleted(id, result) }
            checkIsTrue(id, result)
        case .refused(let request, let refusal):
            answers[Int(request.number)] += 1
            let name = "\(refusal)".prefix { $0 != "(" }
            coverage.ends["refused \(name)", default: 0] += 1
        case .unchanged(_, let request):
            answers[Int(request.number)] += 1
            coverage.ends["unchanged", default: 0] += 1
        case .shutDownComplete(let requests):
            for request in requests { answers[Int(request.number)] += 1 }
            if !kernel.living.isEmpty { fail("I5", "shut down while processes live") }
        case .phase(_, _, let phase): coverage.ends["phase \(phase)", default: 0] += 1
        case .service(let id, .stopping), .service(let id, .killing):
            // Given up before it was ready, or stopping by itself: its later messages do not count.
            if let tree = kernel.trees[id], !tree.isReady || isStoppingByItself(id) {
                kernel.trees[id]?.isToldToGo = true
            }
        case .failure(_, let failure): noteFailure(failure)
        case .stopping(_, let cause): coverage.ends["stops \("\(cause)".prefix { $0 != "(" })", default: 0] += 1
        case .drainForced(let id, let generation, let force): checkForce(id, generation, force)
        case .cutting(let id):
            kernel.pending.append(.connectionsCut(id, random.below(4)))
        case .drained(let id, let result, let requests):
            for request in requests { answers[Int(request.number)] += 1 }
            coverage.ends["drained \(result.force.map { "\($0)".prefix { $0 != "(" } } ?? "by itself")", default: 0] +=
                1
            if result.operation == result.generation.number { coverage.ends["drained rejected", default: 0] += 1 }
            checkDrained(id, result)
        case .service, .skipped: break
        }
    }

    /// I3: nothing of a generation is left when its drain is reported as ended.
    private mutating func checkDrained(_ id: GroupID, _ result: DrainResult) {
        if result.connectionsCut != nil, result.force == nil {
            fail("truth", "connections of generation \(result.generation.number) were cut without force")
        }
        guard let group = engine.groups[id] else { return }
        if group.generations[result.generation.number]?.instances.isEmpty == false {
            fail("I3", "generation \(result.generation.number) of \(id) has drained, and has instances")
        }
    }

    /// Only what exceeds `MaxDraining=` is ended for it, and only the oldest.
    private mutating func checkForce(_ id: GroupID, _ generation: GenerationSummary, _ force: DrainForce) {
        guard case .limit(let limit) = force, let drains = engine.groups[id]?.drains else { return }
        // Instances of the youngest may have left within the same event.
        guard let index = drains.firstIndex(where: { $0.generation == generation }) else { return }
        if index >= max(1, drains.count - limit + 1) {
            fail("I2", "generation \(generation.number) of \(id) is ended, and it is not the oldest")
        }
    }

    /// A service over its watchdog or run time is ended in any state, even as the last acceptor.
    private mutating func noteFailure(_ failure: Failure) {
        let isOwnDoing =
            switch failure.cause {
            case .watchdog: true
            case .timedOut: failure.step == .run
            case .spawn, .exited, .endedEarly, .protocolError, .probe, .startLimit, .text: false
            }
        guard isOwnDoing else { return }
        for id in kernel.instances where engine.instances[id]?.failure == failure {
            kernel.trees[id]?.isToldToGo = true
        }
    }

    /// Answers at once, as the supervisor does.
    private mutating func seekMain(_ token: Token, _ id: InstanceID) {
        kernel.openTokens.insert(token)
        kernel.seekers[token] = id
        guard let tree = kernel.trees[id] else { return }
        if let found = kernel.undeliveredMain(of: id) {
            // The supervisor watches it already, and finds it again under the same token.
            kernel.pending.append(.mainSought(token, .found(found)))
        } else if tree.daemons > 0, kernel.isCalm || random.chance(60) {
            let daemon = findDaemon(id)
            kernel.pending.append(.mainSought(token, .found(daemon)))
        } else if tree.spec.lifecycle.hasPidFile {
            kernel.searches[token] = id
            kernel.pending.append(.mainSought(token, .later))
        } else {
            kernel.pending.append(.mainSought(token, .absent))
        }
    }

    /// Gives a token to one of the daemons that a forking service has left.
    mutating func findDaemon(_ id: InstanceID) -> Token {
        let token = engine.newToken(for: id)
        let process = FakeKernel.Process(token: token, instance: id, command: .start(0))
        // The successor of a service that is not up yet sends READY=1 in its place.
        process.saidReady = kernel.trees[id]?.isUp != false || kernel.trees[id]?.spec.type == .forking
        kernel.processes[token] = process
        kernel.openTokens.insert(token)
        kernel.living.append(token)
        kernel.trees[id]?.processes.append(token)
        kernel.trees[id]?.main = token
        kernel.trees[id]?.daemons -= 1
        return token
    }

    // MARK: - Checks of single effects

    /// Checks the order: no service starts before the services that it starts after are ready; no public service is
    /// tried before the private tier has been proved and soaked.
    private mutating func checkSpawn(_ id: InstanceID, _ command: ServiceCommand) {
        guard let tree = kernel.trees[id] else { return fail("I3", "a command for an instance that does not exist") }
        if case .stop = command { tellToGo(id) }
        let isRun = tree.main.map { kernel.processes[$0]?.isAlive ?? false } ?? false
        if case .start = command, isRun { fail("I6", "\(tree.spec.unit) starts again while its processes live") }
        kernel.trees[id]?.hasBegun = true
        guard !tree.hasBegun, let operation = engine.groups[tree.generation.group]?.operation else { return }
        for other in kernel.instances {
            guard let before = kernel.trees[other], before.generation == tree.generation, other != id else { continue }
            let isUsed = tree.spec.startsAfter.contains(before.spec.unit)
            let mustBeProved =
                operation.protects && tree.spec.acceptsShared && !before.spec.acceptsShared
                && !before.spec.startsAfter.contains(tree.spec.unit) && before.spec.startsAfter.isEmpty
            guard isUsed || mustBeProved, !before.wasSkipped else { continue }
            guard before.isReady, let since = before.readySince else {
                fail("order", "\(tree.spec.unit) starts while \(before.spec.unit) is not ready")
                continue
            }
            let soak = operation.plan?.settings.soak ?? .zero
            if mustBeProved, now - since < soak {
                fail("order", "\(tree.spec.unit) starts before \(before.spec.unit) is soaked")
            }
        }
    }

    /// Notes that a drain signal, a kill signal, SIGKILL or `ExecStop=` reaches the main process.
    private mutating func tellToGo(_ id: InstanceID) {
        guard let tree = kernel.trees[id], kernel.mainLives(tree) else { return }
        let isRetired = engine.instances[id]?.mandate == .leaving
        if isRetired, !tree.isToldToGo { checkNobodyUses(tree) }
        if tree.isReady, tree.spec.acceptsShared, !tree.isToldToGo { checkAnotherAccepts(tree) }
        kernel.trees[id]?.isToldToGo = true
        if isRetired { kernel.trees[id]?.isRetired = true }
    }

    /// I4: a retired backend is not signalled while a service that uses it lives.
    private mutating func checkNobodyUses(_ tree: FakeKernel.Tree) {
        for other in kernel.instances {
            guard other != tree.id, let user = kernel.trees[other], user.generation.group == tree.generation.group,
                !kernel.isEmpty(user), areTogether(tree.id, other)
            else { continue }
            if uses(user.spec, tree.spec) {
                fail("I4", "\(tree.spec.unit) is told to go while \(user.spec.unit) lives")
            }
        }
    }

    private func uses(_ user: ServiceSpec, _ used: ServiceSpec) -> Bool {
        if user.startsAfter.contains(used.unit) { return true }
        // A carried partner may be of another release.
        return used.member.contains("@.")
            && user.startsAfter.contains { $0.prefix { $0 != "@" } == used.member.prefix { $0 != "@" } }
    }

    /// Whether both belong to one generation now, in whichever they were started. A member that a swap carries over
    /// outlives those that the swap replaces: its plan requires that.
    private func areTogether(_ one: InstanceID, _ other: InstanceID) -> Bool {
        guard let group = engine.instances[one]?.group else { return false }
        if engine.groups[group]?.operation?.carried.contains(other) == true { return false }
        return engine.groups[group]?.generations.values.contains {
            $0.instances.values.contains(one) && $0.instances.values.contains(other)
        } ?? false
    }

    /// I1: no action of Holdfast removes the last ready acceptor.
    private mutating func checkAnotherAccepts(_ tree: FakeKernel.Tree) {
        let id = tree.generation.group
        guard let group = engine.groups[id] else { return fail("I1", "\(id) is unknown") }
        if let draining = group.drains.first(where: { $0.leaving.contains(tree.id) }) {
            // Later, what replaced it may have died by itself.
            if draining.since == now, group.operation?.kind != .stop { checkOthersAccept(tree, draining.isRejected) }
            return
        }
        guard let operation = group.operation ?? operationsBefore[id] else {
            return fail("I1", "\(tree.spec.unit) is told to go outside any operation")
        }
        guard groups.first(where: { $0.id == id }).map({ $0.kind == .target || $0.kind == .swapService }) ?? true else {
            return
        }
        if operation.kind == .stop || operation.stopsOldFirst { return }
        if operation.phase == .rollingBack {
            // The serving services may have died by themselves meanwhile; they may not have been signalled to go.
            for other in group.serving.flatMap({ group.generations[$0]?.instances.values.sorted() }) ?? [] {
                guard let old = kernel.trees[other], old.spec.acceptsShared, old.isRetired, kernel.mainLives(old) else {
                    continue
                }
                fail("I1", "rolled back after the old one was told to go")
            }
            return
        }
        checkOthersAccept(tree, false)
    }

    private mutating func checkOthersAccept(_ tree: FakeKernel.Tree, _ isRejected: Bool) {
        let id = tree.generation.group
        // What served may have died by itself while the new generation was tried.
        if isRejected { return }
        let others = kernel.instances.compactMap { kernel.trees[$0] }.filter {
            $0.id != tree.id && $0.generation.group == id && $0.spec.acceptsShared && $0.isReady && !$0.isToldToGo
                && kernel.isAlive($0)
        }
        if others.isEmpty { fail("I1", "\(tree.spec.unit), the last acceptor, is told to go") }
    }

    /// Checks at the cutover that the whole new generation is ready, and has been for the soak time.
    private mutating func checkServing(_ generation: GenerationID) {
        guard let operation = engine.groups[generation.group]?.operation ?? operationsBefore[generation.group] else {
            return
        }
        guard
            groups.first(where: { $0.id == generation.group }).map({ $0.kind == .target || $0.kind == .swapService })
                ?? true
        else { return }
        for id in kernel.instances {
            guard let tree = kernel.trees[id], tree.generation == generation, !tree.wasSkipped else { continue }
            guard tree.isReady, kernel.isAlive(tree), let since = tree.readySince else {
                fail("I1", "\(generation) serves while \(tree.spec.unit) is not ready")
                continue
            }
            let soak = operation.protects ? operation.plan?.settings.soak ?? .zero : .zero
            if now - since < soak { fail("I1", "\(generation) serves before \(tree.spec.unit) is soaked") }
        }
    }

    /// Checks that an outcome is true at the moment of its report, as far as the engine can know: "completed" if all
    /// new services live, "rolled back" if some earlier serving one does.
    private mutating func checkIsTrue(_ id: GroupID, _ result: FinishedOperation) {
        guard [.swap, .rollback].contains(result.kind), !isRecovering else { return }
        let trees = kernel.instances.compactMap { kernel.trees[$0] }.filter { $0.generation.group == id }
        switch result.outcome {
        case .completed:
            let brought = trees.filter { $0.generation.number == result.to?.number }
            if !brought.allSatisfy({ $0.wasSkipped || kernel.isAlive($0) || isWorkerBetweenRuns($0) }) {
                fail("truth", "completed, and what was brought is gone")
            }
        case .rolledBack:
            let serves = trees.contains { !$0.wasSkipped && kernel.isAlive($0) } || trees.allSatisfy(\.wasSkipped)
            if !serves { fail("truth", "rolled back, and nothing serves") }
        case .aborted, .failed, .lost: break
        }
    }

    private mutating func checkCompleted(_ id: GroupID, _ result: FinishedOperation) {
        switch result.kind {
        case .stop:
            for other in kernel.instances where kernel.trees[other]?.generation.group == id && !kernel.isEmpty(other) {
                fail("I3", "stopped, but instance \(other.number) has processes")
            }
        case .start, .swap, .rollback, .restart:
            // Every living service must belong to the serving generation.
            let serving = engine.groups[id]?.serving.flatMap { engine.groups[id]?.generations[$0] }
            let drains = engine.groups[id]?.drains.reduce(into: Set<InstanceID>()) { $0.formUnion($1.leaving) } ?? []
            let members = drains.union(serving?.instances.values.map { $0 } ?? [])
            for other in kernel.instances where kernel.trees[other]?.generation.group == id {
                if !members.contains(other), !kernel.isEmpty(other) {
                    fail("I3", "completed, but instance \(other.number) neither serves nor drains")
                }
            }
        case .reload: break
        }
    }
}
