import SystemPackage

@testable import Linux
@testable import Supervisor

/// The supervisor's hold on a socket of the world.
final class SimulatedEndpoint: Endpoint {
    private unowned let machine: SimulatedMachine
    private unowned let port: SimulatedSockets
    private var socket: WorldSockets.Socket
    private let descriptor: OwnedDescriptor
    var network: NetworkNamespace?
    private var onReadable: (() -> Bool)?
    private var onArrival: (() -> Void)?
    private var onBroken: (() -> Void)?
    private var isPosted = false
    private var pause: (any LoopTimer)?

    init(
        _ machine: SimulatedMachine, _ port: SimulatedSockets, _ socket: WorldSockets.Socket,
        _ descriptor: consuming OwnedDescriptor, _ network: NetworkNamespace?
    ) {
        (self.machine, self.port, self.socket, self.network) = (machine, port, socket, network)
        self.descriptor = descriptor
        machine.world.sockets.watch(socket, self)
    }

    private var world: World { machine.world }
    private var sockets: WorldSockets { machine.world.sockets }

    var target: HeldEndpoint.Target { socket.target }
    var raw: Int32 { descriptor.raw }
    var inode: UInt64? { socket.inode }
    var address: SocketAddress? { socket.address }
    var text: String { socket.address.map { "\($0)" } ?? "\(socket.target)" }
    var paths: [String] {
        switch socket.target {
        case .socket(.unix(let path), _), .file(.fifo(let path)): [path]
        case .socket, .file: []
        }
    }
    var fileID: FileID? { nil }
    var problems: [SystemError] { [] }
    var baseline: HeldBaseline { HeldBaseline(socket: SocketBaseline(of: raw)) }

    var hasConnections: Bool { if case .socket(_, let kind) = socket.target { kind.isConnected } else { false } }
    var isListening: Bool { !socket.isShutDown }
    var hasWaitingConnection: Bool { !socket.queue.isEmpty }
    var acceptQueue: (waiting: Int, limit: Int)? { canHoldBack ? (socket.queue.count, socket.backlog) : nil }
    var backlog: Int { hasConnections ? socket.backlog : 0 }

    func duplicate() throws(SystemError) -> OwnedDescriptor {
        try world.step(machine, "duplicate descriptor", text)
        return try descriptor.duplicate()
    }

    func unlinkPath() { if world.permits(machine, "unlink", text) { sockets.unlink(socket) } }
    func setNonBlocking(_ on: Bool) throws(SystemError) { try world.step(machine, "set non-blocking", text) }
    func flush() { if world.permits(machine, "flush", text) { sockets.flush(socket) } }

    func accept() throws(SystemError) -> OwnedDescriptor? {
        try world.step(machine, "accept on", text)
        return try sockets.accept(socket)?.take()
    }

    // MARK: - Watches

    func watchReadable(_ handler: @escaping () -> Bool) throws(SystemError) {
        try world.step(machine, "watch", text)
        (onReadable, onArrival) = (handler, nil)
        stateChanged()
    }

    func cancelReadable() { (onReadable, onArrival, pause) = (nil, nil, nil) }

    func watchArrival(_ handler: @escaping () -> Void) throws(SystemError) {
        guard hasConnections else { return }
        try world.step(machine, "watch", text)
        (onReadable, onArrival) = (nil, handler)
        stateChanged()
    }

    func watchBroken(_ handler: @escaping () -> Void) throws(SystemError) {
        guard hasConnections else { return }
        try world.step(machine, "watch", text)
        onBroken = handler
    }

    /// A connection has arrived, or the socket was shut down.
    func stateChanged() {
        guard !machine.isDead, !isPosted, socket.isShutDown || !socket.queue.isEmpty else { return }
        isPosted = true
        machine.simulatedLoop.post(.traffic) { [weak self] in self?.dispatch() }
    }

    private func dispatch() {
        isPosted = false
        if socket.isShutDown {
            onBroken?()
            return
        }
        guard !socket.queue.isEmpty else { return }
        if let handler = onArrival {
            onArrival = nil
            return handler()
        }
        guard let handler = onReadable else { return }
        if handler() { return stateChanged() }
        // The handler could not take it: the next call is later.
        pause = machine.loop.retry(after: 10_000_000) { [weak self] in self?.stateChanged() }
    }

    // MARK: - Settings

    func update(_ settings: EndpointSettings, previous: Linux.SocketOptions) -> [String] {
        if world.permits(machine, "set options", text) { sockets.setBacklog(socket, Int(settings.backlog)) }
        return []
    }

    func restoreAttributes(nonBlocking: Bool?) -> [AttributeChange] {
        world.permits(machine, "restore attributes", text) ? sockets.takeChanges(socket) : []
    }

    var isBeyondRepair: Bool { false }
    var canHoldBack: Bool {
        guard case .socket(let address, .stream) = socket.target else { return false }
        return address.port != nil
    }

    func holdBack(_ on: Bool) throws(SystemError) {
        try world.step(machine, "hold connections back", text)
        sockets.holdBack(socket, on)
    }

    func listenAgain() throws(SystemError) -> Bool {
        try world.step(machine, "listening on", text)
        sockets.listenAgain(socket)
        return true
    }

    func restorePath() throws(SystemError) -> ListeningSocket.PathState {
        guard !sockets.hasPath(socket) else { return .intact }
        try world.step(machine, "link", text)
        try sockets.restorePath(socket)
        return .restored
    }

    var canHaveSuccessor: Bool { canHoldBack }

    func successor() throws(SystemError) -> any Endpoint {
        try world.step(machine, "open beside", text)
        let (fresh, box) = try sockets.bind(
            socket.target, network: socket.network, backlog: socket.backlog, besideOther: true)
        guard let descriptor = box.take() else { throw SystemError("socket", nil, .badFileDescriptor) }
        return SimulatedEndpoint(machine, port, fresh, descriptor, network)
    }

    func renew() throws(SystemError) { try world.step(machine, "renew", text) }
}
