import Glibc
import SystemPackage

/// A socket or file that a socket unit holds open.
public enum HeldEndpoint {
    case socket(ListeningSocket)
    case file(HeldFile)

    /// The requested endpoint: the key by which an open one is found again.
    public enum Target: Hashable, Sendable, Codable, CustomStringConvertible {
        case socket(SocketAddress, SocketTransport)
        case file(HeldFile.Target)

        public var description: String {
            switch self {
            case .socket(let address, _): address.description
            case .file(let target): target.description
            }
        }
    }

    public var target: Target {
        switch self {
        case .socket(let socket): .socket(socket.requested, socket.kind)
        case .file(let file): .file(file.target)
        }
    }

    /// The number for a `SpawnPlan`.
    public var raw: Int32 {
        switch self {
        case .socket(let socket): socket.raw
        case .file(let file): file.raw
        }
    }

    /// The address, with the port that the kernel chose.
    public var text: String {
        switch self {
        case .socket(let socket): "\(socket.address)"
        case .file(let file): "\(file.target)"
        }
    }

    /// The paths, without links, that must not be removed while the endpoint is held.
    public var paths: [String] {
        switch self {
        case .socket(let socket): socket.file?.paths ?? []
        case .file(let file): file.path.flatMap { SafeDirectory.canonical($0) }.map { [$0] } ?? []
        }
    }

    /// The identity of the file at ``paths``.
    public var fileID: FileID? {
        switch self {
        case .socket(let socket): socket.file?.id
        case .file(let file): (try? stat(of: file.raw, "")).map { FileID($0) }
        }
    }

    /// The settings that the kernel refused.
    public var problems: [SystemError] {
        switch self {
        case .socket(let socket): socket.problems
        case .file(let file): file.problems
        }
    }

    /// The attributes at the last opening or update, for another supervisor process.
    public var baseline: HeldBaseline {
        switch self {
        case .socket(let socket): HeldBaseline(socket: socket.baseline)
        case .file(let file): HeldBaseline(socket: file.baseline, pipeSize: file.pipeSize)
        }
    }

    /// Restores the attributes at the last opening or update, and returns the changes found.
    /// - Parameter nonBlocking: the required O_NONBLOCK; nil leaves it to the processes that share it.
    public func putBack(nonBlocking: Bool?) -> [AttributeChange] {
        switch self {
        case .socket(let socket): socket.putBack(nonBlocking: nonBlocking)
        case .file(let file): file.putBack(nonBlocking: nonBlocking)
        }
    }

    /// Whether a process has made a change that cannot be undone and that harms every process that gets the endpoint.
    public var isBeyondRepair: Bool {
        if case .socket(let socket) = self { socket.isBeyondRepair } else { false }
    }

    /// The socket if it has connections, else nil.
    public var connected: ListeningSocket? {
        if case .socket(let socket) = self, socket.kind.isConnected { socket } else { nil }
    }

    /// Whether the endpoint receives data or connections.
    public var isListening: Bool {
        switch self {
        case .socket(let socket): socket.isListening
        case .file: true
        }
    }

    /// The connections that wait for accept(2), and the limit; nil if there are none, or the kernel does not tell.
    public var acceptQueue: (waiting: Int, limit: Int)? {
        if case .socket(let socket) = self { socket.acceptQueue } else { nil }
    }

    /// The most connections that may wait; 0 without connections.
    public var backlog: Int {
        guard let connected else { return 0 }
        return acceptQueue?.limit ?? Int(min(connected.backlog, ListeningSocket.systemBacklog))
    }

    public func duplicate() throws(SystemError) -> OwnedDescriptor {
        switch self {
        case .socket(let socket): try socket.duplicate()
        case .file(let file): try file.duplicate()
        }
    }

    public func unlinkPath() {
        switch self {
        case .socket(let socket): socket.unlinkPath()
        case .file(let file): file.unlinkPath()
        }
    }

    /// Calls `handler` while input waits; `handler` returns whether it took the input.
    public func watchReadable(loop: EventLoop, _ handler: @escaping () -> Bool) throws(SystemError) {
        switch self {
        case .socket(let socket): try socket.watchReadable(loop: loop, handler)
        case .file(let file): try file.watchReadable(loop: loop, handler)
        }
    }

    public func cancelReadable() {
        switch self {
        case .socket(let socket): socket.cancelReadable()
        case .file(let file): file.cancelWatch()
        }
    }

    public func flush() {
        switch self {
        case .socket(let socket): socket.flush()
        case .file(let file): file.flush()
        }
    }

    /// Sets O_NONBLOCK, which all processes that share the endpoint have in common.
    public func setNonBlocking(_ on: Bool) throws(SystemError) {
        switch self {
        case .socket(let socket): try socket.setNonBlocking(on)
        case .file(let file): try file.setNonBlocking(on)
        }
    }
}

/// Symbolic links to a held path: `Symlinks=` of systemd.socket(5).
public enum SocketLinks {
    /// Makes `path` a link to `target`, if it is not one already. Replaces another file only if `replacing`.
    public static func make(
        _ path: String, to target: String, directoryMode: mode_t, replacing: Bool
    ) throws(SystemError) {
        let directory = try SafeDirectory.parent(of: path, .ofOwner, making: directoryMode)
        let name = FileName(FileTree.name(of: path))
        if try directory.makeLink(name, to: target) { return }
        if try directory.leads(name, to: target) { return }
        // A socket or FIFO of another service is never replaced.
        guard replacing, let entry = try directory.pin(name), ![S_IFSOCK, S_IFIFO].contains(entry.status.kind) else {
            throw SystemError("Symlinks=", path, .fileExists)
        }
        try directory.unlink(name)
        guard try directory.makeLink(name, to: target) else { throw SystemError("Symlinks=", path, .fileExists) }
    }

    /// The path without links in its directories.
    public static func canonical(_ path: String) -> String? { SafeDirectory.canonical(path) }

    /// Removes the link, if it still has this target.
    public static func remove(_ path: String, to target: String) {
        let name = FileName(FileTree.name(of: path))
        guard let directory = try? SafeDirectory.parent(of: path, .ofOwner),
            (try? directory.leads(name, to: target)) == true
        else { return }
        _ = try? directory.unlink(name)
    }
}
