import Linux

@testable import Supervisor

/// One supervisor process's view of a simulated world. After a crash it is dead: what a part of the supervisor that is
/// still on the stack calls has no effect, and nothing is called back any more.
final class SimulatedMachine: Machine {
    unowned let world: World
    private(set) var isDead = false
    private(set) var simulatedLoop: SimulatedLoop!
    var loop: any Loop { simulatedLoop }
    private(set) lazy var processes: any ProcessesPort = SimulatedProcesses(machine: self)
    private(set) lazy var trees: any TreesPort = SimulatedTrees(machine: self)
    private(set) lazy var accounts: any AccountsPort = SimulatedAccounts(machine: self)
    private(set) lazy var notifications: any NotificationsPort = SimulatedNotifications(machine: self)
    private(set) lazy var probes: any ProbesPort = SimulatedProbes(machine: self)
    private(set) lazy var logs: any LogsPort = SimulatedLogs(machine: self)
    private(set) lazy var serviceFiles: any ServiceFilesPort = SimulatedServiceFiles(machine: self)
    private(set) lazy var clients: any ClientsPort = SimulatedClients(machine: self)
    private(set) lazy var units: any UnitsPort = SimulatedUnits(machine: self)
    private(set) lazy var simulatedSockets = SimulatedSockets(machine: self)
    var sockets: any SocketsPort { simulatedSockets }
    private(set) lazy var files: any FilesPort = SimulatedFiles(machine: self)
    private(set) lazy var simulatedRecords = SimulatedRecords(machine: self)
    var records: any RecordsPort { simulatedRecords }
    private(set) lazy var handover: any HandoverPort = SimulatedHandover(machine: self)
    private(set) lazy var manager: any ManagerPort = SimulatedManager(machine: self)
    /// Called at the death: parts close what the supervisor held.
    var atDeath: [() -> Void] = []

    init(world: World) {
        self.world = world
        simulatedLoop = SimulatedLoop(machine: self)
    }

    func random() -> UInt64 { world.nextRandom() }

    func die() {
        guard !isDead else { return }
        isDead = true
        simulatedLoop.clear()
        for act in atDeath { act() }
        atDeath = []
    }
}
