import Engine
import Linux
import UnitFiles

/// Interface of the supervisor to the desk of generations.
protocol GenerationsHost: AnyObject {
    /// The held sockets; nil once everything is stopped.
    var sockets: HeldSockets? { get }
    func definitions(of plan: Plan) -> [Definition]
    func plan(of id: GenerationID) -> Plan?
    /// Number of the group's serving generation.
    func serving(_ group: GroupID) -> Int?
    func isSwapUnit(_ group: GroupID) -> Bool
    /// The held FIFO that is the instance's standard input.
    func inputFIFO(of instance: RunningInstance) -> HeldSocket?
    /// Makes `$GENERATION_DIRECTORY`.
    func makeDirectory(_ id: GenerationID, _ parts: [Definition]) throws(PreparationError) -> String
    /// Records a generation for a successor.
    func record(_ resources: GenerationResources)
}

/// Resources of all generations that exist.
final class Generations {
    private unowned let host: any GenerationsHost
    private let machine: any Machine
    private let socketUnits: SocketUnits
    private var resourcesByID: [GenerationID: GenerationResources] = [:]

    init(_ machine: any Machine, _ socketUnits: SocketUnits, host: any GenerationsHost) {
        self.machine = machine
        self.socketUnits = socketUnits
        self.host = host
    }

    subscript(id: GenerationID) -> GenerationResources? {
        get { resourcesByID[id] }
        set { resourcesByID[id] = newValue }
    }

    /// All resources in no particular order.
    var values: some Collection<GenerationResources> { resourcesByID.values }
    var ids: Set<GenerationID> { Set(resourcesByID.keys) }

    func of(_ group: GroupID) -> [GenerationResources] { resourcesByID.values.filter { $0.id.group == group } }

    func remove(_ id: GenerationID) -> GenerationResources? { resourcesByID.removeValue(forKey: id) }

    func removeAll() { resourcesByID = [:] }

    /// The generation in which services of a partial plan are carried over.
    private func servingResources(beside id: GenerationID) -> GenerationResources? {
        host.serving(id.group).flatMap { resourcesByID[GenerationID(group: id.group, number: $0)] }
    }

    // MARK: - Opening

    /// Opens the resources of a generation before any of its processes exists: all of them or none.
    func open(_ id: GenerationID, _ plan: Plan) throws(PreparationError) -> GenerationResources {
        guard let held = host.sockets else { throw PreparationError(unit: plan.group.name, text: "shutting down") }
        let parts = host.definitions(of: plan)
        // Services that are carried over keep their sockets, which the services that are replaced may have as
        // upstreams.
        let serving = servingResources(beside: id)
        let carried = plan.isWhole ? nil : serving
        let network = try makeNetwork(parts, plan, serving)
        let revision = held.nextRevision()
        let opened = try openSockets(of: parts, for: id, in: network, carried, held)
        let paused = try socketUnits.pausedSockets(opened.shared)
        let directory = try host.makeDirectory(id, parts)
        held.restorePaths([])
        let resources = GenerationResources(
            id: id, release: plan.release, directory: directory, sockets: opened.sockets)
        resources.reservations = opened.reservations
        resources.network = network
        resources.pending =
            opened.shared.isEmpty ? nil : PendingSockets(units: opened.shared.map(\.0), revision: revision)
        for socket in paused { socketUnits.handle(.willBePassed(socket)) }
        for (unit, list) in opened.shared
        where socketUnits.activation.isHeldBack(SocketID(unit.name.description)) {
            socketUnits.holdBack(list, true)
        }
        resourcesByID[id] = resources
        return resources
    }

    private struct Opened {
        var sockets: [String: [HeldSocket]]
        var reservations: [String: [Reservation]]
        /// Sockets of shared units that the generation gets.
        var shared: [(SocketUnit, [HeldSocket])] = []
    }

    /// - Parameter carried: the generation whose sockets the services that are carried over keep.
    private func openSockets(
        of parts: [Definition], for id: GenerationID, in network: NetworkNamespace?, _ carried: GenerationResources?,
        _ held: HeldSockets
    ) throws(PreparationError) -> Opened {
        let owned = Set(parts.flatMap(\.sockets).map(\.name))
        var opened = Opened(sockets: carried?.sockets ?? [:], reservations: carried?.reservations ?? [:])
        var seen: Set<UnitName> = []
        for unit in parts.flatMap(\.needed) where seen.insert(unit.name).inserted {
            let name = unit.name.description
            switch (unit.pass, unit.scope) {
            case (.address, _):
                if owned.contains(unit.name) || opened.reservations[name] == nil {
                    opened.reservations[name] = try held.reserve(unit, for: id, in: network)
                }
            case (.descriptor, .shared):
                // No service starts with attributes that an earlier process has changed on the socket.
                held.examine(held.present(unit))
                let list = try held.opened(unit)
                opened.shared.append((unit, list))
                opened.sockets[name] = list
            case (.descriptor, .generation):
                if owned.contains(unit.name) || opened.sockets[name] == nil {
                    opened.sockets[name] = try held.open(unit, for: id, in: network)
                }
            }
        }
        return opened
    }

    /// Network namespace of the generation with `X-GenerationNetwork=private`; a generation that replaces only some
    /// services joins the one of the others.
    private func makeNetwork(
        _ parts: [Definition], _ plan: Plan, _ serving: GenerationResources?
    ) throws(PreparationError) -> NetworkNamespace? {
        guard parts.contains(where: { $0.network == .private }) else { return nil }
        if !plan.isWhole, let present = serving?.network { return present }
        do throws(SystemError) {
            return try machine.sockets.makeNetwork()
        } catch {
            throw PreparationError(unit: plan.group.name, text: "X-GenerationNetwork=private: \(error)")
        }
    }

    // MARK: - Cutover

    /// Puts a serving generation's shared sockets into the table. Until then its start changes nothing there: a release
    /// that is rolled back leaves no trace.
    func keepSockets(of id: GenerationID) {
        guard let resources = resourcesByID[id], let sockets = host.sockets else { return }
        // Changes that the generation made to the sockets while it started are undone before others depend on them.
        sockets.examine(resources.sockets.values.joined().filter { !$0.sharers.present.isEmpty })
        guard let pending = resources.pending else { return }
        resources.pending = nil
        for unit in pending.units {
            let list = resources.sockets[unit.name.description] ?? []
            socketUnits.keepAtCutover(list, for: unit, revision: pending.revision)
        }
        host.record(resources)
    }

    /// Finishes the cutovers that an earlier process had decided but not carried out.
    func keepSocketsOfServing() {
        for (id, resources) in resourcesByID.sorted(by: {
            ($0.key.group, $0.key.number) < ($1.key.group, $1.key.number)
        })
        where resources.pending != nil && host.serving(id.group) == id.number {
            keepSockets(of: id)
        }
    }

    /// Pending shared units of a generation that an earlier process prepared and that does not serve yet.
    func pendingSockets(of id: GenerationID) -> PendingSockets? {
        let parts = host.plan(of: id).map(host.definitions) ?? []
        var seen: Set<UnitName> = []
        let units = parts.flatMap(\.needed).filter {
            $0.pass == .descriptor && $0.scope == .shared && seen.insert($0.name).inserted
        }
        return host.sockets.map { PendingSockets(units: units, revision: $0.nextRevision()) }
    }

    // MARK: - Sharers

    /// Sockets that the processes of an instance get.
    func sockets(of instance: RunningInstance) -> [HeldSocket] {
        guard instance.connection == nil, let generation = resourcesByID[instance.generation] else { return [] }
        return instance.definition.sockets.flatMap { generation.sockets[$0.name.description] ?? [] }
    }

    /// Records an instance as a sharer of its sockets when a run begins.
    func addSharer(_ instance: RunningInstance) {
        let isSwapped = host.isSwapUnit(instance.definition.group)
        let name = instance.name + (isSwapped ? " (generation \(instance.generation.number))" : "")
        let input = host.inputFIFO(of: instance)
        for held in sockets(of: instance) {
            let mustNotBlock = instance.definition.unit.nonBlocking || isSwapped && held !== input
            held.sharers.add(instance.id, SocketSharer(name: name, mustNotBlock: mustNotBlock))
        }
    }

    /// Removes an instance from its sockets' sharers when no process of the run is left.
    func removeSharer(_ instance: RunningInstance) {
        let list = sockets(of: instance)
        for held in list { held.sharers.remove(instance.id) }
        host.sockets?.examine(list)
    }

    /// Checks the sockets of an instance that was started or has ended.
    func examineSockets(of instance: RunningInstance) { host.sockets?.examine(sockets(of: instance)) }
}
