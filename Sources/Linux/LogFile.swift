import CSpawn
import Glibc
import SystemPackage

/// The file with a unit's captured output, rotated by size: `UNIT.log`, `UNIT.log.1` (newest) to `UNIT.log.N`.
///
/// Nothing that happens to the disk reaches the service or the daemon: what could not be written is counted.
public final class LogFile {
    public let path: String
    public let maximumSize: Int
    public let keep: Int
    /// Writes that failed, and the last reason.
    public private(set) var failures = 0
    public private(set) var lastFailure: SystemError?
    private var file: OwnedDescriptor?
    private var size = 0

    /// Opens nothing yet: a unit that prints nothing has no file.
    public init(path: String, maximumSize: Int = 50 << 20, keep: Int = 10) {
        self.path = path
        self.maximumSize = maximumSize
        self.keep = max(1, keep)
    }

    /// Told of the first of a row of failures, so that lost output is not lost in silence.
    public var failed: ((SystemError) -> Void)?
    private var isFailing = false

    /// Appends whole lines with one write(2), so that readers of a growing file and other writers see no half batch.
    public func append(_ bytes: UnsafeRawBufferPointer) {
        do throws(SystemError) {
            if size + bytes.count > maximumSize && size > 0 { try rotate() }
            let count = try write(bytes)
            size += count
            // A full disk takes a part: the rest is lost and counted, the next batch begins on a line of its own.
            if count < bytes.count { throw SystemError("write", path, .noSpace) }
        } catch {
            failures += 1
            lastFailure = error
            if !isFailing { failed?(error) }
            isFailing = true
            return
        }
        isFailing = false
    }

    /// Opens the file anew with the next batch, after somebody else moved it (logrotate).
    public func reopen() { file = nil }

    private func write(_ bytes: UnsafeRawBufferPointer) throws(SystemError) -> Int {
        if file == nil {
            let opened = try OwnedDescriptor.open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, mode: 0o640)
            var status = stat()
            try checkErrno(fstat(opened.raw, &status), "stat", path)
            size = Int(status.st_size)
            file = consume opened
        }
        let raw = rawDescriptor
        while true {
            let count = Glibc.write(raw, bytes.baseAddress, bytes.count)
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

    private func rotate() throws(SystemError) {
        for number in stride(from: keep - 1, to: 0, by: -1) { rename("\(path).\(number)", "\(path).\(number + 1)") }
        // ENOENT: somebody moved or removed it (logrotate). Then a new one is begun all the same.
        if rename(path, "\(path).1") < 0 && errno != ENOENT { throw SystemError("rotate", path) }
        file = nil
        size = 0
    }
}

/// RFC 3339 time in UTC with milliseconds; the part that changes once a second is kept.
struct TimestampText {
    private var second = Int.min
    private var text: [UInt8] = []

    mutating func append(to bytes: inout [UInt8]) {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        if time.tv_sec != second { renew(time.tv_sec) }
        bytes += text
        let milliseconds = time.tv_nsec / 1_000_000
        for divisor in [100, 10, 1] { bytes.append(UInt8(ascii: "0") + UInt8(milliseconds / divisor % 10)) }
        bytes.append(UInt8(ascii: "Z"))
    }

    private mutating func renew(_ seconds: Int) {
        second = seconds
        var moment = time_t(seconds)
        var parts = tm()
        gmtime_r(&moment, &parts)
        var buffer = [UInt8](repeating: 0, count: 32)
        let count = buffer.withUnsafeMutableBytes { raw in
            strftime(raw.baseAddress?.assumingMemoryBound(to: CChar.self), raw.count, "%Y-%m-%dT%H:%M:%S.", &parts)
        }
        text = Array(buffer[..<count])
    }
}
