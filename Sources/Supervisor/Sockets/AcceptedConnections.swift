import ControlProtocol
import Engine
import Linux
import Logging
import UnitFiles

/// Interface of the supervisor to the desk of accepted connections.
protocol AcceptedConnectionsHost: AnyObject {
    func log(_ level: Logger.Level, about subject: String, _ text: String)
    /// Starts an instance of a template for one connection. Calls `begins` with the instance's group before the start.
    func startInstance(
        _ name: UnitName, of template: UnitName, forTrafficAt id: SocketID, _ begins: (GroupID) -> Void
    ) throws(ControlError)
    func hasInstance(for connection: AcceptedConnection) -> Bool
    /// Drops all records of an instance whose name is never used again.
    func forgetInstance(_ group: GroupID)
}

/// `Accept=yes`: connections that the supervisor has accepted, each for an instance of its own (systemd.socket(5)).
final class AcceptedConnections {
    private unowned let host: any AcceptedConnectionsHost
    private let machine: any Machine
    private var connectionsByGroup: [GroupID: AcceptedConnection] = [:]
    /// Connection that is not yet given to an instance or refused.
    private var unassigned: AcceptedConnection?
    /// Hands an event to the socket units.
    private let onEvent: (SocketEvent) -> Void

    init(_ machine: any Machine, host: any AcceptedConnectionsHost, onEvent: @escaping (SocketEvent) -> Void) {
        self.machine = machine
        self.host = host
        self.onEvent = onEvent
    }

    subscript(group: GroupID) -> AcceptedConnection? { connectionsByGroup[group] }

    /// All connections with an instance, by its group, sorted.
    var sorted: [(group: GroupID, connection: AcceptedConnection)] {
        connectionsByGroup.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    private func make(_ descriptor: consuming OwnedDescriptor, _ id: SocketID) -> AcceptedConnection {
        let peer = machine.sockets.peer(of: descriptor)
        return AcceptedConnection(socket: id, descriptor: descriptor, peer: peer)
    }

    /// Takes an accepted connection, until the event that is returned by `onEvent` assigns or refuses it. Returns its
    /// source.
    func take(_ descriptor: consuming OwnedDescriptor, _ id: SocketID) -> String {
        let connection = make(descriptor, id)
        unassigned = connection
        return connection.peer.source
    }

    /// Restores the connection of an instance from an earlier supervisor process.
    func restore(_ descriptor: consuming OwnedDescriptor, _ id: SocketID, number: Int, of group: GroupID) {
        let connection = make(descriptor, id)
        connection.number = number
        connectionsByGroup[group] = connection
    }

    /// Starts the instance of the taken connection.
    func start(_ number: Int, template: UnitName?, _ id: SocketID) {
        let taken = unassigned
        unassigned = nil
        guard let connection = taken, let template else { return onEvent(.connectionEnded(id, number)) }
        connection.number = number
        do throws(ControlError) {
            try host.startInstance(try name(of: connection, template), of: template, forTrafficAt: id) { group in
                connectionsByGroup[group] = connection
            }
        } catch {
            let source = connection.peer.source
            log(.error, id, "connection \(number) from \(source): \(error.localizedMessage)")
            onEvent(.connectionEnded(id, number))
        }
    }

    private func name(of connection: AcceptedConnection, _ template: UnitName) throws(ControlError) -> UnitName {
        do throws(UnitNameError) {
            return try template.instantiated("\(connection.number)-\(connection.peer.name)")
        } catch {
            throw .failed(message: "\(error)")
        }
    }

    func refuse(_ id: SocketID, _ refusal: SocketRefusal) {
        guard let connection = unassigned else { return }
        unassigned = nil
        let reason =
            switch refusal {
            case .tooMany(let limit): "\(limit) are open"
            case .tooManyFromSource(let limit, _): "\(limit) from there are open"
            case .triggerLimit(let burst, let interval):
                "more than \(burst) in \(Wording.span(interval)) (TriggerLimitBurst=)"
            case .notListening: "the socket was stopped meanwhile"
            }
        log(.warning, id, "a connection from \(connection.peer.source) is refused: \(reason)")
    }

    /// Closes a connection whose instance an operator has already started: it gets no other one.
    func closeUnused(_ group: GroupID) {
        guard let connection = connectionsByGroup[group], !host.hasInstance(for: connection) else { return }
        log(.error, connection.socket, "connection \(connection.number) is closed: \(group) runs already")
        connectionsByGroup[group] = nil
        onEvent(.connectionEnded(connection.socket, connection.number))
    }

    /// Drops the records of a connection whose instance is gone.
    func end(of group: GroupID) {
        guard let connection = connectionsByGroup.removeValue(forKey: group) else { return }
        host.forgetInstance(group)
        onEvent(.connectionEnded(connection.socket, connection.number))
    }

    private func log(_ level: Logger.Level, _ id: SocketID, _ text: String) {
        host.log(level, about: id.name, "\(id): \(text)")
    }
}
