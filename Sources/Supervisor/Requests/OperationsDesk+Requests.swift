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
        _ name: String, now isNow: Bool, _ call: ControlSessions.CallID, _ peer: Peer
    ) throws(ControlError) {
        let group = try names.group(name)
        let request = requests.make(call: call, group: group, peer: peer)
        if isNow { return handle(.command(.drainNow(group), request)) }
        guard engine.view(of: group)?.operation != nil else {
            _ = requests.remove(request)
            let unit = group.unit(release: engine.servingRelease(of: group))
            let result = OperationResult(outcome: .unchanged, unit: unit)
            return requests.conclude(call, Reply(OperationReply(result: result)))
        }
        requests[request]?.waitsForAnyEnd = true
        reports.armProgressTimer()
    }
}
