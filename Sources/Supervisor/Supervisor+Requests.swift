import ControlProtocol
import Engine
import Glibc
import Linux
import UnitFiles
import UnitStore

/// Calls on the control socket: who may, what they mean, what they become.
extension Supervisor {
    func called(_ id: ControlSessions.CallID, _ call: Call, _ peer: Peer) {
        dropUnusedDefinitions()
        do throws(ControlError) {
            let request = try Request(call)
            try mayAsk(request, peer)
            if request.changesSomething {
                if request != .update { lookAtDisk() }
            }
            if let reply = try answer(request, id, peer) { control?.reply(id, reply) }
        } catch {
            control?.reply(id, Reply(error))
        }
    }

    /// Only between requests: while one is carried out, plans exist of which the engine does not know yet. (When the first of
    /// a target's hundreds of services has started, those of the others are not unused.)
    private func dropUnusedDefinitions() {
        // Looking at all of them costs something with a thousand services: only when half may be stale.
        guard !hasBacklog, definitions.count > 2 * engine.groupCount + 16 else { return }
        let used = engine.definitionsInUse
        for id in definitions.keys where !used.contains(id) {
            definitions[id] = nil
            journal.end(.definition(id))
        }
        forgetUnits()
    }

    func callerLeft(_ call: ControlSessions.CallID) {
        unsubscribe(call)
        errands[call]?.errand.end()
        // What was asked for goes on; only nobody listens any more.
        for (id, pending) in requests.withCaller where pending.call == call { requests[id]?.call = nil }
        armProgressTimer()
    }

    /// The reply, or nil if the engine will say.
    private func answer(
        _ request: Request, _ id: ControlSessions.CallID, _ peer: Peer
    ) throws(ControlError) -> Reply? {
        switch request {
        case .getInfo: return Reply(ServiceInfo.holdfast)
        case .getInterfaceDescription(let interface): return Reply(try Interfaces.description(of: interface))
        case .describe: return Reply(describe())
        case .status(let names): return Reply(parameters: JSONObject(try status(names ?? [])))
        case .list(let names, let sockets): return Reply(try list(names ?? [], sockets: sockets))
        case .why(let name): return Reply(try why(name))
        case .show(let name): return Reply(try show(name, for: peer))
        case .events(let names): try subscribe(names ?? [], id)
        case .forget(let name): return Reply(try forget(name))
        case .resetFailed(let names): return Reply(try resetFailed(names ?? []))
        case .history(let name, let limit):
            let group = try name.map { name throws(ControlError) in try groupID(name).name }
            return Reply(HistoryReply(entries: history.entries(of: group, limit: min(limit ?? 1000, 1000))))
        case .generations(let name): return Reply(try generations(name))
        case .sockets: return Reply(socketStatus())
        case .pause(let name): try pauseSocket(name, id, peer)
        case .resume(let name): try resumeSocket(name, id, peer)
        case .cat(let name): return Reply(try cat(name, for: peer))
        case .clearLogs(let name): return Reply(try clearLogs(name))
        case .logs(let query): try readLogs(query, id, peer)
        case .verify(let names): try verify(names ?? [], id, peer)
        case .dependencies(let name): return Reply(try dependencies(name))
        case .unitFileStates(let names): return Reply(unitFileStates(names))
        case .install(let verb, let names, let runtime): return Reply(try install(verb, names, runtime: runtime))
        case .input(let name, let text): return Reply(try writeInput(name, text))
        case .update: return Reply(update())
        case .signal(let name, let signal, let who): return Reply(try self.signal(name, signal, who))
        case .start(let name, let hold): try start(name, hold: hold, id, peer)
        case .stop(let name): try stop(name, id, peer)
        case .restart(let name, let hard): try restart(name, hard: hard, id, peer)
        case .reload(let name): try reload(name, id, peer)
        case .swap(let name, let hold): try swap(name, hold: hold, id, peer)
        case .promote(let name): try simple(name, id, peer) { .promote($0) }
        case .abort(let name): try simple(name, id, peer) { .abort($0) }
        case .rollback(let name): try rollback(name, id, peer)
        case .drain(let name, let now): try drain(name, now: now, id, peer)
        case .reexec: try reexec(for: id)
        case .shutdown: shutDown(for: newRequest(call: id, peer: peer))
        }
        return nil
    }

    // MARK: - Requests to the engine

    func newRequest(
        call: ControlSessions.CallID? = nil, group: GroupID? = nil, kind: OperationKind? = nil, peer: Peer? = nil,
        notes: [String] = [], batch: UInt64? = nil
    ) -> RequestID {
        lastRequest += 1
        let id = RequestID(number: lastRequest)
        let who = peer.map { Actor(uid: Int($0.uid), user: (try? Accounts.user("\($0.uid)"))?.name) }
        requests[id] = PendingRequest(
            call: call, group: group, kind: kind, who: who, startedAt: now, notes: notes, batch: batch)
        return id
    }

    private func start(_ name: String, hold: Bool, _ call: ControlSessions.CallID, _ peer: Peer) throws(ControlError) {
        let unit = try unitName(name)
        switch try target(unit) {
        case .services(let planned):
            startDependencies(planned.dependencies)
            let request = newRequest(
                call: call, group: planned.plan.group, kind: .start, peer: peer, notes: planned.notes)
            handle(.command(.start(planned.plan), request))
        case .socket(let socket): try startSocket(socket, newRequest(call: call, kind: .start, peer: peer))
        case .list(let units): try startAll(units, name: unit, call, peer)
        }
    }

    /// A target without `[X-Swap]`: each of its units by itself; the answer is one.
    private func startAll(
        _ units: [UnitReference], name: UnitName, _ call: ControlSessions.CallID, _ peer: Peer
    ) throws(ControlError) {
        var plans: [Planning.Planned] = []
        var sockets: [SocketUnit] = []
        for reference in units where resolver.loader.exists(reference.name) {
            switch try target(try unitName(reference.name.description)) {
            case .services(let planned): plans.append(planned)
            case .socket(let socket): sockets.append(socket)
            case .list: break
            }
        }
        guard !plans.isEmpty || !sockets.isEmpty else {
            throw .failed(message: "\(name) has no services to start: it wants none")
        }
        lastRequest += 1
        let batch = lastRequest
        batches[batch] = Batch(
            call: call, name: name.description, left: plans.count + sockets.count, startedAt: now, outcome: .started)
        // First, so that no service finds a socket missing.
        for socket in sockets { try startSocket(socket, newRequest(kind: .start, peer: peer, batch: batch)) }
        for planned in plans {
            startDependencies(planned.dependencies)
            let request = newRequest(
                group: planned.plan.group, kind: .start, peer: peer, notes: planned.notes, batch: batch)
            handle(.command(.start(planned.plan), request))
        }
    }

    /// What a unit wants beside its members: started if it does not run; that it cannot be is its own failure, told in
    /// the log and by those that `Requires=` it.
    func startDependencies(_ references: [UnitReference]) {
        var seen: Set<UnitName> = []
        startDependencies(references, 0, &seen)
    }

    /// Wants= may lead in a circle, and one that fails at once is as inactive after its start as before: each is tried
    /// once. Nobody nests deeper than this.
    private func startDependencies(_ references: [UnitReference], _ depth: Int, _ seen: inout Set<UnitName>) {
        guard depth < 64 else { return }
        for reference in references where seen.insert(reference.name).inserted {
            do throws(ControlError) {
                switch try target(try unitName(reference.name.description)) {
                case .services(let planned):
                    guard !engine.isActive(planned.plan.group) else { continue }
                    startDependencies(planned.dependencies, depth + 1, &seen)
                    let request = newRequest(group: planned.plan.group, kind: .start)
                    handle(.command(.start(planned.plan), request))
                case .socket(let socket): try startSocket(socket, nil)
                case .list(_): continue
                }
            } catch {
                logger.warning("\(reference.location): \(reference.name): \(error.localizedMessage)")
            }
        }
    }

    private func swap(_ name: String, hold: Bool, _ call: ControlSessions.CallID, _ peer: Peer) throws(ControlError) {
        let planned = try services(name)
        startDependencies(planned.dependencies)
        let request = newRequest(call: call, group: planned.plan.group, kind: .swap, peer: peer, notes: planned.notes)
        handle(.command(.swap(planned.plan, SwapOptions(kind: .swap, hold: hold)), request))
    }

    private func restart(
        _ name: String, hard: Bool, _ call: ControlSessions.CallID, _ peer: Peer
    ) throws(ControlError) {
        let planned = try services(name)
        startDependencies(planned.dependencies)
        let request = newRequest(
            call: call, group: planned.plan.group, kind: .restart, peer: peer, notes: planned.notes)
        handle(.command(.swap(planned.plan, SwapOptions(kind: .restart, stopFirst: hard)), request))
    }

    private func services(_ name: String) throws(ControlError) -> Planning.Planned {
        let unit = try unitName(name, kinds: [.service, .target])
        switch try target(unit) {
        case .services(let planned): return planned
        case .list: throw .notSwappable(name: unit.description, reason: "it has no [X-Swap] section; name its units")
        case .socket: throw .notSwappable(name: unit.description, reason: "a socket is held, not swapped")
        }
    }

    private func reload(_ name: String, _ call: ControlSessions.CallID, _ peer: Peer) throws(ControlError) {
        let group = try groupID(name)
        let services = engine.view(of: group).flatMap { view in
            view.generations.first { $0.number == view.serving }?.services
        }
        // Unless every service can do it, a reload would be half a reload.
        guard let services, services.allSatisfy(\.spec.canReload) else {
            return try restart(name, hard: false, call, peer)
        }
        let request = newRequest(call: call, group: group, kind: .reload, peer: peer)
        handle(.command(.reload(group), request))
    }

    private func stop(_ name: String, _ call: ControlSessions.CallID, _ peer: Peer) throws(ControlError) {
        if let socket = try? unitName(name), socket.kind == .socket { return try stopSocket(socket, call) }
        if let unit = try? unitName(name), case .list(let units)? = try? target(unit) {
            return stopAll(units, name: unit, call, peer)
        }
        let group = try groupID(name)
        if let unit = try? unitName(name), unit.kind == .service, unit.identity.description != group.name,
            engine.isActive(group), engine.view(of: group)?.generations.flatMap(\.services).count != 1
        {
            throw .failed(message: "\(unit) is part of \(group): stop that, or swap to a release without it")
        }
        let held = heldSocketNotes(group)
        let request = newRequest(call: call, group: group, kind: .stop, peer: peer, notes: held)
        handle(.command(.stop(group), request))
    }

    private func heldSocketNotes(_ group: GroupID) -> [String] {
        let used = instances.values.filter { $0.definition.group == group }
            .flatMap(\.definition.sockets).filter { $0.scope == .shared }.map(\.name.description)
        return Set(used).sorted().map { name in
            activation.view(of: SocketID(name))?.spec.service == group && activation.isActive(SocketID(name))
                ? "the next connection to \(name) starts it again; holdfastctl stop \(name) closes it"
                : "\(name) is still held: connections wait; holdfastctl stop \(name) closes it"
        }
    }

    private func stopSocket(_ name: UnitName, _ call: ControlSessions.CallID) throws(ControlError) {
        let users = instances.values.filter { $0.definition.sockets.contains { $0.name == name } }.map(\.name)
        guard users.isEmpty else {
            throw .failed(message: "cannot stop \(name): \(Set(users).sorted().joined(separator: ", ")) uses it")
        }
        let id = SocketID(name.description)
        if activation.isActive(id) { return handleSocket(.stop(id, newRequest(call: call, kind: .stop))) }
        let wasHeld = sockets?.shared[name.description] != nil
        sockets?.release(name.description)
        let result = ShownResult(outcome: wasHeld ? .stopped : .unchanged, unit: name.description)
        control?.reply(call, Reply(OperationReply(result: result)))
    }

    private func stopAll(_ units: [UnitReference], name: UnitName, _ call: ControlSessions.CallID, _ peer: Peer) {
        let groups = Set(units.map(\.name).filter { $0.kind == .service }.map { group(of: $0) })
        lastRequest += 1
        let batch = lastRequest
        batches[batch] = Batch(
            call: call, name: name.description, left: groups.count, startedAt: now, outcome: .stopped)
        if groups.isEmpty {
            batches[batch] = nil
            let result = ShownResult(outcome: .unchanged, unit: name.description)
            control?.reply(call, Reply(OperationReply(result: result)))
        }
        for group in groups.sorted() {
            handle(.command(.stop(group), newRequest(group: group, kind: .stop, peer: peer, batch: batch)))
        }
    }

    private func simple(
        _ name: String, _ call: ControlSessions.CallID, _ peer: Peer, _ command: (GroupID) -> Command
    ) throws(ControlError) {
        let group = try groupID(name)
        handle(.command(command(group), newRequest(call: call, group: group, peer: peer)))
    }

    private func rollback(_ name: String, _ call: ControlSessions.CallID, _ peer: Peer) throws(ControlError) {
        let group = try groupID(name)
        if engine.previousPlan(of: group) == nil, let planned = try rememberedRollback(group) {
            let request = newRequest(call: call, group: group, kind: .rollback, peer: peer)
            return handle(.command(.swap(planned.plan, SwapOptions(kind: .rollback)), request))
        }
        let request = newRequest(call: call, group: group, kind: .rollback, peer: peer)
        handle(.command(.rollback(group, hold: false), request))
    }

    /// After a restart of the supervisor: what the last swap before it replaced, with the unit files of then.
    private func rememberedRollback(_ group: GroupID) throws(ControlError) -> Planning.Planned? {
        guard let previous = memory.previous(of: group), let name = try? UnitName(previous.unit) else { return nil }
        let loader = UnitLoader(
            source: UnitsOnDisk(), searchPath: [memory.definitions(of: group)],
            specifiers: SpecifierEnvironment(configuration, environment: environment))
        guard let whole = SwapUnitResolver(loader: loader).resolve(name).definition else {
            throw .failed(message: "cannot roll back \(group): the unit files of \(name) were not kept")
        }
        return try planned(name, whole, members: Set(previous.members))
    }

    private func drain(
        _ name: String, now isNow: Bool, _ call: ControlSessions.CallID, _ peer: Peer
    ) throws(ControlError) {
        let group = try groupID(name)
        let request = newRequest(call: call, group: group, peer: peer)
        if isNow { return handle(.command(.drainNow(group), request)) }
        guard engine.view(of: group)?.operation != nil else {
            requests[request] = nil
            let result = ShownResult(outcome: .unchanged, unit: group.name)
            return control?.reply(call, Reply(OperationReply(result: result))) ?? ()
        }
        requests[request]?.waitsForAnyEnd = true
        armProgressTimer()
    }
}
