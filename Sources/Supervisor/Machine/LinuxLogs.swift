import Linux

/// Logs of this host.
final class LinuxLogs: LogsPort {
    private let loop: EventLoop
    private let children: Children

    init(loop: EventLoop, children: Children) {
        self.loop = loop
        self.children = children
    }

    func makeDirectory(_ path: String, group: UInt32?) throws(SystemError) {
        try LogFile.makeDirectory(path, group: group)
    }

    func open(_ directory: String, group: UInt32?, _ reports: LogReports) throws(SystemError) -> any MachineLogs {
        let capture = try LogCapture(loop: loop, children: children, directory: directory, group: group)
        capture.compressor.failed = reports.onCompressionFailure
        capture.compressor.addLeftovers(in: directory)
        return LinuxUnitLogs(capture, reports.onTrouble)
    }
}

/// The logs of all units on this host.
private final class LinuxUnitLogs: MachineLogs {
    private let capture: LogCapture
    private let onTrouble: (String, UnitLog.Trouble) -> Void

    init(_ capture: LogCapture, _ onTrouble: @escaping (String, UnitLog.Trouble) -> Void) {
        self.capture = capture
        self.onTrouble = onTrouble
    }

    private func log(of unit: String, _ policy: LogPolicy) -> UnitLog {
        capture.log(of: unit, policy: policy) { [onTrouble] trouble in onTrouble(unit, trouble) }
    }

    func openPipe(
        _ path: String, owner: (uid: UInt32, gid: UInt32)?, from origin: LogOrigin, to unit: String, _ policy: LogPolicy
    ) throws(SystemError) -> any MachineLogPipe {
        try LogPipe(path: path, owner: owner, origin: origin, log: log(of: unit, policy), capture: capture)
    }

    func openLeftPipe(
        _ path: String, from origin: LogOrigin, ended: @escaping () -> Void
    ) throws(SystemError) -> any MachineLogPipe {
        let log = capture.existing(origin.unit) ?? log(of: origin.unit, LogPolicy())
        return try LogPipe(left: path, origin: origin, log: log, capture: capture, ended: ended)
    }

    func losses(of unit: String) -> (lost: Int, suppressed: Int)? {
        capture.existing(unit).map { ($0.lost, $0.suppressed) }
    }

    func forget(_ unit: String) { capture.forget(unit) }
    func reopen() { capture.reopen() }
    func hasFiles(_ unit: String) -> Bool { capture.hasFiles(unit) }
    func clear(_ unit: String) throws(SystemError) { try capture.clear(unit) }
}

extension LogPipe: MachineLogPipe {}
