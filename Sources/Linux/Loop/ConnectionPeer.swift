import CSpawn
import Glibc

/// The two ends of a connection.
public struct ConnectionPeer: Sendable, Equatable {
    public enum Remote: Sendable, Equatable {
        case network(host: String, port: UInt16)
        /// The peer of a Unix socket.
        case process(pid: Int32, uid: UInt32)
        case vsock(cid: UInt32, port: UInt32)
        case unknown
    }
    public let remote: Remote
    /// `127.0.0.1:80-127.0.0.1:51234`, or `4711-0` (pid and uid of a Unix socket's peer): the part of an instance's
    /// name that systemd puts after the connection's number.
    public let name: String
    /// The key for counting connections: the address without the port, or the user.
    public let source: String

    init(remote: Remote, name: String, source: String) {
        self.remote = remote
        self.name = name
        self.source = source
    }

    public init(of connection: Int32) {
        let local = SocketAddress.local(of: connection).map(Self.mapped)
        switch SocketAddress.remote(of: connection).map(Self.mapped) {
        case .inet(let host, let port), .inet6(let host, let port):
            remote = .network(host: host, port: port)
            source = host
            name = "\(Self.text(local))-\(host):\(port)"
        case .vsock(let cid, let port):
            remote = .vsock(cid: cid, port: port)
            source = "vsock:\(cid)"
            name = "\(Self.text(local))-\(cid):\(port)"
        case .unix, .abstract, nil:
            var pid: Int32 = 0
            var uid: UInt32 = 0
            var gid: UInt32 = 0
            if SocketAddress.isUnix(connection), holdfast_peer_credentials(connection, &pid, &uid, &gid) >= 0 {
                remote = .process(pid: pid, uid: uid)
                source = "uid:\(uid)"
                name = "\(pid)-\(uid)"
            } else {
                remote = .unknown
                source = ""
                name = "unknown"
            }
        }
    }

    /// An IPv4 peer of a dual-stack socket is shown as IPv4.
    private static func mapped(_ address: SocketAddress) -> SocketAddress {
        guard case .inet6(let host, let port) = address, host.hasPrefix("::ffff:"), host.contains(".") else {
            return address
        }
        return .inet(host: String(host.dropFirst(7)), port: port)
    }

    private static func text(_ address: SocketAddress?) -> String {
        switch address {
        case .inet(let host, let port), .inet6(let host, let port): "\(host):\(port)"
        case .vsock(let cid, let port): "\(cid):\(port)"
        case .unix, .abstract, nil: "unknown"
        }
    }
}

extension SocketAddress {
    /// The remote address of a connection (getpeername(2)).
    static func remote(of descriptor: Int32) -> SocketAddress? { named(by: getpeername, descriptor) }

    static func isUnix(_ descriptor: Int32) -> Bool {
        var family: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &family, &length) == 0 && family == AF_UNIX
    }
}
