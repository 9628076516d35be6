import ControlProtocol
import Engine
import Linux
import Logging
import UnitFiles
import UnitStore

/// Captured output: opens pipes and logs by the settings of units, and reports their troubles.
final class OutputDesk {
    private unowned let host: any EventHost
    private let machine: any Machine
    private let configuration: Configuration
    private let launcher: Launcher
    private var logs: (any MachineLogs)?

    init(_ machine: any Machine, _ launcher: Launcher, host: any EventHost) {
        self.machine = machine
        self.launcher = launcher
        self.host = host
        configuration = launcher.configuration
    }

    /// Gid of the group that may read captured output, in addition to root; nil without such a group.
    var readers: UInt32? {
        configuration.isUser || machine.processes.ownUser != 0
            ? nil : try? machine.accounts.group(Configuration.logReadersGroup)
    }

    func makeDirectory() throws(SystemError) {
        try machine.logs.makeDirectory(configuration.logDirectory, group: readers)
    }

    func open() throws(SystemError) {
        let reports = LogReports(
            onTrouble: { [unowned self] unit, trouble in
                host.log(.warning, about: unit, "\(unit): \(Self.sentence(trouble))")
            },
            onCompressionFailure: { [unowned self] text in host.log(.warning, about: "compression", text) })
        logs = try machine.logs.open(configuration.logDirectory, group: readers, reports)
    }

    // MARK: - Pipes

    /// Opens a captured stream, standard output (1) or error (2), if necessary; a FIFO that an earlier supervisor
    /// process made is reused.
    func openPipe(
        of instance: RunningInstance, _ stream: Int32, toJournal: Bool
    ) throws(SystemError) -> any MachineLogPipe {
        if let pipe = stream == 2 ? instance.errorOutput : instance.output { return pipe }
        guard let logs else { throw SystemError("capture output of", instance.name, .badFileDescriptor) }
        let origin = LogOrigin(
            unit: instance.name, generation: instance.generation.number, stream: stream == 2 ? .err : .out,
            toJournal: toJournal)
        let pipe = try logs.openPipe(
            path(of: instance, stream), owner: owner(instance.definition.unit.execution), from: origin,
            to: instance.logName, LogPolicy(instance.definition.unit))
        if stream == 2 { instance.errorOutput = pipe } else { instance.output = pipe }
        return pipe
    }

    /// Opens the pipe for the output of a command of a socket unit.
    func openPipe(
        ofSocket unit: String, command number: UInt64, _ execution: ExecutionSettings?
    ) throws(SystemError) -> any MachineLogPipe {
        guard let logs else { throw SystemError("capture output of", unit, .badFileDescriptor) }
        return try logs.openPipe(
            "\(configuration.runtimeDirectory)/output/socket-\(number).out", owner: owner(execution),
            from: LogOrigin(unit: unit, generation: nil, stream: .out), to: unit, LogPolicy())
    }

    /// Takes the FIFO of a service that runs without an instance here.
    func openLeftPipe(
        _ path: String, from origin: LogOrigin, ended: @escaping () -> Void
    ) throws(SystemError) -> any MachineLogPipe {
        guard let logs else { throw SystemError("capture output of", origin.unit, .badFileDescriptor) }
        return try logs.openLeftPipe(path, from: origin, ended: ended)
    }

    /// Owner of the FIFO, in addition to root: programs with that configuration open /dev/stdout by name.
    private func owner(_ execution: ExecutionSettings?) -> (uid: UInt32, gid: UInt32)? {
        guard !configuration.isUser, let execution,
            let credentials = (try? launcher.credentials(of: execution)) ?? nil
        else { return nil }
        return (credentials.uid, credentials.gid)
    }

    /// Path of a FIFO, unique by the instance's number, and the same in every supervisor process. The rest is for
    /// operators, and is cut because a unit's name may be as long as a file's.
    func path(of instance: RunningInstance, _ stream: Int32) -> String {
        let label = "\(instance.id.number)-\("\(instance.name)#\(instance.generation.number)".prefix(200))"
        return "\(configuration.runtimeDirectory)/output/\(label).\(stream == 2 ? "err" : "out")"
    }

    // MARK: - Logs

    private static func sentence(_ trouble: UnitLog.Trouble) -> String {
        switch trouble {
        case .lost(let error): "its output is lost: \(error)"
        case .keptAgain(let lost): "its output is captured again; \(lost) lines were lost"
        case .noJournal(let error): "its output goes to its log file, because journald is not available: \(error)"
        }
    }

    /// Lines that the unit's log has lost and suppressed.
    func losses(of unit: String) -> (lost: Int, suppressed: Int)? { logs?.losses(of: unit) }

    /// Drops the log of a unit of which nothing runs any more.
    func forget(_ unit: String) { logs?.forget(unit) }

    func clear(_ name: String) throws(ControlError) -> ClearLogsReply {
        let candidates = [name, name + ".service"].compactMap { try? UnitName($0) }.map(\.description)
        guard let unit = candidates.first(where: { logs?.hasFiles($0) == true }) else {
            throw .noSuchUnit(name: name, suggestion: nil)
        }
        do throws(SystemError) {
            try logs?.clear(unit)
        } catch {
            throw .failed(message: "cannot clear the log of \(unit): \(error)")
        }
        return ClearLogsReply()
    }

    /// Reopens the log files after logrotate(8) has moved them (SIGUSR2, as in supervisord); without the signal the
    /// move is noticed at the next line.
    func reopen() { logs?.reopen() }
}

extension LogPolicy {
    init(_ unit: ServiceUnit) {
        self.init()
        let settings = unit.logging
        limits = LogFile.Limits(
            size: settings.maxBytes.map { Int(clamping: $0) }, keep: settings.keep,
            age: settings.maxAge.map { Int($0.wholeNanoseconds / 1_000_000_000) })
        if let rate = settings.rateLimit {
            rateInterval = rate.interval.wholeNanoseconds
            rateBurst = rate.burst
        }
        level = settings.syslogLevel
        facility = settings.syslogFacility
        hasLevelPrefix = settings.syslogLevelPrefix
        maximumLevel = settings.levelMax
        let program = unit.execStart.first?.path ?? ""
        identifier = settings.syslogIdentifier ?? FileTree.name(of: program)
    }
}
