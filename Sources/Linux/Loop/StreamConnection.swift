import CSpawn
import Glibc
import SystemPackage

/// A connected stream socket on the loop: received bytes by callback, sent bytes through a queue. The control protocol
/// uses it.
///
/// Both directions are bounded: 64 KiB are read from a peer per round, and a peer that does not read is disconnected
/// when more than `maximumQueue` bytes wait for it.
public final class StreamConnection {
    public enum End: Equatable, Sendable {
        /// The peer has closed; all bytes that it sent before have been delivered.
        case closedByPeer
        case failed(SystemError)
        /// The peer does not read the bytes that we send.
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
    /// Called when bytes had to wait for the peer and all of them have been sent.
    public var onDrained: (() -> Void)?

    /// Takes a connected socket. `onBytes` gets a buffer that is valid during the call; `onEnd` is the last call, made
    /// once, and not after `close` or `closeAfterSending`.
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

    /// Stops and resumes reading; unread bytes stay in the kernel, bounded. A disconnect is still noticed.
    public func setReading(_ on: Bool) {
        isReading = on
        updateEvents()
    }

    /// The number of bytes that wait for the peer to read.
    public var queued: Int { queue.count - sent }

    /// The state for a successor that continues the connection: the socket, and the bytes not taken by the peer.
    public var handover: (raw: Int32, unsent: [UInt8]) { (descriptor.raw, Array(queue[sent...])) }

    /// Sends the bytes that the kernel takes now, and queues the rest.
    public func send(_ bytes: some Collection<UInt8>) {
        guard source != nil, !closing else { return }
        queue += bytes
        if flush() && queued > maximumQueue { end(.tooSlow) }
    }

    /// Closes after all queued bytes have been sent; input meanwhile is dropped.
    public func closeAfterSending() {
        closing = true
        onEnd = nil
        onBytes = nil
        if queued == 0 { close() }
    }

    /// Closes at once.
    public func close() {
        source?.cancel()
        source = nil
        onBytes = nil
        onEnd = nil
        onDrained = nil
        // The descriptor is closed with this object; the shutdown shows the end to the peer now.
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
            // Level-triggered: a connection that is not read must be closed, or the loop spins.
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
            let count = ReceivedBytes.receive(descriptor.raw, into: buffer)
            if count > 0 {
                onBytes?(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            } else if count == 0 {
                end(.closedByPeer)
            } else if count != -Int(EAGAIN) && count != -Int(EINTR) {
                end(.failed(SystemError("receive", nil, Errno(rawValue: Int32(-count)))))
            }
        }
    }

    /// Sends queued bytes. False if the connection has ended in the attempt.
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
            // Moved only here: a peer that reads megabytes in small pieces would cause a move of the rest each time.
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
