import CSpawn
import Glibc
import SystemPackage

/// The type of a socket (socket(2)).
public enum SocketTransport: String, Hashable, Sendable, Codable {
    case stream, datagram, sequentialPacket

    /// Whether it has connections, which wait to be accepted.
    public var isConnected: Bool { self != .datagram }

    var type: Int32 {
        switch self {
        case .stream: SocketType.stream
        case .datagram: SocketType.datagram
        case .sequentialPacket: SocketType.sequentialPacket
        }
    }
}

/// A held socket: opened before any process exists, closed only when its address is to be released.
///
/// Processes get duplicates of this one open file description, so there is one queue: the exit of a process loses
/// nothing, and clients wait while no process accepts. Changes by one process that affect all others are undone here:
/// `shutdown()` (`heal`) and the removal of a Unix socket's path (`restorePath`).
public final class ListeningSocket {
    /// Mode and owner of a Unix socket's file.
    public struct FileOptions: Equatable, Sendable {
        public var mode: mode_t
        /// The owner; nil: ours.
        public var owner: UInt32?
        public var group: UInt32?
        public var directoryMode: mode_t
        public init(mode: mode_t = 0o666, owner: UInt32? = nil, group: UInt32? = nil, directoryMode: mode_t = 0o755) {
            self.mode = mode
            self.owner = owner
            self.group = group
            self.directoryMode = directoryMode
        }

        var ownerAndMode: UnixPath.OwnerAndMode { UnixPath.OwnerAndMode(mode: mode, owner: owner, group: group) }
    }

    public let kind: SocketTransport
    /// The requested address.
    public let requested: SocketAddress
    /// The actual address, with the port that the kernel chose.
    public private(set) var address: SocketAddress
    public internal(set) var backlog: Int32
    public internal(set) var options: FileOptions
    public internal(set) var settings: SocketOptions
    /// Settings that the kernel refused; they are reported, and the socket is used without them.
    public internal(set) var problems: [SystemError] = []
    private(set) var descriptor: OwnedDescriptor
    private(set) var file: SocketFile?
    /// The attributes at the last opening or update.
    public internal(set) var baseline: SocketBaseline
    /// Whether the kernel holds new connections back (`holdBack`).
    var isHeldBack = false
    /// Whether a process has made a change that harms every sharer for good: the next generation needs another socket.
    public internal(set) var isBeyondRepair = false
    private var watch: IOSource?
    var reading: ReadableWatch?
    /// The network in which it was opened; nil: our own.
    public var network: NetworkNamespace?

    /// The number for a `SpawnPlan`.
    public var raw: Int32 { descriptor.raw }

    /// Binds and listens. Throws `listening on 0.0.0.0:80: Address already in use`.
    ///
    /// The socket is non-blocking: processes that share it race for each connection, and a blocking accept(2) would
    /// hang in the one that lost. The Unix path of a dead process is replaced; a path with a listener is EADDRINUSE.
    public init(
        _ address: SocketAddress, kind: SocketTransport = .stream, backlog: Int32 = 4096,
        options: FileOptions = FileOptions(), settings: SocketOptions = SocketOptions(),
        network: NetworkNamespace? = nil, requested: SocketAddress? = nil
    ) throws(SystemError) {
        self.kind = kind
        self.network = network
        self.requested = requested ?? address
        self.backlog = backlog
        self.options = options
        self.settings = settings
        let opened: OwnedDescriptor
        do throws(SystemError) {
            opened = try Self.bound(to: address, kind, options, settings, network)
        } catch {
            throw SystemError("listening on", "\(address)", error)
        }
        do throws(SystemError) {
            if case .unix(let path) = address { file = SocketFile(path) }
            problems = settings.apply(opened.raw, address.family)
            if kind.isConnected { try checkErrno(listen(opened.raw, backlog), "listen") }
        } catch {
            file?.remove()
            throw SystemError(error.call == "listen" ? "listening on" : error.call, "\(address)", error.errno)
        }
        self.address = SocketAddress.local(of: opened.raw) ?? address
        baseline = SocketBaseline(of: opened.raw)
        descriptor = opened
    }

    /// Takes a socket that another process opened (an earlier supervisor process, systemd). EINVAL if it is no socket.
    /// Does not change O_NONBLOCK: a service that has the socket may rely on it.
    /// - Parameter baseline: the attributes when it was opened; nil: the present ones.
    public init(
        adopting opened: consuming OwnedDescriptor, requested: SocketAddress? = nil, kind: SocketTransport = .stream,
        backlog: Int32 = 4096, options: FileOptions = FileOptions(), settings: SocketOptions = SocketOptions(),
        network: NetworkNamespace? = nil, baseline: SocketBaseline? = nil
    ) throws(SystemError) {
        guard let local = SocketAddress.local(of: opened.raw) else {
            throw SystemError("adopt socket", requested.map { "\($0)" }, .invalidArgument)
        }
        self.kind = kind
        self.network = network
        self.requested = requested ?? local
        address = local
        self.backlog = backlog
        self.options = options
        self.settings = settings
        if case .unix(let path) = local { file = SocketFile(path) }
        self.baseline = baseline ?? SocketBaseline(of: opened.raw)
        descriptor = opened
    }

    private static func make(
        _ address: SocketAddress, _ kind: SocketTransport, _ settings: SocketOptions, _ network: NetworkNamespace?
    ) throws(SystemError) -> OwnedDescriptor {
        let opened = try OwnedDescriptor.socket(
            address.family, kind.type | SocketType.nonBlocking, settings.ipProtocol, in: network)
        switch address {
        case .inet, .inet6, .vsock:
            // TIME_WAIT of an earlier holder must not keep us from the port (socket(7)). For datagrams the same option
            // would let any process take the port.
            guard kind == .stream else { break }
            var on: Int32 = 1
            setsockopt(opened.raw, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        case .unix, .abstract: break
        }
        try settings.applyBeforeBind(opened.raw, address.family)
        return opened
    }

    private static func bound(
        to address: SocketAddress, _ kind: SocketTransport, _ options: FileOptions, _ settings: SocketOptions,
        _ network: NetworkNamespace?
    ) throws(SystemError) -> OwnedDescriptor {
        let opened = try make(address, kind, settings, network)
        if case .unix(let path) = address {
            let directory = try SafeDirectory.parent(of: path, .ofOwner, making: options.directoryMode)
            let name = FileName(FileTree.name(of: path))
            try removeStale(name, in: directory, kind)
            try UnixPath.bind(opened.raw, path, in: directory, name, options.ownerAndMode)
            return opened
        }
        try checkErrno(try address.withSockaddr { bind(opened.raw, $0, $1) }, "bind")
        return address.port == 0 && kind == .stream ? try lockPort(of: opened, settings, network) : opened
    }

    /// Binds a second socket to the port that the kernel chose for the first. shutdown(2) gives up a port that was
    /// chosen, but not one that was bound explicitly, and only the latter can be healed. With SO_REUSEADDR on both and
    /// neither listening the two may share it for this moment, so it is never free for other processes.
    private static func lockPort(
        of first: borrowing OwnedDescriptor, _ settings: SocketOptions, _ network: NetworkNamespace?
    ) throws(SystemError) -> OwnedDescriptor {
        guard let chosen = SocketAddress.local(of: first.raw) else { throw SystemError("bind", nil, .invalidArgument) }
        let second = try make(chosen, .stream, settings, network)
        try checkErrno(try chosen.withSockaddr { bind(second.raw, $0, $1) }, "bind")
        return second
    }

    /// Removes a socket file without a listener; any other file is EADDRINUSE.
    static func removeStale(
        _ name: FileName, in directory: borrowing SafeDirectory, _ kind: SocketTransport
    ) throws(SystemError) {
        guard let entry = try directory.pin(name) else { return }
        guard entry.status.kind == S_IFSOCK else { throw SystemError("bind", entry.path, .addressInUse) }
        let client = try OwnedDescriptor.socket(AF_UNIX, kind.type | SocketType.nonBlocking)
        // ECONNREFUSED is the only proof. With EAGAIN (a full queue) or EACCES there may be a listener.
        let result = try UnixPath.connect(client.raw, to: entry)
        guard result < 0 && errno == ECONNREFUSED else { throw SystemError("bind", entry.path, .addressInUse) }
        try directory.unlink(name)
    }

    // MARK: Damage by sharers

    /// Whether the socket receives data or connections. False after any sharer called shutdown(2).
    public var isListening: Bool {
        // A Unix socket keeps SO_ACCEPTCONN after shutdown(SHUT_RD) and refuses all the same: only poll shows it.
        var poll = pollfd(fd: raw, events: Int16(truncatingIfNeeded: EPOLLRDHUP.rawValue), revents: 0)
        if Glibc.poll(&poll, 1, 0) > 0 { return false }
        guard kind.isConnected else { return true }
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(raw, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) == 0 && value != 0
    }

    /// Listens again after a sharer's shutdown(2). For TCP this restores the same socket for all that share it. A Unix
    /// socket stays shut down for ever: a new one replaces it at the path, and only processes started from now on have
    /// it. Returns whether the present sharers are served again.
    @discardableResult
    public func listenAgain() throws(SystemError) -> Bool {
        switch address {
        case .inet, .inet6, .vsock:
            try checkErrno(listen(raw, backlog), "listening on", "\(address)")
            return true
        case .unix, .abstract:
            try replace()
            return false
        }
    }

    /// Calls `handler`, which calls `heal`, each time the socket is found broken. Pending connections do not count.
    public func watchBroken(loop: EventLoop, _ handler: @escaping () -> Void) throws(SystemError) {
        // A datagram socket that was shut down cannot be restored: it occupies its own address.
        guard kind.isConnected else { return }
        // Not readability, so pending connections do not wake the loop. shutdown(2) causes EPOLLHUP on TCP, which is
        // always reported, and EPOLLRDHUP on a Unix socket.
        watch = try loop.addIO(raw, .peerClosed, priority: .probes) { [unowned self] _ in
            let before = watch
            handler()
            // A new socket, perhaps with a watch of its own, has replaced it; the old watch ended with the old socket.
            guard watch === before else { return }
            // It was not healed, and stays broken: the next check is later.
            if isListening { watch?.noteProgress() } else { watch?.postpone() }
        }
    }

    public func cancelWatch() {
        watch?.cancel()
        watch = nil
    }

    public enum PathState: Equatable, Sendable {
        /// The path leads to this socket, or the socket has none.
        case intact
        /// The same socket can be reached again, also in processes that share it.
        case restored
        /// A new socket listens at the path; running processes do not have it.
        case replaced
    }

    /// Restores a Unix socket's path that a process removed (Node and Go do so on close). EADDRINUSE if another file
    /// has the path now.
    public func restorePath() throws(SystemError) -> PathState {
        guard let file, !file.isIntact else { return .intact }
        if try file.restore() { return .restored }
        try replace()
        return .replaced
    }

    /// Binds a new socket to the same address; the old one lives on in the processes that have it.
    func replace() throws(SystemError) {
        file?.remove()
        try replaceState(
            by: ListeningSocket(
                address, kind: kind, backlog: backlog, options: options, settings: settings, network: network))
    }

    /// Takes over the state of `fresh`.
    func replaceState(by fresh: ListeningSocket) throws(SystemError) {
        let other = try fresh.descriptor.duplicate()
        // Not before this: without a new socket the old one's watch must try again.
        cancelWatch()
        file = fresh.file
        fresh.file = nil
        baseline = fresh.baseline
        isBeyondRepair = false
        descriptor = other
        if let reading { self.reading = try reading.moved(to: descriptor) }
    }

    /// Removes a Unix socket's path only if it is still ours: it may belong to a successor.
    public func unlinkPath() {
        file?.remove()
        file = nil
    }

    deinit { file?.forget() }

    /// The connections that wait for accept(2), and the limit; nil if the kernel does not tell (Unix sockets).
    public var acceptQueue: (waiting: Int, limit: Int)? {
        guard address.port != nil, kind == .stream else { return nil }
        var waiting: UInt32 = 0
        var limit: UInt32 = 0
        guard holdfast_accept_queue(raw, &waiting, &limit) == 0 else { return nil }
        return (Int(waiting), Int(limit))
    }

    /// The next connection, non-blocking; nil if none waits. For our own control socket and tests.
    public func accept() throws(SystemError) -> OwnedDescriptor? {
        let raw = raw
        let result = FileLimit.bounded(by: .services) { holdfast_accept(raw) }
        if result == -EAGAIN || result == -ECONNABORTED || result == -EINTR { return nil }
        return OwnedDescriptor(owning: try check(result, "accept on", "\(address)"))
    }
}

extension ListeningSocket {
    /// The kernel's limit for every backlog (net.core.somaxconn).
    public static let systemBacklog: Int32 = {
        guard let file = try? OwnedDescriptor.open("/proc/sys/net/core/somaxconn", O_RDONLY),
            let bytes = try? file.readAll(limit: 32, subject: "somaxconn")
        else { return 4096 }
        return Int32(String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)) ?? 4096
    }()

    /// Sets O_NONBLOCK, which all processes that share the socket have in common.
    public func setNonBlocking(_ on: Bool) throws(SystemError) { try descriptor.setNonBlocking(on) }

    /// Another descriptor of the same socket, for a service's standard input.
    public func duplicate() throws(SystemError) -> OwnedDescriptor { try descriptor.duplicate() }
}
