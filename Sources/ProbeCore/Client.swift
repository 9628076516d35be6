import CEpoll
import Glibc

/// One client: its connection, if it has one, and the request in flight, if there is one.
///
/// It is driven by `Loop`, which says when to begin, forwards readiness, and is told how each request ended. Readiness is
/// edge-triggered: an event is said once, so what comes while no request is in flight is only remembered.
final class Client {
    enum State {
        /// Nothing in flight; perhaps a connection is kept.
        case idle
        /// A request waits because the Unix socket's queue was full.
        case waitingForQueue
        /// Connecting or sending; this many bytes are sent.
        case sending(sent: Int)
        case receiving
    }

    /// How a request ended.
    enum Ending {
        case answered
        case lost(Loss, reason: String)
        case local(String)
    }

    private(set) var state = State.idle
    /// Where the request's latency counts from; microseconds.
    private(set) var startedAt: Int64 = 0
    private(set) var parser: ResponseParser
    private let index: UInt32
    private let keepAlive: Bool
    private var descriptor: Int32 = -1
    /// Something came on the kept connection while nothing was asked: its end, most likely.
    private var stirred = false

    init(index: UInt32, keepAlive: Bool, tokenLength: Int) {
        self.index = index
        self.keepAlive = keepAlive
        parser = ResponseParser(keptLength: tokenLength)
    }

    deinit { hangUp() }

    /// Sends one request, over the kept connection or a new one.
    ///
    /// - Returns: how it ended, if it has ended already.
    func begin(_ loop: Loop, at now: Int64) -> Ending? {
        startedAt = now
        return proceed(loop)
    }

    /// Goes on with a request that could not connect because the queue was full.
    func proceed(_ loop: Loop) -> Ending? {
        parser.reset()
        if descriptor < 0 {
            switch loop.dial() {
            case .connected(let new), .inProgress(let new): descriptor = new
            case .queueFull:
                state = .waitingForQueue
                return nil
            case .failed(let code): return end(code, "connecting")
            }
            stirred = false
            if let ending = send(loop, from: 0) { return ending }
            // Only now: on loopback the connection stands already and the request is away, so that there is one event
            // to wait for instead of two.
            var events = EPOLLIN.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue
            if case .sending = state { events |= EPOLLOUT.rawValue }
            var event = epoll_event(events: events, data: epoll_data_t(u32: index))
            guard epoll_ctl(loop.epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 else {
                return end(errno, "watching the connection")
            }
            return nil
        }
        if let ending = send(loop, from: 0) { return ending }
        guard stirred, case .receiving = state else { return nil }
        stirred = false
        return receive(loop)
    }

    /// The connection is ready for something.
    func ready(_ loop: Loop, events: UInt32) -> Ending? {
        switch state {
        case .idle, .waitingForQueue:
            stirred = true
            return nil
        case .sending(let sent):
            if let ending = send(loop, from: sent) { return ending }
            guard case .receiving = state else { return nil }
            return receive(loop)
        case .receiving:
            guard events & ~EPOLLOUT.rawValue != 0 else { return nil }
            return receive(loop)
        }
    }

    /// The request took too long.
    func giveUp() -> Ending {
        hangUp()
        state = .idle
        return .lost(.timedOut, reason: "")
    }

    private func send(_ loop: Loop, from start: Int) -> Ending? {
        var sent = start
        while sent < loop.request.count {
            let count = loop.request.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress.map { $0 + sent }, $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count >= 0 {
                sent += count
                continue
            }
            switch errno {
            case EINTR: continue
            case EAGAIN, ENOTCONN:
                state = .sending(sent: sent)
                return nil
            case let code: return end(code, "sending")
            }
        }
        state = .receiving
        return nil
    }

    private func receive(_ loop: Loop) -> Ending? {
        while true {
            let count = recv(descriptor, loop.buffer.baseAddress, loop.buffer.count, 0)
            if count > 0 {
                switch parser.feed(UnsafeRawBufferPointer(rebasing: loop.buffer[..<count])) {
                case .needsMore:
                    // No shortcut for a short read: a FIN right behind the data may have been part of the same event.
                    continue
                case .complete(let used):
                    return answered(extra: count - used)
                case .malformed(let reason):
                    hangUp()
                    state = .idle
                    return .lost(.other, reason: reason)
                }
            }
            if count == 0 {
                let isComplete = parser.end()
                hangUp()
                state = .idle
                return isComplete ? .answered : .lost(.closedEarly, reason: "")
            }
            switch errno {
            case EINTR: continue
            case EAGAIN: return nil
            case let code: return end(code, "receiving")
            }
        }
    }

    private func answered(extra: Int) -> Ending {
        // Bytes that nobody asked for make the connection useless for another request.
        if !keepAlive || parser.closes || extra > 0 { hangUp() }
        // The read that completed the answer may have left the connection's end unread, and its event is over.
        stirred = true
        state = .idle
        return .answered
    }

    private func end(_ code: Int32, _ step: String) -> Ending {
        hangUp()
        state = .idle
        switch Verdict(code) {
        case .lost(let loss): return .lost(loss, reason: "\(step): \(errorText(code))")
        case .local: return .local("\(step): \(errorText(code))")
        }
    }

    private func hangUp() {
        guard descriptor >= 0 else { return }
        // This also takes it out of the epoll set: the descriptor has no duplicates.
        close(descriptor)
        descriptor = -1
    }
}
