import Engine
import Linux
import UnitFiles

/// State of socket units for a successor, and from a predecessor.
extension SocketUnits {
    func saved(_ units: UnitTable) -> SavedActivation {
        SavedActivation(
            machine: activation,
            started: started.sorted { $0.key < $1.key }.map { _, started in
                .init(unit: units.number(of: started.unit), service: started.service?.description)
            },
            commands: commands.saved,
            connections: connections.sorted.map { group, connection in
                .init(
                    group: group, socket: connection.socket, number: connection.number,
                    descriptor: connection.descriptor.raw)
            })
    }

    /// Restores socket units and connections. Called before the instances are restored, which have the connections.
    func restore(_ saved: SavedActivation, _ units: RestoredUnits) throws(SystemError) {
        activation = saved.machine
        for record in saved.started {
            guard let unit = units.socket(record.unit) else { continue }
            let service = record.service.flatMap { try? UnitName($0) }
            started[SocketID(unit.name.description)] = StartedSocket(unit: unit, service: service)
        }
        for record in saved.connections {
            do throws(SystemError) {
                connections.restore(
                    try descriptor(of: record), record.socket, number: record.number, of: record.group)
            } catch {
                if error.isTransient { throw error }
                log(.error, record.socket, "connection \(record.number): \(error)")
            }
        }
        for record in saved.commands {
            commands.restore(record, started[SocketID(record.unit)]?.unit)
        }
    }

    private func descriptor(of record: SavedActivation.Connection) throws(SystemError) -> OwnedDescriptor {
        // After a crash only the instance has the connection open, and an instance that has not begun reads end of
        // file. The connection still counts for MaxConnections= until its instance ends.
        guard let raw = record.descriptor else { return try OwnedDescriptor.null() }
        return try machine.handover.inherit(raw)
    }

    /// Reports to the socket machine the events that it waits for and that no other source would report.
    func resume() {
        reopenLostSockets()
        // A filter that holds connections back outlives the supervisor that set it, also one that was killed before it
        // had saved the pause.
        let admitted = (host.sockets?.registry.all ?? []).filter {
            !activation.isHeldBack(SocketID($0.unit.name.description))
        }
        holdBack(admitted, false)
        for token in activation.runningCommands where commands[token] == nil { handle(.commandLost(token)) }
        handle(.reopened)
        for group in activation.watchedServices { noteService(group) }
        for (group, _) in connections.sorted { noteService(group) }
        reportTouchedServices()
    }

    /// Opens sockets again that no process still had after a crash.
    private func reopenLostSockets() {
        for id in activation.socketIDs where activation.view(of: id)?.isOpen == true {
            guard let unit = started[id]?.unit, let sockets = host.sockets, heldSockets(id).count < unit.listen.count
            else { continue }
            do throws(PreparationError) {
                sockets.keep(try sockets.opened(unit), for: unit)
                log(.warning, id, "its socket was lost and has been opened again; waiting connections were lost")
            } catch {
                log(.error, id, "its socket was lost: \(error.text)")
            }
        }
    }
}
