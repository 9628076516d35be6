import Glibc
import SystemPackage

/// Writes to FIFOs that others read, and never waits for them (fifo(7)).
public enum FIFOWriter {
    /// Whether there is a FIFO at `path`.
    public static func isFIFO(_ path: String) -> Bool {
        var status = Glibc.stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO
    }

    /// Writes at most PIPE_BUF bytes, whole or not at all. Of none it only tries whether they could be written.
    /// - Returns: false if they do not fit, because what was written before has not been read.
    /// - Throws: ENXIO if nobody has it open for reading.
    public static func write(_ bytes: [UInt8], to path: String) throws(SystemError) -> Bool {
        // O_NONBLOCK: opening a FIFO without a reader, and writing to a full one, would wait.
        let descriptor = try OwnedDescriptor.open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY)
        var status = Glibc.stat()
        try checkErrno(fstat(descriptor.raw, &status), "stat", path)
        // It may have been exchanged since somebody looked; of other files half of the bytes might be taken.
        guard status.st_mode & S_IFMT == S_IFIFO else { throw SystemError("write", path, .invalidArgument) }
        guard !bytes.isEmpty else { return true }
        let count = Glibc.write(descriptor.raw, bytes, bytes.count)
        if count < 0, errno == EAGAIN { return false }
        // The last reader may have left just now (EPIPE; SIGPIPE is ignored): the same as if it had before.
        if count < 0, errno == EPIPE { throw SystemError("write", path, .noSuchAddressOrDevice) }
        try checkErrno(count, "write", path)
        return true
    }
}
