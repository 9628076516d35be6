import Glibc
import NIOCore
import NIOHTTP1

/// Counts bytes before they are parsed: a request of which one byte has arrived counts as accepted, and bytes that
/// never become a request are bounded.
final class ByteWatch: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// The most bytes of request line and headers together.
    static let headLimit = 64 * 1024

    private let exchange: Exchange

    init(exchange: Exchange) {
        self.exchange = exchange
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        exchange.bytesArrived(unwrapInboundIn(data).readableBytes)
        context.fireChannelRead(data)
    }
}

/// One connection of an HTTP/1.1 server: complete requests wait in order and are answered in order, and the connection
/// ends in a way that loses none of them.
///
/// The connection is in one of these situations, each with its own time limit:
/// - no byte of a request has arrived: `requestTimeout` after accept, else `keepAlive`, or `drainIdle` while draining;
/// - a request is arriving: `requestTimeout` from its first byte;
/// - answering: no limit but the peer's;
/// - leaving: our side is closed, and the peer has `lingerTime` to close its own. Closing at once with bytes unread
///   would reset the connection, and a reset can overtake the answer.
final class Exchange: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = Never
    typealias OutboundOut = HTTPServerResponsePart

    private struct Request {
        var head: HTTPRequestHead
        /// The status of an answer that does not depend on the site.
        var refusal: HTTPResponseStatus?
    }

    private static let lingerTime = TimeAmount.seconds(2)
    /// The number of waiting requests at which reading pauses.
    private static let pipelineLimit = 32
    private static let bodyLimit = 64 * 1024

    private let responder: Responder
    private let draining: Draining
    private var waiting: CircularBuffer<Request> = []
    private var arriving: Request?
    private var bytesSinceRequest = 0
    private var answering = false
    private var leaving = false
    /// The last possible request has arrived: further input is discarded.
    private var deaf = false
    private var readHeldBack = false
    private var deadline = NIODeadline.distantFuture
    private var alarm: (at: NIODeadline, task: Scheduled<Void>)?
    private var context: ChannelHandlerContext?

    init(responder: Responder, draining: Draining) {
        self.responder = responder
        self.draining = draining
    }

    private var settings: StaticConfiguration { responder.configuration }

    // MARK: Lifetime of the connection

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { setTimeLimit(seconds: settings.requestTimeout) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        alarm?.task.cancel()
        alarm = nil
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        setTimeLimit(seconds: settings.requestTimeout)
        context.fireChannelActive()
    }

    func bytesArrived(_ count: Int) {
        guard !leaving, !deaf else { return }
        if bytesSinceRequest == 0, waiting.isEmpty { setTimeLimit(seconds: settings.requestTimeout) }
        bytesSinceRequest += count
        if bytesSinceRequest > ByteWatch.headLimit + Self.bodyLimit, arriving == nil {
            refuse(.requestHeaderFieldsTooLarge)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is DrainEvent:
            let idle = waiting.isEmpty && arriving == nil && bytesSinceRequest == 0 && !leaving
            if idle, answered { setTimeLimit(seconds: settings.drainIdle) }
        case ChannelEvent.inputClosed:
            // The peer has closed its side. Its complete requests are still answered.
            deaf = true
            if leaving || waiting.isEmpty { context.close(promise: nil) }
        default:
            context.fireUserInboundEventTriggered(event)
        }
    }

    /// At least one answer was sent, so an idle connection is kept alive and not new.
    private var answered = false

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case is HTTPParserError, is NIOHTTPDecoderError: refuse(.badRequest)
        default: context.close(promise: nil)
        }
    }

    // MARK: Requests in

    func read(context: ChannelHandlerContext) {
        if waiting.count >= Self.pipelineLimit { readHeldBack = true } else { context.read() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !deaf, !leaving else { return }
        switch unwrapInboundIn(data) {
        case .head(let head):
            bytesSinceRequest = 0
            // An unsupported method is refused at once, without waiting for a body that may be large.
            if head.method != .GET, head.method != .HEAD {
                deaf = true
                accept(Request(head: head, refusal: .methodNotAllowed))
            } else {
                arriving = Request(head: head, refusal: nil)
            }
        case .body(let bytes):
            bytesSinceRequest += bytes.readableBytes
            if bytesSinceRequest > Self.bodyLimit { refuse(.payloadTooLarge) }
        case .end:
            bytesSinceRequest = 0
            guard let request = arriving else { return }
            arriving = nil
            // The decoder stops at an offer to upgrade (curl makes one), which this server does not accept.
            if !request.head.isKeepAlive || request.head.headers.contains(name: "upgrade") { deaf = true }
            accept(request)
        }
    }

    /// Answers with `status` after all waiting requests, then ends the connection.
    private func refuse(_ status: HTTPResponseStatus) {
        guard !deaf, !leaving else { return }
        deaf = true
        let head = arriving?.head ?? HTTPRequestHead(version: .http1_1, method: .GET, uri: "*")
        arriving = nil
        accept(Request(head: head, refusal: status))
    }

    private func accept(_ request: Request) {
        waiting.append(request)
        deadline = .distantFuture
        answerNext()
    }

    // MARK: Answers out

    func channelReadComplete(context: ChannelHandlerContext) {
        context.flush()
        context.fireChannelReadComplete()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { answerNext() }
        context.fireChannelWritabilityChanged()
    }

    private func answerNext() {
        guard let context, !answering, !leaving, context.channel.isWritable, !waiting.isEmpty else { return }
        answering = true
        guard settings.answerDelay > 0 else { return answerFirst(context) }
        // The connection may have ended by then; `handlerRemoved` breaks the reference.
        let exchange = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: timeAmount(settings.answerDelay)) {
            let exchange = exchange.value
            guard let context = exchange.context else { return }
            exchange.answerFirst(context)
            context.flush()
        }
    }

    private func answerFirst(_ context: ChannelHandlerContext) {
        guard let request = waiting.first else { return }
        // While draining, the answer to the last known request closes the connection.
        let isLast = waiting.count == 1 && (deaf || arriving == nil && bytesSinceRequest == 0)
        let close = !request.head.isKeepAlive || isLast && (deaf || draining.isDraining)
        let answer = responder.answer(to: request.head, refusal: request.refusal)
        let head = responder.head(for: answer, of: request.head, close: close)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        switch answer.content {
        case .bytes(let bytes):
            if request.head.method != .HEAD, bytes.readableBytes > 0 {
                context.write(wrapOutboundOut(.body(.byteBuffer(bytes))), promise: nil)
            }
            finish(context, close: close)
        case .file(let file):
            if request.head.method == .HEAD { finish(context, close: close) } else { send(file, from: 0, close: close) }
        }
    }

    /// Sends a file piece by piece, the next one after the last was taken, so that memory does not grow with the file.
    private func send(_ file: SiteFile, from offset: Int, close: Bool) {
        guard let context else { return }
        guard offset < file.size else {
            finish(context, close: close)
            context.flush()
            return
        }
        let wanted = min(file.size - offset, Responder.pieceSize)
        var piece = context.channel.allocator.buffer(capacity: wanted)
        let count = piece.writeWithUnsafeMutableBytes(minimumWritableBytes: wanted) { space in
            file.read(into: UnsafeMutableRawBufferPointer(rebasing: space[..<wanted]), at: offset) ?? 0
        }
        // The file is shorter than promised: only an early end can report that now.
        guard count > 0 else { return context.close(promise: nil) }
        let state = NIOLoopBound((self, file), eventLoop: context.eventLoop)
        let loop = context.eventLoop
        context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(piece)))).whenSuccess {
            // Not called directly: with a fast peer the recursion would be as deep as the file is long.
            loop.execute {
                let (exchange, file) = state.value
                exchange.send(file, from: offset + count, close: close)
            }
        }
    }

    private func finish(_ context: ChannelHandlerContext, close: Bool) {
        waiting.removeFirst()
        answering = false
        answered = true
        // The second condition: the peer closed its side while this answer, which promised keep-alive, was being sent.
        guard !close, !(deaf && waiting.isEmpty) else {
            leaving = true
            waiting.removeAll()
            let loopBound = NIOLoopBound(context, eventLoop: context.eventLoop)
            context.writeAndFlush(wrapOutboundOut(.end(nil))).whenSuccess {
                loopBound.value.close(mode: .output, promise: nil)
            }
            setTimeLimit(Self.lingerTime)
            return
        }
        context.write(wrapOutboundOut(.end(nil)), promise: nil)
        if readHeldBack, waiting.count < Self.pipelineLimit {
            readHeldBack = false
            context.read()
        }
        if !waiting.isEmpty { return answerNext() }
        if arriving == nil, bytesSinceRequest == 0 {
            setTimeLimit(seconds: draining.isDraining ? settings.drainIdle : settings.keepAlive)
        }
        if settings.answerDelay > 0 { context.flush() }
    }

    // MARK: Patience

    private func setTimeLimit(seconds: Double) { setTimeLimit(timeAmount(seconds)) }

    /// Sets the time limit for the connection's present situation.
    private func setTimeLimit(_ time: TimeAmount) {
        guard let context else { return }
        deadline = .now() + time
        // One alarm serves many requests: only an earlier one replaces it, and one that fires too early is set again.
        if let alarm {
            guard deadline < alarm.at else { return }
            alarm.task.cancel()
        }
        setAlarm(context)
    }

    private func setAlarm(_ context: ChannelHandlerContext) {
        let exchange = NIOLoopBound(self, eventLoop: context.eventLoop)
        let task = context.eventLoop.scheduleTask(deadline: deadline) { exchange.value.handleTimeLimit() }
        alarm = (deadline, task)
    }

    private func handleTimeLimit() {
        alarm = nil
        guard let context else { return }
        guard deadline <= .now() else {
            if deadline != .distantFuture { setAlarm(context) }
            return
        }
        context.close(promise: nil)
    }
}

/// Seconds as a `TimeAmount`, bounded to its range.
private func timeAmount(_ seconds: Double) -> TimeAmount {
    .nanoseconds(Int64(max(0, min(seconds, 1e9)) * 1e9))
}
