import Glibc
import Logging

/// Writes each message as one line on standard error, with the priority prefix of sd-daemon(3) if the journal reads it.
struct StandardErrorLog: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .info
    private let isJournal = Self.leadsToJournal

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let prefix = isJournal ? "<\(priority(event.level))>" : level(event.level)
        var text = prefix + Self.oneLine("\(event.message)")
        text += "\n"
        // Standard error may be a pipe whose reader is slow; a lost line is better than a daemon that waits. The
        // descriptor is polled and not made non-blocking, because that would affect all processes that share it: a
        // shell, our parent.
        var ready = pollfd(fd: 2, events: Int16(POLLOUT), revents: 0)
        guard poll(&ready, 1, 0) > 0 else { return }
        text.withUTF8 { _ = write(2, $0.baseAddress, min($0.count, Int(PIPE_BUF))) }
    }

    /// `$JOURNAL_STREAM` names the journal's stream by device and inode (systemd.exec(5)): a variable that a shell of some service
    /// has passed on says nothing about ours.
    private static var leadsToJournal: Bool {
        var status = stat()
        guard let stream = getenv("JOURNAL_STREAM"), fstat(2, &status) == 0 else { return false }
        return String(cString: stream) == "\(status.st_dev):\(status.st_ino)"
    }

    /// The message as one line: it cannot add a line with a priority of its own, or control a terminal.
    static func oneLine(_ message: String) -> String {
        var text = ""
        for scalar in message.unicodeScalars.prefix(maximumLine) {
            let isControl = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
            text.unicodeScalars.append(isControl ? " " : scalar)
        }
        return text
    }

    /// The most scalars of a line: at four bytes each, a pipe takes them without waiting once poll(2) succeeds.
    private static let maximumLine = Int(PIPE_BUF) / 4 - 8

    private func priority(_ level: Logger.Level) -> Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }

    private func level(_ level: Logger.Level) -> String {
        switch level {
        case .trace, .debug: "debug: "
        case .info, .notice: ""
        case .warning: "warning: "
        case .error: "error: "
        case .critical: "fatal: "
        }
    }
}
