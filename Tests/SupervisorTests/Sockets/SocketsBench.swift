import ControlProtocol
import Engine
import Logging
import Testing
import UnitFiles
import UnitStore
import Vocabulary

@testable import Linux
@testable import Supervisor

/// The desks of held sockets and of socket units on the simulated machine. The test is the rest of the supervisor:
/// services are groups that it makes active, with one process each that accepts.
final class SocketsBench: SocketUnitsHost, HeldSocketsHost {
    let world: World
    private(set) var machine: SimulatedMachine
    private(set) var socketUnits: SocketUnits!
    private(set) var sockets: HeldSockets?

    var active: Set<GroupID> = []
    /// The process of each active group.
    var pids: [GroupID: Int32] = [:]
    private var lastPid: Int32 = 10
    private(set) var log: [String] = []
    private(set) var answers: [SocketAnswer] = []
    /// Groups that traffic has started, and that were stopped for the lack of it.
    private(set) var startedGroups: [GroupID] = []
    private(set) var stoppedGroups: [GroupID] = []
    /// Whether a start by traffic succeeds.
    var refusal: ControlError?
    var shortage: String?
    var isEnding = false
    private var lastRequest: UInt64 = 0

    static let second: Int64 = 1_000_000_000
    static let address = SocketAddress.inet(host: "0.0.0.0", port: 80)

    init(_ world: World = World()) throws {
        self.world = world
        machine = world.boot()
        try begin()
    }

    private func begin() throws {
        let configuration = Configuration(
            unitDirectories: ["/units"], runtimeDirectory: "/run/holdfast", stateDirectory: "/var/lib/holdfast",
            logDirectory: "/var/log/holdfast", isUser: false)
        let launcher = Launcher(
            configuration: configuration, limits: [], environment: [:], specifiers: SpecifierEnvironment(),
            isProtectedFromOOM: false, machine: machine)
        socketUnits = SocketUnits(machine, launcher, host: self)
        sockets = HeldSockets(machine, host: self)
        try socketUnits.openTimer()
    }

    // MARK: - The test's side

    /// A socket unit of that text.
    func unit(_ text: String, named name: String = "app.socket") throws -> SocketUnit {
        let name = try UnitName(name)
        let source = UnitSource(path: "/units/\(name)", text: text)
        let loaded = UnitLoader.restore(name, sources: [source], wants: [], specifiers: SpecifierEnvironment())
        return try #require(loaded.socket)
    }

    func newRequest() -> RequestID {
        lastRequest += 1
        return RequestID(number: lastRequest)
    }

    @discardableResult
    func start(_ text: String) throws -> SocketID {
        let unit = try unit(text)
        try socketUnits.start(unit, newRequest())
        return SocketID(unit.name.description)
    }

    func run(seconds: Double) { _ = world.run(for: Int64(seconds * Double(Self.second))) }

    /// Makes a group active: its process accepts.
    func activate(_ group: GroupID) {
        lastPid += 1
        active.insert(group)
        pids[group] = lastPid
        for held in (sockets?.shared ?? [:]).values.joined() {
            if let address = held.address { world.sockets.startAccepting(lastPid, at: address) }
        }
        report(group)
    }

    /// Ends a group with its process.
    func end(_ group: GroupID) {
        active.remove(group)
        if let pid = pids.removeValue(forKey: group) { world.sockets.endProcess(pid) }
        report(group)
    }

    private func report(_ group: GroupID) {
        socketUnits.noteService(group)
        socketUnits.reportTouchedServices()
    }

    // MARK: - The host's side

    var now: Instant { Instant(nanoseconds: machine.loop.now) }
    func log(_ level: Logger.Level, about subject: String, _ text: String) { if level > .debug { log.append(text) } }
    func socketUnit(_ name: UnitName) -> SocketUnit? {
        world.units.files.files["/units/\(name)"].flatMap { try? unit($0, named: name.description) }
    }
    func serviceUnit(_ name: UnitName) -> ServiceUnit? { nil }
    func serviceStarted(by unit: SocketUnit) throws(ControlError) -> UnitName? {
        unit.acceptsItself ? nil : unit.serviceName
    }
    func services(taking socket: UnitName) -> [UnitName] { [] }
    func group(of name: UnitName) -> GroupID { GroupID(name.description) }
    func activity(of group: GroupID) -> ServiceActivity { active.contains(group) ? .active : .inactive }
    func isActive(_ group: GroupID) -> Bool { active.contains(group) }
    func hasRequests(_ group: GroupID) -> Bool { false }
    func shortage(for group: GroupID) -> String? { shortage }
    func startService(_ service: UnitName, forTrafficAt id: SocketID) throws(ControlError) {
        if let refusal { throw refusal }
        let group = group(of: service)
        startedGroups.append(group)
        active.insert(group)
        world.schedule(after: 1_000_000) { [unowned self] in activate(group) }
        report(group)
    }
    func stopIdle(_ group: GroupID) {
        stoppedGroups.append(group)
        world.schedule(after: 1_000_000) { [unowned self] in end(group) }
    }
    func processes(of group: GroupID) -> [Int32] { pids[group].map { [$0] } ?? [] }
    func openOutput(
        of unit: String, command: UInt64, _ execution: ExecutionSettings?
    ) throws(SystemError) -> any MachineLogPipe { throw SystemError("capture output of", unit, .notSupported) }
    func addNote(_ note: String, to request: RequestID) {}
    func answerSocketRequest(_ request: RequestID, _ id: SocketID, _ answer: SocketAnswer) { answers.append(answer) }
    func noteAction() {}
    func didHandleSocketEvents() {}

    func startInstance(
        _ name: UnitName, of template: UnitName, forTrafficAt id: SocketID, _ begins: (GroupID) -> Void
    ) throws(ControlError) {
        if let refusal { throw refusal }
        let group = group(of: name)
        startedGroups.append(group)
        begins(group)
        active.insert(group)
    }
    func hasInstance(for connection: AcceptedConnection) -> Bool { true }
    func forgetInstance(_ group: GroupID) {}

    /// A socket that unaccounted processes have at an address.
    var unaccounted: [HeldEndpoint.Target: WorldDescriptorBox] = [:]
    func takeUnaccountedSocket(at target: HeldEndpoint.Target, of members: Set<Int32>?) -> OwnedDescriptor? {
        unaccounted[target]?.take()
    }
    func record(_ held: HeldSocket) {}
    func recordSockets(of unit: String) {}
}
