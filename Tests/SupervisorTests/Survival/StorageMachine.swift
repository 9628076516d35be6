import Linux
import UnitFiles

@testable import Supervisor

/// The parts of a simulated machine that keep state: for desks that start no process and open no socket.
final class StorageMachine: Machine {
    let simulated: SimulatedMachine

    init(_ world: World) { simulated = world.boot() }

    var loop: any Loop { simulated.loop }
    var units: any UnitsPort { simulated.units }
    var files: any FilesPort { simulated.files }
    var records: any RecordsPort { simulated.records }
    var handover: any HandoverPort { simulated.handover }
    var manager: any ManagerPort { simulated.manager }

    var processes: any ProcessesPort { unneeded() }
    var trees: any TreesPort { unneeded() }
    var accounts: any AccountsPort { unneeded() }
    var notifications: any NotificationsPort { unneeded() }
    var probes: any ProbesPort { unneeded() }
    var logs: any LogsPort { unneeded() }
    var serviceFiles: any ServiceFilesPort { unneeded() }
    var sockets: any SocketsPort { unneeded() }
    var clients: any ClientsPort { unneeded() }

    private func unneeded(_ port: String = #function) -> Never { fatalError("a test needs \(port)") }
}
