import Glibc
import Linux
import Vocabulary

/// The machine that this process runs on.
final class LinuxMachine: Machine {
    let loop: any Loop
    let processes: any ProcessesPort
    let trees: any TreesPort
    let accounts: any AccountsPort = LinuxAccounts()
    let clients: any ClientsPort
    let notifications: any NotificationsPort
    let probes: any ProbesPort
    let logs: any LogsPort
    let serviceFiles: any ServiceFilesPort
    let sockets: any SocketsPort
    let files: any FilesPort = LinuxFiles()
    let records: any RecordsPort = LinuxRecords()
    let handover: any HandoverPort = LinuxHandover()
    let manager: any ManagerPort
    let units: any UnitsPort = LinuxUnits()

    /// - Parameters:
    ///   - name: name of the directory of all control groups, unique among the supervisors of a host and the same after
    ///     a restart.
    ///   - environment: the environment of this process.
    init(loop: EventLoop, name: String, environment: [String: String]) {
        let processes = LinuxProcesses(loop: loop)
        self.loop = loop
        self.processes = processes
        trees = LinuxTrees(name: name, children: processes.children, loop: loop)
        clients = LinuxClients(loop: loop)
        notifications = LinuxNotifications(loop: loop)
        probes = LinuxProbes(loop: loop)
        logs = LinuxLogs(loop: loop, children: processes.children)
        serviceFiles = LinuxServiceFiles(loop: loop)
        sockets = LinuxSockets(loop: loop)
        manager = LinuxManager(environment: environment)
    }

    func random() -> UInt64 { UInt64.random(in: .min ... .max) }
}

extension EventSource: LoopSource {}
extension TimerSource: LoopTimer {}

extension EventLoop: Loop {
    var wallClock: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec)
    }

    func timer(
        accuracy: UInt64, priority: DispatchPriority, _ handler: @escaping () -> Void
    ) throws(SystemError) -> any LoopTimer {
        try addTimer(accuracy: accuracy, priority: priority, handler)
    }

    func retry(after nanoseconds: Int64, _ handler: @escaping () -> Void) -> (any LoopTimer)? {
        addRetry(after: nanoseconds, handler)
    }

    func watchSignal(_ signal: Signal, _ handler: @escaping () -> Void) throws(SystemError) -> any AnyObject {
        try addSignal(signal, handler)
    }

    func watchDescriptor(
        _ descriptor: Int32, _ events: IOEvents, priority: DispatchPriority, _ handler: @escaping (IOEvents) -> Void
    ) throws(SystemError) -> any LoopSource {
        try addIO(descriptor, events, priority: priority, handler)
    }

    func deferred(
        priority: DispatchPriority, _ handler: @escaping () -> Void
    ) throws(SystemError) -> any LoopSource {
        try addDeferred(priority: priority, handler)
    }
}
