import Engine
import Linux
import Logging
import Testing
import UnitFiles
import UnitStore
import Vocabulary

@testable import Supervisor

/// The desks of the room Processes on a simulated machine, with a host that records what they report.
final class ProcessesBench {
    let world: World
    let machine: SimulatedMachine
    let configuration = Configuration(
        unitDirectories: ["/units"], runtimeDirectory: "/run/holdfast", stateDirectory: "/var/lib/holdfast",
        logDirectory: "/var/log/holdfast", isUser: false)

    private(set) var events: [Event] = []
    private(set) var log: [String] = []
    /// Recorded processes, for a successor.
    private(set) var recorded: [Token] = []
    /// Main processes by instance, as the engine would know them.
    var mains: [InstanceID: Token] = [:]
    var isPermitted = true
    var mayPostpone = false
    private(set) var thrownAway: [String] = []
    private var lastToken: UInt64 = 0
    private var resources: [GenerationID: GenerationResources] = [:]

    let launcher: Launcher
    let instances = Instances()
    private(set) lazy var processes = ProcessDesk(machine, instances, host: self)
    private(set) lazy var mainDesk = MainProcessDesk(machine, instances, processes, host: self)
    private(set) lazy var outputs = OutputDesk(machine, launcher, host: self)
    private(set) lazy var streams = StreamDesk(machine, outputs, host: self)
    private(set) lazy var directories = ServiceDirectories(machine, launcher, instances, host: self)
    private(set) lazy var stores = DescriptorStores(machine, instances, host: self)
    private(set) lazy var launches = LaunchDesk(
        machine, launcher, instances, processes, streams, directories, stores, host: self)
    private(set) lazy var probes = ProbeDesk(machine, launcher, instances, processes, launches, host: self)
    private(set) lazy var notifications = NotificationDesk(
        machine, instances, processes, mainDesk, stores, host: self)
    private(set) lazy var conditions = ConditionDesk(
        machine, instances, program: "/usr/sbin/holdfastd", environment: [:], host: self)

    init(_ world: World = World()) throws {
        self.world = world
        machine = world.boot()
        launcher = Launcher(
            configuration: configuration, limits: [], environment: [:], specifiers: SpecifierEnvironment(),
            isProtectedFromOOM: false, machine: machine)
        for directory in ["/run/holdfast/output", "/var/log/holdfast"] { try world.disk.makeDirectory(directory) }
        try outputs.open()
        try notifications.open(configuration.notifySocket, inherited: nil)
    }

    /// An instance of a service of that text.
    func instance(_ text: String, named name: String = "app.service", number: UInt64 = 1) throws -> RunningInstance {
        world.units.write("/units/\(name)", text)
        let loader = UnitLoader(
            source: world.units.files, searchPath: ["/units"], specifiers: SpecifierEnvironment())
        let unit = try #require(loader.load(try UnitName(name)).service)
        let generation = GenerationID(group: GroupID(name), number: 1)
        let definition = Definition(
            id: number, unit: unit, group: generation.group, sockets: [], upstreams: [], probed: nil, target: nil,
            network: .host)
        let instance = RunningInstance(
            id: InstanceID(number: number), generation: generation, definition: definition)
        instances.add(instance)
        resources[generation] = GenerationResources(
            id: generation, release: nil, directory: "/run/holdfast/generations/app/1", sockets: [:])
        return instance
    }

    func token() -> Token {
        lastToken += 1
        return Token(number: lastToken)
    }

    /// Starts the main process.
    @discardableResult
    func start(_ instance: RunningInstance) -> Token {
        let token = token()
        mains[instance.id] = token
        launches.start(token, .start(0), of: instance.id)
        return token
    }

    /// Lets the world go on for `seconds`, or until an event for which `isAwaited` holds.
    @discardableResult
    func run(_ seconds: Double = 1, until isAwaited: @escaping (Event) -> Bool = { _ in false }) -> World.Pause {
        // Time passes also if nothing happens.
        world.schedule(after: Int64(seconds * 1e9)) {}
        return world.run(for: Int64(seconds * 1e9)) { [unowned self] in events.contains(where: isAwaited) }
    }

    func takeEvents() -> [Event] {
        defer { events = [] }
        return events
    }
}

extension ProcessesBench: ProcessesHost, MainProcessesHost, StreamsHost, ServiceDirectoriesHost, DescriptorStoresHost,
    LaunchHost, ProbesHost, NotificationsHost
{
    func handle(_ event: Event) { events.append(event) }
    func log(_ level: Logger.Level, about unit: String, _ text: String) { log.append(text) }
    func logDebug(_ text: String) { log.append(text) }

    func mainToken(of instance: InstanceID) -> Token? { mains[instance] }
    func controlToken(of instance: InstanceID) -> Token? { nil }
    func newToken(for instance: InstanceID) -> Token { token() }
    func end(of instance: InstanceID) -> ServiceEnd? { nil }
    func isSwapUnit(_ group: GroupID) -> Bool { false }
    func hasOperation(_ group: GroupID) -> Bool { !mayPostpone }
    func mayPostpone(_ command: ServiceCommand, of instance: InstanceID) -> Bool { mayPostpone }
    func accepts(messagesFrom sender: Event.Sender, of instance: InstanceID) -> Bool { isPermitted }

    func record(_ process: RunningProcess) { recorded.append(process.token) }
    func willReportEnd() { notifications.receiveWaiting() }
    func didEndMain(of instance: RunningInstance) {}
    func willBeginRun(of instance: RunningInstance) {}
    func didBeginRun(of instance: RunningInstance) {}
    func didEndTree(of instance: RunningInstance) {}
    func giveUpStart(of instance: InstanceID) { launches.giveUpStart(of: instance) }
    func remark(_ instance: RunningInstance, _ remarks: [String]) { instance.remarks += remarks }

    func resources(of generation: GenerationID) -> GenerationResources? { resources[generation] }
    func user(of execution: ExecutionSettings) -> UInt32 { 0 }
    var heldFiles: Set<FileID> { [] }
    var heldPaths: [String] { [] }
    func throwAway(_ path: String) { thrownAway.append(path) }
    func throwAway(_ path: String, keeping held: [String]) throws(SystemError) { thrownAway.append(path) }
}

/// Events have no equality of their own: the texts of two events are the same if the events are.
func == (left: [Event], right: [Event]) -> Bool { left.map { "\($0)" } == right.map { "\($0)" } }
func == (left: Event?, right: Event) -> Bool { left.map { "\($0)" } == "\(right)" }
