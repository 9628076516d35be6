import CSpawn
import Glibc
import SystemPackage

/// A file that is opened for a service and passed to it (`OpenFile=`, systemd.service(5)).
public final class PassedFile {
    /// How it is opened; it is never made.
    public enum Access: Sendable { case readWrite, readOnly, append, truncate }

    /// In `LISTEN_FDNAMES`.
    public let name: String
    private let descriptor: OwnedDescriptor

    public var raw: Int32 { descriptor.raw }

    /// Opens it; a stream socket is connected to, and everything else than a file, a socket or a device is EINVAL.
    public init(path: String, name: String, _ access: Access) throws(SystemError) {
        self.name = name
        var status = stat()
        try checkErrno(stat(path, &status), "open", path)
        if status.st_mode & S_IFMT == S_IFSOCK {
            descriptor = try Self.connect(path)
            return
        }
        let flags =
            switch access {
            case .readWrite: O_RDWR
            case .readOnly: O_RDONLY
            case .append: O_RDWR | O_APPEND
            case .truncate: O_RDWR | O_TRUNC
            }
        // O_NONBLOCK: a device that waits for a carrier would stop us; taken back, because the service would inherit it.
        let opened = try OwnedDescriptor.open(path, flags | O_NOCTTY | O_NONBLOCK)
        try opened.setNonBlocking(false)
        descriptor = opened
    }

    private static func connect(_ path: String) throws(SystemError) -> OwnedDescriptor {
        let socket = try OwnedDescriptor.socket(AF_UNIX, SocketType.stream | SocketType.nonBlocking)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard path.utf8.count < room else { throw SystemError("connect to", path, .fileNameTooLong) }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                // A full backlog is EAGAIN, which is an error here: nothing may wait.
                Glibc.connect(socket.raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try checkErrno(result, "connect to", path)
        try socket.setNonBlocking(false)
        return socket
    }
}
