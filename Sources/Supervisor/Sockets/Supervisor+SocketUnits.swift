import ControlProtocol
import Engine
import Glibc
import Linux
import UnitFiles

/// A started socket unit, as it was written at its start or at the last `update`.
struct StartedSocket {
    var unit: SocketUnit
    /// The service that its traffic starts; nil with `Accept=yes`, or if no service takes the socket.
    var service: UnitName?
    /// Requirements of the unit that its commands do without.
    var remarks: [String] = []
    /// Timer for the next attempt at a step that lacked descriptors or memory.
    var retry: (any LoopTimer)?
    /// Whether the shortage is already logged.
    var isShort = false
}

/// Steps that are retried.
private enum SocketStep {
    case watch, watchOnce
    case trigger(GroupID)
}

/// Socket units: carries out the decisions of `SocketActivation`, and feeds it events.
extension Supervisor {
    func handleSocket(_ event: SocketEvent) {
        socketEvents.append(event)
        guard !isHandlingSockets else { return }
        isHandlingSockets = true
        var next = 0
        while next < socketEvents.count {
            let event = socketEvents[next]
            next += 1
            for effect in activation.handle(event, at: now) { perform(effect) }
        }
        socketEvents.removeAll(keepingCapacity: true)
        isHandlingSockets = false
        reports.finishShutdown()
        journal.recordActivation()
        if let deadline = activation.nextDeadline {
            socketTimer?.arm(at: deadline.nanoseconds)
        } else {
            socketTimer?.disarm()
        }
    }

    private func perform(_ effect: SocketEffect) {
        switch effect {
        case .run(let token, let id, let command): runSocketCommand(token, id, command)
        case .signal(let token, let signal): socketCommands[token]?.signal(signal)
        case .open(let id): machine.processes.bounded(by: .services) { openSocket(id) }
        case .close(let id): closeSocket(id)
        case .watch(let id): watchSocket(id)
        case .unwatch(let id):
            socketUnits[id]?.retry = nil
            for held in heldSockets(id) { held.endpoint.cancelReadable() }
        case .watchOnce(let id): watchSocketOnce(id)
        case .flush(let id): for held in heldSockets(id) { held.endpoint.flush() }
        case .holdBack(let id, let on): holdBack(id, on)
        case .accept(let id): acceptConnection(id)
        case .trigger(let id, let group): trigger(id, group)
        case .startConnection(let id, let number): startConnection(id, number)
        case .refuseConnection(let id, let refusal): refuseConnection(id, refusal)
        case .measure(let group, let ids): handleSocket(.measured(group, connections(of: group, on: ids)))
        case .stopIdle(let group):
            log(.info, about: "\(group)", "\(group): no connections, it is stopped until the next one")
            handle(.command(.stop(group), trafficRequest(group, .stop)))
        case .state(let id, let phase): socketState(id, phase)
        case .answer(let request, let id, let answer): answerSocketRequest(request, id, answer)
        }
    }

    func heldSockets(_ id: SocketID) -> [HeldSocket] { sockets?.shared[id.name] ?? [] }

    /// The unit's sockets, including those that only generations have: their processes accept from them still, or
    /// already.
    func allSockets(_ id: SocketID) -> [HeldSocket] {
        let table = heldSockets(id)
        let others = sockets?.registry.all.filter { held in
            held.unit.name.description == id.name && !table.contains { $0 === held }
        }
        return table + (others ?? [])
    }

    // MARK: - Opening and closing

    /// Starts a socket unit: opens its sockets; from then on traffic starts its service.
    func startSocket(_ unit: SocketUnit, _ request: RequestID?) throws(ControlError) {
        guard unit.scope == .shared else {
            throw .failed(message: "\(unit.name) belongs to a generation: it is opened when its service starts")
        }
        let id = SocketID(unit.name.description)
        let service = try planning.serviceStarted(by: unit)
        if service == nil, !unit.acceptsItself, let request {
            let takers = planning.resolver.services(receiving: unit.name)
            requests[request]?.notes.append(
                takers.isEmpty
                    ? "it starts nothing: no service takes it"
                    : "it starts nothing: Service= has to say which of \(takers.map(\.description).joined(separator: ", "))"
            )
        }
        noteAction()
        let isKnown = activation.isActive(id) && !activation.isStopping(id)
        if !isKnown { socketUnits[id] = StartedSocket(unit: unit, service: service) }
        let spec = spec(of: unit, service)
        handleSocket(.start(id, spec, request))
        if let group = spec.service { handleSocket(.service(group, activity(of: group))) }
    }

    func spec(of unit: SocketUnit, _ service: UnitName?) -> SocketSpec {
        SocketSpec(
            unit, group: service.map { planning.group(of: $0) },
            service: service.flatMap { planning.resolver.load($0).service })
    }

    private func openSocket(_ id: SocketID) {
        guard let unit = socketUnits[id]?.unit, let sockets else {
            return handleSocket(.openFailed(id, "shutting down"))
        }
        do throws(PreparationError) {
            sockets.keep(try sockets.opened(unit), for: unit)
            handleSocket(.opened(id))
            // The start may have waited for the end of a stop, while the service was started.
            if let group = activation.view(of: id)?.spec.service {
                handleSocket(.service(group, activity(of: group)))
            }
        } catch {
            handleSocket(.openFailed(id, error.text))
        }
    }

    private func closeSocket(_ id: SocketID) {
        socketUnits[id]?.retry = nil
        for held in heldSockets(id) { held.endpoint.cancelReadable() }
        sockets?.release(id.name)
    }

    // MARK: - Watching

    func watchSocket(_ id: SocketID) {
        guard !engine.isShuttingDown else { return }
        var failure: String?
        for held in heldSockets(id) {
            let target = held.endpoint.target
            do throws(SystemError) {
                try held.endpoint.watchReadable { [unowned self] in readable(id, target) }
            } catch {
                failure = "watching \(held.endpoint.text): \(error)"
            }
        }
        retry(.watch, id, after: failure)
    }

    /// Retries a failed step once a second, because no notification reports free descriptors or memory, and logs the
    /// failure once. nil as failure ends the retries.
    private func retry(_ step: SocketStep, _ id: SocketID, after failure: String?) {
        guard let failure else {
            socketUnits[id]?.retry = nil
            socketUnits[id]?.isShort = false
            return
        }
        if socketUnits[id]?.isShort != true { log(.error, about: "\(id)", "\(id): \(failure); it is tried again") }
        socketUnits[id]?.isShort = true
        socketUnits[id]?.retry = loop.retry { [unowned self] in
            switch step {
            case .watch: watchSocket(id)
            case .watchOnce: watchSocketOnce(id)
            case .trigger(let group): trigger(id, group)
            }
        }
    }

    /// Handles traffic on a socket; returns whether the waiting connection was accepted. Traffic that starts a service
    /// is not accepted, but then the watch ends.
    private func readable(_ id: SocketID, _ target: HeldEndpoint.Target) -> Bool {
        readableSocket = heldSockets(id).first { $0.endpoint.target == target }
        let isKnown = readableSocket != nil
        handleSocket(.readable(id))
        defer { readableSocket = nil }
        return isKnown && readableSocket == nil
    }

    private func watchSocketOnce(_ id: SocketID) {
        var failure: String?
        for held in allSockets(id) {
            do throws(SystemError) {
                try held.endpoint.watchArrival { [unowned self] in handleSocket(.arrived(id)) }
            } catch {
                failure = "watching \(held.endpoint.text): \(error)"
            }
        }
        retry(.watchOnce, id, after: failure)
    }

    func holdBack(_ id: SocketID, _ on: Bool) { holdBack(allSockets(id), on) }

    func holdBack(_ list: [HeldSocket], _ on: Bool) {
        for held in list {
            guard held.endpoint.canHoldBack else { continue }
            do throws(SystemError) {
                try held.endpoint.holdBack(on)
            } catch {
                log(.error, about: "\(held.unit.name)", "\(held.unit.name): \(error)")
            }
        }
    }

    // MARK: - Services

    /// Starts the service as an operator would.
    private func trigger(_ id: SocketID, _ group: GroupID) {
        guard let service = socketUnits[id]?.service else { return }
        // During a shortage the traffic waits at the socket: a start that must fail would count against the limits of
        // both units.
        let want = shortageText(for: group)
        retry(.trigger(group), id, after: want)
        if want != nil { return }
        log(.info, about: "\(id)", "\(id): starts \(group)")
        do throws(ControlError) {
            // A member is started together with its target.
            let name = try planning.unitName((planning.resolver.owner(of: service) ?? service).description)
            guard case .services(let planned) = try planning.target(name) else {
                throw .failed(message: "\(name) is no service")
            }
            let work = try decide(.start, name, isManual: false)
            let request = trafficRequest(planned.plan.group, .start)
            requests[request]?.socket = id
            begin(work, Requested(.start(work.ordered(planned.plan)), request), makeRequest: trafficRequest)
        } catch {
            handleSocket(.triggerFailed(id, error.localizedMessage))
        }
    }

    /// Handles the refusal of a start that traffic asked for.
    func startRefused(_ id: SocketID, _ group: GroupID, _ error: ControlError) {
        log(.warning, about: "\(id)", "\(id): cannot start \(group): \(error.localizedMessage)")
        // Another operation of the same service is in progress: its end decides the next step.
        guard !engine.isActive(group) else { return }
        if connections[group] != nil { return connectionEnded(group) }
        handleSocket(.triggerFailed(id, error.localizedMessage))
    }

    func activity(of group: GroupID) -> ServiceActivity {
        // Unaccounted processes of the group accept from its sockets, too.
        if engine.isActive(group) || !unaccounted.processes.trees(of: group).isEmpty { return .active }
        guard let failure = engine.view(of: group)?.lastFailure else { return .inactive }
        if case .startLimit = failure.cause { return .startLimitHit }
        return .failed
    }

    /// Marks the group for a report to sockets and connections after all consequences of the event.
    func noteService(_ group: GroupID) {
        guard activation.watches(group) || connections[group] != nil else { return }
        touchedServices[group] = touchedServices[group] == true || !engine.isActive(group)
    }

    func tellSockets() {
        while let group = touchedServices.keys.min() {
            let wasGone = touchedServices.removeValue(forKey: group) == true
            let activity = activity(of: group)
            // A group with waiting requests has not ended.
            if activity != .active, !requests.has(group) { connectionEnded(group) }
            // Restarted at once (OnSuccess=, Upholds=): the steps that waited for its end continue.
            if activity == .active, wasGone, activation.watches(group) { handleSocket(.service(group, .inactive)) }
            if activation.watches(group) { handleSocket(.service(group, activity)) }
        }
    }

    /// Number of connections that the group's processes have accepted on these sockets, and of sockets where one waits.
    private func connections(of group: GroupID, on ids: [SocketID]) -> Int {
        let held = ids.flatMap(allSockets)
        let waiting = held.count { $0.endpoint.hasWaitingConnection }
        let pids = instances.values.filter { $0.definition.group == group }.flatMap { $0.tree?.members() ?? [] }
        do throws(SystemError) {
            return try waiting + machine.sockets.connections(of: pids, on: held.compactMap(\.address)).count
        } catch {
            // An unknown number must not count as zero.
            log(.warning, about: "\(group)", "\(group): \(error)")
            return 1
        }
    }

    // MARK: - Reports

    private func socketState(_ id: SocketID, _ phase: SocketPhase) {
        guard let view = activation.view(of: id) else { return }
        switch phase {
        case .failed: log(.error, about: "\(id)", "\(id): failed: \(view.failure.map(Wording.sentence) ?? "")")
        case .pollLimited:
            log(
                .warning, about: "\(id)",
                "\(id): its poll limit is reached; what comes waits until the interval is over")
        case .listening, .dead: log(.info, about: "\(id)", "\(id): \(phase.rawValue)")
        case .startPre, .opening, .startPost, .running, .stopPre, .stopPost: logger.debug("\(id): \(phase.rawValue)")
        }
    }

    private func answerSocketRequest(_ request: RequestID, _ id: SocketID, _ answer: SocketAnswer) {
        guard let pending = requests.remove(request) else { return }
        func done(_ outcome: OperationOutcome, _ notes: [String] = []) {
            requests.end(
                pending, request, OperationResult(outcome: outcome, unit: id.name, notes: notes + pending.notes))
        }
        switch answer {
        case .started:
            let places = heldSockets(id).map(\.endpoint.text).joined(separator: ", ")
            done(.started, ["listening on \(places)"] + (socketUnits[id]?.remarks ?? []))
        case .stopped: done(.stopped)
        case .unchanged: done(.unchanged)
        case .paused, .resumed: done(.completed)
        case .failed(let failure): failed(pending, request, "cannot start \(id): \(Wording.sentence(failure))", id)
        case .notOpen: failed(pending, request, "cannot pause \(id): it is not open", id)
        case .notPaused: failed(pending, request, "\(id) is not paused", id)
        case .cannotPause(let users):
            let text = """
                cannot pause \(id): \(users.joined(separator: ", ")) accepts from it, and only new TCP connections can be held \
                back from a process that does; stop it first, then connections queue
                """
            failed(pending, request, text, id)
        }
    }

    private func failed(_ pending: PendingRequest, _ request: RequestID, _ text: String, _ id: SocketID) {
        guard pending.batch == nil else {
            let report = FailureReport(unit: id.name, phase: .prepare, message: text)
            return requests.end(pending, request, OperationResult(outcome: .failed, unit: id.name, reason: report))
        }
        conclude(pending, Reply(.failed(message: text)))
    }
}
