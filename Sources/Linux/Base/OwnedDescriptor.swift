import CSpawn
import Glibc
import SystemPackage

/// A descriptor with one owner, closed with its owner.
///
/// Always close-on-exec: only a `SpawnPlan` passes one to a program.
public struct OwnedDescriptor: ~Copyable, Sendable {
    /// The number, valid while the owner is alive.
    public let raw: Int32

    /// Takes ownership of `raw`, which must be open and must have no other owner.
    public init(owning raw: Int32) { self.raw = raw }

    /// Never blocks: if the close of a socket could, because other users control it, another process closes it.
    deinit { holdfast_close(raw) }

    /// Takes a descriptor that stayed open over execve(2), and makes it close-on-exec again. EBADF: there is none.
    public static func inherited(_ raw: Int32) throws(SystemError) -> OwnedDescriptor {
        try check(holdfast_set_cloexec(raw, 1), "inherit descriptor", "\(raw)")
        return OwnedDescriptor(owning: raw)
    }

    /// Gives up ownership; the caller closes the descriptor.
    public consuming func release() -> Int32 {
        let number = raw
        discard self
        return number
    }

    /// Another descriptor of the same open file description, close-on-exec (F_DUPFD_CLOEXEC).
    public borrowing func duplicate() throws(SystemError) -> OwnedDescriptor {
        OwnedDescriptor(owning: try check(holdfast_duplicate(raw, 3), "duplicate descriptor", "\(raw)"))
    }

    /// Sets or clears O_NONBLOCK, which belongs to the open file description and so to all that share it.
    public borrowing func setNonBlocking(_ on: Bool) throws(SystemError) {
        try check(holdfast_set_nonblocking(raw, on ? 1 : 0), "set non-blocking")
    }

    /// Opens a file, always close-on-exec. `flags` as in open(2).
    public static func open(
        _ path: String, _ flags: Int32, mode: mode_t = 0o644
    ) throws(SystemError) -> OwnedDescriptor {
        OwnedDescriptor(owning: try check(holdfast_open(path, flags, mode), "open", path))
    }

    /// Opens `name` relative to this directory.
    public borrowing func open(
        _ name: String, _ flags: Int32, mode: mode_t = 0o644
    ) throws(SystemError) -> OwnedDescriptor {
        OwnedDescriptor(owning: try check(holdfast_openat(raw, name, flags, mode), "open", name))
    }

    /// /dev/null, open for reading and writing, or as `flags` say.
    public static func null(_ flags: Int32 = O_RDWR) throws(SystemError) -> OwnedDescriptor {
        try open("/dev/null", flags)
    }

    /// Whether another descriptor has the same open file description (kcmp(2)); false if the kernel does not tell.
    public borrowing func isSameFile(as other: Int32) -> Bool { holdfast_is_same_file(raw, other) == 1 }

    /// A file without a name that holds these bytes, open for reading from its start (memfd_create(2), then opened
    /// again: the descriptor of memfd_create is writable).
    public static func inMemory(_ bytes: [UInt8], name: String) throws(SystemError) -> OwnedDescriptor {
        let memory = OwnedDescriptor(owning: try check(holdfast_memory_file(name), "make file in memory", name))
        try memory.writeAll(bytes, subject: name)
        return try open("/proc/self/fd/\(memory.raw)", O_RDONLY)
    }

    /// A socket, close-on-exec; `type` may carry SOCK_NONBLOCK.
    static func socket(_ family: Int32, _ type: Int32, _ proto: Int32 = 0) throws(SystemError) -> OwnedDescriptor {
        OwnedDescriptor(owning: try checkErrno(Glibc.socket(family, type | SocketType.closeOnExec, proto), "socket"))
    }
}

/// The types of socket(2) as numbers: Glibc imports them as cases of a C enum.
enum SocketType {
    static let stream = Int32(SOCK_STREAM.rawValue)
    static let datagram = Int32(SOCK_DGRAM.rawValue)
    static let sequentialPacket = Int32(SOCK_SEQPACKET.rawValue)
    static let closeOnExec = Int32(SOCK_CLOEXEC.rawValue)
    static let nonBlocking = Int32(SOCK_NONBLOCK.rawValue)
}

/// The two ends of a pipe(7).
@frozen public struct Pipe: ~Copyable {
    public var reading: OwnedDescriptor
    public var writing: OwnedDescriptor

    /// Makes a pipe (pipe2(2) with O_CLOEXEC); both ends block unless `nonBlockingReader`.
    public init(nonBlockingReader: Bool = false) throws(SystemError) {
        var ends: [Int32] = [-1, -1]
        try check(holdfast_pipe(&ends), "pipe")
        let reader = OwnedDescriptor(owning: ends[0])
        let writer = OwnedDescriptor(owning: ends[1])
        if nonBlockingReader { try reader.setNonBlocking(true) }
        reading = reader
        writing = writer
    }

    /// Closes the writing end: the reading end then ends with the last process that has a duplicate of the other.
    public consuming func keepReading() -> OwnedDescriptor { reading }
}

extension OwnedDescriptor {
    /// The first line that can be read now, at most 4 KiB; nil if there is none. For the output of a program that has
    /// exited, at the reading end of a non-blocking pipe.
    public borrowing func firstLine() -> String? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = max(0, read(raw, &buffer, buffer.count))
        let text = String(decoding: buffer[..<count], as: UTF8.self)
        return text.split(whereSeparator: \.isNewline).first.map(String.init)
    }

    /// Reads to the end, at most `limit` bytes; EFBIG if there are more.
    public borrowing func readAll(limit: Int, subject: String) throws(SystemError) -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: min(limit + 1, 65536))
        while true {
            let count = read(raw, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            try checkErrno(count, "read", subject)
            if count == 0 { return bytes }
            guard bytes.count + count <= limit else { throw SystemError("read", subject, .fileTooLarge) }
            bytes += buffer[..<count]
        }
    }

    /// Writes all bytes or throws; for files and other descriptors without partial writes.
    public borrowing func writeAll(_ bytes: some Sequence<UInt8>, subject: String) throws(SystemError) {
        let bytes = Array(bytes)
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes { write(raw, $0.baseAddress.map { $0 + offset }, $0.count - offset) }
            if count < 0 && errno == EINTR { continue }
            offset += try checkErrno(count, "write", subject)
        }
    }
}
