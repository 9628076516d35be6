import Glibc

/// Listening sockets that a supervisor passed to this process, as in sd_listen_fds(3).
public enum Inheritance {
    /// The most passed sockets; a larger number is a mistake in the environment, not a configuration.
    static let limit: Int32 = 256

    /// The passed descriptors, from 3 upwards, or none.
    ///
    /// A `LISTEN_PID` of another process is no error: the variables were meant for a parent and were inherited.
    /// - Parameters:
    ///   - environment: looks up one variable.
    ///   - pid: this process.
    public static func descriptors(environment: (String) -> String?, pid: Int32) -> Range<Int32> {
        guard let forPid = environment("LISTEN_PID").flatMap({ Int32($0) }), forPid == pid,
            let count = environment("LISTEN_FDS").flatMap({ Int32($0) }), count > 0, count <= limit
        else { return 3..<3 }
        return 3..<(3 + count)
    }

    /// Checks that a passed descriptor is a listening stream socket, and marks it close-on-exec.
    ///
    /// O_NONBLOCK belongs to the open file description, so this sets it for all processes that share the socket. The
    /// holder should have set it; without it an `accept()` whose connection a sibling took would block this process.
    static func check(_ descriptor: Int32) throws(StaticError) {
        var listening: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 else {
            throw StaticError("cannot use passed descriptor \(descriptor): \(errorText(errno))")
        }
        guard listening != 0 else {
            throw StaticError("cannot use passed descriptor \(descriptor): it is not a listening socket")
        }
        let status = fcntl(descriptor, F_GETFL)
        guard status >= 0, fcntl(descriptor, F_SETFL, status | O_NONBLOCK) >= 0,
            fcntl(descriptor, F_SETFD, FD_CLOEXEC) >= 0
        else { throw StaticError("cannot use passed descriptor \(descriptor): \(errorText(errno))") }
    }
}

/// The text of an errno.
func errorText(_ code: Int32) -> String {
    var buffer = [CChar](repeating: 0, count: 128)
    guard strerror_r(code, &buffer, buffer.count) == 0 else { return "error \(code)" }
    return buffer.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
}
