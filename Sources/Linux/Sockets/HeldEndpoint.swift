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

    /// Settings that the kernel refused.
    public var problems: [SystemError] {
        switch self {
        case .socket(let socket): socket.problems
        case .file(let file): file.problems
        }
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
        if let parent = FileTree.parent(of: path) {
            try FileTree.makeDirectory(parent, mode: directoryMode, parentMode: directoryMode)
        }
        if symlink(target, path) == 0 { return }
        guard errno == EEXIST else { throw SystemError("Symlinks=", path) }
        if leads(path, to: target) { return }
        guard replacing else { throw SystemError("Symlinks=", path, .fileExists) }
        unlink(path)
        try checkErrno(symlink(target, path), "Symlinks=", path)
    }

    /// Removes it, if it still leads there.
    public static func remove(_ path: String, to target: String) { if leads(path, to: target) { unlink(path) } }

    private static func leads(_ path: String, to target: String) -> Bool {
        var buffer = [CChar](repeating: 0, count: 4096)
        let length = readlink(path, &buffer, buffer.count)
        return length >= 0 && buffer[..<length].elementsEqual(target.utf8.map { CChar(bitPattern: $0) })
    }
}
