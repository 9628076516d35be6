import ControlProtocol
import Engine
import Linux
import UnitFiles

/// Operators' changes to open sockets: `pause`, `resume`, and changed unit files.
extension Supervisor {
    // MARK: - Pause

    func pauseSocket(_ name: String, _ call: ControlSessions.CallID, _ peer: Peer) throws(ControlError) {
        let unit = try planning.unitName(name, kinds: [.socket])
        let id = SocketID(unit.description)
        let held = allSockets(id)
        if held.isEmpty, generations.values.contains(where: { $0.sockets[id.name] != nil }) {
            throw .failed(
                message: "cannot pause \(id): each generation has its own; pause the shared socket in front of it")
        }
        let facts = SocketFacts(
            isOpen: !held.isEmpty, canHoldBack: held.allSatisfy { $0.endpoint.canHoldBack },
            users: users(of: held))
        handleSocket(.pause(id, facts, newRequest(call: call, peer: peer)))
    }

    func resumeSocket(_ name: String, _ call: ControlSessions.CallID, _ peer: Peer) throws(ControlError) {
        let id = SocketID(try planning.unitName(name, kinds: [.socket]).description)
        handleSocket(.resume(id, newRequest(call: call, peer: peer)))
    }

    /// Names of services with processes that have one of the sockets.
    private func users(of held: [HeldSocket]) -> [String] {
        let users = instances.values.filter { instance in
            guard instance.tree != nil, let sockets = generations[instance.generation]?.sockets else { return false }
            let passed = instance.definition.sockets.flatMap { sockets[$0.name.description] ?? [] }
            return passed.contains { socket in held.contains { $0 === socket } }
        }
        return Set(users.map(\.name)).sorted()
    }

    // MARK: - Changed units

    /// Applies changed socket units as far as the kernel allows, without effect on services: opens new addresses, sets
    /// options, closes addresses that are no longer named once no generation uses them. Returns notes on the changes,
    /// and on settings that only a new socket can have.
    func refreshSockets() -> [String] {
        guard let sockets else { return [] }
        var notes: [String] = []
        for name in Set(sockets.shared.keys).union(activation.socketIDs.map(\.name)).sorted() {
            guard let unitName = try? UnitName(name), let unit = planning.resolver.load(unitName).socket else {
                continue
            }
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
        guard !before.isEmpty else {
            follow(unit)
            return []
        }
        do throws(PreparationError) {
            let now = try sockets.opened(unit)
            follow(unit)
            let new = now.filter { held in !before.contains { $0 === held } }
            let notes = new.map { "\($0.endpoint.text): opened; services that run get it with their next start" }
            return (notes + (try keep(now, for: unit, sockets, nil))).map { "\(id): \($0)" }
        } catch {
            return ["\(id): \(error.text); what it listened on stays as it is"]
        }
    }

    /// Updates a started socket unit to its present file.
    private func follow(_ unit: SocketUnit) {
        let id = SocketID(unit.name.description)
        guard socketUnits[id] != nil else { return }
        let service = try? planning.serviceStarted(by: unit)
        socketUnits[id] = StartedSocket(unit: unit, service: service)
        let spec = spec(of: unit, service)
        handleSocket(.changed(id, spec))
        if let group = spec.service { handleSocket(.service(group, activity(of: group))) }
    }

    /// Makes these the sockets of the unit with its present settings. Returns notes on the changes.
    private func keep(
        _ now: [HeldSocket], for unit: SocketUnit, _ sockets: HeldSockets, _ revision: UInt64?
    ) throws(PreparationError) -> [String] {
        let id = SocketID(unit.name.description)
        let before = heldSockets(id)
        var notes: [String] = []
        for held in now { notes += try sockets.update(held, unit) }
        for held in before where !now.contains(where: { $0 === held }) {
            held.endpoint.cancelReadable()
            notes.append("\(held.endpoint.text): closed when no generation uses it any more")
        }
        sockets.keep(now, for: unit, revision)
        // New sockets are watched and held back like the others.
        if activation.view(of: id)?.phase == .listening, !activation.isPaused(id) { watchSocket(id) }
        if activation.isHeldBack(id) { holdBack(id, true) }
        return notes
    }

    // MARK: - Cutover

    /// Puts a serving generation's shared sockets into the table. Until then its start changes nothing there: a release
    /// that is rolled back leaves no trace.
    func keepSockets(of id: GenerationID) {
        guard let resources = generations[id], let sockets else { return }
        // Changes that the generation made to the sockets while it started are undone before others depend on them.
        for held in resources.sockets.values.joined() where !held.sharers.present.isEmpty { lookAtSocket(held) }
        guard let pending = resources.pending else { return }
        resources.pending = nil
        for unit in pending.units {
            let name = unit.name.description
            // `update`, or another swap unit's cutover, has read the unit later.
            guard !sockets.isOutdated(pending.revision, name) else { continue }
            let now = resources.sockets[name] ?? []
            do throws(PreparationError) {
                if socketUnits[SocketID(name)]?.unit.isWritten(as: unit) == false { follow(unit) }
                for note in try keep(now, for: unit, sockets, pending.revision) {
                    log(.info, about: "\(name)", "\(name): \(note)")
                }
            } catch {
                log(.warning, about: "\(name)", "\(name): \(error.text)")
                sockets.keep(now, for: unit, pending.revision)
            }
        }
        journal.record(resources)
    }

    /// Finishes the cutovers that an earlier process had decided but not carried out.
    func keepSocketsOfServing() {
        for (id, resources) in generations
        where resources.pending != nil && engine.view(of: id.group)?.serving == id.number {
            keepSockets(of: id)
        }
    }

    /// Pending shared units of a generation that an earlier process prepared and that does not serve yet.
    func pendingSockets(of id: GenerationID) -> PendingSockets? {
        let parts = (engine.plan(of: id)?.services ?? []).compactMap { planning.definitions[$0.definition] }
        var seen: Set<UnitName> = []
        let units = parts.flatMap(\.needed).filter {
            $0.pass == .descriptor && $0.scope == .shared && seen.insert($0.name).inserted
        }
        return sockets.map { PendingSockets(units: units, revision: $0.nextRevision()) }
    }
}

extension SocketUnit {
    /// Whether both were read from the same texts.
    fileprivate func isWritten(as other: SocketUnit) -> Bool { origin.sources == other.origin.sources }
}

extension HeldSockets {
    /// Applies the unit's present settings to an open socket, and returns notes on those that only a new one can have.
    func update(_ held: HeldSocket, _ unit: SocketUnit) throws(PreparationError) -> [String] {
        guard !held.unit.isWritten(as: unit) else { return [] }
        let fixed = held.update(unit, try fileOptions(unit))
        for problem in held.endpoint.problems + held.link() { noticed(held, "\(problem); goes on without") }
        return fixed.map { "\(held.endpoint.text): \($0) counts for a new socket only: stop and start \(unit.name)" }
    }
}
