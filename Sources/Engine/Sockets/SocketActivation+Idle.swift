/// `X-IdleStopSec=`: a service that traffic started is stopped when there is no traffic.
///
/// Checked once per interval, and only while such a service runs. At the check no connection may be open or waiting,
/// and none may have arrived since the last one. Before the service is stopped, new TCP connections are held back and
/// the check is repeated, so that no connection is accepted by a process that is about to end.
extension SocketActivation {
    /// The longest time for which new connections are held back while a service stops.
    private static let longestHold = Duration.seconds(1)

    /// The longest `X-IdleStopSec=` of the group's active sockets; nil if one of them has none, or none is active.
    private func idleStop(of group: GroupID) -> Duration? {
        var longest: Duration?
        for id in sockets(of: group) where isActive(id) {
            guard let span = sockets[id]?.spec.idleStop else { return nil }
            longest = max(longest ?? span, span)
        }
        return longest
    }

    private func openSockets(of group: GroupID) -> [SocketID] {
        sockets(of: group).filter { sockets[$0]?.isOpen == true }
    }

    mutating func watchIdle(_ group: GroupID) {
        guard let span = idleStop(of: group) else {
            services[group]?.idle = .unwatched
            return
        }
        services[group]?.idle = .watching(arrived: false)
        services[group]?.deadline = now + span
        for id in openSockets(of: group) { emit(.watchOnce(id)) }
    }

    mutating func arrived(_ id: SocketID) {
        guard let group = sockets[id]?.spec.service, case .watching? = services[group]?.idle else { return }
        services[group]?.idle = .watching(arrived: true)
    }

    mutating func idleDeadlineReached(_ group: GroupID) {
        switch services[group]?.idle {
        case .watching(arrived: true): watchIdle(group)
        case .watching(arrived: false):
            services[group]?.idle = .looking
            emit(.measure(group, openSockets(of: group)))
        case .stopping: admitConnections(group)
        case nil, .unwatched, .looking, .confirming: break
        }
    }

    mutating func measured(_ group: GroupID, _ connections: Int) {
        switch services[group]?.idle {
        case .looking:
            guard connections == 0 else { return watchIdle(group) }
            services[group]?.idle = .confirming
            for id in openSockets(of: group) where paused[id]?.holdsBack != true { emit(.holdBack(id, true)) }
            emit(.measure(group, openSockets(of: group)))
        case .confirming:
            guard connections == 0 else {
                admitConnections(group)
                return watchIdle(group)
            }
            services[group]?.idle = .stopping
            services[group]?.deadline = now + Self.longestHold
            emit(.stopIdle(group))
        case nil, .unwatched, .watching, .stopping: break
        }
    }

    mutating func endIdle(_ group: GroupID) {
        switch services[group]?.idle {
        case .confirming, .stopping: admitConnections(group)
        case nil, .unwatched, .watching, .looking: break
        }
        services[group]?.idle = .unwatched
        services[group]?.deadline = nil
    }

    private mutating func admitConnections(_ group: GroupID) {
        for id in openSockets(of: group) where paused[id]?.holdsBack != true { emit(.holdBack(id, false)) }
    }
}
