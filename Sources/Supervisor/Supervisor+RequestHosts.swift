import ControlProtocol
import Engine
import Linux
import Logging
import UnitFiles

// What the desks of requests and reports ask of the supervisor, and what other rooms ask of these desks.

extension Supervisor: SubscriptionsHost {
    func groups(named names: [String]) throws(ControlError) -> Set<GroupID> {
        Set(try self.names.resolve(names).map(\.group))
    }
    func release(of generation: GenerationID) -> String? { generations[generation]?.release }
    func service(of instance: InstanceID) -> (name: String, generation: GenerationID)? {
        instances[instance].map { ($0.name, $0.generation) }
    }
}

extension Supervisor: ControlHost {
    var descriptorLimit: String { machine.processes.fileLimitText }
    func handleCall(_ id: ControlSessions.CallID, _ call: Call, _ peer: Peer) { requests.handleCall(id, call, peer) }
    func callerHasRead(_ call: ControlSessions.CallID) { helperCalls.resumeReading(call) }
    func callerLeft(_ call: ControlSessions.CallID) {
        subscriptions.unsubscribe(call)
        helperCalls.end(call)
        requests.callerLeft(call)
    }
}

extension Supervisor: RequestsHost {
    func prepare(_ call: ValidCall) throws(ControlError) {
        try refuseIfShort(call.request)
        try journal.refuseWithoutRoom(call.method)
        if call.request != .update { try planning.refresh() }
    }

    func userName(_ uid: UInt32) -> String? { (try? machine.accounts.user("\(uid)"))?.name }
    func clientsChanged() { reports.armProgressTimer() }
    func joinReexec(_ call: ControlSessions.CallID) { if reexec.isChecking { reexec.addCall(call) } }
    func historyEntries(of identity: RequestIdentity) -> [HistoryEntry] {
        history.entries.filter { $0.request == identity.description }
    }
    func syncHistory() { reports.syncHistory() }

    // MARK: - Restoring

    /// Takes over the requests that another process had begun.
    func restoreRequests(_ saved: SavedState, isSuccessor: Bool) {
        requests.restoreLedger(saved, isSuccessor: isSuccessor)
        guard !isSuccessor else { return }
        for entry in saved.unwrittenHistory ?? [] where !history.contains(entry) { reports.record(entry) }
        requests.restore(
            saved.people, alive: engine.awaitedRequests.union(socketUnits.activation.awaitedRequests),
            isBusy: { engine.view(of: $0)?.operation != nil }, isShuttingDown: engine.isShuttingDown)
    }

    /// Finishes a shutdown that a killed process had decided but not completed.
    func finishInterruptedShutdown() {
        guard engine.hasShutDown, reports.shutdownRequests == nil else { return }
        shutDown(for: requests.shutdownRequest)
    }
}

extension Supervisor: OperationsHost {
    func isActive(socket: String) -> Bool {
        sockets?.shared[socket] != nil || socketUnits.activation.isActive(SocketID(socket))
    }
    func endUnaccounted(_ group: GroupID, only unit: String?) { unaccounted.end(group, only: unit) }
    func logError(_ text: String) { logger.error("\(text)") }
}

extension Supervisor: ReportsHost {
    func logDebug(_ text: String) { logger.debug("\(text)") }
    func lastLines(of service: String) -> [(group: GroupID, lines: [String])] {
        instances.values.filter { $0.name == service }.sorted { $0.id < $1.id }
            .map { ($0.definition.group, $0.lastLines()) }
    }

    func serviceIsReady(_ instance: InstanceID) {
        if let running = instances[instance] { generations.examineSockets(of: running) }
    }
    func groupChanged(_ group: GroupID) { socketUnits.noteService(group) }
    func isConnection(_ group: GroupID) -> Bool { socketUnits.connections[group] != nil }
    func stopSocketUnits() { socketUnits.stopAll() }
    var hasActiveSocketUnits: Bool { socketUnits.hasActive }
    func connectionIsUnused(_ group: GroupID) { socketUnits.connections.closeUnused(group) }
    func startRefused(_ socket: SocketID, _ group: GroupID, _ error: ControlError) {
        socketUnits.startWasRefused(socket, group, error)
    }
    var unaccountedGroups: [GroupID] { Array(unaccounted.processes.groups) }
}

extension Supervisor {
    func recordEnds(_ effects: [Effect]) { reports.recordEnds(effects) }
    func recordRequestChanges() { requests.recordChanges() }
    func recordAllRequests() {
        requests.recordAll()
        reports.recordUnwrittenHistory()
    }

    func newRequest(
        call: ControlSessions.CallID? = nil, group: GroupID? = nil, kind: OperationKind? = nil, peer: Peer? = nil,
        notes: [String] = [], batch: UInt64? = nil
    ) -> RequestID {
        requests.make(call: call, group: group, kind: kind, peer: peer, notes: notes, batch: batch)
    }

    /// A request for a start by traffic, or for a stop by the lack of it.
    func trafficRequest(_ group: GroupID?, _ kind: OperationKind) -> RequestID {
        let id = newRequest(group: group, kind: kind)
        requests[id]?.isOfTraffic = true
        return id
    }

    func noteAction() { requests.recordAction() }
    func conclude(_ call: ControlSessions.CallID, _ reply: Reply) { requests.conclude(call, reply) }
    func conclude(_ pending: PendingRequest, _ reply: Reply) { requests.conclude(pending, reply) }
}

extension Supervisor: NamesHost, StatusHost, ExplanationsHost {
    func addresses(of instance: RunningInstance) -> [SocketAddress] {
        guard let generation = generations[instance.generation] else { return [] }
        return instance.definition.sockets.flatMap { unit -> [SocketAddress] in
            let name = unit.name.description
            return (generation.sockets[name] ?? []).compactMap(\.address)
                + (generation.reservations[name] ?? []).map(\.address.address)
        }
    }

    func isHeld(_ socket: UnitName) -> Bool { sockets?.shared[socket.description] != nil }
    func strayNote(_ group: GroupID) -> String? { strayText(group, among: machine.trees.knownStrays) }
    var journalTrouble: String? { journal.trouble }
    func failureReport(_ failure: Failure, _ group: GroupID, _ result: FinishedOperation?) -> FailureReport {
        reports.failureReport(failure, group, result)
    }
    func historyEntries(of unit: String, limit: Int) -> [HistoryEntry] { history.entries(of: unit, limit: limit) }
    func remarkTexts(of unit: UnitName) -> [String] { logDesk.remarkTexts(of: unit) }
    func remarks(ofSocket name: UnitName) -> [String] { socketUnits.started[SocketID(name.description)]?.remarks ?? [] }

    func state(of group: GroupID) -> UnitState { status.state(of: group) }
    func waiting(_ view: GroupView) -> Waiting? { status.waiting(view) }
    func waiting(forDrains numbers: Set<Int>, _ view: GroupView) -> Waiting? {
        status.waiting(forDrains: numbers, view)
    }
    func leavingServices(of number: Int, _ view: GroupView) -> [(name: String, text: String)] {
        status.leavingServices(of: number, view)
    }
    func sentence(_ failure: Failure) -> String { status.sentence(failure) }
}

extension Supervisor: HelperCallsHost {
    func refreshUnits() throws(ControlError) { try planning.refresh() }
    var serviceLimits: [SpawnPlan.Limit] { launcher.limits }
}

extension Supervisor {
    func log(_ level: Logger.Level, about subject: String, _ text: String) { logDesk.log(level, about: subject, text) }
    func logDiagnostics(_ diagnostics: [Diagnostic]) { logDesk.logDiagnostics(diagnostics) }
    func noteDiagnostics(_ diagnostics: [Diagnostic], of unit: UnitName) -> [String] {
        logDesk.noteDiagnostics(diagnostics, of: unit)
    }
}
