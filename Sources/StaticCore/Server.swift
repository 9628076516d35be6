import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// The event sent through the pipeline of every live connection when draining starts.
struct DrainEvent: Sendable {}

/// The live connections, and whether the server is draining.
///
/// A connection counts from the accept, on the listener's own thread, not from its registration on another thread:
/// between the two it would be invisible, and the process could exit without answering it.
final class Draining: Sendable {
    private struct State {
        /// The promise made when draining starts; kept after it has ended.
        var over: EventLoopPromise<Void>?
        var listeners = 0
        /// The number of connections that are accepted and not yet a channel.
        var arriving = 0
        var live: [ObjectIdentifier: any Channel] = [:]

        var finished: EventLoopPromise<Void>? { listeners == 0 && arriving == 0 && live.isEmpty ? over : nil }
    }

    private let state = Mutex(State())
    /// Read for every answer, therefore without the lock.
    private let flag = Atomic<Bool>(false)

    var isDraining: Bool { flag.load(ordering: .acquiring) }
    var liveCount: Int { state.withLock { $0.live.count } }

    func listenerOpened(_ channel: any Channel) {
        state.withLock { $0.listeners += 1 }
        channel.closeFuture.whenComplete { _ in
            self.change { $0.listeners -= 1 }
        }
    }

    func listenerStarted() { state.withLock { $0.listeners += 1 } }
    func listenerEnded() { change { $0.listeners -= 1 } }

    /// Counts a connection that is not a channel yet, until `settled`.
    func arrived() { state.withLock { $0.arriving += 1 } }
    func connectionIsKnown() { change { $0.arriving -= 1 } }

    func accepted(_ channel: any Channel) {
        let id = ObjectIdentifier(channel)
        state.withLock { $0.live[id] = channel }
        channel.closeFuture.whenComplete { _ in
            self.change { $0.live[id] = nil }
        }
    }

    /// - Returns: a future that completes when the last listener and the last connection are gone.
    func beginDraining(on loop: any EventLoop) -> EventLoopFuture<Void> {
        flag.store(true, ordering: .releasing)
        let over = state.withLock { state in
            let over = state.over ?? loop.makePromise(of: Void.self)
            state.over = over
            return over
        }
        change { _ in }
        // A connection that becomes a channel after this finds the flag set after its answer.
        for channel in state.withLock({ Array($0.live.values) }) {
            channel.pipeline.fireUserInboundEventTriggered(DrainEvent())
        }
        return over.futureResult
    }

    private func change(_ body: (inout sending State) -> Void) {
        let finished = state.withLock { state in
            body(&state)
            return state.finished
        }
        // A promise ignores every completion after the first.
        finished?.succeed()
    }
}

/// Precedes NIO's own acceptor and sees every connection first.
private final class AcceptWatch: ChannelInboundHandler {
    typealias InboundIn = any Channel
    typealias InboundOut = any Channel

    private let draining: Draining

    init(draining: Draining) {
        self.draining = draining
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        draining.accepted(unwrapInboundIn(data))
        context.fireChannelRead(data)
    }
}

/// The address to listen on when no socket was passed.
public enum ServerAddress: Equatable, Sendable {
    case tcp(host: String, port: Int)
    case unix(path: String)

    /// `ADDR:PORT`, `[ADDR6]:PORT`, `PORT`, or a path with a `/` in it.
    public init?(_ text: String) {
        if text.contains("/") {
            self = .unix(path: text)
            return
        }
        guard let colon = text.lastIndex(of: ":") else {
            guard let port = UInt16(text) else { return nil }
            self = .tcp(host: "0.0.0.0", port: Int(port))
            return
        }
        guard let port = UInt16(text[text.index(after: colon)...]) else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { return nil }
        self = .tcp(host: String(host), port: Int(port))
    }
}

/// The whole server. The calls are `init`, `adopt` or `listen`, later `drain`.
public final class StaticServer: Sendable {
    private let group: MultiThreadedEventLoopGroup
    private let responder: Responder
    private let draining: Draining
    private let listeners = Mutex<[any Channel]>([])
    private let acceptors = Mutex<[Acceptor]>([])

    public init(configuration: StaticConfiguration) throws(StaticError) {
        responder = try Responder(configuration: configuration)
        group = MultiThreadedEventLoopGroup(numberOfThreads: max(1, min(configuration.threads, 64)))
        draining = Draining()
    }

    /// Accepts on a passed listening socket, and takes ownership of the descriptor.
    public func adopt(_ descriptor: Int32) throws(StaticError) {
        try Inheritance.check(descriptor)
        let (group, responder, draining) = (group, responder, draining)
        let acceptor = try Acceptor(
            descriptor,
            accepted: { connection in
                draining.arrived()
                // A value class that is not Sendable: one for each connection costs less than a lock.
                ClientBootstrap(group: group)
                    .channelOption(ChannelOptions.allowRemoteHalfClosure, value: true)
                    .channelInitializer { channel in
                        draining.accepted(channel)
                        return Self.initialize(channel, responder, draining)
                    }
                    .withConnectedSocket(connection)
                    .whenComplete { _ in draining.connectionIsKnown() }
            },
            ended: { draining.listenerEnded() })
        draining.listenerStarted()
        do throws(StaticError) {
            try acceptor.start()
        } catch {
            draining.listenerEnded()
            throw error
        }
        acceptors.withLock { $0.append(acceptor) }
    }

    /// Binds and accepts.
    public func listen(_ address: ServerAddress) throws(StaticError) {
        let bootstrap = bootstrap().serverChannelOption(ChannelOptions.backlog, value: 4096)
        switch address {
        case .tcp(let host, let port):
            let reusing = bootstrap.serverChannelOption(ChannelOptions.socketOption(.so_reuseaddr), value: 1)
            try open(reusing.bind(host: host, port: port), "cannot listen on \(host):\(port)")
        case .unix(let path):
            try open(
                bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true), "cannot listen on \(path)")
        }
    }

    /// The port that `listen` bound, for port 0.
    public var localPort: Int? {
        listeners.withLock { $0.first?.localAddress?.port }
    }

    public var connections: Int { draining.liveCount }

    /// Stops accepting, and completes when the last connection is gone. Never fails.
    ///
    /// Closing our copies of the listening sockets leaves them open for the other processes that hold them; connections
    /// still in their queues go to a sibling, or wait.
    public func drain() -> EventLoopFuture<Void> {
        let channels = listeners.withLock { $0 }
        for channel in channels { channel.close(promise: nil) }
        for acceptor in acceptors.withLock({ $0 }) { acceptor.stop() }
        return draining.beginDraining(on: group.next())
    }

    /// An event loop to schedule on.
    public var loop: any EventLoop { group.next() }

    private func open(_ future: EventLoopFuture<any Channel>, _ step: String) throws(StaticError) {
        do {
            let channel = try future.wait()
            draining.listenerOpened(channel)
            listeners.withLock { $0.append(channel) }
        } catch {
            throw StaticError("\(step): \((error as? IOError).map { errorText($0.errnoCode) } ?? "\(error)")")
        }
    }

    private func bootstrap() -> ServerBootstrap {
        let draining = draining
        let responder = responder
        return ServerBootstrap(group: group)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptWatch(draining: draining))
                }
            }
            .childChannelOption(ChannelOptions.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in Self.initialize(channel, responder, draining) }
    }

    private static func initialize(
        _ channel: any Channel, _ responder: Responder, _ draining: Draining
    ) -> EventLoopFuture<Void> {
        channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            let exchange = Exchange(responder: responder, draining: draining)
            var limits = NIOHTTPDecoderLimitConfiguration()
            limits.maxHeaderFieldSize = 16 * 1024
            limits.maxHeaderListSize = 32 * 1024
            limits.maxHeaderFieldCount = 100
            let decoder = HTTPRequestDecoder(
                leftOverBytesStrategy: .dropBytes, informationalResponseStrategy: .drop, limitConfiguration: limits)
            try pipeline.addHandlers([
                ByteWatch(exchange: exchange), ByteToMessageHandler(decoder), HTTPResponseEncoder(), exchange,
            ])
        }
    }
}
