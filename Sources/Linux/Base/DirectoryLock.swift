import CSpawn
import Glibc
import SystemPackage

/// Exclusive use of a directory by one process: flock(2) on a file in it. The kernel releases the lock when the process
/// ends in any way, so a lock is never stale; the file stays and has no meaning by itself.
public struct DirectoryLock: ~Copyable, Sendable {
    private let descriptor: OwnedDescriptor

    /// Takes the lock without waiting. EWOULDBLOCK: another process has it.
    public init(path: String) throws(SystemError) {
        let opened = try OwnedDescriptor.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
        try checkErrno(flock(opened.raw, LOCK_EX | LOCK_NB), "lock", path)
        // The pid in the file tells an operator which process holds the lock. The lock is valid without it, so a full
        // disk is no error.
        ftruncate(opened.raw, 0)
        try? opened.writeAll("\(getpid())\n".utf8, subject: path)
        descriptor = opened
    }

    /// Keeps a lock that the same process took before its execve(2): flock(2) belongs to the open file.
    public init(inherited: consuming OwnedDescriptor) { descriptor = inherited }

    /// The descriptor of the locked file, for a successor.
    public var raw: Int32 { descriptor.raw }
}
