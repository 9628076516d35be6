import ControlProtocol
import Engine
import Linux
import UnitFiles
import Vocabulary

/// Interface of the supervisor to the desks of the room Sockets.
extension Supervisor: HeldSocketsHost, GenerationsHost, SocketUnitsHost {
    // MARK: - Decisions and unit files

    var isEnding: Bool { engine.isShuttingDown }
    /// A group of which only old generations drain takes no connections.
    func isActive(_ group: GroupID) -> Bool { engine.isActive(group) && !engine.isOnlyDraining(group) }
    func serving(_ group: GroupID) -> Int? { engine.view(of: group)?.serving }
    func plan(of id: GenerationID) -> Plan? { engine.plan(of: id) }
    func definitions(of plan: Plan) -> [Definition] { plan.services.compactMap { planning.definitions[$0.definition] } }

    func activity(of group: GroupID) -> ServiceActivity {
        // Unaccounted processes of the group accept from its sockets, too.
        if isActive(group) || !unaccounted.processes.trees(of: group).isEmpty { return .active }
        guard let failure = engine.view(of: group)?.lastFailure else { return .inactive }
        if case .startLimit = failure.cause { return .startLimitHit }
        return .failed
    }

    func socketUnit(_ name: UnitName) -> SocketUnit? { planning.resolver.load(name).socket }
    func serviceUnit(_ name: UnitName) -> ServiceUnit? { planning.resolver.load(name).service }
    func serviceStarted(by unit: SocketUnit) throws(ControlError) -> UnitName? { try planning.serviceStarted(by: unit) }
    func services(taking socket: UnitName) -> [UnitName] { planning.resolver.services(receiving: socket) }

    // MARK: - Traffic

    func shortage(for group: GroupID) -> String? { shortageText(for: group) }

    func startService(_ service: UnitName, forTrafficAt id: SocketID) throws(ControlError) {
        // A member is started together with its target.
        let name = try planning.unitName((planning.resolver.owner(of: service) ?? service).description)
        guard case .services(let planned) = try planning.target(name) else {
            throw .failed(message: "\(name) is no service")
        }
        try start(name, planned, forTrafficAt: id) { _ in }
    }

    func startInstance(
        _ name: UnitName, of template: UnitName, forTrafficAt id: SocketID, _ begins: (GroupID) -> Void
    ) throws(ControlError) {
        // Definitions read for one connection are of no use to the next, which has another name.
        defer { planning.forget(name) }
        guard case .services(let planned) = try planning.target(name), !planned.plan.isSwapUnit else {
            throw .failed(
                message: "\(template) is swapped as one, and Accept=yes starts an instance for each connection")
        }
        try start(name, planned, forTrafficAt: id, begins)
    }

    private func start(
        _ name: UnitName, _ planned: Planning.Planned, forTrafficAt id: SocketID, _ begins: (GroupID) -> Void
    ) throws(ControlError) {
        let work = try operations.decide(.start, name, isManual: false)
        begins(planned.plan.group)
        let request = trafficRequest(planned.plan.group, .start)
        requests[request]?.socket = id
        operations.start(work, Requested(.start(work.ordered(planned.plan)), request), makeRequest: trafficRequest)
    }

    func stopIdle(_ group: GroupID) { handle(.command(.stop(group), trafficRequest(group, .stop))) }

    func processes(of group: GroupID) -> [Int32] {
        instances.values.filter { $0.definition.group == group }.flatMap { $0.tree?.members() ?? [] }
    }

    func hasInstance(for connection: AcceptedConnection) -> Bool {
        instances.values.contains { $0.connection === connection }
    }

    func forgetInstance(_ group: GroupID) {
        descriptorStores.dropAllStores(of: group)
        forget(group)
    }

    func openOutput(
        of unit: String, command: UInt64, _ execution: ExecutionSettings?
    ) throws(SystemError) -> any MachineLogPipe {
        try logs.openPipe(ofSocket: unit, command: command, execution)
    }

    func inputFIFO(of instance: RunningInstance) -> HeldSocket? { streams.inputFIFO(of: instance) }

    // MARK: - Records and requests

    func takeUnaccountedSocket(at target: HeldEndpoint.Target, of members: Set<Int32>?) -> OwnedDescriptor? {
        unaccounted.processes.takeSocket(at: target, of: members)
    }

    func savedActivation() -> SavedActivation { socketUnits.saved(journal.units) }
    func record(_ held: HeldSocket) { journal.record(held) }
    func record(_ resources: GenerationResources) { journal.record(resources) }
    func recordSockets(of unit: String) { journal.recordShared(unit, sockets?.shared[unit]) }

    func didHandleSocketEvents() {
        reports.finishShutdown()
        journal.recordActivation()
    }

    func hasRequests(_ group: GroupID) -> Bool { requests.has(group) }

    func addNote(_ note: String, to request: RequestID) { requests[request]?.notes.append(note) }
}
