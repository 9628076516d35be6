import ControlProtocol
import Engine
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
        case .start(let name, let hold): try operations.start(name, hold: hold, id, peer)
        case .stop(let name, let others): try operations.stop(name, with: others, id, peer)
        case .restart(let name, let hard): try operations.restart(name, hard: hard, id, peer)
        case .reload(let name): try operations.reload(name, id, peer)
        case .swap(let name, let hold): try operations.swap(name, hold: hold, id, peer)
        case .promote(let name): try operations.command(name, id, peer) { .promote($0) }
        case .abort(let name): try operations.command(name, id, peer) { .abort($0) }
        case .rollback(let name): try operations.rollback(name, id, peer)
        case .drain(let name, let now, let generation): try operations.drain(name, generation, now: now, id, peer)
        case .adopt(let name): try adoption.adopt(try names.group(name), id, peer)
        case .reexec: try reexec.start(for: id)
        case .shutdown: shutDown(for: newRequest(call: id, peer: peer))
        case .outcome(let identity): return try requests.outcome(of: identity, id, peer)
        }
        return nil
    }
}
