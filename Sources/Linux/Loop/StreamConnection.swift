import CSpawn
import Glibc
import SystemPackage

/// A connected stream socket on the loop: bytes in by callback, bytes out by a queue. The control protocol stands on it.
///
/// Both directions are bounded: a peer that sends is read 64 KiB per round, one that does not read is cut off when more than
/// `maximumQueue` bytes wait for it.
public final class StreamConnection {
    public enum End: Equatable, Sendable {
        /// The peer has closed; what it sent before has been delivered.
        case closedByPeer
        case failed(SystemError)
        /// It does not read what we send.
        case tooSlow
    }

    public let maximumQueue: Int
    private let descriptor: OwnedDescriptor
    private var source: IOSource?
    private var queue: [UInt8] = []
    private var sent = 0
    private var closing = false
    private var isReading = true
    private var onBytes: ((UnsafeRawBufferPointer) -> Void)?
    private var onEnd: ((End) -> Void)?
    /// Called when bytes had to wait for the peer and all of them are gone.
    public var onDrained: (() -> Void)?

    /// Takes a connected socket. `onBytes` gets a buffer that is valid during the call; `onEnd` comes once, last, and not after
    /// `close` or `closeAfterSending`.
    public init(
        _ socket: consuming OwnedDescriptor, loop: EventLoop, priority: DispatchPriority = .controlRequests,
        maximumQueue: Int = 4 << 20,
        onBytes: @escaping (UnsafeRawBufferPointer) -> Void, onEnd: @escaping (End) -> Void
    ) throws(SystemError) {
        self.maximumQueue = maximumQueue
        try socket.setNonBlocking(true)
        descriptor = socket
        self.onBytes = onBytes
        self.onEnd = onEnd
        source = try loop.addIO(descriptor.raw, .readable, priority: priority) { [unowned self] ready in
            withExtendedLifetime(self) { advance(ready) }
        }
    }

    public func peer() throws(SystemError) -> Peer { try Peer(of: descriptor.raw) }

    /// Stops and resumes reading; what is unread stays in the kernel, where it is bounded. That the peer has gone is
    /// noticed all the same.
    public func setReading(_ on: Bool) {
        isReading = on
        updateEvents()
    }

    /// Bytes that wait for the peer to read.
    public var queued: Int { queue.count - sent }

    /// What a successor needs to go on with the connection: the socket, and the bytes that the peer has not taken yet.
    public var handover: (raw: Int32, unsent: [UInt8]) { (descriptor.raw, Array(queue[sent...])) }

    /// Sends now what the kernel takes and queues the rest.
    public func send(_ bytes: some Collection<UInt8>) {
        guard source != nil, !closing else { return }
        queue += bytes
        if flush() && queued > maximumQueue { end(.tooSlow) }
    }

    /// Ends when everything queued has been sent; what comes in meanwhile is dropped.
    public func closeAfterSending() {
        closing = true
        onEnd = nil
        onBytes = nil
        if queued == 0 { close() }
    }

    /// Ends at once.
    public func close() {
        source?.cancel()
        source = nil
        onBytes = nil
        onEnd = nil
        onDrained = nil
        // The descriptor closes with this object; the peer shall see the end now.
        shutdown(descriptor.raw, Int32(SHUT_RDWR))
    }

    private func advance(_ ready: IOEvents) {
        if ready.contains(.writable), queued > 0 {
            guard flush() else { return }
            if queued == 0 { onDrained?() }
        }
        if isReading {
            if !ready.intersection([.readable, .hangUp, .error]).isEmpty { receive() }
        } else if !ready.intersection([.hangUp, .error]).isEmpty {
            // Level-triggered: whoever does not read must end it, or the loop spins.
            end(.closedByPeer)
        }
    }

    private func updateEvents() {
        var events: IOEvents = []
        if isReading { events.insert(.readable) }
        if queued > 0 { events.insert(.writable) }
        try? source?.setEvents(events)
    }

    private func receive() {
        withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 16) { buffer in
            let count = recv(descriptor.raw, buffer.baseAddress, buffer.count, 0)
            if count > 0 {
                onBytes?(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            } else if count == 0 {
                end(.closedByPeer)
            } else if errno != EAGAIN && errno != EINTR {
                end(.failed(SystemError("receive")))
            }
        }
    }

    /// False when the connection has ended by it.
    private func flush() -> Bool {
        while queued > 0 {
            let count = queue.withUnsafeBytes { bytes in
                Glibc.send(descriptor.raw, bytes.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0 && errno == EINTR { continue }
            if count < 0 && errno == EAGAIN { break }
            guard count >= 0 else {
                end(.failed(SystemError("send")))
                return false
            }
            sent += count
        }
        if queued == 0 {
            queue = []
            sent = 0
            if closing {
                close()
                return false
            }
        } else if sent > max(1 << 16, queue.count / 2) {
            // Only then: whoever reads megabytes in small pieces would have the rest moved each time.
            queue.removeFirst(sent)
            sent = 0
        }
        updateEvents()
        return true
    }

    private func end(_ reason: End) {
        let handler = onEnd
        close()
        handler?(reason)
    }
}
