import Glibc
import Linux
import Logging
import Synchronization

/// The daemon's own log: each message on standard error, and in `holdfastd.log` beside the logs of the services, where
/// `holdfastctl maintail` finds it without a journal.
struct MainLog: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .info
    let file: MainLogFile?
    private let errors = StandardErrorLog()

    init(file: MainLogFile?) { self.file = file }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        errors.log(event: event)
        file?.append(event.level.rawValue, StandardErrorLog.oneLine("\(event.message)"))
    }
}

/// The file `holdfastd.log`. Shared log handlers need the lock, which never blocks: the daemon has one thread.
final class MainLogFile: Sendable {
    private let file: Mutex<LogFile>

    init(_ path: String, group: UInt32?) {
        file = Mutex(LogFile(path: path, limits: LogFile.Limits(size: 10 << 20, keep: 3), group: group))
    }

    func append(_ level: String, _ text: String) {
        // A write error is not reported: standard error has the message.
        file.withLock { try? $0.append(text: "holdfastd \(level): \(text)") }
    }

    /// Opens the file again after it was moved.
    func reopen() { file.withLock { $0.reopen() } }
}
