import ControlProtocol
import Engine
import Linux
import Logging
import UnitFiles

/// Interface of the supervisor to the desk of adoptions.
protocol AdoptionHost: AnyObject {
    var engine: Engine { get set }
    var sockets: HeldSockets? { get }

    /// Release of a group that served last.
    func lastRelease(of group: GroupID) -> String?
    /// User under whom a service runs.
    func user(of execution: ExecutionSettings) -> UInt32
    func makeAdoptionRequest(
        _ call: ControlSessions.CallID, _ group: GroupID, _ peer: Peer, notes: [String]
    ) -> RequestID
    func handle(_ event: Event)
}

/// The `Adopt` call: turns unaccounted processes into a serving generation, if the unit files tell which service each
/// process belongs to.
final class AdoptionDesk {
    private unowned let host: any AdoptionHost
    private let machine: any Machine
    private let logger: Logger
    private let planning: PlanningDesk
    private let instances: Instances
    private let processes: ProcessDesk
    private let generations: Generations
    private let unaccounted: UnaccountedDesk
    private let journal: JournalDesk
    private let directories: Directories

    init(
        _ host: any AdoptionHost, _ machine: any Machine, _ planning: PlanningDesk, _ instances: Instances,
        _ processes: ProcessDesk, _ generations: Generations, _ unaccounted: UnaccountedDesk, _ journal: JournalDesk,
        _ directories: Directories, logger: Logger
    ) {
        self.host = host
        self.machine = machine
        self.logger = logger
        self.planning = planning
        self.instances = instances
        self.processes = processes
        self.generations = generations
        self.unaccounted = unaccounted
        self.journal = journal
        self.directories = directories
    }

    /// Reason why the processes cannot be taken over.
    private struct Undecidable: Error { let text: String }

    func adopt(_ group: GroupID, _ call: ControlSessions.CallID, _ peer: Peer) throws(ControlError) {
        let found = unaccounted.processes.trees(of: group)
        guard !found.isEmpty else {
            throw .failed(message: "cannot adopt \(group): it has no unaccounted processes")
        }
        do throws(Undecidable) {
            guard !host.engine.isShuttingDown else { throw Undecidable(text: "everything is being stopped") }
            guard !host.engine.isActive(group) else { throw Undecidable(text: "it runs as another generation") }
            guard found.allSatisfy({ $0.ending == nil }) else { throw Undecidable(text: "they are being ended") }
            let trees = try byUnit(found)
            let planned = try plan(of: group, trees)
            let number = freeNumber(group, found)
            let id = GenerationID(group: group, number: number)
            unaccounted.processes.findSockets(
                machine.sockets, held: Set((host.sockets?.registry.all ?? []).compactMap(\.endpoint.inode)))
            let resources = try takeResources(id, planned, trees)
            let request = host.makeAdoptionRequest(
                call, group, peer, notes: ["\(unaccounted.text(group)) taken over"])
            for held in resources.own { held.isFound = false }
            generations[id] = resources
            // Written in one batch with the engine's changes.
            journal.record(resources)
            let services = planned.plan.services.map { take(trees[$0.unit], $0, id) }
            host.handle(.command(.adopt(Adoption(plan: planned.plan, number: number, services: services)), request))
            for instance in instances.values where instance.tree != nil { generations.addSharer(instance) }
            unaccounted.forget(group)
        } catch {
            throw .failed(
                message: """
                    cannot adopt \(group): \(error.text); \(unaccounted.text(group)) left running; holdfastctl stop \(group) ends them
                    """)
        }
    }

    // MARK: - Deciding

    private func byUnit(_ found: [UnaccountedProcesses.Tree]) throws(Undecidable) -> [String: UnaccountedProcesses.Tree]
    {
        var trees: [String: UnaccountedProcesses.Tree] = [:]
        for tree in found {
            guard let other = trees.updateValue(tree, forKey: tree.name.unit) else { continue }
            func text(_ tree: UnaccountedProcesses.Tree) -> String {
                let pids = tree.members.prefix(4).map(String.init).joined(separator: ", ")
                return tree.name.generation.map { "generation \($0) (\(pids))" } ?? pids
            }
            throw Undecidable(
                text:
                    "\(tree.name.unit) runs more than once, as \(text(other)) and \(text(tree)), and which serves is not known"
            )
        }
        return trees
    }

    /// Plan of the group for the services that run. For a template it is the release that has all of them.
    private func plan(
        of group: GroupID, _ trees: [String: UnaccountedProcesses.Tree]
    ) throws(Undecidable) -> Planning.Planned {
        guard let name = try? UnitName(group.name) else { throw Undecidable(text: "\(group) is no unit") }
        var names = [name]
        if name.isTemplate {
            let releases = [host.lastRelease(of: group)] + trees.keys.sorted().map { (try? UnitName($0))?.instance }
            names = releases.compactMap(\.self).compactMap { try? name.instantiated($0) }
        }
        var problem: String?
        for name in names {
            guard let whole = planning.resolver.resolve(name).definition else { continue }
            let services = whole.services.filter { $0.type != .oneshot || trees[$0.name.description] != nil }
            let missing = services.map(\.name.description).filter { trees[$0] == nil }
            let others = trees.keys.filter { unit in !whole.services.contains { $0.name.description == unit } }.sorted()
            guard missing.isEmpty, others.isEmpty else {
                problem = problem ?? difference(name, missing, others)
                continue
            }
            guard whole.network != .private else {
                throw Undecidable(
                    text:
                        "X-GenerationNetwork=private: its sockets cannot be distinguished from those of other generations"
                )
            }
            do throws(ControlError) {
                return try planning.planned(name, whole, besideUnaccounted: true)
            } catch {
                throw Undecidable(text: error.localizedMessage)
            }
        }
        throw Undecidable(text: problem ?? "no unit file describes these processes")
    }

    private func difference(_ name: UnitName, _ missing: [String], _ others: [String]) -> String {
        if !others.isEmpty { return "\(others.joined(separator: ", ")) is no service of \(name) by its unit files" }
        return "\(missing.joined(separator: ", ")) of \(name) does not run"
    }

    /// Number of the generation in the processes' environment, if no generation has it; else the next number.
    private func freeNumber(_ group: GroupID, _ found: [UnaccountedProcesses.Tree]) -> Int {
        let last = host.engine.view(of: group)?.lastNumber ?? 0
        guard let number = found.compactMap(\.name.generation).max(), number > 0,
            generations[GenerationID(group: group, number: number)] == nil
        else { return last + 1 }
        return number
    }

    // MARK: - Taking over

    private func takeResources(
        _ id: GenerationID, _ planned: Planning.Planned, _ trees: [String: UnaccountedProcesses.Tree]
    ) throws(Undecidable) -> GenerationResources {
        guard let held = host.sockets else { throw Undecidable(text: "everything is being stopped") }
        let parts = planned.plan.services.compactMap { planning.definitions[$0.definition] }
        var taken: [String: [HeldSocket]] = [:]
        var shared: [SocketUnit] = []
        let members = Set(trees.values.flatMap(\.members))
        let revision = held.nextRevision()
        do throws(PreparationError) {
            for unit in parts.flatMap(\.needed) where taken[unit.name.description] == nil {
                guard unit.pass == .descriptor else {
                    throw PreparationError(
                        unit: unit.name.description, text: "X-Pass=address: which address it has is not known")
                }
                guard unit.scope == .generation else {
                    taken[unit.name.description] = try held.opened(unit)
                    shared.append(unit)
                    continue
                }
                taken[unit.name.description] = try own(unit, id, trees, members, held)
            }
        } catch {
            throw Undecidable(text: "\(error.unit): \(error.text)")
        }
        let resources = GenerationResources(
            id: id, release: planned.plan.release, directory: directories.path(of: id), sockets: taken)
        resources.pending = shared.isEmpty ? nil : PendingSockets(units: shared, revision: revision)
        return resources
    }

    /// Takes over the generation's own sockets.
    private func own(
        _ unit: SocketUnit, _ id: GenerationID, _ trees: [String: UnaccountedProcesses.Tree], _ members: Set<Int32>,
        _ held: HeldSockets
    ) throws(PreparationError) -> [HeldSocket] {
        let numbers = Set(trees.values.compactMap(\.name.generation)).sorted(by: >)
        var list: [HeldSocket] = []
        for entry in unit.listen {
            let target = held.target(of: entry, in: unit)
            let named = numbers.map { target.unique($0) }.first { unaccounted.processes.hasSocket(at: $0) }
            guard let found = try held.takeLeft(unit, named ?? target, owner: id, of: named == nil ? members : nil)
            else {
                throw PreparationError(unit: unit.name.description, text: "none of them listens on \(target)")
            }
            list.append(found)
        }
        return list
    }

    /// Turns one process tree into an instance.
    private func take(_ tree: UnaccountedProcesses.Tree?, _ spec: ServiceSpec, _ generation: GenerationID)
        -> Adoption.Service
    {
        let id = host.engine.newInstanceID()
        var service = Adoption.Service(spec: spec, instance: id, main: nil, isOver: tree == nil)
        guard let definition = planning.definitions[spec.definition] else { return service }
        let instance = RunningInstance(id: id, generation: generation, definition: definition)
        instances.add(instance)
        guard let tree else {
            journal.put(.running(id), SavedInstance(instance))
            return service
        }
        _ = unaccounted.processes.remove(tree)
        tree.run.disarm()
        let members = tree.members
        instance.ownTreeName = tree.name.directory.isEmpty ? nil : tree.name.directory
        instance.invocation =
            ExecutedProcesses(processes: machine.processes).invocation(of: members) ?? Launcher.makeInvocationID()
        instances.begin(tree.run, of: instance)
        generations.addSharer(instance)
        journal.put(.running(id), SavedInstance(instance))
        guard let pid = mainProcess(definition.unit, instance.invocation, members) else { return service }
        do throws(SystemError) {
            let token = host.engine.newToken(for: id)
            try processes.take(try machine.processes.open(pid), as: token, of: id)
            if let process = processes[token] { journal.put(.process(token), SavedProcess(process)) }
            service.main = token
        } catch {
            logger.error("\(instance.name): watching its main process \(pid): \(error)")
        }
        return service
    }

    /// Main process: the one that the PID file names; else the one that was executed for the service; else the only
    /// process whose parent is not among the members.
    private func mainProcess(_ unit: ServiceUnit, _ invocation: String, _ members: [Int32]) -> Int32? {
        if let path = unit.lifecycle.pidFile {
            let content = try? machine.serviceFiles.readPidFile(path, user: host.user(of: unit.execution))
            if case .process(let pid)? = content, members.contains(pid) { return pid }
        }
        if unit.type == .forking, !unit.lifecycle.guessesMainPid { return nil }
        return ExecutedProcesses(processes: machine.processes).main(
            of: invocation, among: members, isForking: unit.type == .forking)
    }
}
