import ControlProtocol
import Engine
import Linux
import Logging
import UnitFiles

/// Interface of the supervisor to the desk of operations.
protocol OperationsHost: AnyObject {
    var engine: Engine { get }
    var memory: ReleaseMemory { get }
    func handle(_ event: Event)
    func log(_ level: Logger.Level, about subject: String, _ text: String)
    func logError(_ text: String)
    func noteDiagnostics(_ diagnostics: [Diagnostic], of unit: UnitName) -> [String]

    /// Whether a socket unit is started, or held for services.
    func isActive(socket: String) -> Bool

    func endUnaccounted(_ group: GroupID, only unit: String?)
    /// Ends the unaccounted processes of a group; false if there are none.
    func stopUnaccounted(
        _ group: GroupID, only unit: String?, _ call: ControlSessions.CallID, _ peer: Peer
    ) -> Bool
}

/// Requests that start, stop, swap and restart: each is one transaction, with an answer for its client.
///
/// - `OperationsDesk+Requests`: requests about what runs.
/// - `OperationsDesk+Transactions`: the engine decides each request as a whole, and it starts as a whole.
final class OperationsDesk {
    unowned let host: any OperationsHost
    let planning: PlanningDesk
    let names: NamesDesk
    let requests: RequestsDesk
    let reports: ReportsDesk
    let instances: Instances
    let socketUnits: SocketUnits
    let generations: Generations
    var engine: Engine { host.engine }

    init(
        _ host: any OperationsHost, _ planning: PlanningDesk, _ names: NamesDesk, _ requests: RequestsDesk,
        _ reports: ReportsDesk, _ instances: Instances, _ socketUnits: SocketUnits, _ generations: Generations
    ) {
        (self.host, self.planning, self.names) = (host, planning, names)
        (self.requests, self.reports, self.instances) = (requests, reports, instances)
        (self.socketUnits, self.generations) = (socketUnits, generations)
    }

    func handle(_ event: Event) { host.handle(event) }

    // MARK: - Start

    func start(_ name: String, hold: Bool, _ call: ControlSessions.CallID, _ peer: Peer) throws(ControlError) {
        let unit = try planning.unitName(name)
        let target = try planning.target(unit)
        let work = try decide(.start, unit)
        switch target {
        case .services(let planned):
            let request = requests.make(
                call: call, group: planned.plan.group, kind: .start, peer: peer,
                notes: planned.notes + work.transaction.notes)
            start(work, Requested(.start(work.ordered(planned.plan)), request), for: peer)
        case .socket(let socket):
            start(work, nil, for: peer)
            try socketUnits.start(socket, requests.make(call: call, kind: .start, peer: peer))
        case .list(let target, let units):
            beginBatch(work, .start(work.ordered(plan(of: target, units))), .start, target, call, peer)
        }
    }

    /// Begins a request for a target without `[X-Swap]`: each of its units by itself, with one answer.
    private func beginBatch(
        _ work: DecidedTransaction, _ command: Command, _ kind: OperationKind, _ target: TargetUnit,
        _ call: ControlSessions.CallID, _ peer: Peer
    ) {
        let name = target.name
        let notes = kind == .stop ? [] : host.noteDiagnostics(planning.resolver.load(name).diagnostics, of: name)
        let outcome: OperationOutcome = kind == .stop ? .stopped : kind == .start ? .started : .completed
        let batch = requests.makeBatch(
            call, named: name.description, notes: notes + work.transaction.notes, outcome: outcome)
        let own = requests.make(group: GroupID(name.description), kind: kind, peer: peer, batch: batch)
        start(work, Requested(command, own)) { group, kind in
            requests.addPart(to: batch)
            return requests.make(group: group, kind: kind, peer: peer, batch: batch)
        }
    }

    func start(_ work: DecidedTransaction, _ anchor: Requested?, for peer: Peer) {
        start(work, anchor) { group, kind in requests.make(group: group, kind: kind, peer: peer) }
    }

    // MARK: - Swap and restart

    func swap(_ name: String, hold: Bool, _ call: ControlSessions.CallID, _ peer: Peer) throws(ControlError) {
        let planned = try services(name)
        let work = try decide(.start, planned.definition.name)
        let request = requests.make(
            call: call, group: planned.plan.group, kind: .swap, peer: peer,
            notes: planned.notes + work.transaction.notes)
        start(
            work, Requested(.swap(work.ordered(planned.plan), SwapOptions(kind: .swap, hold: hold)), request),
            for: peer)
    }

    func restart(
        _ name: String, hard: Bool, notes: [String] = [], _ call: ControlSessions.CallID, _ peer: Peer
    ) throws(ControlError) {
        let options = SwapOptions(kind: .restart, stopFirst: hard)
        let unit = try planning.unitName(name, kinds: [.service, .target])
        let planned: Planning.Planned
        switch try planning.target(unit) {
        case .services(let found): planned = found
        case .list(let target, let units):
            let work = try decide(.restart, unit)
            let command = Command.swap(work.ordered(plan(of: target, units)), options)
            return beginBatch(work, command, .restart, target, call, peer)
        case .socket: throw Self.notSwappable(socket: unit)
        }
        // Dependent units are not affected by the restart of a swap unit.
        let work = try decide(planned.plan.isSwapUnit ? .start : .restart, planned.definition.name)
        let request = requests.make(
            call: call, group: planned.plan.group, kind: .restart, peer: peer,
            notes: notes + planned.notes + work.transaction.notes)
        start(work, Requested(.swap(work.ordered(planned.plan), options), request), for: peer)
    }

    // MARK: - Stop

    /// - Parameter others: names that are stopped by the same request, each by a call of its own.
    func stop(
        _ name: String, with others: [String], _ call: ControlSessions.CallID, _ peer: Peer
    ) throws(ControlError) {
        let unit = try? planning.unitName(name)
        let others = others.compactMap { try? planning.unitName($0) }
        if let unit, unit.kind == .socket { return try stopSocket(unit, with: others, call, peer) }
        let group = try names.group(name)
        // The sockets start no service from now on, before their own calls arrive.
        let stopping = Set([group] + others.filter { $0.kind != .socket }.map(planning.group(of:)))
        for socket in others where socket.kind == .socket && canStop(socket, stopping: stopping) {
            releaseSocket(socket, nil)
        }
        if let unit, case .list(let target, _)? = try? planning.target(unit) {
            let work = try decide(.stop, unit)
            return beginBatch(work, .stop(GroupID(unit.description)), .stop, target, call, peer)
        }
        // A plain instance that waits to be started has no generation yet, and is not a member of anything.
        if let unit, unit.kind == .service, unit.description != group.name, unit.identity.description != group.name,
            engine.isActive(group),
            engine.view(of: group)?.generations.flatMap(\.services).count != 1
        {
            throw .failed(message: "\(unit) is part of \(group): stop that, or swap to a release without it")
        }
        let member = unit.flatMap {
            $0.kind == .service && $0.identity.description != group.name ? $0.description : nil
        }
        if engine.isActive(group) {
            host.endUnaccounted(group, only: member)
        } else if host.stopUnaccounted(group, only: member, call, peer) {
            return
        }
        let held = heldSocketNotes(group)
        // A unit without a file can be stopped, too; the running groups then define which units are stopped with it.
        let work = try unit.map { unit throws(ControlError) in try decide(.stop, unit) }
        let request = requests.make(call: call, group: group, kind: .stop, peer: peer, notes: held)
        guard let work else { return handle(.command(.stop(group), request)) }
        start(work, Requested(.stop(group), request), for: peer)
    }

    private func heldSocketNotes(_ group: GroupID) -> [String] {
        let used = instances.values.filter { $0.definition.group == group }
            .flatMap(\.definition.sockets).filter { $0.scope == .shared && $0.pass == .descriptor }
            .map(\.name.description)
        return Set(used).sorted().flatMap { name -> [String] in
            let table = socketUnits.heldSockets(SocketID(name))
            let others = generations.of(group).flatMap { $0.sockets[name] ?? [] }
                .filter { held in held.isKept && !table.contains { $0 === held } }
            let closing = Set(others.map(\.endpoint.text)).sorted().map {
                "closed \($0): \(name) no longer names it"
            }
            guard !table.isEmpty, !socketUnits.activation.isStopping(SocketID(name)) else { return closing }
            let starts =
                socketUnits.activation.view(of: SocketID(name))?.spec.service == group
                && socketUnits.activation.isActive(SocketID(name))
            return closing + [
                starts
                    ? "the next connection to \(name) starts it again; holdfastctl stop \(name) closes it"
                    : "\(name) is still held: connections wait; holdfastctl stop \(name) closes it"
            ]
        }
    }

    // MARK: - Sockets

    /// Stops a socket together with the units that require it: from now on it starts no service, and it is closed when
    /// the services that have it have ended.
    private func stopSocket(
        _ name: UnitName, with others: [UnitName], _ call: ControlSessions.CallID, _ peer: Peer
    ) throws(ControlError) {
        // The engine does not know which services require a socket.
        let running = Set(instances.values.map(\.definition.unit.name)).sorted { $0.description < $1.description }
        let work = try decide(.stop, name, among: running)
        let required = Set(work.transaction.jobs.filter { $0.type == .stop }.map { GroupID($0.unit) })
        let named = Set(others.filter { $0.kind != .socket }.map(planning.group(of:)))
        guard canStop(name, stopping: required.union(named)) else {
            let users = Set(users(of: name).map(\.name)).sorted()
            let all = (users + [name.description]).joined(separator: " ")
            throw .failed(
                message:
                    "cannot stop \(name): \(users.joined(separator: ", ")) uses it; holdfastctl stop \(all) stops both")
        }
        let users = Set(users(of: name).map(\.definition.group))
        releaseSocket(name, requests.make(call: call, kind: .stop, peer: peer))
        start(work, nil, for: peer)
        for group in users.subtracting(required).sorted() where named.contains(group) {
            handle(.command(.stop(group), requests.make(group: group, kind: .stop, peer: peer)))
        }
    }

    private func users(of socket: UnitName) -> [RunningInstance] {
        instances.values.filter { $0.definition.sockets.contains { $0.name == socket } }
    }

    /// Whether all services that have the socket are being stopped, or will be.
    private func canStop(_ socket: UnitName, stopping groups: Set<GroupID>) -> Bool {
        users(of: socket).map(\.definition.group).allSatisfy { group in
            groups.contains(group) || engine.view(of: group)?.operation?.kind == .stop
        }
    }

    /// Closes a socket when the services that have it have ended; they are being stopped, or will be in the same
    /// transaction.
    /// - Parameter stopping: groups whose end is awaited; nil for all.
    func releaseSocket(_ name: UnitName, _ request: RequestID?, stopping: Set<GroupID>? = nil) {
        let id = SocketID(name.description)
        let unit = socketUnits.unit(id) ?? planning.resolver.load(name).socket
        guard let unit, host.isActive(socket: id.name) else {
            return socketUnits.handle(.stop(id, request))
        }
        let groups = Set(users(of: name).map(\.definition.group))
        let waited = groups.filter { engine.isActive($0) && stopping?.contains($0) != false }
        socketUnits.release(id, unit, request, after: waited)
    }
}
