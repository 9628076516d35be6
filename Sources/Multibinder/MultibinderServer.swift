import Linux

/// Answers multibinder's protocol on a Unix socket. Its owner decides about the sockets.
public final class MultibinderServer {
    /// The actions of `bind` and `unbind`. `bind` returns a duplicate of the listening socket.
    public struct Actions {
        public var mayAsk: (Peer) -> Bool
        public var bind: (SocketAddress, _ backlog: Int32) -> Result<OwnedDescriptorBox, SystemError>
        /// Releases the socket; false if there is none at this address.
        public var unbind: (SocketAddress) -> Bool

        public init(
            mayAsk: @escaping (Peer) -> Bool,
            bind: @escaping (SocketAddress, _ backlog: Int32) -> Result<OwnedDescriptorBox, SystemError>,
            unbind: @escaping (SocketAddress) -> Bool
        ) {
            self.mayAsk = mayAsk
            self.bind = bind
            self.unbind = unbind
        }
    }

    private final class Session {
        var connection: DescriptorConnection?
        var framer = MultibinderFramer()
    }

    /// A connection of an earlier program in this process: its socket, and the received bytes of a request.
    public struct Inherited {
        public var socket: Int32
        public var pending: [UInt8]
        public init(socket: Int32, pending: [UInt8]) {
            self.socket = socket
            self.pending = pending
        }
    }

    /// The most connections at once; further ones wait until others have ended.
    private static let connectionLimit = 256
    private let loop: EventLoop
    private let actions: Actions
    private var server: LocalServer?
    private var sessions: [UInt64: Session] = [:]
    private var lastSession: UInt64 = 0

    public init(loop: EventLoop, actions: Actions) {
        self.loop = loop
        self.actions = actions
    }

    public func listen(at path: String, mode: UInt32, group: UInt32?) throws(SystemError) {
        server = try LocalServer(loop: loop, path: path, mode: mode, group: group) { [unowned self] box, peer in
            accept(box, peer)
        }
    }

    /// Continues with the sockets of an earlier program in this process.
    public func adopt(
        _ listening: consuming OwnedDescriptor, at path: String, _ connections: [Inherited]
    ) throws(SystemError) {
        server = try LocalServer(loop: loop, path: path, inherited: listening) { [unowned self] box, peer in
            accept(box, peer)
        }
        for inherited in connections { beginSession(OwnedDescriptor(owning: inherited.socket), inherited.pending) }
    }

    /// The listening socket and the connections with their received bytes, for ``adopt(_:at:_:)``.
    public var inheritance: (listening: Int32?, connections: [Inherited]) {
        // A connection with an unsent answer cannot be passed on: the answer carries a descriptor.
        let open = sessions.values.compactMap { session -> Inherited? in
            guard let connection = session.connection, !connection.isBusy else { return nil }
            return Inherited(socket: connection.raw, pending: session.framer.pending)
        }
        return (server?.raw, open)
    }

    private func accept(_ box: OwnedDescriptorBox, _ peer: Peer) {
        guard sessions.count < Self.connectionLimit, actions.mayAsk(peer), let socket = box.take() else { return }
        beginSession(socket, [])
    }

    private func beginSession(_ socket: consuming OwnedDescriptor, _ pending: [UInt8]) {
        lastSession += 1
        let id = lastSession
        let session = Session()
        session.framer.append(pending)
        session.connection = try? DescriptorConnection(
            socket, loop: loop,
            onBytes: { [unowned self] bytes in
                sessions[id]?.framer.append(bytes)
                handleRequests(id)
            }, onSent: { [unowned self] in handleRequests(id) }, onEnd: { [unowned self] in sessions[id] = nil })
        guard session.connection != nil else { return }
        sessions[id] = session
        if !pending.isEmpty { handleRequests(id) }
    }

    /// Answers the complete requests, as long as the client takes the answers. One packet holds a few hundred at most.
    private func handleRequests(_ id: UInt64) {
        while let session = sessions[id], let connection = session.connection, !connection.isBusy {
            do throws(MultibinderFramer.Failure) {
                guard let message = try session.framer.next() else { return }
                answer(message, connection)
            } catch {
                let failure = MultibinderFailure(.none, .parseError, "Parse error")
                connection.send(MultibinderReply.failed(failure).encoded, passing: nil)
                connection.close()
                sessions[id] = nil
            }
        }
    }

    private func answer(_ message: [UInt8], _ connection: DescriptorConnection) {
        do throws(MultibinderFailure) {
            let request = try MultibinderRequest.parse(message)
            switch request.method {
            case .bind(let address, let backlog):
                switch actions.bind(address, backlog) {
                case .success(let box): connection.send(MultibinderReply.done(request.id).encoded, passing: box.take())
                case .failure(let error):
                    throw MultibinderFailure(request.id, .cannotBind, "Could not bind: \(error)")
                }
            case .unbind(let address):
                guard actions.unbind(address) else {
                    throw MultibinderFailure(request.id, .cannotBind, "Not bound: \(address)")
                }
                connection.send(MultibinderReply.done(request.id).encoded, passing: nil)
            }
        } catch {
            connection.send(MultibinderReply.failed(error).encoded, passing: nil)
        }
    }
}
