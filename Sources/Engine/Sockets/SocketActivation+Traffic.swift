/// What comes to a socket, and what becomes of the services that it starts.
extension SocketActivation {
    /// Open, with nobody who takes what comes: from now on this does.
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
        guard var socket = sockets[id], socket.state == .listening, !socket.isCooling, paused[id] == nil else { return }
        let mayPoll = socket.polls.allows(socket.spec.pollLimit, at: now)
        sockets[id] = socket
        guard mayPoll else { return cool(id) }
        if socket.spec.accepts { emit(.accept(id)) } else { trigger(id) }
    }

    /// Too much at once: what comes waits until the interval is over.
    private mutating func cool(_ id: SocketID) {
        guard let socket = sockets[id] else { return }
        sockets[id]?.isCooling = true
        sockets[id]?.deadline = (socket.polls.begin ?? now) + socket.spec.pollLimit.interval
        emit(.unwatch(id))
        emit(.state(id, .cooling))
    }

    private mutating func trigger(_ id: SocketID) {
        guard var socket = sockets[id], let service = socket.spec.service else { return }
        // Started by somebody else in the same moment.
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

    /// It cannot be started at all: trying again would fail the same way, for ever.
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

    /// What made it fail waits in the queue still: without a limit it would be started and fail for ever.
    private mutating func failsTooOften(_ group: GroupID) -> Bool {
        guard let limit = sockets(of: group).compactMap({ sockets[$0]?.spec.failureLimit }).first else { return false }
        return services[group]?.failures.allows(limit, at: now) == false
    }

    /// Sockets whose traffic starts it as one.
    func sockets(of group: GroupID) -> [SocketID] {
        sockets.filter { $0.value.spec.service == group && !$0.value.spec.accepts }.keys.sorted()
    }

    // MARK: - Accept=yes

    mutating func accepted(_ id: SocketID, from source: String) {
        guard var socket = sockets[id], socket.state == .listening else {
            // It was stopped in between, or its unit has changed: nobody else would close the connection.
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
            emit(.refuseConnection(id, refusal ?? .tooMany(spec.triggerLimit.burst)))
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
