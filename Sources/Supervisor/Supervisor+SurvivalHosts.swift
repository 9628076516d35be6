import ControlProtocol
import Engine
import Linux
import Logging
import UnitFiles

extension Supervisor: JournalHost {
    var recordedSockets: [HeldSocket] {
        Array((sockets?.shared ?? [:]).values.joined()) + generations.values.flatMap { $0.sockets.values.joined() }
    }

    var knownDefinitions: [Definition] { Array(planning.definitions.values) }

    var startedSocketUnits: [SocketUnit] { socketUnits.started.values.map(\.unit) }

    func logJournal(_ level: Logger.Level, _ text: String) { logger.log(level: level, "\(text)") }
}

extension Supervisor: RestorationHost {
    /// Extends time limits by the gap in which no supervisor could handle events.
    func passGap(_ saved: inout SavedState?) {
        guard let head = saved?.head else { return }
        let gap = engine.passGap(until: now, heard: head.takenAt.map(Instant.init))
        saved?.activation?.machine.passGap(gap, until: now)
    }
}

extension Supervisor: AdoptionHost {
    func lastRelease(of group: GroupID) -> String? { memory.release(of: group) }

    func makeAdoptionRequest(
        _ call: ControlSessions.CallID, _ group: GroupID, _ peer: Peer, notes: [String]
    ) -> RequestID {
        newRequest(call: call, group: group, kind: .start, peer: peer, notes: notes)
    }
}

extension Supervisor: ReexecHost {
    var isShuttingDown: Bool { engine.isShuttingDown || reports.shutdownRequests != nil }

    func finalState() -> SavedState {
        var state = savedState()
        state.strays = machine.trees.savedStrays
        return state
    }

    func cancelProbes() { probes.cancelAll() }

    func repeatProbes() {
        for effect in engine.outstandingEffects { if case .probe = effect { perform(effect) } }
    }

    func answer(_ call: ControlSessions.CallID, _ reply: Reply) { conclude(call, reply) }
}

extension Supervisor: UnaccountedHost {
    var usesCgroups: Bool { machine.trees.usesCgroups }

    func adoptUnknownTrees() -> [(name: UnaccountedTreeName, run: RunningTree)] {
        unknownTrees.compactMap { name, members in
            guard !members.isEmpty, let tree = try? machine.trees.adopt(name: name, cookie: "", session: nil) else {
                return nil
            }
            // Directory names that collide with the kernel's own names have a prefix.
            let bare = String(name.dropFirst())
            let isPrefixed = name.hasPrefix("_") && machine.trees.directoryName(bare) == name
            return (UnaccountedTreeName(isPrefixed ? bare : name, directory: name), RunningTree(tree, loop))
        }
    }

    /// Process trees that no known instance or command owns, with their members.
    private var unknownTrees: [(name: String, members: [Int32])] {
        var known = Set(instances.values.filter { $0.tree != nil }.map { machine.trees.directoryName($0.treeName) })
        known.formUnion(socketUnits.commands.treeNames.map { machine.trees.directoryName($0) })
        return machine.trees.leftovers(kept: known)
    }

    func unknownRuns(below prefix: String, besides known: Set<Int32>) -> [UnknownRun] {
        var known = known.union(processes.values.map(\.pid))
        for instance in instances.values { known.formUnion(instance.tree?.members() ?? []) }
        let invocations = Set(instances.values.map(\.invocation))
        return machine.trees.marked(by: "GENERATION_DIRECTORY", prefix: prefix)
            .filter { !invocations.contains($0.cookie) && known.isDisjoint(with: $0.members) }
            .map { run in
                UnknownRun(
                    mark: run.mark, members: run.members, users: run.members.map { machine.processes.user(of: $0) },
                    tree: RunningTree(machine.trees.tree(of: run), loop))
            }
    }

    func awaitEmpty(_ run: RunningTree, _ reported: @escaping () -> Void) {
        _ = run.arm(reported)
    }

    func group(of unit: UnitName) -> GroupID { planning.group(of: unit) }

    func users(of group: String) -> Set<UInt32> {
        var users: Set<UInt32> = [machine.processes.ownUser]
        let name = try? UnitName(group)
        let release = memory.release(of: GroupID(group))
        let concrete = name?.isTemplate == true ? release.flatMap { try? name?.instantiated($0) } : name
        for service in concrete.map({ planning.resolver.resolve($0).definition?.services ?? [] }) ?? [] {
            if let user = service.execution.user, let account = try? machine.accounts.user(user) {
                users.insert(account.uid)
            }
        }
        return users
    }

    func ending(of unit: String) -> UnknownTreeEnding {
        let service = (try? UnitName(unit)).flatMap { planning.resolver.load($0).service }
        return service.map {
            UnknownTreeEnding(
                signal: $0.killSignal, timeout: $0.timeoutStop.duration, sendsFinalKill: $0.sendSIGKILL)
        } ?? UnknownTreeEnding()
    }

    func unaccountedChanged(_ group: GroupID, areGone: Bool) {
        if areGone { engine.recordEndOfUnknownProcesses(group, at: now) }
        if unaccounted.processes.isEmpty { removeUnusedDirectories() }
        subscriptions.publishState(of: group)
        socketUnits.noteService(group)
        socketUnits.reportTouchedServices()
    }

    func answerStop(_ request: RequestID, of group: GroupID) {
        guard let pending = requests.remove(request) else { return }
        requests.end(pending, request, OperationResult(outcome: .stopped, unit: group.name, notes: pending.notes))
    }
}

extension Supervisor: UnaccountedOutputHost {
    var outputsInUse: Set<String> {
        Set(instances.values.flatMap { [$0.output?.path, $0.errorOutput?.path].compactMap(\.self) })
    }

    func readUnaccountedOutput(
        _ path: String, _ name: UnaccountedOutputName, _ onEnd: @escaping () -> Void
    ) throws(SystemError) -> any MachineLogPipe {
        let origin = LogOrigin(unit: name.unit, generation: name.generation, stream: name.stream)
        return try logs.openLeftPipe(path, from: origin, ended: onEnd)
    }
}

extension Supervisor {
    /// Removes the directories of ended generations and runs.
    func removeUnusedDirectories() {
        var used = Set(generations.values.map(\.directory))
        // Adopted instances use the directory of the generation in which they were started.
        for instance in instances.values {
            guard let name = instance.ownTreeName, let number = UnaccountedTreeName(name, directory: name).generation
            else { continue }
            used.insert(directories.path(of: GenerationID(group: instance.generation.group, number: number)))
        }
        directories.removeUnused(besides: used, hasInstances: !instances.isEmpty)
    }

    /// Reserves the numbers of unaccounted processes.
    func reserveUsedNumbers() {
        let used = unaccounted.usedNumbers()
        for command in used.commands { socketUnits.activation.reserve(command) }
        engine.reserve(instances: used.instances, generations: used.generations, at: now)
    }
}

extension Supervisor {
    /// Logs unaccounted processes, and takes care of their output.
    func reportUnaccounted() {
        unaccounted.logFound()
        unaccountedOutput.move()
        unaccountedOutput.read()
        if unaccounted.processes.isEmpty { removeUnusedDirectories() }
    }

    /// Holds the sockets again on which unaccounted processes listen and that units describe.
    func claimUnaccountedSockets() {
        guard unaccounted.processes.hasSockets, let sockets else { return }
        for name in planning.resolver.loader.allNames() where name.kind == .socket && !name.isTemplate {
            guard sockets.shared[name.description] == nil, let unit = planning.resolver.load(name).socket,
                unit.scope == .shared, unit.pass == .descriptor,
                unit.listen.contains(where: { isUnaccounted($0, unit) })
            else { continue }
            do throws(PreparationError) {
                sockets.keep(try sockets.opened(unit), for: unit)
                logger.warning("\(name): taken back from processes that have it")
            } catch {
                logger.error("\(name): \(error.text)")
            }
        }
    }

    private func isUnaccounted(_ entry: ListenEntry, _ unit: SocketUnit) -> Bool {
        guard let target = sockets?.target(of: entry, in: unit) else { return false }
        return unaccounted.processes.hasSocket(at: target)
    }

    /// Ends the unaccounted processes of a group, if there are any.
    /// - Parameter unit: the service whose processes are ended; nil for all of the group.
    /// - Returns: false if there are none.
    func stopUnaccounted(
        _ group: GroupID, only unit: String?, _ call: ControlSessions.CallID, _ peer: Peer
    ) -> Bool {
        guard !unaccounted.trees(of: group, only: unit).isEmpty else { return false }
        let request = newRequest(call: call, group: group, kind: .stop, peer: peer)
        requests[request]?.notes.append("\(unaccounted.text(group)) ended; ExecStop= did not run")
        noteAction()
        unaccounted.end(group, only: unit, for: request)
        return true
    }
}
