import CSpawn
import Glibc
import SystemPackage

/// A file that is opened for a service and passed to it (`OpenFile=`, systemd.service(5)).
public final class PassedFile {
    /// The way in which the file is opened; it is never created.
    public enum Access: Sendable { case readWrite, readOnly, append, truncate }

    /// The name in `LISTEN_FDNAMES`.
    public let name: String
    private let descriptor: OwnedDescriptor

    public var raw: Int32 { descriptor.raw }

    /// Opens the file, or connects to a stream socket; EINVAL for anything except a file, a socket or a device.
    public init(path: String, name: String, _ access: Access) throws(SystemError) {
        self.name = name
        let entry = try SafeFile.pin(path)
        if entry.status.kind == S_IFSOCK {
            descriptor = try Self.connect(entry, path)
            return
        }
        let flags =
            switch access {
            case .readWrite: O_RDWR
            case .readOnly: O_RDONLY
            case .append: O_RDWR | O_APPEND
            case .truncate: O_RDWR | O_TRUNC
            }
        // O_NONBLOCK: a device that waits for a carrier would block us; cleared, because the service would inherit it.
        let opened = try SafeFile.open(path, flags)
        try opened.setNonBlocking(false)
        descriptor = opened
    }

    /// A file that is open already.
    init(_ descriptor: consuming OwnedDescriptor, name: String) {
        self.name = name
        self.descriptor = descriptor
    }

    private static func connect(
        _ entry: borrowing PinnedFile, _ path: String
    ) throws(SystemError) -> OwnedDescriptor {
        let socket = try OwnedDescriptor.socket(AF_UNIX, SocketType.stream | SocketType.nonBlocking)
        // A full backlog is EAGAIN, and an error here: no call may wait.
        let result = try UnixPath.connect(socket.raw, to: entry)
        try checkErrno(result, "connect to", path)
        try socket.setNonBlocking(false)
        return socket
    }
}
