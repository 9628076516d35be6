import ControlProtocol
import Engine
import Glibc
import Linux
import UnitFiles
import UnitStore

/// The handlers of requests: one for each case.
extension Supervisor {
    /// The reply, or nil if the engine's reports will answer.
    func answer(
        _ request: Request, _ id: ControlSessions.CallID, _ peer: Peer
    ) throws(ControlError) -> Reply? {
        switch request {
        case .getInfo: return Reply(ServiceInfo.holdfast)
        case .getInterfaceDescription(let interface): return Reply(try Interfaces.description(of: interface))
        case .describe: return Reply(describe())
        case .status(let names): return Reply(parameters: JSONObject(try status.status(named: names ?? [])))
        case .list(let names, let sockets): return Reply(try status.list(names ?? [], sockets: sockets))
        case .why(let name): return Reply(try status.why(name))
        case .show(let name): return Reply(try status.show(name, for: peer))
        case .events(let names): try subscriptions.subscribe(names ?? [], id)
        case .forget(let name): return Reply(try forget(name))
        case .resetFailed(let names): return Reply(try resetFailed(names ?? []))
        case .history(let name, let limit):
            let group = try name.map { name throws(ControlError) in try names.group(name).name }
            return Reply(HistoryReply(entries: history.entries(of: group, limit: min(limit ?? 1000, 1000))))
        case .generations(let name): return Reply(try status.generations(name))
        case .sockets: return Reply(socketStatus())
        case .pause(let name): try pauseSocket(name, id, peer)
        case .resume(let name): try resumeSocket(name, id, peer)
        case .cat(let name): return Reply(try cat(name, for: peer))
        case .clearLogs(let name): return Reply(try logs.clear(name))
        case .logs(let query): try helperCalls.readLogs(query, id, peer)
        case .verify(let names): try helperCalls.verify(names ?? [], id, peer)
        case .dependencies(let name): return Reply(try dependencies(name))
        case .unitFileStates(let names): return Reply(unitFileStates(names))
        case .install(let verb, let names, let runtime): return Reply(try install(verb, names, runtime: runtime))
        case .input(let name, let text): return Reply(try writeInput(name, text))
        case .update: return Reply(try update())
        case .signal(let name, let signal, let who): return Reply(try self.signal(name, signal, who))
        case .start(let name, let hold): try start(name, hold: hold, id, peer)
        case .stop(let name, let others): try stop(name, with: others, id, peer)
        case .restart(let name, let hard): try restart(name, hard: hard, id, peer)
        case .reload(let name): try reload(name, id, peer)
        case .swap(let name, let hold): try swap(name, hold: hold, id, peer)
        case .promote(let name): try simple(name, id, peer) { .promote($0) }
        case .abort(let name): try simple(name, id, peer) { .abort($0) }
        case .rollback(let name): try rollback(name, id, peer)
        case .drain(let name, let now): try drain(name, now: now, id, peer)
        case .adopt(let name): try adoption.adopt(try names.group(name), id, peer)
        case .reexec: try reexec.start(for: id)
        case .shutdown: shutDown(for: newRequest(call: id, peer: peer))
        case .outcome(let identity): return try requests.outcome(of: identity, id, peer)
        }
        return nil
    }

    // MARK: - Requests to the engine

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

    private func reload(_ name: String, _ call: ControlSessions.CallID, _ peer: Peer) throws(ControlError) {
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
        let request = newRequest(call: call, group: group, kind: .reload, peer: peer)
        guard let work else { return handle(.command(.reload(group), request)) }
        begin(work, Requested(.reload(group), request), for: peer)
    }

    private func simple(
        _ name: String, _ call: ControlSessions.CallID, _ peer: Peer, _ command: (GroupID) -> Command
    ) throws(ControlError) {
        let group = try names.group(name)
        handle(.command(command(group), newRequest(call: call, group: group, peer: peer)))
    }

    private func rollback(_ name: String, _ call: ControlSessions.CallID, _ peer: Peer) throws(ControlError) {
        let group = try names.group(name)
        if engine.previousPlan(of: group) == nil, let planned = try rememberedRollback(group) {
            let request = newRequest(call: call, group: group, kind: .rollback, peer: peer, notes: planned.notes)
            return handle(.command(.swap(planned.plan, SwapOptions(kind: .rollback)), request))
        }
        let request = newRequest(call: call, group: group, kind: .rollback, peer: peer)
        handle(.command(.rollback(group, hold: false), request))
    }

    /// Rollback after a restart of the supervisor: the units that the last swap replaced, with their unit files of that
    /// time.
    private func rememberedRollback(_ group: GroupID) throws(ControlError) -> Planning.Planned? {
        guard let previous = memory.previous(of: group), let name = try? UnitName(previous.unit) else { return nil }
        let resolver = planning.freshResolver(in: [memory.definitions(of: group)])
        guard let whole = resolver.resolve(name).definition else {
            throw .failed(message: "cannot roll back \(group): the unit files of \(name) were not kept")
        }
        return try planning.planned(name, whole, members: Set(previous.members))
    }

    private func drain(
        _ name: String, now isNow: Bool, _ call: ControlSessions.CallID, _ peer: Peer
    ) throws(ControlError) {
        let group = try names.group(name)
        let request = newRequest(call: call, group: group, peer: peer)
        if isNow { return handle(.command(.drainNow(group), request)) }
        guard engine.view(of: group)?.operation != nil else {
            _ = requests.remove(request)
            let unit = group.unit(release: engine.servingRelease(of: group))
            let result = OperationResult(outcome: .unchanged, unit: unit)
            return conclude(call, Reply(OperationReply(result: result)))
        }
        requests[request]?.waitsForAnyEnd = true
        reports.armProgressTimer()
    }
}
