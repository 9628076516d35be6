import Engine
import Linux
import UnitFiles

/// Started socket units, with their kernel objects apart from the held sockets.
struct SavedActivation: Codable {
    var machine: SocketActivation
    var started: [Started]
    var commands: [Command]
    var connections: [Connection]

    struct Started: Codable {
        /// The unit's number.
        var unit: Int
        var service: String?
    }

    /// A running command of a socket unit.
    struct Command: Codable {
        var token: SocketToken
        var unit: String
        var invocation: String
        var pid: Int32
        var descriptor: Int32?
        /// Start time; with the pid it names the process also after a crash.
        var startTime: UInt64?
    }

    /// An accepted connection that has an instance.
    struct Connection: Codable {
        var group: GroupID
        var socket: SocketID
        var number: Int
        var descriptor: Int32?
    }

    var descriptors: [Int32] { commands.compactMap(\.descriptor) + connections.compactMap(\.descriptor) }
}

extension Supervisor {
    func savedActivation() -> SavedActivation {
        SavedActivation(
            machine: activation,
            started: socketUnits.sorted { $0.key < $1.key }.map { _, started in
                .init(unit: journal.units.number(of: started.unit), service: started.service?.description)
            },
            commands: socketCommands.sorted { $0.key.number < $1.key.number }.map { token, command in
                .init(
                    token: token, unit: command.unit, invocation: command.invocation, pid: command.child.pid,
                    descriptor: command.child.descriptor, startTime: command.child.startTime)
            },
            connections: connections.sorted { $0.key < $1.key }.map { group, connection in
                .init(
                    group: group, socket: connection.socket, number: connection.number,
                    descriptor: connection.descriptor.raw)
            })
    }

    /// Restores socket units and connections. Called before the instances are restored, which have the connections.
    func restore(_ saved: SavedActivation, _ units: RestoredUnits) {
        activation = saved.machine
        for record in saved.started {
            guard let unit = units.socket(record.unit) else { continue }
            let service = record.service.flatMap { try? UnitName($0) }
            socketUnits[SocketID(unit.name.description)] = StartedSocket(unit: unit, service: service)
        }
        for record in saved.connections {
            do throws(SystemError) {
                // After a crash only the instance has the connection open, and an instance that has not begun reads end
                // of file. The connection still counts for MaxConnections= until its instance ends.
                let connection =
                    if let raw = record.descriptor {
                        makeConnection(try machine.handover.inherit(raw), record.socket)
                    } else {
                        makeConnection(try OwnedDescriptor.null(), record.socket)
                    }
                connection.number = record.number
                connections[record.group] = connection
            } catch {
                logger.error("\(record.socket): connection \(record.number): \(error)")
            }
        }
        for record in saved.commands { restore(record) }
    }

    private func restore(_ record: SavedActivation.Command) {
        do throws(SystemError) {
            let process = try process(record)
            let tree = try machine.trees.adopt(
                name: RunningSocketCommand.treeName(record.unit, record.token), cookie: record.invocation, session: nil)
            let output = try socketOutput(of: record.unit, record.token)
            let child = ChildProcess(process)
            try child.watch { [unowned self] end in socketCommandEnded(record.token, end.status) }
            socketCommands[record.token] = RunningSocketCommand(
                unit: record.unit, invocation: record.invocation, child: child, tree: tree, output: output)
        } catch {
            // `resumeSockets` reports its end.
            if error.errno != .noSuchProcess { logger.error("\(record.unit): its command \(record.pid): \(error)") }
        }
    }

    private func process(_ record: SavedActivation.Command) throws(SystemError) -> any MachineProcess {
        if let raw = record.descriptor { return try machine.processes.inherit(record.pid, descriptor: raw) }
        guard let startTime = record.startTime else {
            throw SystemError("open process", "\(record.pid)", .noSuchProcess)
        }
        return try machine.processes.open(record.pid, startTime: startTime)
    }

    /// Opens sockets again that no process still had after a crash.
    private func reopenLostSockets() {
        for id in activation.socketIDs where activation.view(of: id)?.isOpen == true {
            guard let unit = socketUnits[id]?.unit, let sockets, heldSockets(id).count < unit.listen.count else {
                continue
            }
            do throws(PreparationError) {
                sockets.keep(try sockets.opened(unit), for: unit)
                logger.warning("\(id): its socket was lost and has been opened again; waiting connections were lost")
            } catch {
                logger.error("\(id): its socket was lost: \(error.text)")
            }
        }
    }

    /// Reports to the socket machine the events that it waits for and that no other source would report.
    func resumeSockets() {
        reopenLostSockets()
        // A filter that holds connections back outlives the supervisor that set it, also one that was killed before it
        // had saved the pause.
        let admitted = (sockets?.registry.all ?? []).filter {
            !activation.isHeldBack(SocketID($0.unit.name.description))
        }
        holdBack(admitted, false)
        for token in activation.runningCommands where socketCommands[token] == nil {
            handleSocket(.commandLost(token))
        }
        handleSocket(.reopened)
        for group in activation.watchedServices { noteService(group) }
        for group in connections.keys.sorted() { noteService(group) }
        tellSockets()
    }
}
