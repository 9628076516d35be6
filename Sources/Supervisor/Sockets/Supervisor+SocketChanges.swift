import ControlProtocol
import Engine
import Linux
import UnitFiles

/// What operators change about sockets that are open: `pause`, `resume`, and units that say something else than before.
extension Supervisor {
    // MARK: - Pause

    func pauseSocket(_ name: String, _ call: ControlSessions.CallID, _ peer: Peer) throws(ControlError) {
        let unit = try unitName(name, kinds: [.socket])
        let id = SocketID(unit.description)
        let held = heldSockets(id)
        if held.isEmpty, generations.values.contains(where: { $0.sockets[id.name] != nil }) {
            throw .failed(
                message: "cannot pause \(id): each generation has its own; pause the shared socket in front of it")
        }
        let facts = SocketFacts(
            isOpen: !held.isEmpty, canHoldBack: held.allSatisfy { $0.endpoint.connected?.canHoldBack == true },
            users: users(of: held))
        handleSocket(.pause(id, facts, newRequest(call: call, peer: peer)))
    }

    func resumeSocket(_ name: String, _ call: ControlSessions.CallID, _ peer: Peer) throws(ControlError) {
        let id = SocketID(try unitName(name, kinds: [.socket]).description)
        handleSocket(.resume(id, newRequest(call: call, peer: peer)))
    }

    /// Services with processes that have them.
    private func users(of held: [HeldSocket]) -> [String] {
        let users = instances.values.filter { instance in
            guard instance.tree != nil, let sockets = generations[instance.generation]?.sockets else { return false }
            let passed = instance.definition.sockets.flatMap { sockets[$0.name.description] ?? [] }
            return passed.contains { socket in held.contains { $0 === socket } }
        }
        return Set(users.map(\.name)).sorted()
    }

    // MARK: - Changed units

    /// Lets changed socket units take effect as far as the kernel allows, without a service noticing: new addresses are opened,
    /// options set, addresses that are not named any more closed when no generation uses them. Returns what was done, and what
    /// only a new socket can have.
    func refreshSockets() -> [String] {
        guard let sockets else { return [] }
        var notes: [String] = []
        for name in Set(sockets.shared.keys).union(activation.socketIDs.map(\.name)).sorted() {
            guard let unitName = try? UnitName(name), let unit = resolver.load(unitName).socket else { continue }
            notes += refresh(SocketID(name), unit, sockets)
        }
        return notes
    }

    private func refresh(_ id: SocketID, _ unit: SocketUnit, _ sockets: HeldSockets) -> [String] {
        let before = heldSockets(id)
        guard unit.scope == .shared,
            before.contains(where: { !$0.unit.isWritten(as: unit) })
                || socketUnits[id]?.unit.isWritten(as: unit) == false
        else { return [] }
        var notes: [String] = []
        if socketUnits[id] != nil {
            let service = try? serviceStarted(by: unit)
            socketUnits[id] = StartedSocket(unit: unit, service: service)
            let spec = spec(of: unit, service)
            handleSocket(.changed(id, spec))
            if let group = spec.service { handleSocket(.service(group, activity(of: group))) }
        }
        guard !before.isEmpty else { return [] }
        let (now, done) = sockets.update(unit, before)
        notes += done.map { "\(id): \($0)" }
        for held in before where !now.contains(where: { $0 === held }) { held.endpoint.cancelReadable() }
        sockets.keep(now, for: unit)
        // New ones are watched like the others, and held back like them.
        if activation.view(of: id)?.phase == .listening, !activation.isPaused(id) { watchSocket(id) }
        if activation.isHeldBack(id) { holdBack(id, true) }
        return notes
    }
}

extension SocketUnit {
    /// Nothing has changed since.
    fileprivate func isWritten(as other: SocketUnit) -> Bool { origin.sources == other.origin.sources }
}

extension HeldSockets {
    /// The sockets of a unit as it is written now, those that are open updated, and a line for each thing that is worth one.
    func update(_ unit: SocketUnit, _ before: [HeldSocket]) -> (sockets: [HeldSocket], notes: [String]) {
        var sockets: [HeldSocket] = []
        var notes: [String] = []
        var left = before
        for entry in unit.listen {
            do throws(PreparationError) {
                let target = try target(of: entry, in: unit)
                if let index = left.firstIndex(where: { $0.endpoint.target == target }) {
                    let held = left.remove(at: index)
                    notes += try update(held, unit)
                    sockets.append(held)
                } else {
                    sockets.append(try open(unit, entry, target, owner: nil))
                    notes.append("\(target): opened; services that run get it with their next start")
                }
            } catch {
                notes.append(error.text)
            }
        }
        for held in left { notes.append("\(held.endpoint.text): closed when no generation uses it any more") }
        return (sockets, notes)
    }

    private func update(_ held: HeldSocket, _ unit: SocketUnit) throws(PreparationError) -> [String] {
        guard !held.unit.isWritten(as: unit) else { return [] }
        let fixed = held.update(unit, try fileOptions(unit))
        for problem in held.endpoint.problems + held.link() { noticed(held, "\(problem); goes on without") }
        return fixed.map { "\(held.endpoint.text): \($0) counts for a new socket only: stop and start \(unit.name)" }
    }
}
