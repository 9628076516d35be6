import ControlProtocol
import Glibc
import Linux
import Multibinder

@testable import Supervisor

/// Programs that speak with the supervisor, and the sockets that it listens on for them.
final class WorldClients {
    fileprivate final class Listening {
        weak var server: SimulatedServer?
        init(_ server: SimulatedServer) { self.server = server }
    }

    private var listening: [String: Listening] = [:]
    private var clients: [Int: WorldClient] = [:]
    private var lastNumber = 0
    /// Multibinder's servers by path.
    fileprivate(set) var binders: [String: SimulatedBinders] = [:]

    /// Connects to a path. The connection is refused (nil) if nothing listens there.
    func connect(to path: String, as peer: Peer) -> WorldClient? {
        guard let server = listening[path]?.server else { return nil }
        lastNumber += 1
        let client = WorldClient(lastNumber, peer)
        clients[lastNumber] = client
        server.arrive(client)
        return client
    }

    /// Whether a supervisor listens at a path.
    func isListening(at path: String) -> Bool { listening[path]?.server != nil }

    /// Ends the connections that one program has left for the next, which died before it took them.
    func loseUntaken(of handover: WorldHandover) {
        for number in handover.untaken {
            guard let token = try? handover.take(number), Self.isFile(token.raw),
                let bytes = try? LinuxHandover().contents(of: token, limit: 64)
            else { continue }
            Int(String(decoding: bytes, as: UTF8.self)).flatMap(client)?.isConnected = false
        }
    }

    /// Whether the descriptor stands for a client or a server. Those of sockets are pipes.
    private static func isFile(_ raw: Int32) -> Bool {
        var status = stat()
        return fstat(raw, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    fileprivate func add(_ server: SimulatedServer) { listening[server.path] = Listening(server) }
    fileprivate func remove(_ path: String) { listening[path] = nil }
    fileprivate func add(_ binders: SimulatedBinders) { self.binders[binders.path] = binders }
    fileprivate func removeBinders(_ path: String) { binders[path] = nil }
    fileprivate func client(_ number: Int) -> WorldClient? { clients[number] }
}

/// A program that is connected to the supervisor. It outlives the supervisor's process, and sees the end of it.
final class WorldClient {
    /// Bytes that the kernel keeps for a client that does not read (net.core.wmem_default).
    static let kernelBuffer = 212_992

    let number: Int
    let peer: Peer
    /// Whether the client reads what is sent to it.
    var isReading = true {
        didSet { if isReading { connection?.clientReads() } }
    }
    fileprivate(set) var isConnected = true
    private var framer = MessageFramer(limit: MessageLimit.reply)
    /// Replies that the client has read.
    private(set) var replies: [Reply] = []
    /// Bytes that the supervisor has not read.
    fileprivate var sent: [UInt8] = []
    fileprivate weak var connection: SimulatedConnection?
    private var inKernel: [UInt8] = []

    init(_ number: Int, _ peer: Peer) { (self.number, self.peer) = (number, peer) }

    func send(_ bytes: [UInt8]) {
        guard isConnected else { return }
        sent += bytes
        connection?.clientSent()
    }

    func call(_ request: Request, more: Bool = false, as identity: RequestIdentity? = nil) {
        send(request.call(more: more, as: identity).encoded())
    }

    func disconnect() {
        isConnected = false
        connection?.clientLeft()
    }

    /// The replies since the last call.
    func takeReplies() -> [Reply] {
        defer { replies = [] }
        return replies
    }

    /// Takes bytes into the kernel's buffer. Returns how many it takes.
    fileprivate func receive(_ bytes: ArraySlice<UInt8>) -> Int {
        let count = isReading ? bytes.count : min(bytes.count, Self.kernelBuffer - inKernel.count)
        inKernel += bytes.prefix(count)
        if isReading { read() }
        return count
    }

    fileprivate func read() {
        framer.append(inKernel)
        inKernel = []
        while let message = try? framer.next(), let reply = try? Reply(message: message) { replies.append(reply) }
    }
}

// MARK: - The supervisor's side

/// Clients of the supervisor on the simulated machine.
final class SimulatedClients: ClientsPort {
    private unowned let machine: SimulatedMachine
    private var world: World { machine.world }

    init(machine: SimulatedMachine) { self.machine = machine }

    func listen(
        at path: String, mode: UInt32, group: UInt32?, _ arrivals: ClientArrivals
    ) throws(SystemError) -> any MachineServer {
        try world.step(machine, "listen for clients", path)
        if world.clients.isListening(at: path) { throw SystemError("listen on", path, .addressInUse) }
        return try SimulatedServer(machine, path, arrivals)
    }

    func inherit(
        at path: String, listening number: Int32, _ arrivals: ClientArrivals
    ) throws(SystemError) -> any MachineServer {
        try world.step(machine, "inherit control socket", path)
        _ = try world.handover.take(number)
        return try SimulatedServer(machine, path, arrivals)
    }

    func inheritClient(_ number: Int32) throws(SystemError) -> any MachineClient {
        let token = try world.handover.take(number)
        let text = String(decoding: try LinuxHandover().contents(of: token, limit: 64), as: UTF8.self)
        guard let client = Int(text).flatMap(world.clients.client) else {
            throw SystemError("inherit client", "\(number)", .badFileDescriptor)
        }
        // Closed if it cannot be opened.
        let inherited = SimulatedClient(machine, client)
        try world.step(machine, "inherit client", "\(number)")
        return inherited
    }

    func listenForBinds(
        at path: String, mode: UInt32, group: UInt32?, _ actions: MultibinderServer.Actions
    ) throws(SystemError) -> any MachineBinders {
        try world.step(machine, "listen for binds", path)
        return try SimulatedBinders(machine, path, actions)
    }

    func inheritBinds(
        at path: String, listening number: Int32, _ connections: [MultibinderServer.Inherited],
        _ actions: MultibinderServer.Actions
    ) throws(SystemError) -> any MachineBinders {
        try world.step(machine, "inherit multibinder's socket", path)
        _ = try world.handover.take(number)
        return try SimulatedBinders(machine, path, actions)
    }
}

private final class SimulatedServer: MachineServer {
    let path: String
    private weak var machine: SimulatedMachine?
    private let arrivals: ClientArrivals
    private let token: OwnedDescriptor
    var raw: Int32 { token.raw }

    init(_ machine: SimulatedMachine, _ path: String, _ arrivals: ClientArrivals) throws(SystemError) {
        (self.machine, self.path, self.arrivals) = (machine, path, arrivals)
        token = try OwnedDescriptor.inMemory(Array(path.utf8), name: "listening")
        let clients = machine.world.clients
        clients.add(self)
        machine.atDeath.append { clients.remove(path) }
    }

    deinit { if machine?.isDead == false { machine?.world.clients.remove(path) } }

    func arrive(_ client: WorldClient) {
        guard let machine else { return }
        machine.simulatedLoop.post(.controlRequests) { [arrivals, weak machine] in
            guard let machine, client.isConnected else { return }
            guard machine.world.permits(machine, "accept client", "\(client.number)") else {
                client.isConnected = false
                return
            }
            arrivals.accepted(SimulatedClient(machine, client))
        }
    }
}

/// An accepted client, closed if it is not opened.
private final class SimulatedClient: MachineClient {
    private let machine: SimulatedMachine
    private let client: WorldClient
    private var isOpen = false
    var peer: Peer { client.peer }

    init(_ machine: SimulatedMachine, _ client: WorldClient) { (self.machine, self.client) = (machine, client) }

    deinit { if !isOpen { client.isConnected = false } }

    func open(
        priority: DispatchPriority, maximumQueue: Int, onBytes: @escaping (UnsafeRawBufferPointer) -> Void,
        onEnd: @escaping () -> Void
    ) throws(SystemError) -> any MachineConnection {
        try machine.world.step(machine, "open client", "\(client.number)")
        isOpen = true
        return try SimulatedConnection(machine, client, priority, maximumQueue, onBytes, onEnd)
    }
}

private final class SimulatedConnection: MachineConnection {
    private weak var machine: SimulatedMachine?
    private let client: WorldClient
    private let priority: DispatchPriority
    private let maximumQueue: Int
    private let token: OwnedDescriptor
    private var queue: [UInt8] = []
    private var isReading = true
    private var isPosted = false
    private var onBytes: ((UnsafeRawBufferPointer) -> Void)?
    private var onEnd: (() -> Void)?
    var onDrained: (() -> Void)?
    var queued: Int { queue.count }
    var handover: (raw: Int32, unsent: [UInt8]) { (token.raw, queue) }

    init(
        _ machine: SimulatedMachine, _ client: WorldClient, _ priority: DispatchPriority, _ maximumQueue: Int,
        _ onBytes: @escaping (UnsafeRawBufferPointer) -> Void, _ onEnd: @escaping () -> Void
    ) throws(SystemError) {
        (self.machine, self.client, self.priority, self.maximumQueue) = (machine, client, priority, maximumQueue)
        token = try OwnedDescriptor.inMemory(Array("\(client.number)".utf8), name: "client")
        (self.onBytes, self.onEnd) = (onBytes, onEnd)
        client.connection = self
        let (raw, handover) = (token.raw, machine.world.handover)
        let replacements = handover.replacements
        // A connection that is handed over outlives the program.
        machine.atDeath.append {
            let isHandedOver = handover.replacements > replacements && handover.untaken.contains(raw)
            if !isHandedOver { client.isConnected = false }
        }
        clientSent()
    }

    deinit {
        if machine?.isDead == false, client.connection === self || client.connection == nil {
            client.isConnected = false
        }
    }

    private var isOpen: Bool { onEnd != nil && machine?.isDead == false }

    func send(_ bytes: [UInt8]) {
        guard let machine, isOpen, machine.world.permits(machine, "send to client", "\(client.number)") else { return }
        queue += bytes
        flush()
        if queued > maximumQueue { end() }
    }

    private func flush() {
        queue.removeFirst(client.isConnected ? client.receive(queue[...]) : queue.count)
    }

    func setReading(_ on: Bool) {
        isReading = on
        if on { clientSent() }
    }

    func close() {
        (onBytes, onEnd, onDrained) = (nil, nil, nil)
        client.isConnected = false
    }

    private func end() {
        let handler = onEnd
        close()
        handler?()
    }

    // MARK: - The world's side

    /// Reads what the client has sent, in the loop's next round, 64 KiB at most.
    func clientSent() {
        guard isOpen, isReading, !isPosted, !client.sent.isEmpty || !client.isConnected else { return }
        isPosted = true
        machine?.simulatedLoop.post(priority) { [weak self] in self?.readOnce() }
    }

    private func readOnce() {
        isPosted = false
        guard isOpen else { return }
        if isReading, !client.sent.isEmpty {
            let bytes = Array(client.sent.prefix(64 << 10))
            client.sent.removeFirst(bytes.count)
            bytes.withUnsafeBytes { onBytes?($0) }
            return clientSent()
        }
        if !client.isConnected { end() }
    }

    func clientLeft() {
        isPosted = true
        machine?.simulatedLoop.post(priority) { [weak self] in self?.readOnce() }
    }

    func clientReads() {
        client.read()
        guard isOpen, queued > 0 else { return }
        flush()
        if queued == 0 { machine?.simulatedLoop.post(priority) { [weak self] in self?.onDrained?() } }
    }
}

/// Multibinder's server. A test calls what its clients ask for.
final class SimulatedBinders: MachineBinders {
    let path: String
    let actions: MultibinderServer.Actions
    private let token: OwnedDescriptor
    private weak var machine: SimulatedMachine?
    var inheritance: (listening: Int32?, connections: [MultibinderServer.Inherited]) { (token.raw, []) }

    fileprivate init(
        _ machine: SimulatedMachine, _ path: String, _ actions: MultibinderServer.Actions
    ) throws(SystemError) {
        (self.machine, self.path, self.actions) = (machine, path, actions)
        token = try OwnedDescriptor.inMemory(Array(path.utf8), name: "binds")
        let clients = machine.world.clients
        clients.add(self)
        machine.atDeath.append { clients.removeBinders(path) }
    }
}
