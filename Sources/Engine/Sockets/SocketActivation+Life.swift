/// Opening and closing of sockets, with the commands around them and their time limits.
extension SocketActivation {
    mutating func start(_ id: SocketID, _ spec: SocketSpec, _ request: RequestID?) {
        if isActive(id) {
            switch sockets[id]?.state {
            case .startPre, .opening, .startPost:
                if let request { sockets[id]?.startRequests.append(request) }
            case .releasing, .stopPre, .ending, .stopPost:
                // The socket is being closed; the answer "it listens" would be untrue in a moment.
                let waiting = sockets[id]?.nextStart?.requests ?? []
                sockets[id]?.nextStart = .init(spec: spec, requests: waiting + (request.map { [$0] } ?? []))
            case nil, .listening, .running, .dead, .failed:
                if let request { emit(.answer(request, id, .unchanged)) }
            }
            return
        }
        beginStart(id, spec, request.map { [$0] } ?? [])
    }

    private mutating func beginStart(_ id: SocketID, _ spec: SocketSpec, _ requests: [RequestID]) {
        // Totals are kept; rate limits begin anew.
        var socket = sockets[id] ?? ActivatedSocket(spec: spec, at: now)
        socket.spec = spec
        (socket.triggers, socket.polls, socket.isPollLimited) = (RateCounter(), RateCounter(), false)
        socket.startRequests = requests
        sockets[id] = socket
        if let service = spec.service, services[service] == nil { services[service] = ActivatedService() }
        next(.startPre(0), of: id, nil)
    }

    mutating func stop(_ id: SocketID, _ request: RequestID?) {
        guard isActive(id), let state = sockets[id]?.state else {
            if let request { emit(.answer(request, id, .unchanged)) }
            // A stop clears the failure of a failed unit, as `reset-failed` would.
            if case .failed? = sockets[id]?.state { enter(.dead, id) }
            return
        }
        if let request { sockets[id]?.stopRequests.append(request) }
        cancelNextStart(id)
        switch state {
        case .startPre(_, let token): end(token, id, then: .end, nil)
        case .startPost(_, let token): end(token, id, then: .stopPre, nil)
        case .listening, .running: next(.stopPre(0), of: id, nil)
        // `open` is answered at once, and then the socket is stopped (`opened`).
        case .opening, .releasing, .stopPre, .ending, .stopPost, .dead, .failed: break
        }
    }

    /// Cancels a start that waited for the end of another stop.
    private mutating func cancelNextStart(_ id: SocketID) {
        guard let next = sockets[id]?.nextStart else { return }
        sockets[id]?.nextStart = nil
        for request in next.requests { emit(.answer(request, id, .stopped)) }
    }

    /// Stops the socket when these groups have ended.
    mutating func release(_ id: SocketID, _ spec: SocketSpec, _ request: RequestID?, _ groups: Set<GroupID>) {
        let isHeldOnly = !isActive(id)
        if isHeldOnly {
            // The unit was never started, so its commands have not run.
            var bare = spec
            (bare.stopPre, bare.stopPost) = ([], [])
            var socket = sockets[id] ?? ActivatedSocket(spec: bare, at: now)
            socket.spec = bare
            sockets[id] = socket
        }
        switch sockets[id]?.state {
        case .listening, .running, .dead, .failed:
            guard !groups.isEmpty || isHeldOnly else { return stop(id, request) }
            if let request { sockets[id]?.stopRequests.append(request) }
            for group in groups { services[group, default: ActivatedService()].isActive = true }
            enter(.releasing(groups), id)
            if groups.isEmpty { next(.stopPre(0), of: id, nil) }
        case .releasing(let present):
            cancelNextStart(id)
            if let request { sockets[id]?.stopRequests.append(request) }
            for group in groups { services[group, default: ActivatedService()].isActive = true }
            sockets[id]?.state = .releasing(present.union(groups))
        case nil, .startPre, .opening, .startPost, .stopPre, .ending, .stopPost: stop(id, request)
        }
    }

    /// Closes the sockets that waited for the end of this group, if it was the last one.
    mutating func releaseSockets(of group: GroupID) {
        for id in sockets.keys.sorted() {
            guard case .releasing(var groups) = sockets[id]?.state, groups.remove(group) != nil else { continue }
            sockets[id]?.state = .releasing(groups)
            if groups.isEmpty { next(.stopPre(0), of: id, nil) }
        }
    }

    /// Handles a changed unit file. Limits and names apply at once, commands from their next use on.
    mutating func changed(_ id: SocketID, _ spec: SocketSpec) {
        guard let old = sockets[id]?.spec, old != spec else { return }
        sockets[id]?.spec = spec
        guard old.service != spec.service else { return }
        if let service = spec.service, services[service] == nil { services[service] = ActivatedService() }
        if sockets[id]?.state == .running, !spec.accepts, spec.service.map({ services[$0]?.isActive }) != true {
            listen(id)
        }
        forgetUnusedServices()
    }

    // MARK: - Commands

    /// Runs the next command of a directive, or continues with the step after the last one.
    mutating func next(_ command: SocketCommand, of id: SocketID, _ failure: SocketFailure?) {
        guard let spec = sockets[id]?.spec else { return }
        let (index, count) = command.position(in: spec)
        guard index < count else { return lastCommandDone(command, id, failure) }
        let token = newToken()
        switch command {
        case .startPre: enter(.startPre(index, token), id)
        case .startPost: enter(.startPost(index, token), id)
        case .stopPre: enter(.stopPre(index, token, failure), id)
        case .stopPost: enter(.stopPost(index, token, failure), id)
        }
        sockets[id]?.deadline = spec.timeout.map { now + $0 }
        emit(.run(token, id, command))
    }

    private mutating func lastCommandDone(_ command: SocketCommand, _ id: SocketID, _ failure: SocketFailure?) {
        switch command {
        case .startPre:
            enter(.opening, id)
            emit(.open(id))
        case .startPost:
            answerStart(id, .started)
            listen(id)
        case .stopPre: close(id, failure)
        case .stopPost: end(id, failure)
        }
    }

    /// Handles a lost exit status: the command runs once more, as commands of services do.
    mutating func commandLost(_ token: SocketToken) {
        guard let (id, socket) = sockets.first(where: { _, socket in socket.command == token }) else { return }
        switch socket.state {
        case .startPre(let index, _): next(.startPre(index), of: id, nil)
        case .startPost(let index, _): next(.startPost(index), of: id, nil)
        case .stopPre(let index, _, let failure): next(.stopPre(index), of: id, failure)
        case .stopPost(let index, _, let failure): next(.stopPost(index), of: id, failure)
        // The command was being ended anyway.
        case .ending: commandEnded(token, nil)
        case .opening, .listening, .running, .releasing, .dead, .failed: break
        }
    }

    mutating func commandEnded(_ token: SocketToken, _ error: String?) {
        let owner = sockets.first { _, socket in socket.command == token }
        guard let (id, socket) = owner else { return }
        switch socket.state {
        case .startPre(let index, _): ended(.startPre(index), id, error, nil)
        case .startPost(let index, _): ended(.startPost(index), id, error, nil)
        case .stopPre(let index, _, let failure): ended(.stopPre(index), id, error, failure)
        case .stopPost(let index, _, let failure): ended(.stopPost(index), id, error, failure)
        case .ending(_, isKilled: _, let step, let failure): continueWith(step, id, failure)
        case .opening, .listening, .running, .releasing, .dead, .failed: break
        }
    }

    private mutating func ended(_ command: SocketCommand, _ id: SocketID, _ error: String?, _ before: SocketFailure?) {
        guard let spec = sockets[id]?.spec else { return }
        if let error, command.mayFail(in: spec) == .no {
            let failure = before ?? .command(command, error)
            switch command {
            case .startPre, .stopPost: end(id, failure)
            case .startPost: next(.stopPre(0), of: id, failure)
            case .stopPre: close(id, failure)
            }
            return
        }
        next(command.following, of: id, before)
    }

    mutating func deadlineReached(_ id: SocketID) {
        guard let socket = sockets[id] else { return }
        switch socket.state {
        case .startPre(let index, let token): end(token, id, then: .end, .timedOut(.startPre(index)))
        case .startPost(let index, let token): end(token, id, then: .stopPre, .timedOut(.startPost(index)))
        case .stopPre(let index, let token, let failure):
            end(token, id, then: .close, failure ?? .timedOut(.stopPre(index)))
        case .stopPost(let index, let token, let failure):
            end(token, id, then: .end, failure ?? .timedOut(.stopPost(index)))
        case .ending(let token, let isKilled, let step, let failure):
            guard !isKilled else { return }
            sockets[id]?.state = .ending(token, isKilled: true, step, failure)
            emit(.signal(token, .kill))
        case .listening:
            guard socket.isPollLimited else { return }
            sockets[id]?.polls = RateCounter()
            listen(id)
        case .opening, .running, .releasing, .dead, .failed: break
        }
    }

    /// Signals a command to end; `step` follows its end.
    private mutating func end(
        _ token: SocketToken, _ id: SocketID, then step: ActivatedSocket.Step, _ failure: SocketFailure?
    ) {
        enter(.ending(token, isKilled: false, step, failure), id)
        let timeout = sockets[id]?.spec.timeout
        sockets[id]?.deadline = timeout.map { now + $0 }
        emit(.signal(token, .terminate))
    }

    private mutating func continueWith(_ step: ActivatedSocket.Step, _ id: SocketID, _ failure: SocketFailure?) {
        switch step {
        case .stopPre: next(.stopPre(0), of: id, failure)
        case .close: close(id, failure)
        case .end: end(id, failure)
        }
    }

    // MARK: - Opening and closing

    mutating func opened(_ id: SocketID) {
        guard sockets[id]?.state == .opening else { return }
        if sockets[id]?.stopRequests.isEmpty == false { return next(.stopPre(0), of: id, nil) }
        next(.startPost(0), of: id, nil)
    }

    mutating func openFailed(_ id: SocketID, _ text: String) {
        guard sockets[id]?.state == .opening else { return }
        end(id, .open(text))
    }

    private mutating func close(_ id: SocketID, _ failure: SocketFailure?) {
        if let pause = paused.removeValue(forKey: id), pause.holdsBack { emit(.holdBack(id, false)) }
        emit(.close(id))
        next(.stopPost(0), of: id, failure)
    }

    private mutating func end(_ id: SocketID, _ failure: SocketFailure?) {
        if let failure {
            enter(.failed(failure), id)
        } else {
            enter(.dead, id)
        }
        answerStart(id, failure.map { .failed($0) } ?? .stopped)
        for request in sockets[id]?.stopRequests ?? [] { emit(.answer(request, id, .stopped)) }
        sockets[id]?.stopRequests = []
        if let next = sockets[id]?.nextStart {
            sockets[id]?.nextStart = nil
            beginStart(id, next.spec, next.requests)
        }
        forgetUnusedServices()
    }

    private mutating func answerStart(_ id: SocketID, _ answer: SocketAnswer) {
        for request in sockets[id]?.startRequests ?? [] { emit(.answer(request, id, answer)) }
        sockets[id]?.startRequests = []
    }

    /// Closes the socket because of a failure.
    mutating func fail(_ id: SocketID, _ failure: SocketFailure) { next(.stopPre(0), of: id, failure) }

    mutating func enter(_ state: ActivatedSocket.State, _ id: SocketID) {
        guard var socket = sockets[id] else { return }
        let before = SocketPhase(socket)
        // The watch belongs to the state that ends.
        if before == .listening { emit(.unwatch(id)) }
        socket.state = state
        socket.deadline = nil
        socket.isPollLimited = false
        let after = SocketPhase(socket)
        if before != after { socket.since = now }
        sockets[id] = socket
        if before != after { emit(.state(id, after)) }
    }

    mutating func forgetUnusedServices() {
        var used = Set(sockets.keys.filter { isActive($0) }.compactMap { sockets[$0]?.spec.service })
        for case .releasing(let groups) in sockets.values.map(\.state) { used.formUnion(groups) }
        services = services.filter { used.contains($0.key) }
    }

    /// After a re-exec or a crash, watches the sockets again and repeats requests that were not answered.
    mutating func reopened() {
        for id in sockets.keys.sorted() {
            switch sockets[id]?.state {
            case .opening: emit(.open(id))
            case .listening: if paused[id] == nil, sockets[id]?.isPollLimited == false { emit(.watch(id)) }
            case nil, .startPre, .startPost, .running, .releasing, .stopPre, .ending, .stopPost, .dead, .failed: break
            }
        }
        // A count that was requested is not answered any more.
        for group in services.keys.sorted() {
            switch services[group]?.idle {
            case .looking, .confirming: watchIdle(group)
            case nil, .unwatched, .watching, .stopping: break
            }
        }
        for id in Set(sockets.keys).union(paused.keys).sorted() where isHeldBack(id) { emit(.holdBack(id, true)) }
    }
}

extension ActivatedSocket {
    /// The command that runs.
    var command: SocketToken? {
        switch state {
        case .startPre(_, let token), .startPost(_, let token), .stopPre(_, let token, _),
            .ending(let token, _, _, _), .stopPost(_, let token, _):
            token
        case .opening, .listening, .running, .releasing, .dead, .failed: nil
        }
    }
}

extension SocketCommand {
    fileprivate func position(in spec: SocketSpec) -> (index: Int, count: Int) {
        switch self {
        case .startPre(let index): (index, spec.startPre.count)
        case .startPost(let index): (index, spec.startPost.count)
        case .stopPre(let index): (index, spec.stopPre.count)
        case .stopPost(let index): (index, spec.stopPost.count)
        }
    }

    fileprivate func mayFail(in spec: SocketSpec) -> CommandCounts.MayFail {
        func at(_ list: [CommandCounts.MayFail], _ index: Int) -> CommandCounts.MayFail {
            list.indices.contains(index) ? list[index] : .no
        }
        return switch self {
        case .startPre(let index): at(spec.startPre, index)
        case .startPost(let index): at(spec.startPost, index)
        case .stopPre(let index): at(spec.stopPre, index)
        case .stopPost(let index): at(spec.stopPost, index)
        }
    }

    fileprivate var following: SocketCommand {
        switch self {
        case .startPre(let index): .startPre(index &+ 1)
        case .startPost(let index): .startPost(index &+ 1)
        case .stopPre(let index): .stopPre(index &+ 1)
        case .stopPost(let index): .stopPost(index &+ 1)
        }
    }
}
