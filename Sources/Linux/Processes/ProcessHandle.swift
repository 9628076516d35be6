import CSpawn
import Glibc
import SystemPackage
import Vocabulary

/// A process by pidfd: signals reach this process or none, also if its pid has been reused.
public struct ProcessHandle: ~Copyable {
    public let pid: Int32
    public let descriptor: OwnedDescriptor

    init(pid: Int32, owning raw: Int32) {
        self.pid = pid
        descriptor = OwnedDescriptor(owning: raw)
    }

    /// Continues with the pidfd of a process that was opened before an execve(2) of ours.
    public init(pid: Int32, inherited: consuming OwnedDescriptor) {
        self.pid = pid
        descriptor = inherited
    }

    /// Opens a process that runs now (pidfd_open(2)); ESRCH if there is none. The pid may have been reused since the
    /// caller learned it: where that matters, compare start times (`startTime`).
    public init(pid: Int32) throws(SystemError) {
        let raw = try check(holdfast_pidfd_open(pid), "open process", "\(pid)")
        self.init(pid: pid, owning: raw)
    }

    /// Opens a process only if it is the one that started at `startTime` (`ProcessFacts.startTime`); ESRCH otherwise.
    public init(pid: Int32, startTime: UInt64) throws(SystemError) {
        let opened = OwnedDescriptor(owning: try check(holdfast_pidfd_open(pid), "open process", "\(pid)"))
        // Checked after opening: the process that has this pid now is the one of the descriptor, or the latter is dead.
        guard ProcessFacts.read(pid)?.startTime == startTime else {
            throw SystemError("open process", "\(pid)", .noSuchProcess)
        }
        self.init(pid: pid, owning: opened.release())
    }

    /// The inode number of the descriptor, which identifies the process for ever from kernel 6.9 on.
    public borrowing func inode() -> UInt64 {
        var status = stat()
        return fstat(descriptor.raw, &status) == 0 ? UInt64(status.st_ino) : 0
    }

    /// Whether the process has not been reaped, so that no other process can have its pid.
    public var isThere: Bool { holdfast_pidfd_send_signal(descriptor.raw, 0) == 0 }

    /// Sends a signal (pidfd_send_signal(2)); ESRCH if the process is gone and reaped.
    public borrowing func send(_ signal: Signal) throws(SystemError) {
        try check(
            holdfast_pidfd_send_signal(descriptor.raw, signal.rawValue), "send \(signal) to process", "\(pid)")
    }
}
