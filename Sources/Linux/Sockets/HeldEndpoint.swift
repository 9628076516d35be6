import Glibc
import SystemPackage

/// Anything that a socket unit holds open.
public enum HeldEndpoint {
    case socket(ListeningSocket)
    case file(HeldFile)

    /// What was asked for: enough to find it again among those that are open.
    public enum Target: Hashable, Sendable, Codable, CustomStringConvertible {
        case socket(SocketAddress, SocketKind)
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

    /// The number to put into a `SpawnPlan`.
    public var raw: Int32 {
        switch self {
        case .socket(let socket): socket.raw
        case .file(let file): file.raw
        }
    }

    /// Where it is, with the port that the kernel chose.
    public var text: String {
        switch self {
        case .socket(let socket): "\(socket.address)"
        case .file(let file): "\(file.target)"
        }
    }

    /// Paths that must not be removed as long as it is held, without links.
    public var paths: [String] {
        switch self {
        case .socket(let socket): socket.file?.paths ?? []
        case .file(let file): file.path.flatMap { SafeDirectory.canonical($0) }.map { [$0] } ?? []
        }
    }

    /// The file that these are names of.
    public var fileID: FileID? {
        switch self {
        case .socket(let socket): socket.file?.id
        case .file(let file): (try? stat(of: file.raw, "")).map { FileID($0) }
        }
    }

    /// Settings that the kernel refused.
    public var problems: [SystemError] {
        switch self {
        case .socket(let socket): socket.problems
        case .file(let file): file.problems
        }
    }

    /// What it was like when it was opened or updated, for another process of the supervisor.
    public var baseline: HeldBaseline {
        switch self {
        case .socket(let socket): HeldBaseline(socket: socket.baseline)
        case .file(let file): HeldBaseline(socket: file.baseline, pipeSize: file.pipeSize)
        }
    }

    /// Makes it what it was when it was opened or updated, and says what was different.
    /// - Parameter nonBlocking: what O_NONBLOCK must be; nil: as those who have it like.
    public func putBack(nonBlocking: Bool?) -> [AttributeChange] {
        switch self {
        case .socket(let socket): socket.putBack(nonBlocking: nonBlocking)
        case .file(let file): file.putBack(nonBlocking: nonBlocking)
        }
    }

    /// What a process did to it cannot be undone, and whoever gets it suffers from that.
    public var isBeyondRepair: Bool {
        if case .socket(let socket) = self { socket.isBeyondRepair } else { false }
    }

    /// nil where there are no connections.
    public var connected: ListeningSocket? {
        if case .socket(let socket) = self, socket.kind.isConnected { socket } else { nil }
    }

    /// Whether it takes what is sent to it.
    public var isListening: Bool {
        switch self {
        case .socket(let socket): socket.isListening
        case .file: true
        }
    }

    /// Connections that wait for accept(2), and the limit; nil where there are none, or the kernel does not say.
    public var acceptQueue: (waiting: Int, limit: Int)? {
        if case .socket(let socket) = self { socket.acceptQueue } else { nil }
    }

    /// How many connections may wait; 0 where there are none.
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

    /// Calls `handler` while something waits to be taken; it returns whether it took it.
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

    /// O_NONBLOCK, which all who share it have in common.
    public func setNonBlocking(_ on: Bool) throws(SystemError) {
        switch self {
        case .socket(let socket): try socket.setNonBlocking(on)
        case .file(let file): try file.setNonBlocking(on)
        }
    }
}

/// Other names of what is held: `Symlinks=` of systemd.socket(5).
public enum SocketLinks {
    /// Makes `path` a link to `target`. One that leads there already is fine; anything else in the way is only replaced if
    /// `replacing`.
    public static func make(
        _ path: String, to target: String, directoryMode: mode_t, replacing: Bool
    ) throws(SystemError) {
        let directory = try SafeDirectory.parent(of: path, .ofOwner, making: directoryMode)
        let name = FileName(FileTree.name(of: path))
        if try directory.makeLink(name, to: target) { return }
        if try directory.leads(name, to: target) { return }
        // What others may reach a service by is never replaced.
        guard replacing, let entry = try directory.pin(name), ![S_IFSOCK, S_IFIFO].contains(entry.status.kind) else {
            throw SystemError("Symlinks=", path, .fileExists)
        }
        try directory.unlink(name)
        guard try directory.makeLink(name, to: target) else { throw SystemError("Symlinks=", path, .fileExists) }
    }

    /// The path without links in its directories.
    public static func canonical(_ path: String) -> String? { SafeDirectory.canonical(path) }

    /// Removes it, if it still leads there.
    public static func remove(_ path: String, to target: String) {
        let name = FileName(FileTree.name(of: path))
        guard let directory = try? SafeDirectory.parent(of: path, .ofOwner),
            (try? directory.leads(name, to: target)) == true
        else { return }
        _ = try? directory.unlink(name)
    }
}
