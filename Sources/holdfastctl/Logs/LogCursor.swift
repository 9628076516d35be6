import Glibc
import Linux

/// The position in one unit's log, read continuously over rotations.
final class LogCursor {
    let source: LogSource
    private let filter: LogFilter
    private var input: LogInput?
    private let older: [LogArchive.Segment]
    /// The time of the newest rotated file that was read or existed at the start.
    private var lastRotation: Int64

    /// - Parameter fromStart: the unit is new, so that its first lines are new, too.
    init(_ source: LogSource, _ filter: LogFilter, fromStart: Bool = false) throws(SystemError) {
        self.source = source
        self.filter = filter
        if fromStart {
            (input, older, lastRotation) = (nil, [], .min)
        } else {
            (input, older) = try source.openFiles()
            lastRotation = older.last?.time ?? .min
        }
    }

    /// The last `count` of the existing lines, which ``readNewLines()`` does not return.
    func last(_ count: Int) throws(SystemError) -> [LogLine] {
        try source.last(count, filter, in: (input, older))
    }

    /// All existing lines, which ``readNewLines()`` does not return.
    func all() -> LogStream { LogStream(source, filter, in: (input, older)) }

    /// The new lines since the last call.
    func readNewLines() throws(SystemError) -> [LogLine] {
        var found: [LogLine] = []
        while true {
            try readInput(&found)
            guard try !isCurrent() else { return found }
            // Lines may have been written between the read and the rotation.
            try readInput(&found)
            try readRotated(&found)
            input = try LogSource.open(source.path)
            if input == nil { return found }
        }
    }

    private func readInput(_ found: inout [LogLine]) throws(SystemError) {
        while let lines = try input?.next(filter) { found += lines }
    }

    private func isCurrent() throws(SystemError) -> Bool {
        var status = stat()
        guard stat(source.path, &status) == 0 else { return input == nil && errno == ENOENT }
        guard let identity = input?.identity else { return false }
        return identity == (status.st_dev, status.st_ino)
    }

    /// Reads files that were the current one since the last look. The first of them has been read already.
    private func readRotated(_ found: inout [LogLine]) throws(SystemError) {
        var newer = try source.segments().filter { $0.time > lastRotation }
        lastRotation = newer.last?.time ?? lastRotation
        if input != nil, !newer.isEmpty { newer.removeFirst() }
        for segment in newer {
            let input = try source.open(segment)
            while let lines = try input?.next(filter) { found += lines }
        }
    }
}

/// All lines of one unit, from the oldest file to the current one.
final class LogStream {
    private let source: LogSource
    private let filter: LogFilter
    private var segments: ArraySlice<LogArchive.Segment>
    private var current: LogInput?
    private var input: LogInput?
    private var lines: ArraySlice<LogLine> = []

    init(
        _ source: LogSource, _ filter: LogFilter, in files: (current: LogInput?, segments: [LogArchive.Segment])
    ) {
        self.source = source
        self.filter = filter
        // All lines of a rotated file are older than its rotation.
        segments = files.segments.drop { segment in filter.since.map { segment.time * 1000 < $0 } ?? false }
        current = files.current
    }

    /// The next line, which `pop` takes.
    func peek() throws(SystemError) -> LogLine? {
        while lines.isEmpty {
            if input == nil {
                if let segment = segments.popFirst() {
                    input = try source.open(segment)
                    continue
                }
                guard let last = current else { return nil }
                (input, current) = (last, nil)
            }
            if let next = try input?.next(filter) { lines = next[...] } else { input = nil }
        }
        return lines.first
    }

    func pop() { lines.removeFirst() }

    /// Calls `body` with the lines of all streams, merged by time; lines of one time in the order of the streams.
    static func merge(_ streams: [LogStream], _ body: (LogLine) -> Void) throws(SystemError) {
        while true {
            var first: (stream: LogStream, line: LogLine)?
            // The time up to which the first stream stays the first.
            var limit: String?
            for stream in streams {
                guard let line = try stream.peek() else { continue }
                if let earlier = first, earlier.line.time <= line.time {
                    limit = limit.map { min($0, line.time) } ?? line.time
                } else {
                    limit = first?.line.time ?? limit
                    first = (stream, line)
                }
            }
            guard let (stream, _) = first else { return }
            repeat {
                guard let line = try stream.peek(),
                    limit.map({ line.time < $0 }) ?? true || line.time == first?.line.time
                else { break }
                body(line)
                stream.pop()
            } while true
        }
    }
}

/// Waits for changes in the log directory (inotify(7)), without polling.
final class LogWatcher {
    enum Event {
        /// Names of files that were written to or renamed.
        case changed(Set<String>)
        case interrupted
        /// The reader of standard output has closed it.
        case readerLeft
        /// The other descriptor is readable.
        case input
        /// The timeout elapsed without an event.
        case timeout
    }

    private let descriptor: OwnedDescriptor
    /// Input and changes take turns when both are frequent.
    private var lastWasInput = false

    init(_ directory: String) throws(SystemError) {
        let number = inotify_init1(Int32(IN_CLOEXEC | IN_NONBLOCK))
        guard number >= 0 else { throw SystemError("watch", directory, .init(rawValue: errno)) }
        descriptor = OwnedDescriptor(owning: number)
        let mask = UInt32(IN_MODIFY | IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_ONLYDIR)
        guard inotify_add_watch(descriptor.raw, directory, mask) >= 0 else {
            throw SystemError("watch", directory, .init(rawValue: errno))
        }
    }

    /// - Parameters:
    ///   - input: another descriptor to wait for; -1 for none.
    ///   - timeout: milliseconds; -1 for no limit.
    func next(input: CInt = -1, timeout: CInt = -1) -> Event {
        while true {
            var waiting = [
                pollfd(fd: descriptor.raw, events: Int16(POLLIN), revents: 0),
                pollfd(fd: Interrupts.readEnd ?? -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: STDOUT_FILENO, events: 0, revents: 0),
                pollfd(fd: input, events: Int16(POLLIN), revents: 0),
            ]
            let count = poll(&waiting, nfds_t(waiting.count), timeout)
            if count < 0 { continue }
            if count == 0 { return .timeout }
            if waiting[1].revents != 0 {
                Interrupts.clear()
                return .interrupted
            }
            if waiting[2].revents & Int16(POLLERR | POLLHUP) != 0 { return .readerLeft }
            if waiting[3].revents != 0, !lastWasInput || waiting[0].revents == 0 {
                lastWasInput = true
                return .input
            }
            lastWasInput = false
            let names = read()
            if !names.isEmpty { return .changed(names) }
        }
    }

    private func read() -> Set<String> {
        var names: Set<String> = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = Glibc.read(descriptor.raw, &buffer, buffer.count)
        var offset = 0
        let header = MemoryLayout<inotify_event>.size
        while offset + header <= count {
            let event = buffer.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: inotify_event.self) }
            let end = min(offset + header + Int(event.len), count)
            names.insert(String(decoding: buffer[(offset + header)..<end].prefix { $0 != 0 }, as: UTF8.self))
            // The kernel dropped events, so all files are looked at.
            if event.mask & UInt32(IN_Q_OVERFLOW) != 0 { names.insert("*") }
            offset = end
        }
        return names
    }
}
