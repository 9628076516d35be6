import ControlProtocol
import Engine
import Linux
import UnitFiles
import UnitStore

/// The step that an operation waits for.
struct Waiting {
    var text: String
    var connections: Int?
    var secondsLeft: Double?
}

/// Budget for the expensive parts of a status: connections and memory. When it is used up the remaining ones are left
/// out, so that a call about a thousand units does not delay all others.
final class StatusBudget {
    /// Nanoseconds.
    private static let limit: Int64 = 30_000_000
    private let loop: any Loop
    private let end: Int64

    init(_ loop: any Loop) { (self.loop, end) = (loop, loop.now + Self.limit) }

    var hasTimeLeft: Bool { loop.now < end }
}

/// Interface of the supervisor to the desk of status.
protocol StatusHost: AnyObject {
    var engine: Engine { get }
    /// The release of a template swap unit that serves, or served last.
    func release(of group: GroupID) -> String?
    /// Addresses of the sockets and reservations that an instance has.
    func addresses(of instance: RunningInstance) -> [SocketAddress]
    /// Whether a shared socket is held.
    func isHeld(_ socket: UnitName) -> Bool
    func status(ofSocket name: UnitName) -> UnitStatus
    /// Note on a group whose sockets are paused.
    func pauseNote(_ group: GroupID) -> String?
    /// Note on processes that the group has left and that cannot be assigned.
    func strayNote(_ group: GroupID) -> String?
    /// Trouble of the journal, for every status.
    var journalTrouble: String? { get }
}

/// Interface of the supervisor to explanations (`Why`, `Show`), in addition.
protocol ExplanationsHost: AnyObject {
    func failureReport(_ failure: Failure, _ group: GroupID, _ result: FinishedOperation?) -> FailureReport
    func strayFindings(_ group: GroupID) -> [Finding]
    func historyEntries(of unit: String, limit: Int) -> [HistoryEntry]
    /// Remarks on the last start of a unit.
    func remarkTexts(of unit: UnitName) -> [String]
    func remarks(ofSocket name: UnitName) -> [String]
    func socketStatus() -> SocketsReply
    /// Throws if the peer may not act.
    func mayAct(_ peer: Peer) throws(ControlError)
}

/// Answers of the `Status`, `Generations` and `List` calls, and the step that an operation waits for. Read-only.
///
/// - `StatusDesk+Explanation`, `StatusDesk+Properties`, `StatusDesk+Remarks`: answers of `Why` and `Show`.
final class StatusDesk {
    unowned let host: any StatusHost
    unowned let explanations: any ExplanationsHost
    let machine: any Machine
    let configuration: Configuration
    let planning: PlanningDesk
    let names: NamesDesk
    let instances: Instances
    let unaccounted: UnaccountedDesk
    let processes: ProcessDesk
    private let logs: OutputDesk
    var loop: any Loop { machine.loop }
    var now: Instant { Instant(nanoseconds: loop.now) }
    var engine: Engine { host.engine }

    init(
        _ host: any StatusHost & ExplanationsHost, _ machine: any Machine, _ configuration: Configuration,
        _ planning: PlanningDesk,
        _ names: NamesDesk, _ instances: Instances, _ unaccounted: UnaccountedDesk, _ processes: ProcessDesk,
        _ logs: OutputDesk
    ) {
        (self.host, explanations) = (host, host)
        (self.machine, self.configuration) = (machine, configuration)
        (self.planning, self.names, self.instances) = (planning, names, instances)
        (self.unaccounted, self.processes, self.logs) = (unaccounted, processes, logs)
    }

    func waiting(_ view: GroupView) -> Waiting? {
        guard let operation = view.operation else { return nil }
        let left = operation.deadline.map { max(0, ($0 - now).seconds) }
        switch operation.phase {
        case .waiting: return Waiting(text: obstacles(operation) ?? "units that it is ordered after", secondsLeft: left)
        case .prepare: return nil
        case .hold: return Waiting(text: "promote or abort")
        case .soak: return Waiting(text: "SoakSec=", secondsLeft: left)
        case .start, .restore:
            let services = view.generations.first { $0.number == operation.new }?.services ?? []
            let late = services.filter { !$0.isReady }
            guard let first = late.first(where: { $0.phase != .waiting }) ?? late.first else { return nil }
            let text = awaitedText(first) ?? Wording.sentence(first.phase)
            // The shorter of the operation's and the service's remaining times.
            let own = first.deadline.map { max(0, ($0 - now).seconds) }
            return Waiting(text: "\(first.spec.unit): \(text)", secondsLeft: [left, own].compactMap(\.self).min())
        case .cutOver, .drain, .stopOld, .rollBack, .stop:
            let drains = Set(view.drains.map(\.generation.number))
            let own = view.generations.filter { operation.phase == .stop || !drains.contains($0.number) }
            return leaving(own) ?? obstacles(operation).map { Waiting(text: $0, secondsLeft: left) }
        case .reload:
            let services = view.generations.first { $0.number == view.serving }?.services ?? []
            let late = services.first { $0.phase == .reloading }
            let text = late.flatMap(awaitedText) ?? "ExecReload="
            return Waiting(text: text, secondsLeft: late?.deadline.map { max(0, ($0 - now).seconds) })
        }
    }

    /// Note for a group without any service yet that could report a state itself.
    private func waitNote(_ view: GroupView) -> String? {
        guard view.generations.allSatisfy(\.services.isEmpty) else { return nil }
        return view.operation.flatMap(obstacles).map { "waits for \($0)" }
    }

    /// Names of the other groups that the operation waits for.
    private func obstacles(_ operation: OperationView) -> String? {
        guard !operation.obstacles.isEmpty else { return nil }
        let shown = operation.obstacles.prefix(4).map(\.name).joined(separator: ", ")
        let more = operation.obstacles.count - 4
        return more > 0 ? "\(shown) and \(more) more" : shown
    }

    /// The slowest service of draining generations.
    func waiting(forDrains numbers: Set<Int>, _ view: GroupView) -> Waiting? {
        leaving(view.generations.filter { numbers.contains($0.number) })
    }

    /// A draining generation's services that have been told to leave, with what each does.
    func leavingServices(of number: Int, _ view: GroupView) -> [(name: String, text: String)] {
        let services = view.generations.first { $0.number == number }?.services ?? []
        return services.filter { [.draining, .stopping, .killing, .stopPost].contains($0.phase) }
            .map { ($0.spec.unit, Wording.sentence($0.phase)) }
    }

    /// The slowest leaving service, and the reason why it is still there.
    /// - Parameter counts: count its connections.
    private func leaving(_ generations: [GenerationView], counts: Bool = true) -> Waiting? {
        let services = generations.filter { [.draining, .rollingBack, .stopping].contains($0.role) }
            .flatMap(\.services)
        let told = services.filter { [.draining, .stopping, .killing, .stopPost].contains($0.phase) }
        guard let slowest = told.first else { return nil }
        let deadline = told.compactMap(\.deadline).max()
        // For a stop command the text names the command.
        let command: String? = if case .command = slowest.awaited { awaitedText(slowest) } else { nil }
        let text = command ?? Wording.sentence(slowest.phase)
        return Waiting(
            text: "\(slowest.spec.unit) generation \(slowest.birth): \(text)",
            connections: counts ? told.map { connections(of: $0.instance)?.count ?? 0 }.reduce(0, +) : nil,
            secondsLeft: deadline.map { max(0, ($0 - now).seconds) })
    }

    /// Established connections that a service has accepted on its held sockets. Asks the kernel for all connections at
    /// these addresses and examines the descriptors of all processes of the service.
    func connections(of instance: InstanceID) -> Connections? {
        guard let running = instances[instance], let tree = running.tree else { return nil }
        let addresses = host.addresses(of: running)
        guard !addresses.isEmpty else { return nil }
        return try? machine.sockets.connections(of: tree.members(), on: addresses)
    }

    // MARK: - Status

    func allStatus() -> [UnitStatus] {
        let look = StatusBudget(loop)
        return names.knownGroups().map { status(of: $0, nil, leaving: look) }
    }

    /// - Parameters:
    ///   - look: the budget for connections and memory of all services; nil to leave them out.
    ///   - leaving: the budget for connections of draining generations.
    func status(of group: GroupID, _ look: StatusBudget?, leaving: StatusBudget? = nil) -> UnitStatus {
        let name = try? UnitName(group.name)
        let loaded = name.map { planning.resolver.load($0) }
        let description = loaded?.unit?.definition.unit.description ?? ""
        guard let view = engine.view(of: group) else {
            return UnitStatus(
                unit: group.name, description: description, state: state(of: group),
                swappable: loaded?.hasSwapSection ?? false, release: host.release(of: group), reason: leftNote(group))
        }
        let release = host.release(of: group)
        return UnitStatus(
            unit: group.name, description: description, state: state(of: group),
            swappable: loaded?.hasSwapSection ?? engine.isSwapUnit(group), release: release,
            servingGeneration: view.serving, generations: generationStatus(view, look, leaving: leaving),
            reason: leftNote(group) ?? reason(view).map(sentence) ?? skipNote(view) ?? waitNote(view) ?? host.pauseNote(
                group)
                ?? (view.serving == nil ? host.strayNote(group) : nil),
            since: Timestamp.string(unixSeconds: loop.wallClock - Int64((now - view.since).seconds)),
            outdated: planning.isOutdated(view) ? true : nil)
    }

    /// Failure of the group, or of a service that is down while its group should serve.
    private func reason(_ view: GroupView) -> Failure? {
        if let failure = view.lastFailure { return failure }
        guard state(view) == .failed else { return nil }
        return view.generations.first { $0.number == view.serving }?.services.lazy.compactMap(\.failure).first
    }

    /// Note on the condition that skipped the group's start.
    private func skipNote(_ view: GroupView) -> String? {
        view.serving == nil ? view.skippedBy.map { "skipped: \(Wording.skip($0))" } : nil
    }

    func state(_ view: GroupView) -> UnitState {
        switch view.operation?.kind {
        case .start: return view.serving == nil ? .starting : .swapping
        case .swap, .rollback, .restart: return .swapping
        case .stop: return .stopping
        case .reload, nil: break
        }
        guard let serving = view.serving else {
            if view.lastFailure != nil { return .failed }
            return view.drains.isEmpty ? .stopped : .stopping
        }
        let services = view.generations.first { $0.number == serving }?.services ?? []
        // A service that is down while its group should serve: crash-looping or failed is not "running".
        return services.contains { $0.phase == .failed || ($0.phase == .autoRestart && $0.failure != nil) }
            ? .failed : .running
    }

    func generationStatus(_ view: GroupView, _ look: StatusBudget?, leaving: StatusBudget? = nil) -> [GenerationStatus]
    {
        // Generations that have only sockets left, for services that were carried over, are left out.
        view.generations.filter { !$0.services.isEmpty || $0.role == .starting }.reversed().map { generation in
            let isNew = generation.number == view.operation?.new
            let isLeaving = [.draining, .rollingBack, .stopping].contains(generation.role)
            let drain = view.drains.first { $0.generation.number == generation.number }
            let waiting =
                drain != nil ? self.leaving([generation], counts: false) : isNew || isLeaving ? waiting(view) : nil
            var status = GenerationStatus(
                number: generation.number, release: generation.release, role: GenerationRole(generation.role),
                age: (now - (drain?.since ?? generation.startedAt)).seconds,
                phase: drain != nil ? .drain : isNew || isLeaving ? SwapPhase(of: view) : nil,
                waitingFor: waiting?.text, deadline: waiting?.secondsLeft)
            var oldest: Connections?
            for service in generation.services {
                let (shown, held) = self.status(of: service, look ?? (isLeaving ? leaving : nil), memory: look != nil)
                status.services.append(shown)
                guard let held else { continue }
                status.connections = (status.connections ?? 0) + held.count
                if oldest?.oldestPeer == nil { oldest = held }
            }
            status.oldestPeer = oldest?.oldestPeer
            status.oldestPeerIdle = oldest?.oldestIdle?.seconds
            return status
        }
    }

    private func status(
        of service: ServiceView, _ look: StatusBudget?, memory: Bool
    ) -> (ServiceStatus, Connections?) {
        let pid = processes.main(of: service.instance)?.pid
        let looks = look?.hasTimeLeft ?? false
        let held = looks ? connections(of: service.instance) : nil
        let losses = logs.losses(of: service.spec.unit)
        func some(_ count: Int?) -> Int? { count == 0 ? nil : count }
        let status = ServiceStatus(
            unit: service.spec.unit, state: ServiceState(service.phase), mainPid: pid.map(Int.init),
            statusText: service.statusText, age: (now - service.since).seconds, restarts: service.restarts,
            result: service.failure.map(sentence) ?? service.skippedBy.map { "skipped: \(Wording.skip($0))" },
            ready: service.isReady, connections: held?.count,
            memory: looks && memory ? pid.flatMap { machine.processes.residentMemory(of: $0) } : nil,
            linesLost: some(losses?.lost),
            linesSuppressed: some(losses?.suppressed), waitingFor: awaitedText(service))
        return (status, held)
    }

    /// State of a group; a stopped or failed one with unaccounted processes is `unknown`, or `stopping` while they are
    /// ended.
    func state(of group: GroupID) -> UnitState {
        let view = engine.view(of: group)
        let state = view.map(state) ?? .stopped
        let found = unaccounted.processes.trees(of: group)
        guard !found.isEmpty, state == .stopped || state == .failed else { return state }
        return found.allSatisfy { $0.ending != nil } ? .stopping : .unknown
    }

    func leftNote(_ group: GroupID) -> String? {
        let found = unaccounted.processes.trees(of: group)
        guard !found.isEmpty else { return nil }
        if found.allSatisfy({ $0.ending != nil }) {
            return "\(unaccounted.text(group)) \(found.flatMap(\.members).count == 1 ? "is" : "are") being stopped"
        }
        return
            "\(unaccounted.sentence(group)); holdfastctl adopt \(group) takes them over, holdfastctl stop \(group) ends them"
    }

    /// Sentence on a failure that cites the unit concerned.
    func sentence(_ failure: Failure) -> String { Wording.sentence(failure, of: unit(named: failure.unit)) }

    /// The unit of the running or last-run definition.
    private func unit(named name: String) -> ServiceUnit? {
        let running = instances.values.filter { $0.name == name }.max { $0.id < $1.id }
        if let running { return running.definition.unit }
        return planning.definitions.values.filter { $0.unit.name.description == name }.max { $0.id < $1.id }?.unit
    }

    func awaitedText(_ service: ServiceView) -> String? {
        service.awaited.map { Wording.awaited($0, of: instances[service.instance]?.definition.unit) }
    }
}

extension GenerationRole {
    init(_ role: GenerationView.Role) {
        self =
            switch role {
            case .starting: .starting
            case .held: .held
            case .serving: .serving
            case .draining: .draining
            case .rollingBack, .stopping: .stopping
            }
    }
}

extension ServiceState {
    /// State in the protocol for each phase of the engine.
    init(_ phase: ServicePhase) {
        self =
            switch phase {
            case .waiting: .waiting
            case .condition, .startPre: .startPre
            case .starting: .starting
            case .probing: .probing
            case .startPost: .startPost
            case .running: .running
            case .exited: .exited
            case .reloading: .reloading
            case .draining: .draining
            case .stopping, .killing, .stopPost: .stopping
            case .autoRestart: .autoRestart
            case .stopped: .stopped
            case .skipped: .exited
            case .failed: .failed
            }
    }
}
