/// The machine as the supervisor sees it: every system call, every reading of a clock, a file or /proc, and every
/// handle that the supervisor keeps passes through one of these ports (DESIGN section 5, "The seam").
///
/// There are two implementations: `LinuxMachine`, and a simulated one in SupervisorTests, on which the whole supervisor
/// runs, crashes included. A port decides nothing.
protocol Machine: AnyObject {
    /// Time, timers, signals to this process and work for a later round.
    var loop: any Loop { get }
    var processes: any ProcessesPort { get }
    var trees: any TreesPort { get }
    var accounts: any AccountsPort { get }
    var clients: any ClientsPort { get }
    var notifications: any NotificationsPort { get }
    var probes: any ProbesPort { get }
    var logs: any LogsPort { get }
    var serviceFiles: any ServiceFilesPort { get }
    var sockets: any SocketsPort { get }
    var files: any FilesPort { get }
    var records: any RecordsPort { get }
    var handover: any HandoverPort { get }
    var manager: any ManagerPort { get }
    var units: any UnitsPort { get }

    /// Random bits of the kernel (getrandom(2)).
    func random() -> UInt64
}
