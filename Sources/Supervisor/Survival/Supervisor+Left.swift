import ControlProtocol
import Engine
import Glibc
import Linux
import UnitFiles

/// Finds, watches and ends processes of an earlier supervisor that no record accounts for.
extension Supervisor {
    // MARK: - Discovery

    /// Finds unaccounted processes: after the journal's processes are taken over, before anything is opened or started.
    func findLeft(_ saved: SavedLeft?) {
        for (name, members) in strangers {
            guard !members.isEmpty, let tree = try? trees.adopt(name: name, cookie: "", session: nil) else { continue }
            // Directory names that collide with the kernel's own names have a prefix.
            let bare = String(name.dropFirst())
            let isPrefixed = name.hasPrefix("_") && trees.directoryName(bare) == name
            addLeft(LeftTreeName(isPrefixed ? bare : name, directory: name), tree)
        }
        if !trees.usesCgroups || journalProblem != nil { findMarked() }
        guard !left.isEmpty else { return }
        left.cause = saved ?? SavedLeft(reason: journalProblem ?? Self.unnamed, foundAt: loop.wallClock)
        left.lookAtSockets(machine.sockets, held: [])
    }

    private static let unnamed = "the journal of the supervisor that started them is lost, or older than they are"

    private func addLeft(_ name: LeftTreeName, _ tree: ProcessTree) {
        let group = (try? UnitName(name.unit)).map { planning.group(of: $0) } ?? GroupID(name.unit)
        let left = LeftProcesses.Tree(name: name, group: group, run: RunningTree(tree))
        self.left.add(left)
        watch(left)
    }

    /// Finds processes by the environment with which they were executed, the only mark without control groups.
    private func findMarked() {
        let directory = configuration.runtimeDirectory + "/generations/"
        var known = Set(processes.values.map(\.pid))
        for instance in instances.values { known.formUnion(instance.tree?.members() ?? []) }
        for tree in left.trees { known.formUnion(tree.members) }
        let invocations = Set(instances.values.map(\.invocation))
        for run in ProcessTrees.marked(by: "GENERATION_DIRECTORY", prefix: directory) {
            guard !invocations.contains(run.cookie), known.isDisjoint(with: run.members) else { continue }
            let parts = run.mark.split(separator: "/")
            guard parts.count == 2, let name = UnitNameEscaping.unescape(String(parts[0])),
                (try? FileTree.exists(directory + run.mark)) == true
            else { continue }
            // Any user can give any environment to a process: another user's process must not keep a unit from being
            // started.
            let users = users(of: name)
            guard run.members.allSatisfy({ ProcessFacts.user(of: $0).map(users.contains) == true }) else { continue }
            addLeft(LeftTreeName(unit: name, generation: Int(parts[1])), trees.tree(of: run))
        }
    }

    /// Uids that processes of a group may have: the supervisor's own, and those of the users that its units name.
    private func users(of group: String) -> Set<UInt32> {
        var users: Set<UInt32> = [getuid()]
        let name = try? UnitName(group)
        let release = memory.release(of: GroupID(group))
        let concrete = name?.isTemplate == true ? release.flatMap { try? name?.instantiated($0) } : name
        for service in concrete.map({ planning.resolver.resolve($0).definition?.services ?? [] }) ?? [] {
            if let user = service.execution.user, let account = try? Accounts.user(user) { users.insert(account.uid) }
        }
        return users
    }

    private func watch(_ tree: LeftProcesses.Tree) {
        let reported = leftReported(ObjectIdentifier(tree))
        if tree.run.arm(eventLoop, reported) != nil { tree.run.look(eventLoop, reported) }
    }

    private func leftReported(_ id: ObjectIdentifier) -> () -> Void {
        { [unowned self] in
            guard let tree = left.tree(id) else { return }
            if tree.run.tree.isEmpty { leftEnded(tree) } else { watch(tree) }
        }
    }

    private func leftEnded(_ tree: LeftProcesses.Tree) {
        tree.timer = nil
        tree.run.end()
        let ended = left.remove(tree)
        logger.info("\(tree.name.unit): the last of its unknown processes has ended")
        if left.trees(of: tree.group).isEmpty { engine.recordEndOfUnknownProcesses(tree.group, at: now) }
        forgetLeft(tree.group)
        for id in ended {
            guard let pending = requests.remove(id) else { continue }
            end(pending, id, ShownResult(outcome: .stopped, unit: tree.group.name, notes: pending.notes))
        }
    }

    /// Updates the group's state after unaccounted processes have ended or been taken over.
    func forgetLeft(_ group: GroupID) {
        left.dropSockets()
        if left.isEmpty {
            left.cause = nil
            removeLeftDirectories()
        }
        journalLeft()
        if !subscribers.isEmpty { publishState(of: group) }
        noteService(group)
        tellSockets()
    }

    func journalLeft() {
        put(.left, left.cause)
        journal.flush()
    }

    // MARK: - Numbers and sockets of unaccounted processes

    /// Reserves the numbers in the names of unaccounted processes and directories: what is started from now on gets
    /// others.
    func reserveLeftNumbers() {
        var found: [GenerationID] = []
        let base = configuration.runtimeDirectory + "/generations"
        for group in (try? UnitDirectory.list(base)) ?? [] {
            guard let name = UnitNameEscaping.unescape(group) else { continue }
            for number in (try? UnitDirectory.list("\(base)/\(group)")) ?? [] {
                if let number = Int(number), isNumber(UInt64(clamping: number)) {
                    found.append(GenerationID(group: GroupID(name), number: number))
                }
            }
        }
        var numbers = left.trees.compactMap(\.name.instance)
        for directory in ["output", "output.left"] {
            let names = (try? UnitDirectory.list("\(configuration.runtimeDirectory)/\(directory)")) ?? []
            numbers += names.compactMap { LeftName($0)?.instance }
        }
        for tree in left.trees {
            if let command = tree.name.command, isNumber(command) { activation.reserve(SocketToken(number: command)) }
            if let generation = tree.name.generation, isNumber(UInt64(clamping: generation)) {
                found.append(GenerationID(group: tree.group, number: generation))
            }
        }
        engine.reserve(
            instances: numbers.filter(isNumber).map { InstanceID(number: $0) }, generations: found, at: now)
    }

    /// Whether the number is in a range that leaves enough numbers, whatever process has made the name.
    private func isNumber(_ number: UInt64) -> Bool { number < 1 << 53 }

    /// Holds the sockets again on which unaccounted processes listen and that units describe.
    func claimLeftSockets() {
        guard left.hasSockets, let sockets else { return }
        for name in planning.resolver.loader.allNames() where name.kind == .socket && !name.isTemplate {
            guard sockets.shared[name.description] == nil, let unit = planning.resolver.load(name).socket,
                unit.scope == .shared, unit.pass == .descriptor,
                unit.listen.contains(where: { isLeft($0, unit) })
            else { continue }
            do throws(PreparationError) {
                sockets.keep(try sockets.opened(unit), for: unit)
                logger.warning("\(name): taken back from processes that have it")
            } catch {
                logger.error("\(name): \(error.text)")
            }
        }
    }

    private func isLeft(_ entry: ListenEntry, _ unit: SocketUnit) -> Bool {
        guard let target = try? sockets?.target(of: entry, in: unit) else { return false }
        return left.has(target)
    }

    /// Takes sockets from systemd's store that the journal does not name.
    func takeUnnamedStored() {
        for (name, raw) in stored where name.hasPrefix(StoredName.sockets) {
            guard let kept = try? OwnedDescriptor.inherited(raw), let socket = machine.sockets.reachableSocket(kept)
            else { continue }
            left.add(socket)
            stored[name] = nil
            unclaimedStored.append(name)
        }
    }

    /// Drops sockets from systemd's store that no started unit has claimed.
    func dropUnclaimed() {
        for name in unclaimedStored { store.remove(name: name) }
        unclaimedStored = []
        left.dropSockets()
    }

    // MARK: - Requests

    /// Refuses to start a group beside unaccounted processes.
    func refuseBesideLeft(_ group: GroupID, _ verb: String) throws(ControlError) {
        guard !left.trees(of: group).isEmpty else { return }
        throw .failed(
            message: """
                cannot \(verb) \(group): \(leftSentence(group)); holdfastctl adopt \(group) takes them over, holdfastctl stop \
                \(group) ends them
                """)
    }

    /// `processes 12, 15 of an earlier supervisor run unaccounted for`
    func leftSentence(_ group: GroupID) -> String {
        let isOne = left.trees(of: group).flatMap(\.members).count == 1
        return "\(leftText(group)) \(isOne ? "runs" : "run") unaccounted for"
    }

    /// `processes 12, 15 of an earlier supervisor`
    func leftText(_ group: GroupID) -> String {
        let pids = left.trees(of: group).flatMap(\.members)
        let list = pids.prefix(8).map(String.init).joined(separator: ", ") + (pids.count > 8 ? ", …" : "")
        return "\(pids.count == 1 ? "process" : "processes") \(list) of an earlier supervisor"
    }

    /// Ends the unaccounted processes of a group, if there are any.
    /// - Parameter unit: the service whose processes are ended; nil for all of the group.
    /// - Returns: false if there are none.
    func stopLeft(
        _ group: GroupID, only unit: String?, _ call: ControlSessions.CallID, _ peer: Peer
    ) -> Bool {
        let trees = left.trees(of: group).filter { unit == nil || $0.name.unit == unit }
        guard !trees.isEmpty else { return false }
        let request = newRequest(call: call, group: group, kind: .stop, peer: peer)
        requests[request]?.notes.append("\(leftText(group)) ended; ExecStop= did not run")
        noteAction()
        left.ends(trees, for: request)
        endLeft(group, only: unit)
        return true
    }

    func endLeft(_ group: GroupID, only unit: String?) {
        for tree in left.trees(of: group) where tree.ending == nil && (unit == nil || tree.name.unit == unit) {
            end(tree)
        }
    }

    private func end(_ tree: LeftProcesses.Tree) {
        let unit = (try? UnitName(tree.name.unit)).flatMap { planning.resolver.load($0).service }
        var ending =
            unit.map {
                UnknownTreeEnding(
                    signal: $0.killSignal.number, timeout: $0.timeoutStop.duration, sendsFinalKill: $0.sendSIGKILL)
            } ?? UnknownTreeEnding()
        let step = ending.firstStep(at: now)
        tree.ending = ending
        logger.info("\(tree.name.unit): its unknown processes are ended")
        perform(step, tree)
        guard let deadline = ending.deadline else { return }
        tree.timer = try? loop.makeTimer(leftDeadline(ObjectIdentifier(tree)))
        tree.timer?.arm(at: deadline.nanoseconds)
    }

    private func leftDeadline(_ id: ObjectIdentifier) -> () -> Void {
        { [unowned self] in
            guard let tree = left.tree(id), let step = tree.ending?.nextStep(at: now) else { return }
            perform(step, tree)
        }
    }

    private func perform(_ step: UnknownTreeEnding.Step, _ tree: LeftProcesses.Tree) {
        switch step {
        case .signal(let signal):
            tree.run.tree.signalAll(Linux.Signal(rawValue: signal))
            // A stopped process would handle the signal only after a SIGCONT (systemd.kill(5)).
            if signal == SIGTERM || signal == SIGHUP { tree.run.tree.signalAll(.continue) }
        case .kill: tree.run.tree.killAll()
        }
    }
}
