import ControlProtocol
import Engine
import Linux
import UnitFiles
import Vocabulary

/// Entries of the `Sockets` call.
extension Supervisor {
    func status(of held: HeldSocket, holders: [SocketHolder]) -> SocketStatus {
        let name = held.unit.name.description
        var status = SocketStatus(
            unit: name, address: held.endpoint.text, scope: held.owner == nil ? .shared : .generation,
            generation: held.owner?.number, descriptorName: held.unit.fileDescriptorName,
            listening: held.endpoint.isListening, backlog: held.endpoint.backlog,
            queued: held.endpoint.acceptQueue?.waiting, holders: holders, kind: SocketKind(held.endpoint.target))
        let changes = held.sharers.changes.values.sorted { ($0.at, $0.change.attribute) < ($1.at, $1.change.attribute) }
        if !changes.isEmpty { status.changes = changes.map(SocketChange.init) }
        if held.owner == nil { describe(SocketID(name), in: &status) }
        return status
    }

    /// Started units without an open socket: failed ones, and those whose commands run.
    func closedSockets() -> [SocketStatus] {
        let activation = socketUnits.activation
        return activation.socketIDs.compactMap { id in
            guard socketUnits.heldSockets(id).isEmpty, let unit = socketUnits.started[id]?.unit,
                let phase = activation.view(of: id)?.phase,
                phase != .dead
            else { return nil }
            let address = unit.listen.map(\.target.description).joined(separator: " ")
            var status = SocketStatus(
                unit: id.name, address: address, scope: .shared, descriptorName: unit.fileDescriptorName,
                listening: false, backlog: 0, kind: SocketKind(unit.listen.first?.target))
            describe(id, in: &status)
            return status
        }
    }

    private func describe(_ id: SocketID, in status: inout SocketStatus) {
        status.paused = socketUnits.activation.isPaused(id)
        guard let view = socketUnits.activation.view(of: id), let state = SocketState(view.phase) else { return }
        status.state = state
        status.service = view.spec.service?.name
        status.reason = view.failure.map(Wording.sentence)
        status.triggered = view.triggered
        status.triggerLimit = SocketLimit(view.spec.triggerLimit)
        status.pollLimit = SocketLimit(view.spec.pollLimit)
        guard view.spec.accepts else { return }
        status.connections = view.connections
        status.accepted = view.accepted
        status.maxConnections = view.spec.maxConnections
    }
}

extension SocketState {
    /// nil for a stopped socket unit, whose socket is at most held.
    init?(_ phase: SocketPhase) {
        switch phase {
        case .startPre, .opening, .startPost: self = .starting
        case .listening: self = .listening
        case .pollLimited: self = .cooling
        case .running: self = .running
        case .stopPre, .stopPost: self = .stopping
        case .failed: self = .failed
        case .dead: return nil
        }
    }
}

extension SocketLimit {
    /// nil stands for no limit.
    init?(_ limit: RateLimit) {
        guard limit.burst > 0, limit.interval > .zero else { return nil }
        self.init(burst: limit.burst, interval: limit.interval.seconds)
    }
}

extension SocketKind {
    init(_ target: HeldEndpoint.Target) {
        self =
            switch target {
            case .socket(_, .stream): .stream
            case .socket(_, .datagram): .datagram
            case .socket(_, .sequentialPacket): .sequentialPacket
            case .file(.fifo): .fifo
            case .file(.special): .special
            case .file(.messageQueue): .messageQueue
            case .file(.netlink): .netlink
            }
    }

    init(_ target: ListenTarget?) {
        self =
            switch target {
            case .stream, nil: .stream
            case .datagram: .datagram
            case .sequentialPacket: .sequentialPacket
            case .fifo: .fifo
            case .special: .special
            case .messageQueue: .messageQueue
            case .netlink: .netlink
            }
    }
}

extension Supervisor {
    /// Note for the status of a service on paused sockets that it has or that start it.
    func pauseNote(_ group: GroupID) -> String? {
        // Almost always no socket is paused, and one call may ask about a thousand units.
        let activation = socketUnits.activation
        let allPaused = activation.pausedIDs
        guard !allPaused.isEmpty else { return nil }
        let passed = instances.values.filter { $0.definition.group == group }.flatMap(\.definition.sockets)
        var names = Set(passed.map(\.name.description))
        for id in allPaused where activation.view(of: id)?.spec.service == group { names.insert(id.name) }
        let paused = allPaused.map(\.name).filter(names.contains)
        guard !paused.isEmpty else { return nil }
        return "\(paused.joined(separator: ", ")) \(paused.count == 1 ? "is" : "are") paused: new connections wait"
    }

    /// Status of a socket unit for `status NAME.socket`.
    func status(ofSocket name: UnitName) -> UnitStatus {
        let id = SocketID(name.description)
        let view = socketUnits.activation.view(of: id)
        let isHeld = !socketUnits.heldSockets(id).isEmpty
        let state: UnitState =
            switch view?.phase {
            case .startPre, .opening, .startPost: .starting
            case .listening, .pollLimited, .running: .running
            case .stopPre, .stopPost: .stopping
            case .failed: .failed
            case .dead, nil: isHeld ? .running : .stopped
            }
        let description = planning.resolver.load(name).socket?.unit.description ?? ""
        return UnitStatus(
            unit: id.name, description: description, state: state, swappable: false,
            reason: view?.failure.map(Wording.sentence)
                ?? (socketUnits.activation.isPaused(id) ? "paused: new connections wait" : nil),
            since: view.map { Timestamp.string(unixSeconds: loop.wallClock - Int64((now - $0.since).seconds)) })
    }
}
