import ControlProtocol
import Engine
import Linux
import UnitFiles

/// Steps that are retried.
private enum RetriedStep {
    case watch, watchOnce
    case trigger(GroupID)
}

/// Traffic at sockets: watches, starts of services, connections to accept.
extension SocketUnits {
    func watch(_ id: SocketID) {
        guard !host.isEnding else { return }
        var failure: String?
        for held in heldSockets(id) {
            let target = held.endpoint.target
            do throws(SystemError) {
                try held.endpoint.watchReadable { [unowned self] in didBecomeReadable(id, target) }
            } catch {
                failure = "cannot watch \(held.endpoint.text): \(error)"
            }
        }
        retry(.watch, id, after: failure)
    }

    func unwatch(_ id: SocketID) {
        started[id]?.retry = nil
        for held in heldSockets(id) { held.endpoint.cancelReadable() }
    }

    func watchOnce(_ id: SocketID) {
        var failure: String?
        for held in allSockets(id) {
            do throws(SystemError) {
                try held.endpoint.watchArrival { [unowned self] in handle(.arrived(id)) }
            } catch {
                failure = "cannot watch \(held.endpoint.text): \(error)"
            }
        }
        retry(.watchOnce, id, after: failure)
    }

    /// Ends all watches, so that traffic starts no service any more.
    func unwatchAll() {
        for id in activation.socketIDs { for held in heldSockets(id) { held.endpoint.cancelReadable() } }
    }

    /// Retries a failed step once a second, because no notification reports free descriptors or memory, and logs the
    /// failure once. nil as failure ends the retries.
    private func retry(_ step: RetriedStep, _ id: SocketID, after failure: String?) {
        guard let failure else {
            started[id]?.retry = nil
            started[id]?.isShortageLogged = false
            return
        }
        logShortage(failure, of: id)
        started[id]?.retry = machine.loop.retry { [unowned self] in
            switch step {
            case .watch: watch(id)
            case .watchOnce: watchOnce(id)
            case .trigger(let group): trigger(id, group)
            }
        }
    }

    private func logShortage(_ text: String, of id: SocketID) {
        if started[id]?.isShortageLogged != true { log(.error, id, "\(text); retrying") }
        started[id]?.isShortageLogged = true
    }

    /// Handles traffic on a socket; returns whether the waiting connection was accepted. Traffic that starts a service
    /// is not accepted, but then the watch ends.
    private func didBecomeReadable(_ id: SocketID, _ target: HeldEndpoint.Target) -> Bool {
        readableSocket = heldSockets(id).first { $0.endpoint.target == target }
        let isKnown = readableSocket != nil
        handle(.readable(id))
        defer { readableSocket = nil }
        return isKnown && readableSocket == nil
    }

    /// Accepts one connection; the next follows in another round of the loop, so that a flood does not block other
    /// events.
    func acceptConnection(_ id: SocketID) {
        guard let endpoint = readableSocket?.endpoint, endpoint.hasConnections else { return }
        do throws(SystemError) {
            let accepted = try endpoint.accept()
            started[id]?.isShortageLogged = false
            // Accepted, by the supervisor or by a process that shares the socket.
            readableSocket = nil
            guard let descriptor = accepted else { return }
            handle(.accepted(id, source: connections.take(descriptor, id)))
        } catch {
            // Most likely there are no free descriptors: the waiting connection is reported again after a pause.
            logShortage("\(error)", of: id)
        }
    }

    /// Starts the service as an operator would.
    func trigger(_ id: SocketID, _ group: GroupID) {
        guard let service = started[id]?.service else { return }
        // During a shortage the traffic waits at the socket: a start that must fail would count against the limits of
        // both units.
        let shortage = host.shortage(for: group)
        retry(.trigger(group), id, after: shortage)
        if shortage != nil { return }
        log(.info, id, "starts \(group)")
        do throws(ControlError) {
            try host.startService(service, forTrafficAt: id)
        } catch {
            handle(.triggerFailed(id, error.localizedMessage))
        }
    }

    /// Handles the refusal of a start that traffic asked for.
    func startWasRefused(_ id: SocketID, _ group: GroupID, _ error: ControlError) {
        log(.warning, id, "cannot start \(group): \(error.localizedMessage)")
        // Another operation of the same service is in progress: its end decides the next step.
        guard !host.isActive(group) else { return }
        if connections[group] != nil { return connections.end(of: group) }
        handle(.triggerFailed(id, error.localizedMessage))
    }

    // MARK: - Connections held back

    func holdBack(_ id: SocketID, _ on: Bool) { holdBack(allSockets(id), on) }

    func holdBack(_ list: [HeldSocket], _ on: Bool) {
        for held in list {
            guard held.endpoint.canHoldBack else { continue }
            do throws(SystemError) {
                try held.endpoint.holdBack(on)
            } catch {
                log(.error, held.unit.name, "\(error)")
            }
        }
    }
}
