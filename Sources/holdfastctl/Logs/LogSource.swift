import Glibc
import Linux

/// The files with one unit's captured output, read from the oldest to the newest.
struct LogSource {
    let directory: String
    let unit: String

    var fileName: String { LogArchive.fileName(unit) }
    var path: String { "\(directory)/\(fileName)" }

    /// The rotated files, oldest first.
    func segments() throws(SystemError) -> [LogArchive.Segment] {
        LogArchive.segments(of: fileName, among: try UnitDirectory.list(directory) ?? [])
    }

    /// The current file, and the rotated ones at the time of opening.
    func openFiles() throws(SystemError) -> (current: LogInput?, segments: [LogArchive.Segment]) {
        while true {
            let before = try segments()
            let current = try Self.open(path)
            // A rotation in between would have made another file the current one.
            if try segments().last?.time == before.last?.time { return (current, before) }
        }
    }

    /// The last lines that the filter admits, at most `count`.
    func last(
        _ count: Int, _ filter: LogFilter, in files: (current: LogInput?, segments: [LogArchive.Segment])
    ) throws(SystemError) -> [LogLine] {
        var found: [LogLine] = []
        if let current = files.current { found = try current.last(count, filter) }
        for segment in files.segments.reversed() {
            if found.count >= count { break }
            if let since = filter.since, segment.time * 1000 < since { break }
            guard let input = try open(segment) else { continue }
            var older: [LogLine] = []
            while let lines = try input.next(filter) {
                older += lines
                // The surplus is dropped only at twice the count, so that each line is moved at most once.
                if older.count >= 2 * count { older.removeFirst(older.count - count) }
            }
            found = older.suffix(count - found.count) + found
        }
        return found
    }

    /// Opens a rotated file; nil if it has been removed since it was listed.
    func open(_ segment: LogArchive.Segment) throws(SystemError) -> LogInput? {
        // The file may have been compressed meanwhile. If both exist, the compressed one may be incomplete.
        if let file = try Self.open("\(directory)/\(segment.name)") { return file }
        guard access("\(directory)/\(segment.name).gz", F_OK) == 0 else { return nil }
        return try LogInput(compressed: "\(directory)/\(segment.name).gz")
    }

    /// Nil if the file does not exist.
    static func open(_ path: String) throws(SystemError) -> LogInput? {
        do throws(SystemError) {
            return LogInput(try OwnedDescriptor.open(path, O_RDONLY | O_NOFOLLOW), path)
        } catch {
            if error.errno == .noSuchFileOrDirectory { return nil }
            throw error
        }
    }
}

/// A file or pipe with lines.
final class LogInput {
    private let descriptor: OwnedDescriptor
    private let path: String
    /// The process that decompresses it.
    private var child: pid_t?
    private var partial: [UInt8] = []
    /// The offset up to which the file was read.
    private var offset: off_t = 0

    init(_ descriptor: consuming OwnedDescriptor, _ path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    /// Reads a file that gzip(1) has compressed, through gzip.
    init(compressed path: String) throws(SystemError) {
        let pipe = try Pipe()
        let null = try OwnedDescriptor.null()
        let plan = SpawnPlan(
            program: try ProgramSearch.find("gzip"), arguments: ["gzip", "-dc", "--", path],
            environment: ["PATH": ProgramSearch.path], standardInput: null.raw, standardOutput: pipe.writing.raw,
            standardError: null.raw)
        do throws(SpawnError) {
            child = try ProcessSpawner.spawn(plan).pid
        } catch {
            throw error.cause
        }
        descriptor = pipe.keepReading()
        self.path = path
    }

    deinit {
        guard let child else { return }
        kill(child, SIGTERM)
        waitpid(child, nil, 0)
    }

    /// The identity of the file, which stays when it is renamed.
    var identity: (device: dev_t, inode: ino_t) {
        var status = stat()
        fstat(descriptor.raw, &status)
        return (status.st_dev, status.st_ino)
    }

    /// The next unread lines that the filter admits, perhaps none; an unfinished line is kept for a later call. Nil if
    /// there is nothing more for now.
    func next(_ filter: LogFilter) throws(SystemError) -> [LogLine]? {
        startAgainIfShortened()
        let raw = descriptor.raw
        var buffer = [UInt8](repeating: 0, count: 256 << 10)
        var count = -1
        repeat {
            count = buffer.withUnsafeMutableBytes { Glibc.read(raw, $0.baseAddress, $0.count) }
        } while count < 0 && errno == EINTR
        guard count >= 0 else { throw SystemError("read", path, .init(rawValue: errno)) }
        if count == 0 { return nil }
        offset += off_t(count)
        partial += buffer[..<count]
        var lines: [LogLine] = []
        let used = partial.withUnsafeBytes { Self.splitLines($0, from: 0, filter, &lines) }
        partial.removeFirst(used)
        return lines
    }

    /// Takes the complete lines from `start` on.
    /// - Returns: the index at which the unfinished line begins.
    private static func splitLines(
        _ bytes: UnsafeRawBufferPointer, from start: Int, _ filter: LogFilter, _ lines: inout [LogLine]
    ) -> Int {
        var start = start
        while start < bytes.count, let base = bytes.baseAddress,
            let found = memchr(base + start, Int32(UInt8(ascii: "\n")), bytes.count - start)
        {
            let length = UnsafeRawPointer(found) - (base + start)
            let line = LogLine(UnsafeRawBufferPointer(rebasing: bytes[start..<(start + length)]))
            if let line, filter.admits(line) { lines.append(line) }
            start += length + 1
        }
        return start
    }

    /// The last lines that the filter admits, read from the end; ``next(_:)`` continues after them.
    func last(_ count: Int, _ filter: LogFilter) throws(SystemError) -> [LogLine] {
        let end = lseek(descriptor.raw, 0, SEEK_END)
        guard end >= 0 else { return [] }
        var found: [LogLine] = []
        var start = end
        // Bytes from `start` on that may belong to a line that begins earlier.
        var head: [UInt8] = []
        while start > 0, found.count < count {
            let size = min(256 << 10, start)
            start -= size
            var block = [UInt8](repeating: 0, count: Int(size))
            let raw = descriptor.raw
            let got = block.withUnsafeMutableBytes { pread(raw, $0.baseAddress, $0.count, start) }
            guard got == block.count else { break }
            block += head
            // The bytes before the first line end may be the rest of a line.
            let cut = start == 0 ? 0 : (block.firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? block.count)
            var lines: [LogLine] = []
            let rest = block.withUnsafeBytes { Self.splitLines($0, from: cut, filter, &lines) }
            // ``next(_:)`` completes an unfinished last line.
            if start + size == end { partial = Array(block[rest...]) }
            head = Array(block[..<cut])
            found = lines + found
        }
        offset = end
        lseek(descriptor.raw, end, SEEK_SET)
        return found.suffix(count)
    }

    /// Starts again at 0 after the file was emptied (`holdfastctl clear`, logrotate's copytruncate).
    private func startAgainIfShortened() {
        var status = stat()
        guard fstat(descriptor.raw, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size < offset else {
            return
        }
        offset = 0
        partial = []
        lseek(descriptor.raw, 0, SEEK_SET)
    }
}
