import Linux

/// Sockets, reserved addresses, network namespaces, and the connections of other processes.
protocol SocketsPort: AnyObject {
    /// Whether the host has IPv6.
    var hasIPv6: Bool { get }

    /// Opens the endpoint: binds a socket and listens, makes a missing FIFO or message queue.
    /// - Parameter network: the network namespace; nil for the supervisor's own.
    func open(
        _ target: HeldEndpoint.Target, _ settings: EndpointSettings, in network: NetworkNamespace?
    ) throws(SystemError) -> any Endpoint

    /// Takes over an endpoint that another process opened.
    /// - Parameter baseline: its attributes when it was opened; nil for the present ones.
    func adopt(
        _ descriptor: consuming OwnedDescriptor, _ target: HeldEndpoint.Target, _ settings: EndpointSettings,
        baseline: HeldBaseline?
    ) throws(SystemError) -> any Endpoint

    /// Binds the address without listening on it.
    func reserve(_ address: SocketAddress, in network: NetworkNamespace?) throws(SystemError) -> any AddressReservation

    /// Takes over the bound socket of a reservation.
    func adoptReservation(
        _ descriptor: consuming OwnedDescriptor, requested: SocketAddress
    ) throws(SystemError) -> any AddressReservation

    /// The reservation of a Unix address, which has no open socket.
    func reservation(at address: SocketAddress, requested: SocketAddress) -> any AddressReservation

    func makeNetwork() throws(SystemError) -> NetworkNamespace

    /// Network namespace of a running process.
    func network(of pid: Int32) throws(SystemError) -> NetworkNamespace

    /// The file that prevents the creation of a socket or FIFO at `path`, and a remedy; nil if nothing does.
    func obstacle(at path: String, insteadOf wanted: PathObstacle.Wanted) -> String?

    // MARK: Symlinks=

    /// Makes `path` a link to `target`, if it is not one already. Replaces another file only if `replacing`.
    func makeLink(_ path: String, to target: String, directoryMode: UInt32, replacing: Bool) throws(SystemError)

    /// Removes the link, if it still has this target.
    func removeLink(_ path: String, to target: String)

    /// The path without links in its directories.
    func canonicalPath(_ path: String) -> String?

    // MARK: Other processes

    /// Counts accepted connections of `pids` at `addresses`.
    func connections(of pids: [Int32], on addresses: [SocketAddress]) throws(SystemError) -> Connections

    /// The two ends of an accepted connection.
    func peer(of connection: borrowing OwnedDescriptor) -> ConnectionPeer

    /// Listening and datagram sockets that the processes have open.
    func reachableSockets(of pids: [Int32]) -> [ReachableSocket]

    /// The listening or datagram socket behind a descriptor; nil for all other files.
    func reachableSocket(_ descriptor: consuming OwnedDescriptor) -> ReachableSocket?

    /// Lists the sockets of the processes once, to copy several of them.
    func socketsOfProcesses(_ pids: [Int32]) throws(SystemError) -> any ProcessSockets

    // MARK: FIFOs of services

    func isFIFO(_ path: String) -> Bool

    /// Writes all bytes or none; false if they do not fit. ENXIO if no process has the FIFO open for reading.
    func writeToFIFO(_ bytes: [UInt8], at path: String) throws(SystemError) -> Bool
}

/// Settings of a socket unit, in the kernel's terms.
struct EndpointSettings {
    var backlog: Int32
    var file: ListeningSocket.FileOptions
    var options: SocketOptions
    var sizes: HeldFile.Sizes
}

/// A socket, FIFO, message queue or other file that is held open for a socket unit. Closed with its last reference.
protocol Endpoint: AnyObject {
    /// The requested endpoint: the key by which an open one is found again.
    var target: HeldEndpoint.Target { get }
    /// The descriptor's number, for a `SpawnPlan`.
    var raw: Int32 { get }
    /// Number of the open file, the same in all processes.
    var inode: UInt64? { get }
    /// Address with the port that the kernel chose; nil for a FIFO and others without address.
    var address: SocketAddress? { get }
    /// The address or path, for messages.
    var text: String { get }
    /// Paths, without links, that must not be removed while the endpoint is held.
    var paths: [String] { get }
    /// Identity of the file at `paths`.
    var fileID: FileID? { get }
    /// Settings that the kernel refused at the last opening or update.
    var problems: [SystemError] { get }
    /// Attributes at the last opening or update, for another supervisor process.
    var baseline: HeldBaseline { get }
    /// Network namespace in which a replacement of a broken socket is opened; nil for the supervisor's own.
    var network: NetworkNamespace? { get set }

    /// Whether the endpoint has connections, which wait to be accepted.
    var hasConnections: Bool { get }
    /// Whether the endpoint receives data or connections. False after any sharer called shutdown(2).
    var isListening: Bool { get }
    /// Whether a connection waits; false for an endpoint without connections.
    var hasWaitingConnection: Bool { get }
    /// Number of connections that wait for accept(2), and the limit; nil if the kernel does not tell.
    var acceptQueue: (waiting: Int, limit: Int)? { get }
    /// Limit of waiting connections; 0 for an endpoint without connections.
    var backlog: Int { get }

    func duplicate() throws(SystemError) -> OwnedDescriptor
    /// Removes the path, if it is still this endpoint's.
    func unlinkPath()
    /// Sets O_NONBLOCK, which all processes that share the endpoint have in common.
    func setNonBlocking(_ on: Bool) throws(SystemError)
    /// Discards waiting input.
    func flush()

    /// The next connection; nil if none waits.
    func accept() throws(SystemError) -> OwnedDescriptor?

    // MARK: Watches

    /// Calls `handler` while input waits; `handler` returns whether it took the input.
    func watchReadable(_ handler: @escaping () -> Bool) throws(SystemError)
    func cancelReadable()
    /// Calls `handler` once, when a connection arrives or waits already; never for an endpoint without connections.
    func watchArrival(_ handler: @escaping () -> Void) throws(SystemError)
    /// Calls `handler`, which calls `heal`, each time the endpoint is found shut down.
    func watchBroken(_ handler: @escaping () -> Void) throws(SystemError)

    // MARK: Settings, and changes by sharers

    /// Applies the settings that can be set on an open endpoint; returns the names of the others.
    /// - Parameter previous: the options before.
    func update(_ settings: EndpointSettings, previous: SocketOptions) -> [String]
    /// Restores the attributes at the last opening or update, and returns the changes found.
    /// - Parameter nonBlocking: the required O_NONBLOCK; nil leaves it to the processes that share the endpoint.
    func restoreAttributes(nonBlocking: Bool?) -> [AttributeChange]
    /// Whether a process has made a change that cannot be undone and that harms every process that gets the endpoint.
    var isBeyondRepair: Bool { get }

    /// Whether the kernel can make new connections wait at their clients.
    var canHoldBack: Bool { get }
    /// Makes new connections wait at their clients, for all processes that accept.
    func holdBack(_ on: Bool) throws(SystemError)

    /// Listens again after a shutdown(2). Returns whether the processes that have the socket are served again.
    func listenAgain() throws(SystemError) -> Bool
    /// Restores a Unix socket's path that a process removed.
    func restorePath() throws(SystemError) -> ListeningSocket.PathState
    /// Whether a second socket can be opened at the same address.
    var canHaveSuccessor: Bool { get }
    /// Opens another socket at the same address, for processes started from now on.
    func successor() throws(SystemError) -> any Endpoint
    /// Replaces the socket, which no other process has, with a new one.
    func renew() throws(SystemError)
}

/// An address that is bound for a program that must bind it itself. Released with its last reference.
protocol AddressReservation: AnyObject {
    var requested: SocketAddress { get }
    /// The address with the port that the kernel chose.
    var address: SocketAddress { get }
    /// Number of the bound socket; nil for Unix addresses.
    var raw: Int32? { get }
    /// Removes a Unix socket's path that a program has left; one with a listener stays.
    func removeLeftover()
}

/// Sockets of processes as they were listed.
protocol ProcessSockets: AnyObject {
    /// A descriptor of our own for the socket; nil if no process has it, or the supervisor may not copy it.
    func duplicate(inode: UInt64) throws(SystemError) -> OwnedDescriptor?
}
