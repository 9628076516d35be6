import CSpawn
import Glibc
import SystemPackage

/// A connected Unix stream socket on the loop whose answers may carry a descriptor (SCM_RIGHTS of unix(7)).
///
/// One answer at a time: while one waits for the peer to read, nothing more is read from the peer. So a peer that sends
/// requests and reads no answers costs one request and one descriptor.
public final class DescriptorConnection {
    private let descriptor: OwnedDescriptor
    private var source: IOSource?
    private var waiting: (bytes: [UInt8], passed: OwnedDescriptorBox?)?
    private let onBytes: (UnsafeRawBufferPointer) -> Void
    private let onSent: () -> Void
    private let onEnd: () -> Void

    /// Takes a connected socket. `onSent` is called after an answer that had to wait was sent; `onEnd` once, when the
    /// peer has disconnected, and not after `close`.
    public init(
        _ socket: consuming OwnedDescriptor, loop: EventLoop, onBytes: @escaping (UnsafeRawBufferPointer) -> Void,
        onSent: @escaping () -> Void, onEnd: @escaping () -> Void
    ) throws(SystemError) {
        try socket.setNonBlocking(true)
        descriptor = socket
        self.onBytes = onBytes
        self.onSent = onSent
        self.onEnd = onEnd
        source = try loop.addIO(descriptor.raw, .readable, priority: .controlRequests) { [unowned self] ready in
            withExtendedLifetime(self) { advance(ready) }
        }
    }

    deinit { source?.cancel() }

    /// The descriptor, which survives a re-execution.
    public var raw: Int32 { descriptor.raw }

    /// Whether an answer waits for the peer, so that no other can be sent.
    public var isBusy: Bool { waiting != nil }

    public func close() {
        source?.cancel()
        source = nil
        waiting = nil
        shutdown(descriptor.raw, Int32(SHUT_RDWR))
    }

    /// Sends an answer of a few hundred bytes, with a duplicate of a descriptor. Requires that ``isBusy`` is false.
    public func send(_ bytes: [UInt8], passing passed: consuming OwnedDescriptor?) {
        guard source != nil else { return }
        let box: OwnedDescriptorBox? = if let passed { OwnedDescriptorBox(passed) } else { nil }
        waiting = (bytes, box)
        flush()
    }

    private func advance(_ ready: IOEvents) {
        if waiting != nil {
            if ready.contains(.writable), flush() { onSent() }
            if !ready.intersection([.hangUp, .error]).isEmpty, source != nil { end() }
            return
        }
        withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 16) { buffer in
            let count = ReceivedBytes.receive(descriptor.raw, into: buffer)
            if count > 0 {
                onBytes(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            } else if count != -Int(EAGAIN) && count != -Int(EINTR) {
                end()
            }
        }
    }

    /// Sends the waiting answer; true if it was sent.
    @discardableResult
    private func flush() -> Bool {
        guard let (bytes, passed) = waiting else { return true }
        let descriptors = passed.map { [$0.raw] } ?? []
        let sent = Int(
            holdfast_send_with_descriptors(descriptor.raw, bytes, bytes.count, descriptors, descriptors.count))
        if sent == bytes.count {
            waiting = nil
            source?.noteProgress()
            try? source?.setEvents(.readable)
            return true
        }
        // ETOOMANYREFS: the number of descriptors in flight is at our limit; it falls when peers read. The socket polls
        // writable all the same, so the next attempt is after a pause.
        if sent == -Int(ETOOMANYREFS) { source?.postpone() }
        if sent == -Int(EAGAIN) || sent == -Int(EINTR) || sent == -Int(ETOOMANYREFS) {
            try? source?.setEvents(.writable)
            return false
        }
        // An answer is far smaller than a socket's buffer, so a partial write is a fault.
        end()
        return false
    }

    private func end() {
        close()
        onEnd()
    }
}
