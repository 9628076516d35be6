import CSpawn
import Glibc
import SystemPackage

/// A held socket: opened here before any process exists, closed only when nobody shall be reached there any more.
///
/// Processes get duplicates of this one open file description, so the queue is one: whoever leaves loses nothing, and with
/// nobody accepting clients wait. What a process can do to all others is undone here: `shutdown()` (`heal`) and the removal
/// of a Unix socket's path (`restorePath`).
public final class ListeningSocket {
    /// How a Unix socket's file shall look.
    public struct FileOptions: Equatable, Sendable {
        public var mode: mode_t
        /// nil: ours.
        public var owner: UInt32?
        public var group: UInt32?
        public var directoryMode: mode_t
        public init(mode: mode_t = 0o666, owner: UInt32? = nil, group: UInt32? = nil, directoryMode: mode_t = 0o755) {
            self.mode = mode
            self.owner = owner
            self.group = group
            self.directoryMode = directoryMode
        }
    }

    /// As it was asked for.
    public let requested: SocketAddress
    /// As it is, with the port that the kernel chose.
    public private(set) var address: SocketAddress
    public let backlog: Int32
    public let options: FileOptions
    private(set) var descriptor: OwnedDescriptor
    private var file: SocketFile?
    private var watch: IOSource?

    /// The number to put into a `SpawnPlan`.
    public var raw: Int32 { descriptor.raw }

    /// Binds and listens. Throws `listening on 0.0.0.0:80: Address already in use`.
    ///
    /// The socket does not block: processes that share it race for each connection, and a blocking accept(2) would hang in the
    /// one that lost. A Unix path left by a dead process is replaced; one where somebody listens is EADDRINUSE.
    public init(_ address: SocketAddress, backlog: Int32 = 4096, options: FileOptions = FileOptions())
        throws(SystemError)
    {
        requested = address
        self.backlog = backlog
        self.options = options
        let opened: OwnedDescriptor
        do throws(SystemError) {
            opened = try Self.bound(to: address, options)
        } catch {
            throw SystemError("listening on", "\(address)", error.errno)
        }
        do throws(SystemError) {
            file = try Self.dress(address, options)
            try checkErrno(listen(opened.raw, backlog), "listen")
        } catch {
            if case .unix(let path) = address { unlink(path) }
            throw SystemError(error.call == "listen" ? "listening on" : error.call, "\(address)", error.errno)
        }
        self.address = SocketAddress.local(of: opened.raw) ?? address
        descriptor = opened
    }

    /// Takes a listening socket that somebody else opened (an earlier supervisor process, systemd). EINVAL if it is none.
    public init(
        adopting opened: consuming OwnedDescriptor, requested: SocketAddress? = nil, backlog: Int32 = 4096,
        options: FileOptions = FileOptions()
    ) throws(SystemError) {
        guard let local = SocketAddress.local(of: opened.raw) else {
            throw SystemError("adopt socket", requested.map { "\($0)" }, .invalidArgument)
        }
        try opened.setNonBlocking(true)
        self.requested = requested ?? local
        address = local
        self.backlog = backlog
        self.options = options
        if case .unix(let path) = local { file = SocketFile(path) }
        descriptor = opened
    }

    private static func bound(to address: SocketAddress, _ options: FileOptions) throws(SystemError) -> OwnedDescriptor
    {
        let opened = try OwnedDescriptor.socket(address.family, SocketType.stream | SocketType.nonBlocking)
        switch address {
        case .inet, .inet6:
            // TIME_WAIT of an earlier holder must not keep us from the port (socket(7)).
            var on: Int32 = 1
            setsockopt(opened.raw, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        case .unix(let path):
            if let parent = FileTree.parent(of: path) {
                try FileTree.makeDirectory(parent, mode: options.directoryMode, parentMode: options.directoryMode)
            }
            try removeStale(path, address)
        case .abstract: break
        }
        try checkErrno(try address.withSockaddr { bind(opened.raw, $0, $1) }, "bind")
        return address.port == 0 ? try lockPort(of: opened) : opened
    }

    /// Binds a second socket to the port that the kernel chose for the first. A port that was chosen is given up by
    /// shutdown(2), one that was bound explicitly is kept, and only that one can be healed. With SO_REUSEADDR on both and
    /// neither listening the two may share it for this moment, so it is never free for others.
    private static func lockPort(of first: borrowing OwnedDescriptor) throws(SystemError) -> OwnedDescriptor {
        guard let chosen = SocketAddress.local(of: first.raw) else { throw SystemError("bind", nil, .invalidArgument) }
        let second = try OwnedDescriptor.socket(chosen.family, SocketType.stream | SocketType.nonBlocking)
        var on: Int32 = 1
        setsockopt(second.raw, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        try checkErrno(try chosen.withSockaddr { bind(second.raw, $0, $1) }, "bind")
        return second
    }

    /// Removes a socket file at which nobody listens; anything else in the way is EADDRINUSE.
    private static func removeStale(_ path: String, _ address: SocketAddress) throws(SystemError) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else { throw SystemError("bind", path, .addressInUse) }
        let client = try OwnedDescriptor.socket(AF_UNIX, SocketType.stream | SocketType.nonBlocking)
        // ECONNREFUSED is the only proof. A full queue is EAGAIN, a missing right EACCES: somebody may be there.
        let result = try address.withSockaddr { connect(client.raw, $0, $1) }
        guard result < 0 && errno == ECONNREFUSED else { throw SystemError("bind", path, .addressInUse) }
        unlink(path)
    }

    /// Mode and owner between bind and listen: until it listens nobody can connect, so nobody sees the wrong ones.
    private static func dress(_ address: SocketAddress, _ options: FileOptions) throws(SystemError) -> SocketFile? {
        guard case .unix(let path) = address else { return nil }
        try checkErrno(chmod(path, options.mode), "set mode of")
        if options.owner != nil || options.group != nil {
            try checkErrno(lchown(path, options.owner ?? .max, options.group ?? .max), "set owner of")
        }
        return SocketFile(path)
    }

    // MARK: What others may have broken

    /// Whether it accepts connections. False after any sharer called shutdown(2).
    public var isListening: Bool {
        // A Unix socket keeps SO_ACCEPTCONN after shutdown(SHUT_RD) and refuses all the same: only poll tells.
        var poll = pollfd(fd: raw, events: Int16(truncatingIfNeeded: EPOLLRDHUP.rawValue), revents: 0)
        if Glibc.poll(&poll, 1, 0) > 0 { return false }
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(raw, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) == 0 && value != 0
    }

    /// Listens again after a sharer's shutdown(2). For TCP this brings the same socket back for all who share it. A Unix socket
    /// keeps its shutdown for ever: a new one takes its place at the path, and only processes started from now on have it.
    /// Returns whether sharers are served again.
    @discardableResult
    public func heal() throws(SystemError) -> Bool {
        switch address {
        case .inet, .inet6:
            try checkErrno(listen(raw, backlog), "listening on", "\(address)")
            return true
        case .unix, .abstract:
            try replace()
            return false
        }
    }

    /// Calls `handler` each time the socket is found broken; `heal` then. Pending connections do not wake the loop.
    public func watchBroken(loop: EventLoop, _ handler: @escaping () -> Void) throws(SystemError) {
        // Not readability, so pending connections wake nobody. shutdown(2) shows as EPOLLHUP on TCP, which is always
        // reported, and as EPOLLRDHUP on a Unix socket.
        watch = try loop.addIO(raw, .peerClosed, priority: .probesAndLogs) { [unowned self] _ in
            let before = watch
            handler()
            // A new socket has taken its place, and maybe a watch of its own; the old one ended with the old socket.
            guard watch === before else { return }
            // Level-triggered: if nobody healed it, stay quiet rather than spin.
            if !isListening { watch?.setEnabled(false) }
        }
    }

    public func cancelWatch() {
        watch?.cancel()
        watch = nil
    }

    public enum PathState: Equatable, Sendable {
        /// Nothing to do: the path leads here, or there is none.
        case intact
        /// The same socket can be reached again, also in processes that share it.
        case restored
        /// A new socket listens there; processes that run now do not have it.
        case replaced
    }

    /// Brings a Unix socket's path back if a process removed it (Node and Go do on close). EADDRINUSE when something else is
    /// there now.
    public func restorePath() throws(SystemError) -> PathState {
        guard let file, !file.isIntact else { return .intact }
        if file.restore() { return .restored }
        try replace()
        return .replaced
    }

    /// Binds a new socket to the same address; the old one lives on in those who have it.
    private func replace() throws(SystemError) {
        cancelWatch()
        if let file, file.isIntact { unlink(file.path) }
        file?.forget()
        let fresh = try ListeningSocket(address, backlog: backlog, options: options)
        file = fresh.file
        fresh.file = nil
        descriptor = try fresh.descriptor.duplicate()
    }

    /// Removes a Unix socket's path, but only if it is still ours: a successor's is not.
    public func unlinkPath() {
        file?.remove()
        file = nil
    }

    deinit { file?.forget() }

    /// Connections that wait for accept(2), and the limit; nil where the kernel does not say (Unix sockets).
    public var acceptQueue: (waiting: Int, limit: Int)? {
        guard address.port != nil else { return nil }
        var waiting: UInt32 = 0
        var limit: UInt32 = 0
        guard holdfast_accept_queue(raw, &waiting, &limit) == 0 else { return nil }
        return (Int(waiting), Int(limit))
    }

    /// The next connection, non-blocking; nil when none waits. For our own control socket and tests.
    public func accept() throws(SystemError) -> OwnedDescriptor? {
        let result = holdfast_accept(raw)
        if result == -EAGAIN || result == -ECONNABORTED || result == -EINTR { return nil }
        return OwnedDescriptor(owning: try check(result, "accept on", "\(address)"))
    }
}

/// The file of a bound Unix socket, with a second hard link beside it, `.NAME.held`.
///
/// A bound socket cannot be bound again, but its inode can be linked again for as long as one link is left: so a vanished
/// path comes back to the same socket, in all processes that share it.
private final class SocketFile {
    let path: String
    private let held: String
    private let device: UInt64
    private let inode: UInt64

    init?(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return nil }
        self.path = path
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        held = (FileTree.parent(of: path) ?? ".") + "/." + FileTree.name(of: path) + ".held"
        // Best effort: some file systems have no hard links; a vanished path then gets a new socket.
        unlink(held)
        link(path, held)
    }

    var isIntact: Bool { isOurs(path) }

    private func isOurs(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && UInt64(status.st_dev) == device && UInt64(status.st_ino) == inode
    }

    func restore() -> Bool { isOurs(held) && link(held, path) == 0 }

    /// Removes the second link only: whoever holds the socket next makes its own.
    func forget() { if isOurs(held) { unlink(held) } }

    func remove() {
        if isOurs(path) { unlink(path) }
        forget()
    }
}

extension ListeningSocket {
    /// What the kernel cuts every backlog to (net.core.somaxconn).
    public static let systemBacklog: Int32 = {
        guard let file = try? OwnedDescriptor.open("/proc/sys/net/core/somaxconn", O_RDONLY),
            let bytes = try? file.readAll(limit: 32, subject: "somaxconn")
        else { return 4096 }
        return Int32(String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)) ?? 4096
    }()

    /// Another descriptor of the same socket, for a service's standard input.
    public func duplicate() throws(SystemError) -> OwnedDescriptor { try descriptor.duplicate() }
}
