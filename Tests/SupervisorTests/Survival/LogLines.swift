import Logging

/// Lines that a desk has logged.
///
/// Sendable without the compiler's check, because `LogHandler` requires it. The proof: a test and the desks that it
/// drives run on one thread.
final class LogLines: @unchecked Sendable {
    fileprivate(set) var lines: [String] = []

    var logger: Logger { Logger(label: "test") { _ in LogCollector(log: self) } }
}

private struct LogCollector: LogHandler {
    let log: LogLines
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { log.lines.append("\(event.message)") }
}
