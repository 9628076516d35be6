import Linux

/// Captured output of services.
protocol LogsPort: AnyObject {
    /// Makes the directory of the log files, readable by a group.
    func makeDirectory(_ path: String, group: UInt32?) throws(SystemError)

    /// Opens the logs in a directory, and compresses the rotated files that an earlier process has left there.
    func open(_ directory: String, group: UInt32?, _ reports: LogReports) throws(SystemError) -> any MachineLogs
}

/// Callbacks for troubles of logs.
struct LogReports {
    /// The unit, and the trouble of its log.
    var onTrouble: (String, UnitLog.Trouble) -> Void
    /// Files that stay uncompressed.
    var onCompressionFailure: (String) -> Void
}

/// The logs of all units.
protocol MachineLogs: AnyObject {
    /// Makes a FIFO whose lines go to a unit's log, or takes the FIFO that an earlier supervisor process made.
    /// - Parameters:
    ///   - owner: the service's user, who may then open it as /dev/stdout; nil: the supervisor's.
    ///   - unit: the name of the log.
    func openPipe(
        _ path: String, owner: (uid: UInt32, gid: UInt32)?, from origin: LogOrigin, to unit: String, _ policy: LogPolicy
    ) throws(SystemError) -> any MachineLogPipe

    /// Takes the FIFO of a service that is no longer supervised. Calls `ended` when no process has it open for writing.
    func openLeftPipe(
        _ path: String, from origin: LogOrigin, ended: @escaping () -> Void
    ) throws(SystemError) -> any MachineLogPipe

    /// Lines that the unit's log has lost and suppressed; nil without a log.
    func losses(of unit: String) -> (lost: Int, suppressed: Int)?
    /// Drops the log of a unit of which nothing runs any more.
    func forget(_ unit: String)
    /// Opens all files again at their next lines.
    func reopen()
    /// Whether the unit has a log.
    func hasFiles(_ unit: String) -> Bool
    /// Empties the file of a unit, and removes its older ones.
    func clear(_ unit: String) throws(SystemError)
}

/// One captured output stream.
protocol MachineLogPipe: AnyObject {
    var path: String { get }
    /// The supervisor's end, which keeps the unread bytes for a successor.
    var descriptor: Int32 { get }
    var fileID: FileID? { get }
    /// The last lines, oldest first.
    var lastLines: [LogPipe.LastLine] { get }
    /// The service's end. The caller closes it after the spawn.
    func openForService() throws(SystemError) -> OwnedDescriptor
    /// Reads the bytes present, so that `lastLines` is up to date for a process that has just died.
    func drain()
    /// Reads the rest, closes and removes the FIFO.
    func close()
}
