import CSpawn
import Glibc
import SystemPackage

/// Targets of `StandardInput=`, `StandardOutput=` and `StandardError=` that are plain opens (systemd.exec(5)).
public enum OutputTarget: Equatable, Sendable {
    case null
    /// Our own stream.
    case inherit
    /// Overwritten from the start, without truncation.
    case file(String)
    case append(String)
    case truncate(String)

    /// The descriptor for `SpawnPlan`; for `inherit`, `stream` (0, 1, 2) selects ours.
    public func open(stream: Int32) throws(SystemError) -> OwnedDescriptor {
        let writing = stream == 0 ? O_RDONLY : O_WRONLY | O_CREAT
        switch self {
        case .null: return try OwnedDescriptor.null()
        case .inherit: return OwnedDescriptor(owning: try check(holdfast_duplicate(stream, 3), "duplicate descriptor"))
        case .file(let path): return try Self.open(path, writing)
        case .append(let path): return try Self.open(path, writing | O_APPEND)
        case .truncate(let path): return try Self.open(path, writing | O_TRUNC)
        }
    }

    /// Opens one open file description for input and output.
    public static func openBothWays(_ path: String) throws(SystemError) -> OwnedDescriptor {
        try open(path, O_RDWR | O_CREAT)
    }

    /// O_NOCTTY: a terminal named here must not become ours. O_NONBLOCK: opening a FIFO without a reader would block us
    /// until it has one (now it is ENXIO); cleared afterwards, because the service would inherit it.
    private static func open(_ path: String, _ flags: Int32) throws(SystemError) -> OwnedDescriptor {
        let opened = try SafeFile.open(path, flags)
        try opened.setNonBlocking(false)
        return opened
    }
}
