import ControlProtocol
import Engine
import Linux
import Logging

/// Interface of the supervisor to the desk of reports.
protocol ReportsHost: AnyObject {
    var engine: Engine { get }
    func log(_ level: Logger.Level, about subject: String, _ text: String)
    func logDebug(_ text: String)
    /// Name and generation of the service that an instance runs.
    func service(of instance: InstanceID) -> (name: String, generation: GenerationID)?
    func release(of generation: GenerationID) -> String?
    func sentence(_ failure: Failure) -> String
    /// The step that an operation waits for.
    func waiting(_ view: GroupView) -> Waiting?
    /// The service that draining generations wait for.
    func waiting(forDrains numbers: Set<Int>, _ view: GroupView) -> Waiting?
    /// A draining generation's services that have been told to leave, with what each does.
    func leavingServices(of number: Int, _ view: GroupView) -> [(name: String, text: String)]
    /// Last log lines of the instances of a service, with the group of each; the newest instance last.
    func lastLines(of service: String) -> [(group: GroupID, lines: [String])]

    /// A service has become ready.
    func serviceIsReady(_ instance: InstanceID)
    /// The state of a group may have changed.
    func groupChanged(_ group: GroupID)
    /// Whether the group runs for a single connection.
    func isConnection(_ group: GroupID) -> Bool
    /// An operation for a connection or for traffic was not begun, as its unit runs, or was refused.
    func connectionIsUnused(_ group: GroupID)
    func startRefused(_ socket: SocketID, _ group: GroupID, _ error: ControlError)
    /// Notes on processes that a stopped group has left.
    func strayNotes(_ group: GroupID, _ result: FinishedOperation) -> [String]

    func stopSocketUnits()
    var hasActiveSocketUnits: Bool { get }
    var unaccountedGroups: [GroupID] { get }
    /// All services and socket units have ended.
    func shutDownComplete()
}

/// Reports of the engine: to the log, to the clients that wait, to the history.
///
/// - `ReportsDesk+Ends`: the ends of operations.
/// - `ReportsDesk+Drains`: what drains after them.
/// - `ReportsDesk+History`: failures, and what the history records.
final class ReportsDesk {
    unowned let host: any ReportsHost
    let requests: RequestsDesk
    let history: History
    private let subscriptions: SubscriptionsDesk
    private let control: ControlSessions
    private let loop: any Loop
    /// Causes of operations that no client has requested, for the history.
    var causes: [GroupID: String] = [:]
    /// `MONITOR_…` variables for groups that `OnFailure=` or `OnSuccess=` starts, until they have started.
    var monitorVariables: [GroupID: [String: String]] = [:]
    /// Last log lines of services in groups with an operation under way, by unit, for its report.
    private(set) var evidence: [GroupID: [String: [String]]] = [:]
    /// Ends of operations that are in the journal and not yet in the history.
    var unwrittenHistory: [GroupID: HistoryEntry] = [:]
    /// Entries with the ends of drains that are in the journal and not yet in the history.
    var unwrittenDrains: [HistoryEntry] = []
    /// Shutdown requests, answered once every socket unit has stopped, too.
    var shutdownRequests: [RequestID]?
    private var progressTimer: (any LoopTimer)?

    init(
        _ host: any ReportsHost, _ requests: RequestsDesk, _ subscriptions: SubscriptionsDesk, _ history: History,
        _ control: ControlSessions, _ loop: any Loop
    ) {
        (self.host, self.requests, self.subscriptions) = (host, requests, subscriptions)
        (self.history, self.control, self.loop) = (history, control, loop)
    }

    func start() throws(SystemError) {
        progressTimer = try loop.makeTimer(accuracy: 50_000) { [unowned self] in reportProgress() }
    }

    var now: Instant { Instant(nanoseconds: loop.now) }
    var wallClock: Int64 { loop.wallClock }

    func handle(_ report: Report) {
        defer { subscriptions.publish(report) }
        switch report {
        case .phase(let group, let generation, let phase):
            host.groupChanged(group)
            reportPhase(group, generation, phase)
        case .service(let instance, let phase):
            if let group = host.service(of: instance)?.generation.group { host.groupChanged(group) }
            reportService(instance, phase)
        case .skipped(let instance, let condition): reportSkip(instance, condition)
        case .failure(let group, let failure): reportFailure(group, failure)
        case .finished(let group, let result, let requests):
            host.groupChanged(group)
            finished(group, result, requests)
        case .drainForced(let group, let generation, let force): reportForce(group, generation, force)
        case .drained(let group, let result, let requests):
            host.groupChanged(group)
            drained(group, result, requests)
        case .cutting: break
        case .stopping(let group, let cause):
            causes[group] = Wording.reason(cause)
            host.log(.info, about: "\(group)", "\(group): stopped, \(Wording.reason(cause))")
        case .refused(let request, let refusal): refuse(request, Wording.error(refusal))
        case .unchanged(let group, let request):
            host.groupChanged(group)
            unchanged(group, request)
        case .shutDownComplete(let requests): endShutdown(requests)
        }
    }

    /// Drops all records of a group whose name may never be used again.
    func forget(_ group: GroupID) {
        (evidence[group], monitorVariables[group], causes[group]) = (nil, nil, nil)
        subscriptions.forget(group)
    }

    // MARK: - Evidence

    /// Keeps the last lines of a service for the report of its group's operation.
    func keepEvidence(_ group: GroupID, _ service: String, _ lines: [String]) {
        evidence[group, default: [:]][service] = lines
    }

    func restoreEvidence(_ saved: [GroupID: [String: [String]]]) { evidence = saved }

    func dropEvidence(of group: GroupID) { evidence[group] = nil }

    // MARK: - Progress

    private func reportPhase(_ group: GroupID, _ generation: Int?, _ phase: PhaseName) {
        let name = "\(group)\(generation.map { " generation \($0)" } ?? "")"
        host.log(.info, about: "\(group)", "\(name): \(Wording.name(phase))")
        sendProgress(group, generation, SwapPhase(entered: phase), message: Wording.name(phase))
        armProgressTimer()
    }

    private func reportService(_ instance: InstanceID, _ phase: ServicePhase) {
        guard let running = host.service(of: instance) else { return }
        if phase == .running { host.serviceIsReady(instance) }
        let (name, number) = (running.name, running.generation.number)
        host.logDebug("\(name) generation \(number): \(phase.rawValue)")
        let group = running.generation.group
        guard requests.has(group), let view = host.engine.view(of: group) else { return }
        if let draining = view.drainingGeneration(of: instance) {
            return reportDrain(view, draining, name, Wording.sentence(phase))
        }
        guard let shown = SwapPhase(of: view) else { return }
        sendProgress(view.id, number, shown, service: name, message: Wording.sentence(phase))
    }

    private func reportSkip(_ instance: InstanceID, _ condition: String) {
        guard let running = host.service(of: instance) else { return }
        let text = "\(running.name) is not started: \(Wording.skip(condition))"
        host.log(.info, about: running.name, text)
        for (id, _) in requests.of(running.generation.group) { requests[id]?.notes.append(text) }
    }

    private func reportFailure(_ group: GroupID, _ failure: Failure) {
        let sentence = host.sentence(failure)
        host.log(.warning, about: failure.unit, sentence)
        for (owner, lines) in host.lastLines(of: failure.unit) { keepEvidence(owner, failure.unit, lines) }
        guard let view = host.engine.view(of: group), let shown = SwapPhase(of: view) else { return }
        sendProgress(group, view.operation?.new, shown, service: failure.unit, message: sentence)
    }

    func sendProgress(
        _ group: GroupID, _ generation: Int?, _ phase: SwapPhase, service: String? = nil, message: String,
        waiting: Waiting? = nil
    ) {
        // Clients that wait for drains are not concerned by operations.
        for (_, pending) in requests.of(group) where pending.awaitedDrains == nil {
            sendProgress(
                to: pending, group, generation, phase, service: service, message: message, waiting: waiting)
        }
    }

    func sendProgress(
        to pending: PendingRequest, _ group: GroupID, _ generation: Int?, _ phase: SwapPhase, service: String? = nil,
        message: String, waiting: Waiting? = nil
    ) {
        guard let call = pending.call, control.wantsMore(call) else { return }
        // A generation that is being prepared has no resources yet.
        let release = generation.flatMap { number in
            host.release(of: GenerationID(group: group, number: number))
                ?? host.engine.view(of: group)?.generations.first { $0.number == number }?.release
        }
        let value = Progress(
            elapsed: (now - pending.startedAt).seconds, unit: group.unit(release: release), generation: generation,
            release: release, phase: phase, service: service, message: message, waitingFor: waiting?.text,
            connectionsLeft: waiting?.connections, secondsLeft: waiting?.secondsLeft)
        control.reply(call, Reply(OperationReply(progress: value), continues: true))
    }

    /// Runs the progress timer only while a client follows an operation: it reports the awaited step and the remaining
    /// connections.
    func armProgressTimer() {
        let isFollowed = requests.withCaller.contains { _, pending in
            pending.group != nil && pending.call.map { control.wantsMore($0) } ?? false
        }
        if isFollowed { progressTimer?.arm(after: 1_000_000_000) } else { progressTimer?.disarm() }
    }

    private func reportProgress() {
        for group in Set(requests.withCaller.compactMap(\.request.group)).sorted() {
            guard let view = host.engine.view(of: group) else { continue }
            reportDrains(view)
            guard let operation = view.operation, let shown = SwapPhase(of: view) else { continue }
            sendProgress(
                group, operation.new, shown, message: Wording.name(operation.phase), waiting: host.waiting(view))
        }
        armProgressTimer()
    }
}

extension GroupView {
    /// The draining generation that a service belongs to; nil if it does not drain.
    func drainingGeneration(of instance: InstanceID) -> Int? {
        let draining = Set(drains.map(\.generation.number))
        return generations.first { generation in
            draining.contains(generation.number) && generation.services.contains { $0.instance == instance }
        }?.number
    }
}
