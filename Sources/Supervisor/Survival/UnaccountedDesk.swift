import ControlProtocol
import Engine
import Glibc
import Linux
import Logging
import UnitFiles

/// Interface of the supervisor to the desk of unaccounted processes.
protocol UnaccountedHost: AnyObject {
    var now: Instant { get }
    var usesCgroups: Bool { get }

    /// Process trees that belong to no known instance or command, with the name of each.
    func adoptUnknownTrees() -> [(name: UnaccountedTreeName, run: RunningTree)]

    /// Runs of services whose processes name a directory below `prefix` in their environment and that belong to no
    /// known instance; none of them has processes in `known`.
    func unknownRuns(below prefix: String, besides known: Set<Int32>) -> [UnknownRun]

    /// Has `reported` called when the tree may be empty.
    func awaitEmpty(_ run: RunningTree, _ reported: @escaping () -> Void)

    func group(of unit: UnitName) -> GroupID

    /// Users under whom processes of a group may run: the supervisor's own, and those that its units name.
    func users(of group: String) -> Set<UInt32>

    /// The way to end processes of a unit.
    func ending(of unit: String) -> UnknownTreeEnding

    /// Reports that processes of a group have ended or are taken over.
    /// - Parameter areGone: the last ones have ended.
    func unaccountedChanged(_ group: GroupID, areGone: Bool)

    /// Answers a stop request whose processes have ended.
    func answerStop(_ request: RequestID, of group: GroupID)
}

/// Processes of one run of a service, found by their environment.
struct UnknownRun {
    /// The part of the directory's path behind the prefix, `GROUP/GENERATION`.
    var mark: String
    var members: [Int32]
    /// Users of the processes; nil for a process that has ended.
    var users: [UInt32?]
    var tree: RunningTree
}

/// Finds, watches and ends processes of an earlier supervisor that no record accounts for.
final class UnaccountedDesk {
    private unowned let host: any UnaccountedHost
    private let machine: any Machine
    private let journal: JournalDesk
    private let directories: Directories
    private let logger: Logger
    let processes = UnaccountedProcesses()

    init(
        _ host: any UnaccountedHost, _ machine: any Machine, _ journal: JournalDesk, _ directories: Directories,
        logger: Logger
    ) {
        self.host = host
        self.machine = machine
        self.journal = journal
        self.directories = directories
        self.logger = logger
    }

    // MARK: - Discovery

    /// Finds unaccounted processes: after the journal's processes are taken over, before anything is opened or started.
    /// - Parameters:
    ///   - saved: cause that an earlier supervisor has recorded.
    ///   - problem: reason why the journal was not used.
    func find(_ saved: SavedUnaccounted?, problem: String?) {
        for tree in host.adoptUnknownTrees() { add(tree.name, tree.run) }
        if !host.usesCgroups || problem != nil { findRuns() }
        guard !processes.isEmpty else { return }
        processes.cause =
            saved ?? SavedUnaccounted(reason: problem ?? Self.lostJournal, foundAt: machine.loop.wallClock)
        processes.findSockets(machine.sockets, held: [])
    }

    private static let lostJournal = "the journal of the supervisor that started them is lost, or older than they are"

    private func add(_ name: UnaccountedTreeName, _ run: RunningTree) {
        let group = (try? UnitName(name.unit)).map { host.group(of: $0) } ?? GroupID(name.unit)
        let tree = UnaccountedProcesses.Tree(name: name, group: group, run: run)
        processes.add(tree)
        watch(tree)
    }

    /// Finds processes by the environment with which they were executed, the only mark without control groups.
    private func findRuns() {
        let known = processes.trees.reduce(into: Set<Int32>()) { $0.formUnion($1.members) }
        for run in host.unknownRuns(below: directories.generations + "/", besides: known) {
            let parts = run.mark.split(separator: "/")
            guard parts.count == 2, let name = UnitNameEscaping.unescape(String(parts[0])),
                (try? machine.files.exists("\(directories.generations)/\(run.mark)")) == true
            else { continue }
            // Any user can give any environment to a process: another user's process must not keep a unit from being
            // started.
            let users = host.users(of: name)
            guard run.users.allSatisfy({ $0.map(users.contains) == true }) else { continue }
            add(UnaccountedTreeName(unit: name, generation: Int(parts[1])), run.tree)
        }
    }

    private func watch(_ tree: UnaccountedProcesses.Tree) {
        host.awaitEmpty(tree.run, didReport(ObjectIdentifier(tree)))
    }

    private func didReport(_ id: ObjectIdentifier) -> () -> Void {
        { [unowned self] in
            guard let tree = processes.tree(id) else { return }
            if tree.run.tree.isEmpty { didEnd(tree) } else { watch(tree) }
        }
    }

    private func didEnd(_ tree: UnaccountedProcesses.Tree) {
        tree.timer = nil
        try? tree.run.remove()
        let ended = processes.remove(tree)
        logger.info("\(tree.name.unit): the last of its unknown processes has ended")
        forget(tree.group, areGone: processes.trees(of: tree.group).isEmpty)
        for request in ended { host.answerStop(request, of: tree.group) }
    }

    /// Updates the group's state after unaccounted processes have ended or been taken over.
    func forget(_ group: GroupID, areGone: Bool = false) {
        processes.dropSockets()
        if processes.isEmpty { processes.cause = nil }
        recordCause()
        host.unaccountedChanged(group, areGone: areGone)
    }

    private func recordCause() {
        journal.put(.left, processes.cause)
        journal.flush()
    }

    // MARK: - Numbers

    /// Numbers in the names of unaccounted processes and directories: what is started from now on must get others.
    func usedNumbers() -> UsedNumbers {
        var used = UsedNumbers()
        used.generations = directories.generationsOnDisk().filter { Self.isNumber(UInt64(clamping: $0.number)) }
        var numbers = processes.trees.compactMap(\.name.instance)
        numbers += directories.outputNames().compactMap { UnaccountedOutputName($0)?.instance }
        used.instances = numbers.filter(Self.isNumber).map { InstanceID(number: $0) }
        for tree in processes.trees {
            if let command = tree.name.command, Self.isNumber(command) {
                used.commands.append(SocketToken(number: command))
            }
            if let generation = tree.name.generation, Self.isNumber(UInt64(clamping: generation)) {
                used.generations.append(GenerationID(group: tree.group, number: generation))
            }
        }
        return used
    }

    struct UsedNumbers {
        var generations: [GenerationID] = []
        var instances: [InstanceID] = []
        var commands: [SocketToken] = []
    }

    /// Whether the number is in a range that leaves enough numbers, whatever process has made the name.
    private static func isNumber(_ number: UInt64) -> Bool { number < 1 << 53 }

    // MARK: - Wording

    /// Logs processes and trees that the journal does not name. None of them is killed: their absence from the journal
    /// is no proof that their service is over.
    func logFound() {
        for group in processes.groups.sorted() { logger.warning("\(group): \(advice(group))") }
    }

    /// Logs the processes that a shutdown leaves running.
    func logLeftRunning() {
        for group in processes.groups.sorted() {
            logger.warning("\(group): \(sentence(group)); left running")
        }
    }

    /// `processes 12, 15 of an earlier supervisor run unaccounted for: holdfastctl adopt …`
    func advice(_ group: GroupID) -> String {
        let object = processes.trees(of: group).flatMap(\.members).count == 1 ? "it" : "them"
        return """
            \(sentence(group)): holdfastctl adopt \(group) takes \(object) over, holdfastctl stop \(group) ends \(object)
            """
    }

    /// `processes 12, 15 of an earlier supervisor run unaccounted for`
    func sentence(_ group: GroupID) -> String {
        let isOne = processes.trees(of: group).flatMap(\.members).count == 1
        return "\(text(group)) \(isOne ? "runs" : "run") unaccounted for"
    }

    /// `processes 12, 15 of an earlier supervisor`
    func text(_ group: GroupID) -> String {
        let pids = processes.trees(of: group).flatMap(\.members)
        let list = pids.prefix(8).map(String.init).joined(separator: ", ") + (pids.count > 8 ? ", …" : "")
        return "\(pids.count == 1 ? "process" : "processes") \(list) of an earlier supervisor"
    }

    /// Refuses to start a group beside unaccounted processes.
    func refuse(beside group: GroupID, _ verb: String) throws(ControlError) {
        guard !processes.trees(of: group).isEmpty else { return }
        throw .failed(message: "cannot \(verb) \(group): \(advice(group))")
    }

    // MARK: - Ending

    /// Trees of a group, of one service or of all.
    func trees(of group: GroupID, only unit: String?) -> [UnaccountedProcesses.Tree] {
        processes.trees(of: group).filter { unit == nil || $0.name.unit == unit }
    }

    /// Ends the unaccounted processes of a group.
    /// - Parameters:
    ///   - unit: the service whose processes are ended; nil for all of the group.
    ///   - request: the request that is answered when they have ended.
    func end(_ group: GroupID, only unit: String?, for request: RequestID? = nil) {
        let trees = trees(of: group, only: unit)
        if let request { processes.awaitEnds(of: trees, for: request) }
        for tree in trees where tree.ending == nil { end(tree) }
    }

    private func end(_ tree: UnaccountedProcesses.Tree) {
        var ending = host.ending(of: tree.name.unit)
        let step = ending.firstStep(at: host.now)
        tree.ending = ending
        logger.info("\(tree.name.unit): its unknown processes are ended")
        perform(step, tree)
        guard let deadline = ending.deadline else { return }
        tree.timer = try? machine.loop.makeTimer(didReachDeadline(ObjectIdentifier(tree)))
        tree.timer?.arm(at: deadline.nanoseconds)
    }

    private func didReachDeadline(_ id: ObjectIdentifier) -> () -> Void {
        { [unowned self] in
            guard let tree = processes.tree(id), let step = tree.ending?.nextStep(at: host.now) else { return }
            perform(step, tree)
        }
    }

    private func perform(_ step: UnknownTreeEnding.Step, _ tree: UnaccountedProcesses.Tree) {
        switch step {
        case .signal(let signal):
            tree.run.tree.signalAll(signal)
            // A stopped process would handle the signal only after a SIGCONT (systemd.kill(5)).
            if signal == .terminate || signal == .hangUp { tree.run.tree.signalAll(.continue) }
        case .kill: tree.run.tree.killAll()
        }
    }
}
