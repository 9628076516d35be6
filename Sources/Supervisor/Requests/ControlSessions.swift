import ControlProtocol
import Linux

/// Interface of the supervisor to the control sessions.
protocol ControlHost: AnyObject {
    /// Whether a peer may act; other peers are handled after those that may.
    func isOperator(_ peer: Peer) -> Bool
    /// Whether a peer is root or the supervisor's own user, whose connections are not counted.
    func isOwner(_ peer: Peer) -> Bool
    /// The limit on descriptors in words.
    var descriptorLimit: String { get }

    /// Handles a call that was parsed as Varlink.
    func handleCall(_ id: ControlSessions.CallID, _ call: Call, _ peer: Peer)
    /// The client of a call has disconnected before its last reply.
    func callerLeft(_ call: ControlSessions.CallID)
    /// The client of a call has read all queued replies.
    func callerHasRead(_ call: ControlSessions.CallID)
}

/// Connections to the control socket: framing, one call at a time for each, replies in order.
///
/// A call that streams keeps its connection busy; further requests of the client wait in the kernel. So a client costs
/// at most one request, one unread reply buffer and one read of 16 KiB, whatever it does.
final class ControlSessions {
    /// Identifies one call; never reused.
    struct CallID: Hashable, Codable { let number: UInt64 }

    private final class Session {
        let connection: any MachineConnection
        let peer: Peer
        var framer = MessageFramer(limit: MessageLimit.request)
        var call: (id: CallID, oneway: Bool, more: Bool)?
        var resumption: (any LoopSource)?
        /// Whether the client speaks another protocol: no more of its bytes are read.
        var isForeign = false
        init(_ connection: any MachineConnection, _ peer: Peer) {
            self.connection = connection
            self.peer = peer
        }
    }

    /// Connections at the same time; more can only be a client's fault, and are refused.
    static let connectionLimit = 512
    /// Connections of one user who is neither root nor the supervisor's: all users may connect, and none may keep
    /// operators out.
    static let connectionsOfOneUser = 32
    /// Connections of all such users together.
    static let connectionsOfOthers = 384
    /// Bytes of unread answers; a client that sends requests beyond this is disconnected.
    static let unreadLimit = 1 << 20
    private unowned let host: any ControlHost
    private let clients: any ClientsPort
    private let loop: any Loop
    private var server: (any MachineServer)?
    private var sessions: [UInt64: Session] = [:]
    private var sessionOfCall: [CallID: UInt64] = [:]
    private var lastSession: UInt64 = 0
    private(set) var lastCall: UInt64 = 0

    init(_ host: any ControlHost, _ clients: any ClientsPort, _ loop: any Loop) {
        (self.host, self.clients, self.loop) = (host, clients, loop)
    }

    func listen(at path: String, mode: UInt32, group: UInt32?) throws(SystemError) {
        server = try clients.listen(at: path, mode: mode, group: group, arrivals)
    }

    private var arrivals: ClientArrivals {
        let limit = host.descriptorLimit
        let error = ControlError.failed(message: "too many connections: no descriptors for another (\(limit))")
        return ClientArrivals(
            isOperator: { [unowned self] peer in host.isOperator(peer) }, refusal: Reply(error).encoded(),
            accepted: { [unowned self] client in accept(client) })
    }

    // MARK: - Re-exec

    /// Continues with the socket and the connections of the program that this process executed before.
    func resume(at path: String, listening: Int32, _ saved: SavedPeople) throws(SystemError) {
        lastCall = saved.lastCall
        server = try clients.inherit(at: path, listening: listening, arrivals)
        for record in saved.sessions {
            // A connection that cannot be taken over is closed, which its client notices.
            guard let client = try? clients.inheritClient(record.descriptor),
                let (id, session) = open(client)
            else { continue }
            session.framer.append(record.untaken)
            if let call = record.call {
                session.call = (call.id, call.oneway, call.more)
                sessionOfCall[call.id] = id
                session.connection.setReading(false)
            } else if session.framer.hasPartialMessage {
                session.connection.setReading(false)
                resumeLater(id)
            }
            session.connection.send(record.unsent)
        }
    }

    var listening: Int32? { server?.raw }

    /// Records of the connections. A connection with a call that no successor would answer is left out, and so closed.
    func saved(_ awaited: Set<CallID>) -> [SavedSession] {
        sessions.sorted { $0.key < $1.key }.compactMap { _, session in
            if let call = session.call, !awaited.contains(call.id) { return nil }
            let (raw, unsent) = session.connection.handover
            let call = session.call.map { SavedSession.Call(id: $0.id, oneway: $0.oneway, more: $0.more) }
            return SavedSession(descriptor: raw, untaken: session.framer.untaken, unsent: unsent, call: call)
        }
    }

    private func accept(_ client: any MachineClient) {
        guard sessions.count < Self.connectionLimit, mayConnect(client.peer) else { return }
        _ = open(client)
    }

    private func open(_ client: any MachineClient) -> (UInt64, Session)? {
        lastSession &+= 1
        let id = lastSession
        let connection = try? client.open(
            priority: priority(of: client.peer), maximumQueue: MessageLimit.reply,
            onBytes: { [unowned self] bytes in received(id, bytes) }, onEnd: { [unowned self] in closed(id) })
        guard let connection else { return nil }
        let session = Session(connection, client.peer)
        connection.onDrained = { [unowned self, unowned session] in
            if session.isForeign { return end(id) }
            if let call = session.call { host.callerHasRead(call.id) }
        }
        sessions[id] = session
        return (id, session)
    }

    private func priority(of peer: Peer) -> DispatchPriority {
        host.isOperator(peer) ? .controlRequests : .otherRequests
    }

    private func mayConnect(_ peer: Peer) -> Bool {
        guard !host.isOwner(peer) else { return true }
        let others = sessions.values.filter { !host.isOwner($0.peer) }
        return others.count < Self.connectionsOfOthers
            && others.count(where: { $0.peer.uid == peer.uid }) < Self.connectionsOfOneUser
    }

    private func closed(_ id: UInt64) {
        guard let session = sessions.removeValue(forKey: id) else { return }
        guard let call = session.call else { return }
        sessionOfCall[call.id] = nil
        host.callerLeft(call.id)
    }

    /// Closes a session from the supervisor's side.
    private func end(_ id: UInt64) {
        sessions[id]?.connection.close()
        closed(id)
    }

    private func received(_ id: UInt64, _ bytes: UnsafeRawBufferPointer) {
        guard let session = sessions[id] else { return }
        session.framer.append(bytes)
        takeNext(id, session)
    }

    /// Begins the next call of a session, if one is complete and none is being answered.
    private func takeNext(_ id: UInt64, _ session: Session) {
        guard session.call == nil, !session.isForeign, sessions[id] != nil else { return }
        guard session.connection.queued <= Self.unreadLimit else { return end(id) }
        guard !session.framer.isForeign else {
            // The client first reads the earlier answers.
            session.isForeign = true
            session.connection.setReading(false)
            return session.connection.queued == 0 ? end(id) : ()
        }
        var isComplete = false
        do throws(MessageError) {
            if let message = try session.framer.next() {
                isComplete = true
                dispatch(try Call(message: message), id, session)
            }
        } catch {
            // Varlink has no reply to a message that is not Varlink.
            return end(id)
        }
        guard sessions[id] != nil else { return }
        // One call per round of the loop: a thousand in one packet must not delay all other clients.
        if isComplete, session.call == nil, session.framer.hasPartialMessage {
            session.connection.setReading(false)
            return resumeLater(id)
        }
        session.connection.setReading(session.call == nil)
    }

    private func dispatch(_ call: Call, _ id: UInt64, _ session: Session) {
        lastCall &+= 1
        let callID = CallID(number: lastCall)
        session.call = (callID, call.oneway, call.more)
        sessionOfCall[callID] = id
        host.handleCall(callID, call, session.peer)
    }

    /// Sends a reply. One without `continues` ends the call.
    func reply(_ callID: CallID, _ reply: Reply) {
        guard let id = sessionOfCall[callID], let session = sessions[id], let call = session.call else { return }
        if !call.oneway, !reply.continues || call.more { session.connection.send(reply.encoded()) }
        guard !reply.continues else { return }
        sessionOfCall[callID] = nil
        session.call = nil
        // Deferred: a reply may be sent from inside `dispatch`.
        guard !session.framer.hasPartialMessage else { return resumeLater(id) }
        session.connection.setReading(true)
    }

    private func resumeLater(_ id: UInt64) {
        guard let session = sessions[id] else { return }
        session.resumption = try? loop.callLater(priority: priority(of: session.peer)) { [unowned self] in
            guard let session = sessions[id] else { return }
            takeNext(id, session)
        }
        if session.resumption == nil { end(id) }
    }

    /// Whether the caller accepts more than one reply.
    func wantsMore(_ callID: CallID) -> Bool {
        guard let id = sessionOfCall[callID] else { return false }
        return sessions[id]?.call?.more ?? false
    }

    /// Bytes that the caller has not read yet.
    func unread(_ callID: CallID) -> Int {
        guard let id = sessionOfCall[callID] else { return 0 }
        return sessions[id]?.connection.queued ?? 0
    }

    /// Stops new connections; running calls are still answered.
    func stopListening() { server = nil }
}
