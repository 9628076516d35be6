import ControlProtocol
import Engine
import Linux
import UnitFiles

/// Requests about what runs: reload, rollback, drain, and those that the engine answers alone.
extension OperationsDesk {
    func services(_ name: String) throws(ControlError) -> Planning.Planned {
        let unit = try planning.unitName(name, kinds: [.service, .target])
        switch try planning.target(unit) {
        case .services(let planned): return planned
        case .list: throw .notSwappable(name: unit.description, reason: "it has no [X-Swap] section; name its units")
        case .socket: throw Self.notSwappable(socket: unit)
        }
    }

    static func notSwappable(socket unit: UnitName) -> ControlError {
        .notSwappable(name: unit.description, reason: "a socket is held, not swapped")
    }

    func reload(_ name: String, _ call: ControlSessions.CallID, _ peer: Peer) throws(ControlError) {
        let group = try names.group(name)
        let services = engine.view(of: group).flatMap { view in
            view.generations.first { $0.number == view.serving }?.services
        }
        // A reload needs `ExecReload=` in every service, else some would keep the old configuration: restart instead.
        guard let services, services.allSatisfy(\.spec.canReload) else {
            let lacking = services?.filter { !$0.spec.canReload }.map(\.spec.unit) ?? []
            let notes = lacking.map { "\($0) has no ExecReload=: restarted" }
            return try restart(name, hard: false, notes: notes, call, peer)
        }
        // A unit without a file can be reloaded, too.
        let unit = try? planning.unitName(name, kinds: [.service, .target])
        let work = try unit.map { unit throws(ControlError) in try decide(.reload, unit) }
        let request = requests.make(call: call, group: group, kind: .reload, peer: peer)
        guard let work else { return handle(.command(.reload(group), request)) }
        start(work, Requested(.reload(group), request), for: peer)
    }

    func command(
        _ name: String, _ call: ControlSessions.CallID, _ peer: Peer, _ command: (GroupID) -> Command
    ) throws(ControlError) {
        let group = try names.group(name)
        handle(.command(command(group), requests.make(call: call, group: group, peer: peer)))
    }

    func rollback(_ name: String, _ call: ControlSessions.CallID, _ peer: Peer) throws(ControlError) {
        let group = try names.group(name)
        if engine.previousPlan(of: group) == nil, let planned = try rememberedRollback(group) {
            let request = requests.make(call: call, group: group, kind: .rollback, peer: peer, notes: planned.notes)
            return handle(.command(.swap(planned.plan, SwapOptions(kind: .rollback)), request))
        }
        let request = requests.make(call: call, group: group, kind: .rollback, peer: peer)
        handle(.command(.rollback(group, hold: false), request))
    }

    /// Rollback after a restart of the supervisor: the units that the last swap replaced, with their unit files of that
    /// time.
    private func rememberedRollback(_ group: GroupID) throws(ControlError) -> Planning.Planned? {
        guard let previous = host.memory.previous(of: group), let name = try? UnitName(previous.unit) else {
            return nil
        }
        let resolver = planning.freshResolver(in: [host.memory.definitions(of: group)])
        guard let whole = resolver.resolve(name).definition else {
            throw .failed(message: "cannot roll back \(group): the unit files of \(name) were not kept")
        }
        return try planning.planned(name, whole, members: Set(previous.members))
    }

    func drain(
        _ name: String, _ generation: Int?, now isNow: Bool, _ call: ControlSessions.CallID, _ peer: Peer
    ) throws(ControlError) {
        let group = try names.group(name)
        let chosen = try drains(group, name, generation)
        let isPart = generation != nil || release(in: name, group) != nil
        let leaves = !isPart && engine.view(of: group).map(leavesInOperation) == true
        guard !chosen.isEmpty || leaves || isNow else {
            let unit = group.unit(release: engine.servingRelease(of: group))
            let ended = generation.flatMap { number in
                reports.history.entries.last { $0.unit == group.name && $0.drained?.generation == number }?.drained
            }
            let result = OperationResult(outcome: .unchanged, unit: unit, drained: ended.map { [$0] })
            return requests.conclude(call, Reply(OperationReply(result: result)))
        }
        let request = requests.make(call: call, group: group, peer: peer)
        if !chosen.isEmpty { requests[request]?.awaitedDrains = chosen }
        let wanted = DrainRequest(generations: chosen.isEmpty && !isPart ? nil : chosen, isNow: isNow)
        handle(.command(.drain(group, wanted), request))
        reports.reportPresentDrains(request)
    }

    /// The draining generations that a request means.
    private func drains(_ group: GroupID, _ name: String, _ generation: Int?) throws(ControlError) -> Set<Int> {
        let drains = engine.drains(of: group).map(\.generation)
        if let generation { return drains.contains { $0.number == generation } ? [generation] : [] }
        guard let release = release(in: name, group) else { return Set(drains.map(\.number)) }
        let found = drains.filter { $0.release == release }
        guard found.isEmpty else { return Set(found.map(\.number)) }
        let others =
            drains.isEmpty
            ? "no generation is draining" : "draining: \(drains.map(Wording.name).joined(separator: ", "))"
        throw .failed(message: "release \(release) of \(group) does not drain; \(others)")
    }

    /// The release in the name of a template's instance.
    private func release(in name: String, _ group: GroupID) -> String? {
        guard (try? UnitName(group.name))?.isTemplate == true else { return nil }
        // The release that the name contains, not the one that a bare name stands for.
        let unit = (try? UnitName(name)) ?? (try? UnitName(name + ".service"))
        return unit?.instance
    }

    /// Whether services are being stopped by the group's operation.
    private func leavesInOperation(_ view: GroupView) -> Bool {
        guard view.operation != nil else { return false }
        return view.generations.contains { generation in
            [.draining, .rollingBack, .stopping].contains(generation.role)
                && !view.drains.contains { $0.generation.number == generation.number }
        }
    }
}
