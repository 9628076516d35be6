import ControlProtocol
import Linux
import Logging
import StateCoding
import Testing

@testable import Engine
@testable import Supervisor

/// A journal in memory: what was flushed outlives the supervisor.
final class RequestsJournal: RequestJournal {
    private(set) var records: [String: [UInt8]] = [:]
    private var collected: [(String, [UInt8]?)] = []
    var isBehind = false
    var trouble: String?

    func put(_ key: Journal.Key, _ value: (some Encodable)?) {
        collected.append((key.text, value.flatMap { try? StateEncoder.encode($0) }))
    }

    func end(_ key: Journal.Key) { collected.append((key.text, nil)) }

    func flush() {
        for (key, bytes) in collected { records[key] = bytes }
        collected = []
    }
}

/// The desks of requests and reports with clients on the simulated machine. The test is the rest of the supervisor.
final class RequestsBench: ControlHost, RequestsHost, SubscriptionsHost, ReportsHost {
    let world = World()
    let journal = RequestsJournal()
    private(set) var machine: SimulatedMachine
    private(set) var control: ControlSessions!
    private(set) var requests: RequestsDesk!
    private(set) var subscriptions: SubscriptionsDesk!
    private(set) var reports: ReportsDesk!
    private(set) var history: History!
    let path = "/run/holdfast/io.holdfast"

    /// Requests that reached their handler, and what the handler does with them.
    var handled: [Request] = []
    var handler: (Request, ControlSessions.CallID, Peer) throws(ControlError) -> Reply? = { _, _, _ in Reply() }
    /// The refusal of a request that changes something.
    var refusal: ControlError?
    var log: [String] = []
    var engine = Engine()
    var services: [InstanceID: (name: String, generation: GenerationID)] = [:]
    var hasActiveSocketUnits = false
    var isOver = false

    init() throws {
        machine = world.boot()
        try world.disk.makeDirectory("/var/lib/holdfast")
        try begin()
    }

    private func begin() throws {
        control = ControlSessions(self, machine.clients, machine.loop)
        requests = RequestsDesk(self, control, machine.loop, journal)
        subscriptions = SubscriptionsDesk(self, control, machine.loop)
        history = History(path: "/var/lib/holdfast/history.jsonl", files: machine.files)
        reports = ReportsDesk(self, requests, subscriptions, history, control, machine.loop)
        try reports.start()
        try control.listen(at: path, mode: 0o666, group: nil)
    }

    /// Kills the supervisor, and starts another one, which restores the requests from the journal.
    func restart(alive: Set<RequestID> = []) throws {
        world.killSupervisor()
        machine = world.boot()
        handled = []
        try begin()
        let people = try JournalReader(records: journal.records).people()
        let now = Instant(nanoseconds: machine.loop.now)
        requests.ledger = people.ledger.map { RequestLedger($0, keepsWaiters: false) } ?? RequestLedger(at: now)
        requests.restore(people, alive: alive, isBusy: { _ in false }, isShuttingDown: false)
    }

    func client(uid: UInt32 = 0, gid: UInt32 = 0) throws -> WorldClient {
        try #require(world.clients.connect(to: path, as: Peer(pid: 7, uid: uid, gid: gid, groups: [])))
    }

    /// The replies to one request of a new client.
    func ask(
        _ request: Request, more: Bool = false, uid: UInt32 = 0, gid: UInt32 = 0, as identity: RequestIdentity? = nil
    ) throws -> [Reply] {
        let client = try client(uid: uid, gid: gid)
        client.call(request, more: more, as: identity)
        run()
        return client.takeReplies()
    }

    func run() { _ = world.run(for: 1_000_000) }

    // MARK: - The rest of the supervisor

    func isOperator(_ peer: Peer) -> Bool { refused(.operators, peer) == nil }
    func isOwner(_ peer: Peer) -> Bool { peer.uid == 0 }
    let descriptorLimit = "LimitNOFILE=1024"
    func handleCall(_ id: ControlSessions.CallID, _ call: Call, _ peer: Peer) { requests.handleCall(id, call, peer) }
    func callerLeft(_ call: ControlSessions.CallID) {
        subscriptions.unsubscribe(call)
        requests.callerLeft(call)
    }
    func callerHasRead(_ call: ControlSessions.CallID) {}

    private func refused(_ access: ControlProtocol.Method.Access, _ peer: Peer) -> String? {
        Authority.refusal(access, of: peer, us: 0, groups: Authority.Groups(act: 500, read: 501))
    }

    func check(_ access: ControlProtocol.Method.Access, of peer: Peer) throws(ControlError) {
        if let required = refused(access, peer) { throw .permissionDenied(required: required) }
    }
    func prepare(_ call: ValidCall) throws(ControlError) { if let refusal { throw refusal } }
    func answer(_ request: Request, _ id: ControlSessions.CallID, _ peer: Peer) throws(ControlError) -> Reply? {
        handled.append(request)
        if case .outcome(let identity) = request { return try requests.outcome(of: identity, id, peer) }
        return try handler(request, id, peer)
    }
    func userName(_ uid: UInt32) -> String? { uid == 0 ? "root" : nil }
    func clientsChanged() { reports.armProgressTimer() }
    func joinReexec(_ call: ControlSessions.CallID) {}
    func historyEntries(of identity: RequestIdentity) -> [HistoryEntry] {
        history.entries.filter { $0.request == identity.description }
    }
    func syncHistory() { reports.syncHistory() }

    func groups(named names: [String]) throws(ControlError) -> Set<GroupID> { Set(names.map { GroupID($0) }) }
    func state(of group: GroupID) -> UnitState { .running }
    func release(of generation: GenerationID) -> String? {
        generation.group.name.contains("@") ? "v\(generation.number)" : nil
    }
    func service(of instance: InstanceID) -> (name: String, generation: GenerationID)? { services[instance] }
    func sentence(_ failure: Failure) -> String { Wording.sentence(failure) }

    func log(_ level: Logger.Level, about subject: String, _ text: String) { log.append("\(level): \(text)") }
    func logDebug(_ text: String) {}
    func waiting(_ view: GroupView) -> Waiting? { nil }
    func waiting(forDrains numbers: Set<Int>, _ view: GroupView) -> Waiting? { nil }
    func leavingServices(of number: Int, _ view: GroupView) -> [(name: String, text: String)] { [] }
    func lastLines(of service: String) -> [(group: GroupID, lines: [String])] { [] }
    func serviceIsReady(_ instance: InstanceID) {}
    func groupChanged(_ group: GroupID) {}
    func isConnection(_ group: GroupID) -> Bool { false }
    func connectionIsUnused(_ group: GroupID) {}
    func startRefused(_ socket: SocketID, _ group: GroupID, _ error: ControlError) { log.append("refused \(socket)") }
    func strayNotes(_ group: GroupID, _ result: FinishedOperation) -> [String] { [] }
    func stopSocketUnits() {}
    var unaccountedGroups: [GroupID] { [GroupID("lost.service")] }
    func shutDownComplete() { isOver = true }
}
