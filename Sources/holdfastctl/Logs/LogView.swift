import Glibc
import Linux

/// Shows the logs of a selection of units.
struct LogView {
    let directory: LogDirectory
    let selection: LogSelection
    let filter: LogFilter
    var text: LogText
    /// Of the beginning only so many bytes.
    var lastBytes: Int?

    init(directory: LogDirectory, selection: LogSelection, filter: LogFilter, text: LogText) {
        self.directory = directory
        self.selection = selection
        self.filter = filter
        self.text = text
    }

    /// - Parameter count: the last so many lines; nil for all.
    mutating func show(_ count: Int?) throws(SystemError) {
        var cursors: [LogCursor] = []
        for unit in selection.units {
            cursors.append(try LogCursor(LogSource(directory: directory.path, unit: unit), filter))
        }
        try begin(cursors, count)
    }

    /// The same, and then what comes, until ^C or until nobody reads it any more.
    mutating func follow(_ count: Int?) throws(SystemError) -> ExitStatus {
        try follow(count, begun: {}, waitingFor: { (-1, -1) }, { _ in nil })
    }

    /// The same, with something else to wait for meanwhile.
    /// - Parameters:
    ///   - begun: called when everything is seen that comes from then on.
    ///   - other: a descriptor and milliseconds, of which `-1` is neither.
    ///   - handle: called when it can be read (true) or no milliseconds are left (false); with a status the end has come.
    mutating func follow(
        _ count: Int?, begun: () -> Void, waitingFor other: () -> (descriptor: CInt, timeout: CInt),
        _ handle: (Bool) -> ExitStatus?
    ) throws(SystemError) -> ExitStatus {
        Interrupts.catchThem()
        // First the watch: what comes while the beginning is shown is then seen as a change.
        let watcher = try LogWatcher(directory.path)
        var cursors: [String: LogCursor] = [:]
        for unit in selection.units {
            cursors[unit] = try LogCursor(LogSource(directory: directory.path, unit: unit), filter)
        }
        try begin(selection.units.compactMap { cursors[$0] }, count)
        try show(news: cursors.values)
        begun()
        while true {
            let (descriptor, timeout) = other()
            // Also between changes: there may be one after the other.
            if timeout == 0, let status = handle(false) { return status }
            switch watcher.next(input: descriptor, timeout: timeout) {
            case .input: if let status = handle(true) { return status }
            case .timeout: break
            case .interrupted:
                if isatty(STDIN_FILENO) == 1 { emit("\n", to: STDERR_FILENO) }
                return .interrupted
            case .readerLeft: return .ok
            case .changed(let names):
                try add(names, to: &cursors)
                let touched = names.contains("*") ? cursors.map(\.value) : names.compactMap { cursors[Self.unit($0)] }
                try show(news: touched)
            }
        }
    }

    private mutating func begin(_ cursors: [LogCursor], _ count: Int?) throws(SystemError) {
        guard let count else {
            var lines: [LogLine] = []
            // The text is made in pieces: alignment looks at some lines at once, and memory is bounded.
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

    private mutating func show(news cursors: some Sequence<LogCursor>) throws(SystemError) {
        var lines: [LogLine] = []
        for cursor in cursors { lines += try cursor.advance() }
        if !lines.isEmpty { emit(text.lines(Self.sorted(lines))) }
    }

    /// Units that had no file before, as those of the next release.
    private func add(_ names: Set<String>, to cursors: inout [String: LogCursor]) throws(SystemError) {
        for name in names where name.hasSuffix(LogArchive.suffix) {
            let unit = Self.unit(name)
            guard cursors[unit] == nil, selection.contains(unit) else { continue }
            cursors[unit] = try LogCursor(LogSource(directory: directory.path, unit: unit), filter, fromStart: true)
        }
    }

    /// Of the file `UNIT.log` or `UNIT.log.TIME`.
    private static func unit(_ name: String) -> String {
        String((LogArchive.file(ofSegment: name) ?? name).dropLast(LogArchive.suffix.count))
    }

    /// By time; lines of one time and unit stay as they are.
    private static func sorted(_ lines: [LogLine]) -> [LogLine] {
        lines.enumerated().sorted { ($0.element.time, $0.offset) < ($1.element.time, $1.offset) }.map(\.element)
    }
}
