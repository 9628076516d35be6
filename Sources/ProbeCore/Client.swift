import CEpoll
import Glibc

/// One client: its connection, if it has one, and the request in flight, if there is one.
///
/// `Loop` drives it: begins requests, forwards readiness, and takes the result of each request. Readiness is
/// edge-triggered: an event is reported once, so an event without a request in flight is only remembered.
final class Client {
    enum State {
        /// No request is in flight; the connection may be kept.
        case idle
        /// A request waits because the queue of the Unix socket was full.
        case waitingForQueue
        /// Connecting or sending; `sent` bytes have been sent.
        case sending(sent: Int)
        case receiving
    }

    /// The result of a request.
    enum Ending {
        case answered
        case lost(Loss, reason: String)
        case local(String)
    }

    private(set) var state = State.idle
    /// The time from which the request's latency counts; microseconds.
    private(set) var startedAt: Int64 = 0
    private(set) var parser: ResponseParser
    private let index: UInt32
    private let keepAlive: Bool
    private var descriptor: Int32 = -1
    /// The kept connection became readable while no request was in flight: most likely its end.
    private var stirred = false

    init(index: UInt32, keepAlive: Bool, tokenLength: Int) {
        self.index = index
        self.keepAlive = keepAlive
        parser = ResponseParser(keptLength: tokenLength)
    }

    deinit { closeConnection() }

    /// Sends one request, over the kept connection or a new one.
    ///
    /// - Returns: the result, if there is one already.
    func beginRequest(_ loop: Loop, at now: Int64) -> Ending? {
        startedAt = now
        return continueRequest(loop)
    }

    /// Continues a request that could not connect because the queue was full.
    func continueRequest(_ loop: Loop) -> Ending? {
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
            // Added only now: on loopback the connection is established and the request sent by this time, so that
            // there is one event to wait for instead of two.
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

    /// Handles readiness of the connection.
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

    /// Ends a request that took too long.
    func abandonRequest() -> Ending {
        closeConnection()
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
                    // A short read does not end the loop: a FIN right after the data may belong to the same event.
                    continue
                case .complete(let used):
                    return answered(extra: count - used)
                case .malformed(let reason):
                    closeConnection()
                    state = .idle
                    return .lost(.other, reason: reason)
                }
            }
            if count == 0 {
                let isComplete = parser.end()
                closeConnection()
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
        // Surplus bytes make the connection unusable for another request.
        if !keepAlive || parser.closes || extra > 0 { closeConnection() }
        // The read that completed the answer may have left the connection's end unread, and its event is over.
        stirred = true
        state = .idle
        return .answered
    }

    private func end(_ code: Int32, _ step: String) -> Ending {
        closeConnection()
        state = .idle
        switch Verdict(code) {
        case .lost(let loss): return .lost(loss, reason: "\(step): \(errorText(code))")
        case .local: return .local("\(step): \(errorText(code))")
        }
    }

    private func closeConnection() {
        guard descriptor >= 0 else { return }
        // This also removes it from the epoll set: the descriptor has no duplicates.
        close(descriptor)
        descriptor = -1
    }
}
