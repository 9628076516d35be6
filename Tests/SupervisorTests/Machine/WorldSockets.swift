import Glibc
import SystemPackage

@testable import Linux
@testable import Supervisor

/// The sockets of the world.
///
/// A descriptor of a socket is the reading end of a real pipe, whose writing end the world has: whoever holds a
/// duplicate (the supervisor, a process, a descriptor store), the kernel says when the last one is closed. The inode of
/// the pipe identifies the socket.
final class WorldSockets {
    final class Socket {
        let target: HeldEndpoint.Target
        /// Address with the port that the world chose; nil for files.
        fileprivate(set) var address: SocketAddress?
        /// Inode of the network namespace; nil for the supervisor's own.
        let network: UInt64?
        let inode: UInt64
        fileprivate(set) var backlog = 4096
        /// Connections that wait to be accepted, oldest first.
        fileprivate(set) var queue: [Connection] = []
        /// Connections that wait at their clients, because the kernel holds them back.
        fileprivate(set) var heldBack: [Connection] = []
        fileprivate(set) var isHeldBack = false
        /// Whether a sharer has called shutdown(2).
        fileprivate(set) var isShutDown = false
        /// Attributes that processes have changed, by name: the value found and the one of the unit file.
        fileprivate(set) var changes: [String: (found: String, expected: String)] = [:]
        /// Processes that accept, in the order in which they began.
        fileprivate(set) var acceptors: [Int32] = []
        /// Called when a connection arrives, or the socket is shut down.
        fileprivate var watchers: [WeakEndpoint] = []
        private let other: WorldDescriptorBox

        fileprivate init(
            _ target: HeldEndpoint.Target, _ address: SocketAddress?, network: UInt64?, inode: UInt64,
            other: WorldDescriptorBox
        ) {
            (self.target, self.address, self.network, self.inode) = (target, address, network, inode)
            self.other = other
        }

        /// Whether anybody has a descriptor of the socket.
        var isOpen: Bool {
            var state = pollfd(fd: other.raw, events: 0, revents: 0)
            return poll(&state, 1, 0) <= 0
        }

        /// Whether a process would accept a connection now.
        var hasReadyAcceptor: Bool { isOpen && !isShutDown && !acceptors.isEmpty }
    }

    /// A connection of a client.
    final class Connection {
        let peer: ConnectionPeer
        /// Inode of the socket to which it was made.
        let socket: UInt64
        /// The process that has accepted it; 0 for the supervisor.
        fileprivate(set) var holder: Int32?
        fileprivate(set) var isClosed = false
        fileprivate init(_ peer: ConnectionPeer, _ socket: UInt64) { (self.peer, self.socket) = (peer, socket) }
    }

    fileprivate struct WeakEndpoint { weak var endpoint: SimulatedEndpoint? }

    private(set) var sockets: [UInt64: Socket] = [:]
    private(set) var connections: [Connection] = []
    /// Connections that the supervisor has accepted, by the inode of their descriptor.
    private var acceptedByInode: [UInt64: Connection] = [:]
    private var lastPort: UInt16 = 40_000
    private var lastClientPort: UInt16 = 50_000
    private let disk: WorldDisk

    init(disk: WorldDisk) { self.disk = disk }

    // MARK: - Addresses

    /// The open socket bound to an address, as a client reaches it.
    func socket(at address: SocketAddress, in network: UInt64? = nil) -> Socket? {
        open.first { $0.address == address && $0.network == network }
    }

    /// All open sockets, oldest first.
    var open: [Socket] { sockets.values.filter(\.isOpen).sorted { $0.inode < $1.inode } }

    func isBound(_ address: SocketAddress) -> Bool { socket(at: address) != nil }

    /// Makes a bound socket. EADDRINUSE if its address has one, or its path has another file.
    func bind(
        _ target: HeldEndpoint.Target, network: UInt64?, backlog: Int, besideOther: Bool = false
    ) throws(SystemError) -> (socket: Socket, descriptor: WorldDescriptorBox) {
        var address: SocketAddress?
        if case .socket(let requested, _) = target {
            let actual = chosen(requested)
            let text = "\(requested)"
            guard besideOther || socket(at: actual, in: network) == nil else {
                throw SystemError("listening on", text, .addressInUse)
            }
            if case .unix(let path) = actual { try makePath(path, text) }
            address = actual
        }
        if case .file(.fifo(let path)) = target, disk.node(path)?.kind != .fifo { try disk.make(path, .fifo) }
        let (descriptor, other) = try Self.makeToken()
        let inode = OwnedDescriptor.inode(of: descriptor.raw) ?? 0
        let socket = Socket(target, address, network: network, inode: inode, other: other)
        socket.backlog = backlog
        sockets[inode] = socket
        return (socket, descriptor)
    }

    private func makePath(_ path: String, _ text: String) throws(SystemError) {
        if let present = disk.node(path, follows: false) {
            guard present.kind == .socket else { throw SystemError("listening on", text, .addressInUse) }
            // Nobody listens there any more.
            disk.remove(path)
        }
        if let parent = FileTree.parent(of: path) { try disk.makeDirectory(parent) }
        try disk.make(path, .socket)
    }

    private func chosen(_ address: SocketAddress) -> SocketAddress {
        guard address.port == 0 else { return address }
        lastPort += 1
        switch address {
        case .inet(let host, _): return .inet(host: host, port: lastPort)
        case .inet6(let host, _): return .inet6(host: host, port: lastPort)
        case .unix, .abstract, .vsock: return address
        }
    }

    /// Makes a pipe: the descriptor of a socket, and the world's end.
    private static func makeToken() throws(SystemError) -> (WorldDescriptorBox, WorldDescriptorBox) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw SystemError("pipe", nil, .tooManyOpenFiles) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (
            WorldDescriptorBox(OwnedDescriptor(owning: ends[0])), WorldDescriptorBox(OwnedDescriptor(owning: ends[1]))
        )
    }

    // MARK: - Clients and processes

    /// Connects as a client; nil if the connection is refused.
    @discardableResult
    func connect(to address: SocketAddress, from host: String = "192.0.2.1") -> Connection? {
        guard let socket = socket(at: address), !socket.isShutDown, socket.queue.count < socket.backlog else {
            return nil
        }
        lastClientPort += 1
        let peer = ConnectionPeer(
            remote: .network(host: host, port: lastClientPort), name: "\(address)-\(host):\(lastClientPort)",
            source: host)
        let connection = Connection(peer, socket.inode)
        connections.append(connection)
        if socket.isHeldBack { socket.heldBack.append(connection) } else { arrive(connection, socket) }
        return connection
    }

    private func arrive(_ connection: Connection, _ socket: Socket) {
        if let pid = socket.acceptors.first {
            connection.holder = pid
            return
        }
        socket.queue.append(connection)
        notify(socket)
    }

    private func notify(_ socket: Socket) {
        socket.watchers.removeAll { $0.endpoint == nil }
        for watcher in socket.watchers { watcher.endpoint?.stateChanged() }
    }

    func watch(_ socket: Socket, _ endpoint: SimulatedEndpoint) {
        socket.watchers.append(WeakEndpoint(endpoint: endpoint))
    }

    /// A process begins to accept, beginning with the connections that wait.
    func startAccepting(_ pid: Int32, at address: SocketAddress) {
        guard let socket = socket(at: address) else { return }
        socket.acceptors.append(pid)
        for connection in socket.queue { connection.holder = pid }
        socket.queue = []
    }

    /// A process ends, and its connections with it.
    func endProcess(_ pid: Int32) {
        for socket in sockets.values { socket.acceptors.removeAll { $0 == pid } }
        for connection in connections where connection.holder == pid { connection.isClosed = true }
    }

    /// A client or a process closes a connection.
    func close(_ connection: Connection) { connection.isClosed = true }

    /// A process that has the socket calls shutdown(2).
    func shutDown(_ address: SocketAddress) {
        guard let socket = socket(at: address) else { return }
        socket.isShutDown = true
        notify(socket)
    }

    /// A process that has the socket changes an attribute.
    func change(_ attribute: String, to found: String, from expected: String, at address: SocketAddress) {
        socket(at: address)?.changes[attribute] = (found, expected)
    }

    /// Number of connections that the processes have accepted at these addresses.
    func accepted(by pids: [Int32], at addresses: [SocketAddress]) -> [Connection] {
        let inodes = Set(addresses.compactMap { socket(at: $0)?.inode })
        return connections.filter { connection in
            !connection.isClosed && inodes.contains(connection.socket) && connection.holder.map(pids.contains) == true
        }
    }

    // MARK: - Calls on a socket

    func accept(_ socket: Socket) throws(SystemError) -> WorldDescriptorBox? {
        guard !socket.queue.isEmpty else { return nil }
        let (descriptor, _) = try Self.makeToken()
        let connection = socket.queue.removeFirst()
        connection.holder = 0
        acceptedByInode[OwnedDescriptor.inode(of: descriptor.raw) ?? 0] = connection
        return descriptor
    }

    func connection(of descriptor: Int32) -> Connection? {
        OwnedDescriptor.inode(of: descriptor).flatMap { acceptedByInode[$0] }
    }

    func socket(of descriptor: Int32) -> Socket? { OwnedDescriptor.inode(of: descriptor).flatMap { sockets[$0] } }

    func flush(_ socket: Socket) {
        for connection in socket.queue { connection.isClosed = true }
        socket.queue = []
    }

    func holdBack(_ socket: Socket, _ on: Bool) {
        socket.isHeldBack = on
        guard !on else { return }
        let waiting = socket.heldBack
        socket.heldBack = []
        for connection in waiting { arrive(connection, socket) }
    }

    func listenAgain(_ socket: Socket) { socket.isShutDown = false }

    func setBacklog(_ socket: Socket, _ backlog: Int) { socket.backlog = backlog }

    func takeChanges(_ socket: Socket) -> [AttributeChange] {
        defer { socket.changes = [:] }
        return socket.changes.sorted { $0.key < $1.key }.map {
            AttributeChange($0.key, found: $0.value.found, expected: $0.value.expected)
        }
    }

    func unlink(_ socket: Socket) {
        switch socket.target {
        case .socket(.unix(let path), _), .file(.fifo(let path)): disk.remove(path)
        case .socket, .file: break
        }
    }

    /// Whether the path of the socket exists; true for sockets without a path.
    func hasPath(_ socket: Socket) -> Bool {
        guard case .unix(let path)? = socket.address else { return true }
        return disk.node(path)?.kind == .socket
    }

    func restorePath(_ socket: Socket) throws(SystemError) {
        if case .unix(let path)? = socket.address { try makePath(path, path) }
    }
}

/// A descriptor that a function returns in a tuple.
final class WorldDescriptorBox {
    private var descriptor: OwnedDescriptor?
    /// The number, valid until the descriptor is taken.
    let raw: Int32

    init(_ descriptor: consuming OwnedDescriptor) {
        raw = descriptor.raw
        self.descriptor = consume descriptor
    }

    func take() -> OwnedDescriptor? { descriptor.take() }
}
