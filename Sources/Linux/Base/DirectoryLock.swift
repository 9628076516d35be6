import CSpawn
import Glibc
import SystemPackage

/// A directory that one process has for itself: flock(2) on a file in it. The kernel takes the lock back when the process
/// ends, however it ends, so a lock is never stale; the file stays and means nothing.
public struct DirectoryLock: ~Copyable, Sendable {
    private let descriptor: OwnedDescriptor

    /// Takes the lock at once. EWOULDBLOCK: another process has it.
    public init(path: String) throws(SystemError) {
        let opened = try OwnedDescriptor.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
        try checkErrno(flock(opened.raw, LOCK_EX | LOCK_NB), "lock", path)
        // For people who wonder who it is.
        try checkErrno(ftruncate(opened.raw, 0), "write", path)
        try opened.writeAll("\(getpid())\n".utf8, subject: path)
        descriptor = opened
    }

    /// Goes on with the lock of the same process before its execve(2): flock(2) belongs to the open file.
    public init(inherited: consuming OwnedDescriptor) { descriptor = inherited }

    /// The locked file, to be handed to a successor.
    public var raw: Int32 { descriptor.raw }
}
