import Engine
import Linux

/// A connection accepted for an instance of its own (`Accept=yes`), and the variables for that instance. Closed when
/// the instance is gone.
final class AcceptedConnection {
    /// Its name in `LISTEN_FDNAMES`.
    static let descriptorName = "connection"

    let socket: SocketID
    /// The connection's number on its socket; -1 until it has an instance.
    var number = -1
    let descriptor: OwnedDescriptor
    let peer: ConnectionPeer

    init(socket: SocketID, descriptor: consuming OwnedDescriptor, peer: ConnectionPeer) {
        self.socket = socket
        self.peer = peer
        self.descriptor = descriptor
    }

    /// `REMOTE_ADDR` and `REMOTE_PORT` of systemd.socket(5); nothing for Unix sockets.
    var environment: [String: String] {
        guard case .network(let host, let port) = peer.remote else { return [:] }
        return ["REMOTE_ADDR": host, "REMOTE_PORT": "\(port)"]
    }
}
