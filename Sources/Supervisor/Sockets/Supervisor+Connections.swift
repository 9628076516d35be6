import ControlProtocol
import Engine
import Glibc
import Linux
import UnitFiles

/// `Accept=yes`: the supervisor accepts each connection and gives it to an instance of its own (systemd.socket(5)).
extension Supervisor {
    /// Accepts one connection; the next follows in another round of the loop, so that a flood does not block other
    /// events.
    func acceptConnection(_ id: SocketID) {
        guard let endpoint = readableSocket?.endpoint, endpoint.hasConnections else { return }
        do throws(SystemError) {
            let accepted = try endpoint.accept()
            socketUnits[id]?.isShort = false
            // Accepted, by the supervisor or by a process that shares the socket.
            readableSocket = nil
            guard let descriptor = accepted else { return }
            let connection = makeConnection(descriptor, id)
            takenConnection = connection
            handleSocket(.accepted(id, source: connection.peer.source))
        } catch {
            // Most likely there are no free descriptors: the waiting connection is reported again after a pause.
            if socketUnits[id]?.isShort != true { log(.error, about: "\(id)", "\(id): \(error); it is tried again") }
            socketUnits[id]?.isShort = true
        }
    }

    func makeConnection(_ descriptor: consuming OwnedDescriptor, _ id: SocketID) -> AcceptedConnection {
        let peer = machine.sockets.peer(of: descriptor)
        return AcceptedConnection(socket: id, descriptor: descriptor, peer: peer)
    }

    func startConnection(_ id: SocketID, _ number: Int) {
        let taken = takenConnection
        takenConnection = nil
        guard let connection = taken, let template = socketUnits[id]?.unit.serviceName else {
            return handleSocket(.connectionEnded(id, number))
        }
        connection.number = number
        do throws(ControlError) {
            let name = try self.name(of: connection, template)
            // Definitions read for one connection are of no use to the next, which has another name.
            defer {
                planning.forget(name)
            }
            let planned = try plan(name, template)
            let group = planned.plan.group
            let work = try decide(.start, name, isManual: false)
            connections[group] = connection
            let request = trafficRequest(group, .start)
            requests[request]?.socket = id
            begin(work, Requested(.start(work.ordered(planned.plan)), request), makeRequest: trafficRequest)
        } catch {
            log(
                .error, about: "\(id)",
                "\(id): connection \(number) from \(connection.peer.source): \(error.localizedMessage)")
            handleSocket(.connectionEnded(id, number))
        }
    }

    private func name(of connection: AcceptedConnection, _ template: UnitName) throws(ControlError) -> UnitName {
        do throws(UnitNameError) {
            return try template.instantiated("\(connection.number)-\(connection.peer.name)")
        } catch {
            throw .failed(message: "\(error)")
        }
    }

    private func plan(_ name: UnitName, _ template: UnitName) throws(ControlError) -> Planning.Planned {
        guard case .services(let planned) = try planning.target(name), !planned.plan.isSwapUnit else {
            throw .failed(
                message: "\(template) is swapped as one, and Accept=yes starts an instance for each connection")
        }
        return planned
    }

    func refuseConnection(_ id: SocketID, _ refusal: SocketRefusal) {
        guard let connection = takenConnection else { return }
        takenConnection = nil
        let source = connection.peer.source
        switch refusal {
        case .tooMany(let limit):
            log(.warning, about: "\(id)", "\(id): a connection from \(source) is refused: \(limit) are open")
        case .tooManyFromSource(let limit, _):
            log(.warning, about: "\(id)", "\(id): a connection from \(source) is refused: \(limit) from there are open")
        case .triggerLimit(let burst, let interval):
            let limit = "more than \(burst) in \(Wording.span(interval)) (TriggerLimitBurst=)"
            log(.warning, about: "\(id)", "\(id): a connection from \(source) is refused: \(limit)")
        case .notListening:
            log(
                .warning, about: "\(id)",
                "\(id): a connection from \(source) is refused: the socket was stopped meanwhile")
        }
    }

    /// Closes a connection whose instance an operator has already started: it gets no other one.
    func connectionIsUnused(_ group: GroupID) {
        guard let connection = connections[group],
            !instances.values.contains(where: { $0.generation.group == group && $0.connection === connection })
        else { return }
        logger.error("\(connection.socket): connection \(connection.number) is closed: \(group) runs already")
        connections[group] = nil
        handleSocket(.connectionEnded(connection.socket, connection.number))
    }

    /// Drops the records of a connection whose instance is gone.
    func connectionEnded(_ group: GroupID) {
        guard let connection = connections.removeValue(forKey: group) else { return }
        // The name of the instance is never used again.
        descriptorStores.dropAllStores(of: group)
        forget(group)
        handleSocket(.connectionEnded(connection.socket, connection.number))
    }
}
