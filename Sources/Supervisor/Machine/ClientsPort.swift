import Linux
import Multibinder

/// Clients of the supervisor on Unix stream sockets: of the control protocol, and of multibinder's.
protocol ClientsPort: AnyObject {
    /// Listens at a path. The socket file of a dead process is replaced; one with a listener is EADDRINUSE. The server
    /// listens until its handle goes.
    func listen(
        at path: String, mode: UInt32, group: UInt32?, _ arrivals: ClientArrivals
    ) throws(SystemError) -> any MachineServer

    /// Continues with a socket that an earlier program of this process has left open under this number.
    func inherit(
        at path: String, listening number: Int32, _ arrivals: ClientArrivals
    ) throws(SystemError) -> any MachineServer

    /// Continues with the connection of a client that an earlier program of this process has left open.
    func inheritClient(_ number: Int32) throws(SystemError) -> any MachineClient

    /// Listens for multibinder's clients at a path.
    func listenForBinds(
        at path: String, mode: UInt32, group: UInt32?, _ actions: MultibinderServer.Actions
    ) throws(SystemError) -> any MachineBinders

    /// Continues with multibinder's clients of an earlier program of this process.
    func inheritBinds(
        at path: String, listening number: Int32, _ connections: [MultibinderServer.Inherited],
        _ actions: MultibinderServer.Actions
    ) throws(SystemError) -> any MachineBinders
}

/// The treatment of new connections.
struct ClientArrivals {
    /// Whether the peer's connections may use descriptors that are reserved for operators (`FileLimit`).
    var isOperator: (Peer) -> Bool
    /// The message to other peers before their connection is closed, when only reserved descriptors are left.
    var refusal: [UInt8]
    /// Called for each connection, which is closed if it is not opened.
    var accepted: (any MachineClient) -> Void
}

protocol MachineServer: AnyObject {
    /// The listening socket, for a successor.
    var raw: Int32 { get }
}

/// A connected client from which nothing has been read.
protocol MachineClient: AnyObject {
    var peer: Peer { get }

    /// Begins to read; once only.
    /// - Parameters:
    ///   - maximumQueue: unread bytes at which a client that does not read is disconnected.
    ///   - onBytes: gets a buffer that is valid during the call.
    ///   - onEnd: the last call, when the client has gone; not after `close`.
    func open(
        priority: DispatchPriority, maximumQueue: Int, onBytes: @escaping (UnsafeRawBufferPointer) -> Void,
        onEnd: @escaping () -> Void
    ) throws(SystemError) -> any MachineConnection
}

/// The connection to a client.
protocol MachineConnection: AnyObject {
    /// Bytes that wait for the client to read.
    var queued: Int { get }
    /// The socket, and the bytes not taken by the client, for a successor.
    var handover: (raw: Int32, unsent: [UInt8]) { get }
    /// Called when bytes had to wait for the client and all of them have been sent.
    var onDrained: (() -> Void)? { get set }

    /// Sends the bytes that the kernel takes now, and queues the rest.
    func send(_ bytes: [UInt8])
    /// Stops and resumes reading. The end of the client is noticed in either case.
    func setReading(_ on: Bool)
    /// Closes at once.
    func close()
}

/// The server of multibinder's protocol.
protocol MachineBinders: AnyObject {
    /// The listening socket and the connections with their received bytes, for a successor.
    var inheritance: (listening: Int32?, connections: [MultibinderServer.Inherited]) { get }
}
