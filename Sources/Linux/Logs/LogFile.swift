import CSpawn
import Glibc
import SystemPackage

/// The current file with a unit's captured output, and the older ones beside it (`LogArchive`).
///
/// Before each batch it checks that its path is still its file: a file that was removed, or moved by logrotate, gets a
/// successor with the next line, so that neither a signal nor a copy is needed.
public final class LogFile {
    public struct Limits: Equatable, Sendable {
        /// The limit in bytes; nil for none.
        public var size: Int?
        /// The number of rotated files kept.
        public var keep: Int
        /// The age of the first line, in seconds, at which the next line rotates the file; nil for no limit.
        public var age: Int?

        public init(size: Int? = 50 << 20, keep: Int = 10, age: Int? = nil) {
            self.size = size
            self.keep = keep
            self.age = age
        }
    }

    public let path: String
    public var limits: Limits
    /// The group that may read the files beside their owner; nil for our own.
    private let group: UInt32?
    /// Called with the path of a rotated file.
    var compress: ((String) -> Void)?

    private var file: OwnedDescriptor?
    private var device: dev_t = 0
    private var inode: ino_t = 0
    private var size = 0
    /// The time of the first line in seconds since 1970.
    private var begin: Int64 = 0
    /// The rotated files; nil until they are listed.
    private var segments: [LogArchive.Segment]?

    /// Opens no file yet: a unit that prints nothing has none.
    public init(path: String, limits: Limits = Limits(), group: UInt32? = nil) {
        self.path = path
        self.limits = limits
        self.group = group
    }

    private var name: String { FileTree.name(of: path) }
    private var directory: String { FileTree.parent(of: path) ?? "." }

    /// Appends whole lines with one write(2), so that readers of a growing file and other writers see no partial batch.
    /// All or nothing: a part that a full disk took is removed again.
    /// - Parameter second: CLOCK_REALTIME.
    public func append(_ bytes: [UInt8], at second: Int64) throws(SystemError) {
        if file != nil, !isStillThere() { file = nil }
        // The file stays open as long as the service prints, so it must not use the reserve of descriptors.
        if file == nil { try FileLimit.bounded(by: .services) { () throws(SystemError) in try open(at: second) } }
        if isFull(with: bytes.count, at: second) {
            try rotate()
            try open(at: second)
        }
        let count = try write(bytes)
        if count < bytes.count {
            ftruncate(rawDescriptor, off_t(size))
            throw SystemError("write", path, .noSpace)
        }
        size += count
    }

    /// Appends a line that begins with the present time.
    public func append(text: String) throws(SystemError) {
        var stamp = TimestampText()
        stamp.refresh()
        try append(stamp.bytes + Array(" \(text)\n".utf8), at: Int64(stamp.second))
    }

    /// Opens the file again at the next batch.
    public func reopen() { file = nil }

    /// Empties the file and removes the older ones.
    public func clear() throws(SystemError) {
        for segment in try known() { remove(segment) }
        segments = []
        if let place = try present(), try place.pin(FileName(name)) != nil {
            _ = try place.open(FileName(name), O_WRONLY | O_TRUNC | O_NOCTTY | O_NONBLOCK)
        }
        size = 0
        file = nil
    }

    /// Records that a rotated file is compressed now. If it was removed meanwhile, its compressed form is removed.
    func compressed(_ segmentPath: String) {
        guard let known = segments else { return }
        guard let index = known.firstIndex(where: { fullPath($0) == segmentPath }) else {
            unlink(FileTree.name(of: segmentPath) + ".gz")
            return
        }
        segments?[index].isCompressed = access(segmentPath, F_OK) != 0
    }

    // MARK: - The file

    private func isStillThere() -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_ino == inode && status.st_dev == device
    }

    private func open(at second: Int64) throws(SystemError) {
        let flags = O_RDWR | O_CREAT | O_APPEND | O_NOCTTY | O_NONBLOCK
        // The directory may have been removed.
        if try present() == nil { try LogFile.makeDirectory(directory, group: group) }
        let place = try SafeDirectory.open(directory, .ofOwner)
        let opened = try place.open(FileName(name), flags, mode: 0o640)
        var status = stat()
        try checkErrno(fstat(opened.raw, &status), "stat", path)
        if let group, status.st_gid != group { _ = fchown(opened.raw, .max, group) }
        (device, inode, size) = (status.st_dev, status.st_ino, Int(status.st_size))
        begin = second
        if size > 0 {
            begin = Self.firstSecond(opened.raw) ?? second
            try endLastLine(opened.raw)
        }
        file = consume opened
    }

    /// Makes a directory for captured output, which may be secret.
    public static func makeDirectory(_ path: String, group: UInt32?) throws(SystemError) {
        let directory = try SafeDirectory.make(path, .ofOwner, mode: 0o750, parentMode: 0o755)
        if let group { _ = holdfast_own(directory.descriptor.raw, .max, group) }
    }

    /// The directory, if it exists.
    private func present() throws(SystemError) -> SafeDirectory? {
        do throws(SystemError) {
            return try SafeDirectory.open(directory, .ofOwner)
        } catch {
            if error.errno == .noSuchFileOrDirectory { return nil }
            throw error
        }
    }

    private func unlink(_ name: String) {
        if let directory = (try? present()) ?? nil { _ = try? directory.unlink(FileName(name)) }
    }

    private static func firstSecond(_ raw: Int32) -> Int64? {
        var start = [UInt8](repeating: 0, count: LogTime.length)
        guard pread(raw, &start, start.count, 0) == start.count else { return nil }
        return LogTime.parse(start).map { $0 / 1_000_000 }
    }

    /// Ends a partial line, left by a process that was killed during a write, with the mark of cut lines; bytes not yet
    /// taken from its service are logged again as a whole line. (A reader may have the part, so it is not removed.)
    private func endLastLine(_ raw: Int32) throws(SystemError) {
        var last: UInt8 = 0
        guard pread(raw, &last, 1, off_t(size - 1)) == 1, last != UInt8(ascii: "\n") else { return }
        var end = Array("\(LineSplitter.mark)\n".utf8)
        size += try checkErrno(Glibc.write(raw, &end, end.count), "write", path)
    }

    private func write(_ bytes: [UInt8]) throws(SystemError) -> Int {
        let raw = rawDescriptor
        while true {
            let count = bytes.withUnsafeBytes { Glibc.write(raw, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            return try checkErrno(count, "write", path)
        }
    }

    private var rawDescriptor: Int32 {
        switch file {
        case .some(let file): file.raw
        case .none: -1
        }
    }

    // MARK: - Rotation

    private func isFull(with more: Int, at second: Int64) -> Bool {
        guard size > 0 else { return false }
        if let limit = limits.size, size.addingSaturated(more) > limit { return true }
        if let age = limits.age, second.subtractingSaturated(begin) >= age { return true }
        return false
    }

    private func rotate() throws(SystemError) {
        var segments = try known()
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        // Later than the last rotation, also if the clock was set back or two rotations fall in one millisecond.
        let clock = Int64(now.tv_sec).multipliedSaturated(by: 1000).addingSaturated(Int64(now.tv_nsec) / 1_000_000)
        let time = max(clock, (segments.last?.time ?? 0).addingSaturated(1))
        let segment = LogArchive.Segment(
            name: LogArchive.segmentName(name, time), time: time, isCompressed: false)
        let place = try SafeDirectory.open(directory, .ofOwner)
        try place.rename(FileName(name), to: place, FileName(segment.name))
        file = nil
        segments.append(segment)
        while segments.count > max(0, limits.keep) { remove(segments.removeFirst()) }
        self.segments = segments
        if limits.keep > 0 { compress?(fullPath(segment)) }
    }

    private func fullPath(_ segment: LogArchive.Segment) -> String { directory + "/" + segment.name }

    private func remove(_ segment: LogArchive.Segment) {
        unlink(segment.name)
        unlink(segment.name + ".gz")
    }

    private func known() throws(SystemError) -> [LogArchive.Segment] {
        if let segments { return segments }
        let found = LogArchive.segments(of: name, among: try UnitDirectory.list(directory) ?? [])
        segments = found
        return found
    }
}
