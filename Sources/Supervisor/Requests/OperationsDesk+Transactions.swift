import ControlProtocol
import Engine
import UnitFiles

/// A request with all jobs that it implies, as the engine has decided it.
struct DecidedTransaction {
    var transaction: Transaction
    var loaded: PlanningDesk.LoadedGraph
    /// The graph's name for the requested unit.
    var anchor: String

    /// Groups that are ordered before this unit, by either unit's file.
    func after(_ unit: String) -> Set<GroupID> {
        groups(loaded.graph.predecessors(of: unit)).subtracting([GroupID(unit)])
    }

    func conflicts(_ unit: String) -> Set<GroupID> { groups(loaded.graph.conflicting(with: unit)) }

    private func groups(_ names: [String]) -> Set<GroupID> {
        Set(names.filter { loaded.units[$0].map { $0.kind != .socket } ?? false }.map { GroupID($0) })
    }

    /// The plan with the graph's ordering and conflicts.
    func ordered(_ plan: Plan) -> Plan {
        var plan = plan
        plan.after.formUnion(after(plan.group.name))
        plan.relations.conflicts = conflicts(plan.group.name)
        return plan
    }
}

/// Requests as transactions: the engine decides each as a whole, and it begins as a whole.
extension OperationsDesk {
    /// Name of the node for a request of several units. No unit has such a name.
    private static let several = "the enabled units"

    /// The transaction for a request, without any effect yet.
    /// - Parameter others: units whose relations count, in addition to the running groups.
    func decide(
        _ type: JobType, _ unit: UnitName, mode: Transaction.Mode = .replace, isManual: Bool = true,
        among others: [UnitName] = []
    ) throws(ControlError) -> DecidedTransaction {
        try decide(
            type, planning.node(of: unit), planning.graph(of: [unit] + others), mode, isManual,
            verbally: unit.description)
    }

    private func decide(
        _ type: JobType, _ anchor: String, _ loaded: PlanningDesk.LoadedGraph, _ mode: Transaction.Mode,
        _ isManual: Bool,
        verbally name: String
    ) throws(ControlError) -> DecidedTransaction {
        do throws(TransactionError) {
            let transaction = try Transaction(type, anchor, in: loaded.graph, mode: mode, isManual: isManual) { unit in
                self.activity(of: unit, loaded.units[unit])
            }
            return DecidedTransaction(transaction: transaction, loaded: loaded, anchor: anchor)
        } catch {
            throw .failed(message: "cannot \(type.verb) \(name): \(error.sentence)")
        }
    }

    private func activity(of unit: String, _ name: UnitName?) -> UnitActivity {
        guard name?.kind == .socket else { return engine.unitActivity(of: GroupID(unit)) }
        return host.isActive(socket: unit) ? .active : .inactive
    }

    // MARK: - Start of all jobs

    /// Starts all jobs of the request, together with the command that answers it.
    ///
    /// - Parameter makeRequest: makes a request for each unit that moves along without being named.
    func start(
        _ work: DecidedTransaction, _ anchor: Requested?,
        makeRequest: (GroupID?, OperationKind) -> RequestID
    ) {
        var commands: [Requested] = []
        for job in work.transaction.jobs where job.unit != work.anchor {
            guard let name = work.loaded.units[job.unit] else { continue }
            do throws(ControlError) {
                guard let command = try makeCommand(for: job, name, work, makeRequest) else { continue }
                commands.append(command)
                // The request has one answer: a part without its own answer passes its notes on.
                if let anchor, let part = requests[command.request], part.batch == nil {
                    requests[anchor.request]?.notes += part.notes
                }
            } catch {
                host.log(.warning, about: "\(name)", "\(name): \(error.localizedMessage)")
                if let anchor { requests[anchor.request]?.notes.append("\(name): \(error.localizedMessage)") }
            }
        }
        for note in work.transaction.notes { host.log(.warning, about: "\(work.anchor)", "\(work.anchor): \(note)") }
        if let anchor { commands.append(anchor) }
        if !commands.isEmpty { handle(.commands(commands)) }
    }

    /// Adds the plan's notes to the request of a unit that moves along.
    private func note(_ planned: Planning.Planned, _ request: RequestID) -> RequestID {
        requests[request]?.notes += planned.notes
        return request
    }

    private func makeCommand(
        for job: Transaction.Job, _ name: UnitName, _ work: DecidedTransaction,
        _ makeRequest: (GroupID?, OperationKind) -> RequestID
    ) throws(ControlError) -> Requested? {
        let group = GroupID(job.unit)
        switch job.type {
        case .start, .reloadOrStart:
            switch try planning.target(planning.resolver.loader.canonical(name)) {
            case .services(let planned):
                return Requested(.start(work.ordered(planned.plan)), note(planned, makeRequest(group, .start)))
            case .list(let target, let units):
                return Requested(.start(work.ordered(plan(of: target, units))), makeRequest(group, .start))
            case .socket(let socket):
                let request = makeRequest(nil, .start)
                do throws(ControlError) {
                    try socketUnits.start(socket, request)
                } catch {
                    reports.refuse(request, error)
                }
                return nil
            }
        case .restart:
            switch try planning.target(planning.resolver.loader.canonical(name)) {
            case .services(let planned):
                let options = SwapOptions(kind: .restart)
                return Requested(
                    .swap(work.ordered(planned.plan), options), note(planned, makeRequest(group, .restart)))
            case .list(let target, let units):
                let options = SwapOptions(kind: .restart)
                return Requested(.swap(work.ordered(plan(of: target, units)), options), makeRequest(group, .restart))
            // A held socket stays open: a restart would close it to new connections meanwhile.
            case .socket: return nil
            }
        case .stop:
            guard name.kind == .socket else { return Requested(.stop(group), makeRequest(group, .stop)) }
            // Services that are not stopped along keep their own descriptor until they end.
            let stopping = work.transaction.jobs.filter { $0.type == .stop }.map { GroupID($0.unit) }
            releaseSocket(name, nil, stopping: Set(stopping))
            return nil
        case .reload: return Requested(.reload(group), makeRequest(group, .reload))
        case .verifyActive: return nil
        }
    }

    /// Plan of a plain target, which the engine treats as up or down.
    func plan(of target: TargetUnit, _ units: [UnitReference]) -> Plan {
        let group = GroupID(target.name.description)
        var plan = Plan(group: group, isSwapUnit: false, settings: .init(readyTimeout: nil, soak: .zero), services: [])
        plan.isTarget = true
        let outside = planning.orderedOutside([target.unit], group, members: [])
        (plan.after, plan.requires) = (outside.after, outside.requires)
        plan.relations = planning.planRelations(of: [target.unit], group)
        plan.relations.stopsWhenUnneeded = target.unit.graph.stopWhenUnneeded
        plan.relations.triggers = Triggers(target.unit)
        let parts = units.map(\.name).filter { $0.kind != .socket && planning.resolver.loader.exists($0) }
        plan.relations.stopsOthers.formUnion(parts.map(planning.group(of:)))
        return plan
    }

    // MARK: - Starts without a client

    /// Starts all enabled units when the supervisor starts. A unit that cannot be started fails by itself, reported in
    /// the log and by the units that `Requires=` it.
    func startTogether(_ units: [UnitReference]) {
        var loaded = planning.graph(of: units.map(\.name))
        var wanted: [String] = []
        for unit in units where planning.resolver.loader.exists(unit.name) {
            wanted.append(planning.node(of: unit.name))
        }
        loaded.graph.add(UnitNode(Self.several, .request, [.wants: wanted]))
        do throws(ControlError) {
            let work = try decide(.start, Self.several, loaded, .replace, false, verbally: Self.several)
            start(work, nil) { group, kind in requests.make(group: group, kind: kind) }
        } catch {
            host.logError("\(error.localizedMessage)")
        }
    }

    /// Starts units for `OnFailure=`, `OnSuccess=` and `Upholds=`.
    func startUnits(_ names: [String], _ cause: StartCause) {
        host.log(.info, about: names.first ?? "", "\(names.joined(separator: ", ")): started by \(Wording.name(cause))")
        let mode = jobMode(cause)
        for text in names {
            do throws(ControlError) {
                let name = try planning.unitName(text)
                let work = try decide(.start, name, mode: mode, isManual: false)
                guard !isUp(work) else { continue }
                let anchor = work.transaction.jobs.first { $0.unit == work.anchor }
                let make = { (group: GroupID?, kind: OperationKind) in self.requests.make(group: group, kind: kind) }
                let command = try anchor.flatMap { job throws(ControlError) in
                    try makeCommand(for: job, name, work, make)
                }
                reports.monitorVariables[GroupID(work.anchor)] = command == nil ? nil : monitorVariables(cause)
                reports.causes[GroupID(work.anchor)] = command == nil ? nil : Wording.name(cause)
                start(work, command, makeRequest: make)
            } catch {
                host.log(
                    .warning, about: "\(text)", "\(text), started by \(Wording.name(cause)): \(error.localizedMessage)")
            }
        }
    }

    func isUp(_ work: DecidedTransaction) -> Bool {
        let activity = activity(of: work.anchor, work.loaded.units[work.anchor])
        return activity == .active || activity == .activating
    }

    /// Variables about the ended unit for the unit that it starts (systemd.exec(5)).
    private func monitorVariables(_ cause: StartCause) -> [String: String]? {
        let unit: String
        let end: ServiceEnd
        switch cause {
        case .failure(let name, let known?), .success(let name, let known?): (unit, end) = (name, known)
        case .failure(_, nil), .success(_, nil), .upheld: return nil
        }
        guard let ended = instances.values.filter({ $0.name == unit }).max(by: { $0.id < $1.id }) else { return nil }
        var variables = Launcher.resultVariables(end)
        variables["INVOCATION_ID"] = ended.invocation
        variables["UNIT"] = unit
        return Dictionary(uniqueKeysWithValues: variables.map { ("MONITOR_" + $0.key, $0.value) })
    }

    /// `OnFailureJobMode=` and `OnSuccessJobMode=` of the unit that has ended.
    private func jobMode(_ cause: StartCause) -> Transaction.Mode {
        let mode: JobMode
        switch cause {
        case .upheld: return .replace
        case .failure(let unit, _): mode = section(unit)?.graph.onFailureJobMode ?? .replace
        case .success(let unit, _): mode = section(unit)?.graph.onSuccessJobMode ?? .fail
        }
        switch mode {
        case .ignoreDependencies, .ignoreRequirements: return .ignoreDependencies
        case .fail, .replace, .replaceIrreversibly, .flush, .isolate: return .replace
        }
    }

    private func section(_ unit: String) -> UnitSection? {
        if let running = instances.values.first(where: { $0.name == unit }) { return running.definition.unit.unit }
        return (try? UnitName(unit)).flatMap { planning.resolver.load($0).unit?.definition.unit }
    }
}

extension JobType {
    fileprivate var verb: String {
        switch self {
        case .start, .verifyActive, .reloadOrStart: "start"
        case .stop: "stop"
        case .reload: "reload"
        case .restart: "restart"
        }
    }
}
