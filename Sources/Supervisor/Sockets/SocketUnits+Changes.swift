import ControlProtocol
import Engine
import Linux
import UnitFiles

/// Operators' changes to open sockets: `pause`, `resume`, and changed unit files.
extension SocketUnits {
    // MARK: - Pause

    /// - Parameter users: names of services with processes that have one of the sockets.
    func pause(_ id: SocketID, users: [String], _ request: RequestID) {
        let held = allSockets(id)
        let facts = SocketFacts(
            isOpen: !held.isEmpty, canHoldBack: held.allSatisfy { $0.endpoint.canHoldBack }, users: users)
        handle(.pause(id, facts, request))
    }

    /// Paused sockets among those that a generation has opened. A process that gets a paused socket accepts from it,
    /// unless the kernel holds new connections back; then the generation is refused.
    func pausedSockets(_ opened: [(SocketUnit, [HeldSocket])]) throws(PreparationError) -> [SocketID] {
        var paused: [SocketID] = []
        for (unit, list) in opened {
            let id = SocketID(unit.name.description)
            guard activation.isPaused(id) else { continue }
            guard list.allSatisfy({ $0.endpoint.canHoldBack }) else {
                throw PreparationError(unit: id.name, text: "it is paused; holdfastctl resume \(id) first")
            }
            paused.append(id)
        }
        return paused
    }

    // MARK: - Changed units

    /// Applies changed socket units as far as the kernel allows, without effect on services: opens new addresses, sets
    /// options, closes addresses that are no longer named once no generation uses them. Returns notes on the changes,
    /// and on settings that only a new socket can have.
    func refresh() -> [String] {
        guard let sockets = host.sockets else { return [] }
        var notes: [String] = []
        for name in Set(sockets.shared.keys).union(activation.socketIDs.map(\.name)).sorted() {
            guard let unitName = try? UnitName(name), let unit = host.socketUnit(unitName) else { continue }
            notes += refresh(SocketID(name), unit, sockets)
        }
        return notes
    }

    private func refresh(_ id: SocketID, _ unit: SocketUnit, _ sockets: HeldSockets) -> [String] {
        let before = heldSockets(id)
        guard unit.scope == .shared,
            before.contains(where: { !$0.unit.isWritten(as: unit) })
                || started[id]?.unit.isWritten(as: unit) == false
        else { return [] }
        guard !before.isEmpty else {
            apply(unit)
            return []
        }
        do throws(PreparationError) {
            let now = try sockets.opened(unit)
            apply(unit)
            let new = now.filter { held in !before.contains { $0 === held } }
            let notes = new.map { "\($0.endpoint.text): opened; services that run get it with their next start" }
            return (notes + (try keep(now, for: unit, nil))).map { "\(id): \($0)" }
        } catch {
            return ["\(id): \(error.text); its sockets stay as they are"]
        }
    }

    /// Updates a started socket unit to its present file.
    private func apply(_ unit: SocketUnit) {
        let id = SocketID(unit.name.description)
        guard started[id] != nil else { return }
        let service = try? host.serviceStarted(by: unit)
        started[id] = StartedSocket(unit: unit, service: service)
        let spec = spec(of: unit, service)
        handle(.changed(id, spec))
        reportActivity(of: spec.service)
    }

    /// Makes these the sockets of the unit with its present settings. Returns notes on the changes.
    private func keep(
        _ now: [HeldSocket], for unit: SocketUnit, _ revision: UInt64?
    ) throws(PreparationError) -> [String] {
        guard let sockets = host.sockets else { return [] }
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
        if activation.view(of: id)?.phase == .listening, !activation.isPaused(id) { watch(id) }
        if activation.isHeldBack(id) { holdBack(id, true) }
        return notes
    }

    /// Puts a unit's sockets into the table at the cutover of the generation that has opened them.
    func keepAtCutover(_ now: [HeldSocket], for unit: SocketUnit, revision: UInt64) {
        let id = SocketID(unit.name.description)
        // `update`, or another swap unit's cutover, has read the unit later.
        guard let sockets = host.sockets, !sockets.isOutdated(revision, id.name) else { return }
        do throws(PreparationError) {
            if started[id]?.unit.isWritten(as: unit) == false { apply(unit) }
            for note in try keep(now, for: unit, revision) { log(.info, id, note) }
        } catch {
            log(.warning, id, error.text)
            sockets.keep(now, for: unit, revision)
        }
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
        for problem in held.endpoint.problems + held.link() { report("\(problem); continuing without it", about: held) }
        return fixed.map { "\(held.endpoint.text): \($0) counts for a new socket only: stop and start \(unit.name)" }
    }
}
