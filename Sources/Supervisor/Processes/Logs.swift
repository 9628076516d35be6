import ControlProtocol
import Glibc
import Linux
import UnitFiles
import UnitStore

/// Captured output: opens logs by the settings of units, and reports their troubles.
extension Supervisor {
    var readers: UInt32? { configuration.logReaders }

    func makeLogs() throws(SystemError) -> LogCapture {
        let logs = try LogCapture(
            loop: eventLoop, children: children, directory: configuration.logDirectory, group: readers)
        logs.compressor.failed = { [unowned self] text in log(.warning, about: "compression", text) }
        logs.compressor.addLeftovers(in: configuration.logDirectory)
        return logs
    }

    /// The captured stream, standard output (1) or error (2), opened if necessary; a FIFO that an earlier supervisor
    /// process made is reused.
    func logPipe(_ instance: RunningInstance, _ stream: Int32) throws(SystemError) -> LogPipe {
        if let pipe = stream == 2 ? instance.errorOutput : instance.output { return pipe }
        guard let logs else { throw SystemError("capture output of", instance.name, .badFileDescriptor) }
        let targets = outputTargets(of: instance)
        let origin = LogOrigin(
            unit: instance.name, generation: instance.generation.number, stream: stream == 2 ? .err : .out,
            toJournal: (stream == 2 ? targets.error : targets.output) == .journal)
        let pipe = try LogPipe(
            path: logPath(instance, stream), owner: outputOwner(instance.definition.unit.execution), origin: origin,
            log: log(of: instance, logs),
            capture: logs)
        if stream == 2 { instance.errorOutput = pipe } else { instance.output = pipe }
        return pipe
    }

    /// Owner of the FIFO, in addition to root: programs with that configuration open /dev/stdout by name.
    func outputOwner(_ execution: ExecutionSettings?) -> (uid: UInt32, gid: UInt32)? {
        guard !configuration.isUser, let execution,
            let credentials = (try? launcher.credentials(of: execution)) ?? nil
        else { return nil }
        return (credentials.uid, credentials.gid)
    }

    /// Path of a FIFO, unique by the instance's number, and the same in every supervisor process. The rest is for
    /// operators, and is cut because a unit's name may be as long as a file's.
    func logPath(_ instance: RunningInstance, _ stream: Int32) -> String {
        let label = "\(instance.id.number)-\("\(instance.name)#\(instance.generation.number)".prefix(200))"
        return "\(configuration.runtimeDirectory)/output/\(label).\(stream == 2 ? "err" : "out")"
    }

    private func log(of instance: RunningInstance, _ logs: LogCapture) -> UnitLog {
        let name = instance.logName
        return logs.log(of: name, policy: LogPolicy(instance.definition.unit), onTrouble: troubleTeller(name))
    }

    func troubleTeller(_ unit: String) -> (UnitLog.Trouble) -> Void {
        { [unowned self] trouble in log(.warning, about: unit, "\(unit): \(Self.wording(trouble))") }
    }

    private static func wording(_ trouble: UnitLog.Trouble) -> String {
        switch trouble {
        case .lost(let error): "its output is lost: \(error)"
        case .keptAgain(let lost): "its output is kept again; \(lost) lines were lost"
        case .noJournal(let error): "its output goes to its log file, because the journal is not there: \(error)"
        }
    }

    func clearLogs(_ name: String) throws(ControlError) -> ClearLogsReply {
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
    func reopenLogs() {
        logs?.reopen()
        logger.info("log files are opened anew")
    }
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

extension Configuration {
    /// Gid of the group that may read captured output, in addition to root; nil without such a group.
    public var logReaders: UInt32? { isUser || geteuid() != 0 ? nil : try? Accounts.group("holdfast-read") }
}
