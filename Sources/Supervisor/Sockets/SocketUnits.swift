import ControlProtocol
import Engine
import Linux
import Logging
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
    var isShortageLogged = false
}

/// Socket units: carries out the decisions of `SocketActivation`, and feeds it events.
///
/// - `SocketUnits+Traffic`: watches, starts of services, connections to accept.
/// - `SocketUnits+Services`: activity of the services that sockets start.
/// - `SocketUnits+Changes`: changed unit files, pauses.
/// - `SocketUnits+Survival`: state for a successor.
final class SocketUnits {
    unowned let host: any SocketUnitsHost
    let machine: any Machine
    private let launcher: Launcher
    private(set) lazy var connections = AcceptedConnections(machine, host: host) { [unowned self] in handle($0) }
    private(set) lazy var commands = SocketCommands(machine, launcher, host: self)
    var activation = SocketActivation()
    var started: [SocketID: StartedSocket] = [:]
    /// Events that wait while an earlier one is handled.
    private var events: [SocketEvent] = []
    private var isHandling = false
    private var timer: (any LoopTimer)?
    /// Groups that appeared or disappeared while events were handled; true for a group that was gone in between.
    var touchedServices: [GroupID: Bool] = [:]
    /// The unit's readable socket, set while `readable` is handled.
    var readableSocket: HeldSocket?

    init(_ machine: any Machine, _ launcher: Launcher, host: any SocketUnitsHost) {
        self.machine = machine
        self.launcher = launcher
        self.host = host
    }

    func openTimer() throws(SystemError) {
        timer = try machine.loop.makeTimer { [unowned self] in handle(.deadlineReached) }
    }

    // MARK: - Events and effects

    func handle(_ event: SocketEvent) {
        events.append(event)
        guard !isHandling else { return }
        isHandling = true
        var next = 0
        while next < events.count {
            let event = events[next]
            next += 1
            for effect in activation.handle(event, at: host.now) { perform(effect) }
        }
        events.removeAll(keepingCapacity: true)
        isHandling = false
        host.didHandleSocketEvents()
        if let deadline = activation.nextDeadline {
            timer?.arm(at: deadline.nanoseconds)
        } else {
            timer?.disarm()
        }
    }

    private func perform(_ effect: SocketEffect) {
        switch effect {
        case .run(let token, let id, let command): run(token, id, command)
        case .signal(let token, let signal): commands.signal(token, signal)
        case .open(let id): machine.processes.bounded(by: .services) { open(id) }
        case .close(let id): close(id)
        case .watch(let id): watch(id)
        case .unwatch(let id): unwatch(id)
        case .watchOnce(let id): watchOnce(id)
        case .flush(let id): for held in heldSockets(id) { held.endpoint.flush() }
        case .holdBack(let id, let on): holdBack(id, on)
        case .accept(let id): acceptConnection(id)
        case .trigger(let id, let group): trigger(id, group)
        case .startConnection(let id, let number):
            connections.start(number, template: started[id]?.unit.serviceName, id)
        case .refuseConnection(let id, let refusal): connections.refuse(id, refusal)
        case .measure(let group, let ids): handle(.measured(group, countConnections(of: group, on: ids)))
        case .stopIdle(let group):
            log(.info, group, "stopped: no connections for X-IdleStopSec=")
            host.stopIdle(group)
        case .state(let id, let phase): reportPhase(id, phase)
        case .answer(let request, let id, let answer): host.answerSocketRequest(request, id, answer)
        }
    }

    // MARK: - Sockets of a unit

    func heldSockets(_ id: SocketID) -> [HeldSocket] { host.sockets?.shared[id.name] ?? [] }

    /// The unit's sockets, including those that only generations have: their processes accept from them still, or
    /// already.
    func allSockets(_ id: SocketID) -> [HeldSocket] {
        let table = heldSockets(id)
        let others = host.sockets?.registry.all.filter { held in
            held.unit.name.description == id.name && !table.contains { $0 === held }
        }
        return table + (others ?? [])
    }

    /// Unit of a socket that is started or held.
    func unit(_ id: SocketID) -> SocketUnit? { started[id]?.unit ?? heldSockets(id).first?.unit }

    // MARK: - Opening and closing

    /// Starts a socket unit: opens its sockets; from then on traffic starts its service.
    func start(_ unit: SocketUnit, _ request: RequestID?) throws(ControlError) {
        guard unit.scope == .shared else {
            throw .failed(message: "\(unit.name) belongs to a generation: it is opened when its service starts")
        }
        let id = SocketID(unit.name.description)
        let service = try host.serviceStarted(by: unit)
        if service == nil, !unit.acceptsItself, let request {
            let takers = host.services(taking: unit.name).map(\.description)
            host.addNote(
                takers.isEmpty
                    ? "it starts nothing: no service takes it"
                    : "it starts nothing: Service= has to say which of \(takers.joined(separator: ", "))", to: request)
        }
        host.noteAction()
        let isKnown = activation.isActive(id) && !activation.isStopping(id)
        if !isKnown { started[id] = StartedSocket(unit: unit, service: service) }
        let spec = spec(of: unit, service)
        handle(.start(id, spec, request))
        reportActivity(of: spec.service)
    }

    func spec(of unit: SocketUnit, _ service: UnitName?) -> SocketSpec {
        SocketSpec(unit, group: service.map { host.group(of: $0) }, service: service.flatMap { host.serviceUnit($0) })
    }

    /// Closes the unit's socket when these groups have ended.
    func release(_ id: SocketID, _ unit: SocketUnit, _ request: RequestID?, after groups: Set<GroupID>) {
        let spec = activation.view(of: id)?.spec ?? spec(of: unit, nil)
        host.noteAction()
        handle(.release(id, spec, request, groups))
    }

    private func open(_ id: SocketID) {
        guard let unit = started[id]?.unit, let sockets = host.sockets else {
            return handle(.openFailed(id, "shutting down"))
        }
        do throws(PreparationError) {
            sockets.keep(try sockets.opened(unit), for: unit)
            handle(.opened(id))
            // The start may have waited for the end of a stop, while the service was started.
            reportActivity(of: activation.view(of: id)?.spec.service)
        } catch {
            handle(.openFailed(id, error.text))
        }
    }

    private func close(_ id: SocketID) {
        unwatch(id)
        host.sockets?.release(id.name)
    }

    /// Drops the records of a stopped unit whose name may never be used again.
    func discard(_ id: SocketID) {
        guard heldSockets(id).isEmpty, activation.discard(id) else { return }
        started[id] = nil
    }

    // MARK: - Shutdown

    /// Stops every unit.
    func stopAll() { for id in activation.socketIDs { handle(.stop(id, nil)) } }

    var hasActive: Bool { activation.socketIDs.contains(where: activation.isActive) }

    // MARK: - Reports

    /// - Parameter subject: the unit that the line is about.
    func log(_ level: Logger.Level, _ subject: some CustomStringConvertible, _ text: String) {
        host.log(level, about: "\(subject)", "\(subject): \(text)")
    }

    /// Records requirements that a command of the unit does without.
    func addRemarks(_ remarks: [String], to id: SocketID) {
        let new = remarks.filter { started[id]?.remarks.contains($0) == false }
        started[id]?.remarks += new
        for text in new { log(.warning, id, text) }
    }

    private func reportPhase(_ id: SocketID, _ phase: SocketPhase) {
        guard let view = activation.view(of: id) else { return }
        switch phase {
        case .failed: log(.error, id, "failed: \(view.failure.map(Wording.sentence) ?? "")")
        case .pollLimited:
            log(
                .warning, id,
                "its poll limit is reached (PollLimitBurst=); connections wait until the interval ends")
        case .listening, .dead: log(.info, id, phase.rawValue)
        case .startPre, .opening, .startPost, .running, .stopPre, .stopPost: log(.debug, id, phase.rawValue)
        }
    }
}
