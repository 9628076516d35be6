import Engine
import Linux
import Logging
import UnitFiles

/// Interface of the supervisor to the restoration.
protocol RestorationHost: AnyObject {
    var engine: Engine { get set }
    var sockets: HeldSockets? { get }

    func perform(_ effect: Effect)
    func handle(_ event: Event)
}

/// Restores the state of another process: one that executed this program in its place and has left every descriptor
/// open, or one that was killed. State that cannot be restored is logged and left out; the rest is restored.
final class Restoration {
    private unowned let host: any RestorationHost
    private let machine: any Machine
    private let logger: Logger
    private let planning: PlanningDesk
    private let restored: RestoredInstances
    private var instances: Instances { restored.instances }
    private var processes: ProcessDesk { restored.processes }
    private let socketUnits: SocketUnits
    private let generations: Generations
    private let journal: JournalDesk
    private let unaccounted: UnaccountedDesk
    private let predecessor: Predecessor

    init(
        _ host: any RestorationHost, _ planning: PlanningDesk, _ restored: RestoredInstances,
        _ socketUnits: SocketUnits, _ generations: Generations, _ journal: JournalDesk,
        _ unaccounted: UnaccountedDesk, _ predecessor: Predecessor
    ) {
        self.host = host
        machine = restored.machine
        logger = restored.logger
        self.planning = planning
        self.restored = restored
        self.socketUnits = socketUnits
        self.generations = generations
        self.journal = journal
        self.unaccounted = unaccounted
        self.predecessor = predecessor
    }

    // MARK: - Kernel objects

    /// Takes over the kernel objects. No event is acted on before `resume`.
    ///
    /// A shortage of descriptors or memory is thrown, and ends this process: what is not taken over would count as gone.
    /// Nothing has been changed by then, and the next process tries again.
    func restore(_ saved: SavedState) throws(SystemError) {
        let units = RestoredUnits(saved.units, planning.resolver.loader.specifiers, machine.units.source(nil))
        for problem in units.problems { logger.error("\(problem)") }
        // Restored before the first tree is read, which would claim processes that several trees may have left.
        if let strays = saved.strays { machine.trees.restore(strays) }
        restoreDefinitions(saved, units)
        // Restored before the instances, which have the connections.
        if let activation = saved.activation { try socketUnits.restore(activation, units) }
        for record in saved.instances {
            guard let definition = planning.definitions[record.definition] else { continue }
            try restored.restore(record, definition, socketUnits.connections[record.generation.group])
        }
        for record in saved.processes {
            try restored.restore(record)
            if processes[record.token] == nil { journal.keepRecord(ofEnded: record) }
        }
        unaccounted.find(saved.left, problem: predecessor.problem)
        try restoreSockets(saved, units, except: dropOutdated())
        for instance in instances.values where instance.tree != nil { generations.addSharer(instance) }
        restored.stores.restore(saved.stores ?? [])
    }

    private func restoreDefinitions(_ saved: SavedState, _ units: RestoredUnits) {
        for record in saved.definitions {
            if let definition = units.definition(record) { planning.add(definition) }
        }
        let used = max(host.engine.definitionsInUse.max() ?? 0, planning.definitions.keys.max() ?? 0)
        planning.reserve(upTo: max(saved.lastDefinition, used))
    }

    private func restoreSockets(_ saved: SavedState, _ units: RestoredUnits, except outdated: Set<GroupID>)
        throws(SystemError)
    {
        guard let held = host.sockets else { return }
        let isKilled = saved.sockets.values.contains { $0.descriptor == nil }
        let sockets = try RestoredSockets(machine, held, units, pids: isKilled ? livingProcesses : [], logger: logger)
        for (number, record) in saved.sockets.sorted(by: { $0.key < $1.key }) {
            if let owner = record.owner, outdated.contains(owner.group) { continue }
            try sockets.restore(record, number)
        }
        sockets.restoreShared(saved.shared)
        for record in saved.generations where !outdated.contains(record.id.group) {
            let resources = try sockets.resources(record, pids: pids(of: record.id))
            if record.isPending == true { resources.pending = generations.pendingSockets(of: record.id) }
            generations[record.id] = resources
        }
    }

    private func pids(of id: GenerationID) -> [Int32] {
        processes.values.filter { instances[$0.instance]?.generation == id }.map(\.pid).sorted()
    }

    private var livingProcesses: [Int32] {
        var pids = Set(processes.values.map(\.pid))
        for instance in instances.values { pids.formUnion(instance.tree?.members() ?? []) }
        for tree in unaccounted.processes.trees { pids.formUnion(tree.members) }
        return pids.sorted()
    }

    /// Drops groups whose records are older than the running processes: none of the recorded processes exists, but
    /// others do. To continue from the record would start an older release beside the serving one.
    private func dropOutdated() -> Set<GroupID> {
        let outdated = unaccounted.processes.groups.filter { group in
            let own = instances.of(group)
            let ids = Set(own.map(\.id))
            return !own.isEmpty && own.allSatisfy { $0.tree?.isEmpty ?? true }
                && !processes.values.contains { ids.contains($0.instance) }
        }
        for group in outdated.sorted() {
            for instance in instances.of(group) {
                _ = instances.remove(instance.id)
                instance.close()
            }
            host.engine.forgetOutdatedState(of: group)
            logger.warning("\(group): the journal is older than its running processes")
        }
        return outdated
    }

    // MARK: - Events

    /// Carries out effects that were recorded but not done, and handles the waiting events.
    func resume(_ saved: SavedState) {
        var found = SurvivingState()
        found.generations = generations.ids
        found.instances = instances.ids
        found.processes = Set(saved.processes.map(\.token))
        // Waiting events have already happened.
        for event in saved.backlog { found.note(event) }
        predecessor.startResuming()
        let unrecorded = UnrecordedCommands(
            machine: machine, instances: instances, processes: processes, journal: journal, logger: logger,
            lastWrite: predecessor.lastWrite)
        found.processes.formUnion(unrecorded.takeProcesses(of: host.engine.unrecordedCommands(found)))
        for effect in host.engine.recovery(found) { host.perform(effect) }
        while let signal = journal.nextUnsentSignal {
            host.perform(signal)
            journal.recordSent(signal)
        }
        generations.keepSocketsOfServing()
        for event in saved.backlog { host.handle(event) }
        socketUnits.resume()
    }

    /// Reports processes that ended without a supervisor, after `resume`. Their exit statuses are unknown, because the
    /// kernel reported them to another parent.
    func reportMissedEnds(_ saved: SavedState) {
        var found = SurvivingState()
        found.generations = Set(saved.generations.map(\.id))
        for event in host.engine.missedEvents(found) { host.handle(event) }
        for token in host.engine.awaitedProcesses { host.handle(.spawned(token)) }
        for record in saved.processes where processes[record.token] == nil {
            host.handle(.exited(record.token, .unknown))
        }
        for token in host.engine.awaitedProcesses where processes[token] == nil {
            host.handle(.exited(token, .unknown))
        }
    }
}
