import Engine
import Linux

/// Activity of the services that sockets start, and of the instances of accepted connections.
extension SocketUnits {
    /// Marks the group for a report to sockets and connections after all consequences of the event.
    func noteService(_ group: GroupID) {
        guard activation.watches(group) || connections[group] != nil else { return }
        touchedServices[group] = touchedServices[group] == true || !host.isActive(group)
    }

    func reportTouchedServices() {
        while let group = touchedServices.keys.min() {
            let wasGone = touchedServices.removeValue(forKey: group) == true
            let activity = host.activity(of: group)
            if activity != .active, !host.hasRequests(group) { connections.end(of: group) }
            guard activation.watches(group) else { continue }
            // Restarted at once (OnSuccess=, Upholds=): the steps that waited for its end continue.
            if activity == .active, wasGone { handle(.service(group, .inactive)) }
            if activation.watches(group) { handle(.service(group, activity)) }
        }
    }

    func reportActivity(of group: GroupID?) {
        if let group { handle(.service(group, host.activity(of: group))) }
    }

    /// Number of connections that the group's processes have accepted on these sockets, and of sockets where one waits.
    func countConnections(of group: GroupID, on ids: [SocketID]) -> Int {
        let held = ids.flatMap(allSockets)
        let waiting = held.count { $0.endpoint.hasWaitingConnection }
        do throws(SystemError) {
            let pids = host.processes(of: group)
            return try waiting + machine.sockets.connections(of: pids, on: held.compactMap(\.address)).count
        } catch {
            // An unknown number must not count as zero.
            log(.warning, group, "\(error)")
            return 1
        }
    }
}
