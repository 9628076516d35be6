/// Traffic of sockets, and the services it starts.
extension SocketActivation {
    /// Watches an open socket that no process accepts from.
    mutating func listen(_ id: SocketID) {
        guard let socket = sockets[id] else { return }
        let spec = socket.spec
        if !spec.accepts, let service = spec.service, services[service]?.isActive == true {
            return enter(.running, id)
        }
        if socket.state == .running, spec.flushPending { emit(.flush(id)) }
        enter(.listening, id)
        if startsSomething(spec), paused[id] == nil { emit(.watch(id)) }
    }

    func startsSomething(_ spec: SocketSpec) -> Bool { spec.accepts || spec.service != nil }

    mutating func readable(_ id: SocketID) {
        guard var socket = sockets[id], socket.state == .listening, !socket.isPollLimited, paused[id] == nil else {
            return
        }
        let mayPoll = socket.polls.allows(socket.spec.pollLimit, at: now)
        sockets[id] = socket
        guard mayPoll else { return pausePolling(id) }
        if socket.spec.accepts { emit(.accept(id)) } else { trigger(id) }
    }

    /// Stops watching until the end of the interval, because the poll limit is exceeded.
    private mutating func pausePolling(_ id: SocketID) {
        guard let socket = sockets[id] else { return }
        sockets[id]?.isPollLimited = true
        sockets[id]?.deadline = (socket.polls.begin ?? now) + socket.spec.pollLimit.interval
        emit(.unwatch(id))
        emit(.state(id, .pollLimited))
    }

    private mutating func trigger(_ id: SocketID) {
        guard var socket = sockets[id], let service = socket.spec.service else { return }
        // Another request started the service in the same moment.
        if services[service]?.isActive == true { return enter(.running, id) }
        let limit = socket.spec.triggerLimit
        let mayTrigger = socket.triggers.allows(limit, at: now)
        if mayTrigger { socket.triggered &+= 1 }
        sockets[id] = socket
        guard mayTrigger else { return fail(id, .triggerLimit(limit.burst, limit.interval)) }
        services[service, default: ActivatedService()].wasTriggered = true
        enter(.running, id)
        emit(.trigger(id, service))
    }

    /// Fails the socket, because its service cannot be started at all: another attempt would fail the same way, for
    /// ever.
    mutating func triggerFailed(_ id: SocketID, _ text: String) {
        guard let socket = sockets[id], socket.state == .running else { return }
        fail(id, .service(text))
    }

    // MARK: - Services

    mutating func service(_ group: GroupID, _ activity: ServiceActivity) {
        guard let service = services[group] else { return }
        switch activity {
        case .active:
            guard !service.isActive else { return }
            services[group]?.isActive = true
            for id in sockets(of: group) where sockets[id]?.state == .listening { enter(.running, id) }
            if service.wasTriggered { watchIdle(group) }
        case .inactive, .failed, .startLimitHit:
            let failure = activity == .startLimitHit || (activity == .failed && failsTooOften(group))
            endIdle(group)
            services[group]?.isActive = false
            services[group]?.wasTriggered = false
            releaseSockets(of: group)
            for id in sockets(of: group) where sockets[id]?.state == .running {
                if failure { fail(id, .serviceStartLimit) } else { listen(id) }
            }
        }
    }

    /// True if the service has failed too often. The traffic that made it fail is still queued, so without a limit it
    /// would be started and fail for ever.
    private mutating func failsTooOften(_ group: GroupID) -> Bool {
        guard let limit = sockets(of: group).compactMap({ sockets[$0]?.spec.failureLimit }).first else { return false }
        return services[group]?.failures.allows(limit, at: now) == false
    }

    /// Sockets whose traffic starts this group as a single service, not one instance per connection.
    func sockets(of group: GroupID) -> [SocketID] {
        sockets.filter { $0.value.spec.service == group && !$0.value.spec.accepts }.keys.sorted()
    }

    // MARK: - Accept=yes

    mutating func accepted(_ id: SocketID, from source: String) {
        guard var socket = sockets[id], socket.state == .listening else {
            // The socket was stopped meanwhile, or its unit has changed: no other code would close the connection.
            return emit(.refuseConnection(id, .notListening))
        }
        let spec = socket.spec
        let mayTrigger = socket.triggers.allows(spec.triggerLimit, at: now)
        let fromSource = socket.connections.values.count { $0 == source }
        var refusal: SocketRefusal?
        if socket.connections.count >= spec.maxConnections {
            refusal = .tooMany(spec.maxConnections)
        } else if spec.maxConnectionsPerSource > 0, fromSource >= spec.maxConnectionsPerSource {
            refusal = .tooManyFromSource(spec.maxConnectionsPerSource, source)
        }
        guard mayTrigger, refusal == nil else {
            sockets[id] = socket
            let limit = spec.triggerLimit
            emit(.refuseConnection(id, refusal ?? .triggerLimit(limit.burst, limit.interval)))
            if !mayTrigger { fail(id, .triggerLimit(spec.triggerLimit.burst, spec.triggerLimit.interval)) }
            return
        }
        let number = socket.accepted
        socket.accepted &+= 1
        socket.triggered &+= 1
        socket.connections[number] = source
        sockets[id] = socket
        emit(.startConnection(id, number))
    }

    mutating func connectionEnded(_ id: SocketID, _ number: Int) { sockets[id]?.connections[number] = nil }
}
