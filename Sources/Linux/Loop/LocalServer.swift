import CSpawn
import Glibc
import SystemPackage

/// The peer of a Unix stream socket as the kernel recorded it when the connection was made (SO_PEERCRED and
/// SO_PEERGROUPS of unix(7) and socket(7)).
public struct Peer: Equatable, Sendable {
    public var pid: Int32
    public var uid: UInt32
    public var gid: UInt32
    /// Supplementary groups.
    public var groups: [UInt32]

    public init(pid: Int32, uid: UInt32, gid: UInt32, groups: [UInt32]) {
        self.pid = pid
        self.uid = uid
        self.gid = gid
        self.groups = groups
    }

    /// The peer of a connected Unix stream socket.
    public init(of descriptor: Int32) throws(SystemError) {
        var (pid, uid, gid): (pid_t, uid_t, gid_t) = (0, 0, 0)
        try check(holdfast_peer_credentials(descriptor, &pid, &uid, &gid), "read peer credentials")
        (self.pid, self.uid, self.gid) = (pid, uid, gid)
        // 59 is SO_PEERGROUPS (asm-generic/socket.h); the kernel's limit is 65,536 groups, ours the list's size.
        var list = [gid_t](repeating: 0, count: 1024)
        var size = socklen_t(list.count * MemoryLayout<gid_t>.size)
        let result = getsockopt(descriptor, SOL_SOCKET, 59, &list, &size)
        groups = result == 0 ? Array(list.prefix(Int(size) / MemoryLayout<gid_t>.size)) : []
    }
}

/// A listening Unix stream socket of our own; it accepts the connections.
public final class LocalServer {
    public let path: String
    private let descriptor: OwnedDescriptor
    private var source: IOSource?
    private let reserve: Reserve?

    /// The treatment of connections for which only reserved descriptors are left (`FileLimit`). Without it they wait
    /// until others are free.
    public struct Reserve {
        /// Whether the peer's connections may use the reserve.
        public var mayUseReserve: (Peer) -> Bool
        /// The message to other peers before their connection is closed.
        public var refusal: [UInt8]

        public init(mayUseReserve: @escaping (Peer) -> Bool, refusal: [UInt8]) {
            self.mayUseReserve = mayUseReserve
            self.refusal = refusal
        }
    }

    /// Listens at `path` with `mode`. The socket file of a dead process is replaced; one with a listener is an error
    /// (EADDRINUSE).
    public init(
        loop: EventLoop, path: String, mode: mode_t, group: UInt32?,
        reserve: Reserve? = nil,
        _ accepted: @escaping (OwnedDescriptorBox, Peer) -> Void
    ) throws(SystemError) {
        self.path = path
        self.reserve = reserve
        descriptor = try Self.listen(path, mode, group)
        try accept(loop, accepted)
    }

    /// Continues with a socket that listens at `path` already, and accepts the connections in its queue next.
    public init(
        loop: EventLoop, path: String, inherited: consuming OwnedDescriptor,
        reserve: Reserve? = nil,
        _ accepted: @escaping (OwnedDescriptorBox, Peer) -> Void
    ) throws(SystemError) {
        self.path = path
        self.reserve = reserve
        descriptor = inherited
        try accept(loop, accepted)
    }

    /// The listening socket, for a successor.
    public var raw: Int32 { descriptor.raw }

    private func accept(
        _ loop: EventLoop, _ accepted: @escaping (OwnedDescriptorBox, Peer) -> Void
    ) throws(SystemError) {
        // Unowned, because the server owns the source.
        source = try loop.addIO(descriptor.raw, .readable, priority: .controlRequests) { [unowned self] _ in
            acceptAll(accepted)
        }
    }

    deinit {
        source?.cancel()
        if let directory = try? SafeDirectory.parent(of: path, .ofOwner) {
            _ = try? directory.unlink(FileName(FileTree.name(of: path)))
        }
    }

    private static func listen(_ path: String, _ mode: mode_t, _ group: UInt32?) throws(SystemError) -> OwnedDescriptor
    {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = OwnedDescriptor(owning: try checkErrno(socket(AF_UNIX, type, 0), "create control socket"))
        if answers(path) { throw SystemError("listen on", path, .addressInUse) }
        // A file of another kind is not ours, and not removed.
        let directory = try SafeDirectory.parent(of: path, .ofOwner)
        let name = FileName(FileTree.name(of: path))
        if let entry = try directory.pin(name) {
            guard entry.status.kind == S_IFSOCK else { throw SystemError("listen on", path, .fileExists) }
            try directory.unlink(name)
        }
        // Without root's rights the group cannot be changed.
        let ownerAndMode = UnixPath.OwnerAndMode(mode: mode, group: geteuid() == 0 ? group : nil)
        try UnixPath.bind(descriptor.raw, path, in: directory, name, ownerAndMode)
        try checkErrno(Glibc.listen(descriptor.raw, 128), "listen on", path)
        return descriptor
    }

    /// Whether a process accepts connections at this path.
    private static func answers(_ path: String) -> Bool {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let number = socket(AF_UNIX, type, 0)
        guard number >= 0 else { return false }
        defer { close(number) }
        let result = try? SocketAddress.unix(path: path).withSockaddr { connect(number, $0, $1) }
        return result == 0 || (result == -1 && errno == EAGAIN)
    }

    private func acceptAll(_ accepted: (OwnedDescriptorBox, Peer) -> Void) {
        // Bounded per wake-up; the socket is still readable in the next round.
        for _ in 0..<16 {
            let number =
                reserve == nil
                ? FileLimit.bounded(by: .services) { holdfast_accept(descriptor.raw) } : holdfast_accept(descriptor.raw)
            guard number >= 0 else { return pause(after: number) }
            source?.noteProgress()
            let box = OwnedDescriptorBox(OwnedDescriptor(owning: number))
            guard let peer = try? Peer(of: number) else { continue }
            if let reserve,
                FileLimit.isBeyond(.operators, number)
                    || FileLimit.isBeyond(.services, number) && !reserve.mayUseReserve(peer)
            {
                send(number, reserve.refusal, reserve.refusal.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
                continue
            }
            accepted(box, peer)
        }
    }

    /// Pauses without descriptors or memory: the connection stays in the queue, and the loop would spin.
    private func pause(after result: Int32) {
        if ![-EAGAIN, -EINTR, -ECONNABORTED].contains(result) { source?.postpone() }
    }
}

/// Passes a descriptor through a closure: closures cannot take noncopyable parameters in generic storage yet.
public final class OwnedDescriptorBox {
    private var descriptor: OwnedDescriptor?
    /// The number, valid until the descriptor is taken.
    let raw: Int32

    public init(_ descriptor: consuming OwnedDescriptor) {
        raw = descriptor.raw
        self.descriptor = consume descriptor
    }

    /// Takes the descriptor; nil after the first call.
    public func take() -> OwnedDescriptor? { descriptor.take() }
}
