import ControlProtocol
import Engine
import UnitFiles

/// Requests that forget failures.
extension Supervisor {
    /// All outdated groups, sorted.
    func outdatedGroups() -> [GroupID] {
        engine.groupIDs.filter { group in engine.view(of: group).map(planning.isOutdated) ?? false }
    }

    /// `reset-failed` for the named units, or for all failed ones.
    func resetFailed(_ list: [String]) throws(ControlError) -> ListReply {
        let isSocket = { (name: String) in name.hasSuffix(".socket") && !name.contains("*") }
        let activation = socketUnits.activation
        var sockets = activation.socketIDs.filter { activation.view(of: $0)?.phase == .failed }
        var groups = names.knownGroups().filter { group in engine.view(of: group).map(status.state) == .failed }
        if !list.isEmpty {
            let named = try names.resolve(list.filter { !isSocket($0) }).map(\.group)
            let wanted = try list.filter(isSocket).map { name throws(ControlError) in
                SocketID(try planning.unitName(name, kinds: [.socket]).description)
            }
            sockets = sockets.filter(wanted.contains)
            groups = named
        }
        var units = groups.map { status.listed(ResolvedName(group: $0)) }
        for group in groups { handle(.command(.resetFailed(group), newRequest(group: group))) }
        for socket in sockets {
            units.append(ListedUnit(unit: socket.name, operand: socket.name, state: .failed))
            // A failed socket unit is not open, so a stop only resets it.
            socketUnits.handle(.stop(socket, nil))
        }
        return ListReply(units: units)
    }

    /// `remove`: forgets the group's failure, and closes sockets that only it used.
    func forget(_ name: String) throws(ControlError) -> ListReply {
        let group = try names.group(name)
        guard !engine.isActive(group) else { throw .failed(message: "cannot remove \(group): it runs; stop it first") }
        let before = status.listed(ResolvedName(group: group))
        handle(.command(.forget(group), newRequest(group: group)))
        var units = [before]
        if let name = try? planning.unitName(group.name), let whole = planning.resolver.resolve(name).definition {
            let inUse = Set(instances.values.flatMap(\.definition.sockets).map(\.name))
            for socket in whole.sockets where socket.scope == .shared && !inUse.contains(socket.name) {
                guard sockets?.shared[socket.name.description] != nil else { continue }
                sockets?.release(socket.name.description)
                units.append(
                    ListedUnit(unit: socket.name.description, operand: socket.name.description, state: .stopped))
            }
        }
        return ListReply(units: units)
    }
}
