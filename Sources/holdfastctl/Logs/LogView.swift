import Glibc
import Linux

/// Shows the logs of a selection of units.
struct LogView {
    let directory: LogDirectory
    let selection: LogSelection
    let filter: LogFilter
    var text: LogText
    /// The most bytes to show of the existing lines.
    var lastBytes: Int?

    init(directory: LogDirectory, selection: LogSelection, filter: LogFilter, text: LogText) {
        self.directory = directory
        self.selection = selection
        self.filter = filter
        self.text = text
    }

    /// Shows the existing lines.
    /// - Parameter count: the number of last lines; nil for all.
    mutating func show(_ count: Int?) throws(SystemError) {
        var cursors: [LogCursor] = []
        for unit in selection.units {
            cursors.append(try LogCursor(LogSource(directory: directory.path, unit: unit), filter))
        }
        try showExisting(cursors, count)
    }

    /// Shows the existing lines and follows the log until ^C or until the output has no reader.
    mutating func follow(_ count: Int?) throws(SystemError) -> CommandStatus {
        try follow(count, onStart: {}, waitingFor: { (-1, -1) }, { _ in nil })
    }

    /// Follows the log, and waits for another descriptor or a timeout in between.
    /// - Parameters:
    ///   - onStart: called when every later line is sure to be seen.
    ///   - other: a descriptor and milliseconds; `-1` for none.
    ///   - onEvent: called when the descriptor is readable (true) or the time is over (false); a status ends the loop.
    mutating func follow(
        _ count: Int?, onStart: () -> Void, waitingFor other: () -> (descriptor: CInt, timeout: CInt),
        _ onEvent: (Bool) -> CommandStatus?
    ) throws(SystemError) -> CommandStatus {
        Interrupts.install()
        // The watch starts first: lines written while the existing ones are shown are then seen as a change.
        let watcher = try LogWatcher(directory.path)
        var cursors: [String: LogCursor] = [:]
        for unit in selection.units {
            cursors[unit] = try LogCursor(LogSource(directory: directory.path, unit: unit), filter)
        }
        try showExisting(selection.units.compactMap { cursors[$0] }, count)
        try showNewLines(of: cursors.values)
        onStart()
        while true {
            let (descriptor, timeout) = other()
            // The timeout is checked between changes, too: changes may follow each other without a pause.
            if timeout == 0, let status = onEvent(false) { return status }
            switch watcher.next(input: descriptor, timeout: timeout) {
            case .input: if let status = onEvent(true) { return status }
            case .timeout: break
            case .interrupted:
                if isatty(STDIN_FILENO) == 1 { emit("\n", to: STDERR_FILENO) }
                return .interrupted
            case .readerLeft: return .ok
            case .changed(let names):
                try add(names, to: &cursors)
                let touched = names.contains("*") ? cursors.map(\.value) : names.compactMap { cursors[Self.unit($0)] }
                try showNewLines(of: touched)
            }
        }
    }

    private mutating func showExisting(_ cursors: [LogCursor], _ count: Int?) throws(SystemError) {
        guard let count else {
            var lines: [LogLine] = []
            // The text is built in pieces: alignment needs several lines at once, and memory stays bounded.
            try LogStream.merge(cursors.map { $0.all() }) { line in
                lines.append(line)
                if lines.count >= 1000 {
                    emit(text.lines(lines))
                    lines = []
                }
            }
            emit(text.lines(lines))
            return
        }
        var lines: [LogLine] = []
        for cursor in cursors { lines += try cursor.last(count) }
        let shown = text.lines(Self.sorted(lines).suffix(count))
        guard let lastBytes, shown.utf8.count > lastBytes else { return emit(shown) }
        emit(String(decoding: shown.utf8.suffix(lastBytes), as: UTF8.self))
    }

    private mutating func showNewLines(of cursors: some Sequence<LogCursor>) throws(SystemError) {
        var lines: [LogLine] = []
        for cursor in cursors { lines += try cursor.readNewLines() }
        if !lines.isEmpty { emit(text.lines(Self.sorted(lines))) }
    }

    /// Adds units that had no file before, such as those of the next release.
    private func add(_ names: Set<String>, to cursors: inout [String: LogCursor]) throws(SystemError) {
        for name in names where name.hasSuffix(LogArchive.suffix) {
            let unit = Self.unit(name)
            guard cursors[unit] == nil, selection.contains(unit) else { continue }
            cursors[unit] = try LogCursor(LogSource(directory: directory.path, unit: unit), filter, fromStart: true)
        }
    }

    /// The unit of the file `UNIT.log` or `UNIT.log.TIME`.
    private static func unit(_ name: String) -> String {
        String((LogArchive.file(ofSegment: name) ?? name).dropLast(LogArchive.suffix.count))
    }

    /// Sorts by time; lines with the same time keep their order.
    private static func sorted(_ lines: [LogLine]) -> [LogLine] {
        lines.enumerated().sorted { ($0.element.time, $0.offset) < ($1.element.time, $1.offset) }.map(\.element)
    }
}
