import Glibc
import SystemPackage

/// Writes to FIFOs that other processes read, without waiting for them (fifo(7)).
public enum FIFOWriter {
    /// Whether there is a FIFO at `path`.
    public static func isFIFO(_ path: String) -> Bool {
        var status = Glibc.stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO
    }

    /// Writes at most PIPE_BUF bytes, all or none. An empty text only checks whether writing is possible.
    /// - Returns: false if they do not fit, because earlier bytes have not been read.
    /// - Throws: ENXIO if no process has the FIFO open for reading.
    public static func write(_ bytes: [UInt8], to path: String) throws(SystemError) -> Bool {
        // O_NONBLOCK: opening a FIFO without a reader, and writing to a full one, would wait.
        let descriptor = try OwnedDescriptor.open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY)
        var status = Glibc.stat()
        try checkErrno(fstat(descriptor.raw, &status), "stat", path)
        // The file may have been exchanged since the caller's check; another kind might take only a part.
        guard status.st_mode & S_IFMT == S_IFIFO else { throw SystemError("write", path, .invalidArgument) }
        guard !bytes.isEmpty else { return true }
        let count = Glibc.write(descriptor.raw, bytes, bytes.count)
        if count < 0, errno == EAGAIN { return false }
        // The last reader may have closed it just now (EPIPE; SIGPIPE is ignored): the same as if it had before.
        if count < 0, errno == EPIPE { throw SystemError("write", path, .noSuchAddressOrDevice) }
        try checkErrno(count, "write", path)
        return true
    }
}
