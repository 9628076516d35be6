import CSpawn
import Glibc
import SystemPackage

/// Who is at the other end of a Unix stream socket: the kernel's word, taken when the connection was made
/// (SO_PEERCRED and SO_PEERGROUPS of unix(7) and socket(7)).
public struct Peer: Equatable, Sendable {
    public var pid: Int32
    public var uid: UInt32
    public var gid: UInt32
    /// Supplementary groups.
    public var groups: [UInt32]

    /// Of a connected Unix stream socket.
    init(of descriptor: Int32) throws(SystemError) {
        var (pid, uid, gid): (pid_t, uid_t, gid_t) = (0, 0, 0)
        try check(holdfast_peer_credentials(descriptor, &pid, &uid, &gid), "read peer credentials")
        (self.pid, self.uid, self.gid) = (pid, uid, gid)
        // 59 is SO_PEERGROUPS (asm-generic/socket.h); the kernel's bound for groups is 65,536, ours is what fits here.
        var list = [gid_t](repeating: 0, count: 1024)
        var size = socklen_t(list.count * MemoryLayout<gid_t>.size)
        let result = getsockopt(descriptor, SOL_SOCKET, 59, &list, &size)
        groups = result == 0 ? Array(list.prefix(Int(size) / MemoryLayout<gid_t>.size)) : []
    }
}

/// A listening Unix stream socket of our own, and its connections' birth.
public final class LocalServer {
    public let path: String
    private let descriptor: OwnedDescriptor
    private var source: IOSource?

    /// Listens at `path` with `mode`. A socket file that a dead process left is replaced; one that somebody listens on
    /// is an error (EADDRINUSE).
    public init(
        loop: EventLoop, path: String, mode: mode_t, group: UInt32?,
        _ accepted: @escaping (OwnedDescriptorBox, Peer) -> Void
    ) throws(SystemError) {
        self.path = path
        descriptor = try Self.listen(path, mode, group)
        // Unowned: the source lives and dies with the server.
        source = try loop.addIO(descriptor.raw, .readable, priority: .controlRequests) { [unowned self] _ in
            acceptAll(accepted)
        }
    }

    deinit {
        source?.cancel()
        unlink(path)
    }

    private static func listen(_ path: String, _ mode: mode_t, _ group: UInt32?) throws(SystemError) -> OwnedDescriptor {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = OwnedDescriptor(owning: try checkErrno(socket(AF_UNIX, type, 0), "create control socket"))
        if answers(path) { throw SystemError("listen on", path, .addressInUse) }
        unlink(path)
        let bound = try withUnixAddress(path) { bind(descriptor.raw, $0, $1) }
        try checkErrno(bound, "bind", path)
        if let group, chown(path, UInt32.max, group) != 0, geteuid() == 0 {
            throw SystemError("change group of", path, Errno(rawValue: errno))
        }
        try checkErrno(chmod(path, mode), "change mode of", path)
        try checkErrno(Glibc.listen(descriptor.raw, 128), "listen on", path)
        return descriptor
    }

    /// Somebody accepts there.
    private static func answers(_ path: String) -> Bool {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let number = socket(AF_UNIX, type, 0)
        guard number >= 0 else { return false }
        defer { close(number) }
        let result = try? withUnixAddress(path) { connect(number, $0, $1) }
        return result == 0 || (result == -1 && errno == EAGAIN)
    }

    private func acceptAll(_ accepted: (OwnedDescriptorBox, Peer) -> Void) {
        // Bounded per wake-up; the rest is still readable in the next round.
        for _ in 0..<16 {
            let number = holdfast_accept(descriptor.raw)
            guard number >= 0 else { return }
            let box = OwnedDescriptorBox(OwnedDescriptor(owning: number))
            guard let peer = try? Peer(of: number) else { continue }
            accepted(box, peer)
        }
    }
}

/// A descriptor that a closure can hand over: closures cannot take noncopyable parameters through generic storage yet.
public final class OwnedDescriptorBox {
    public let descriptor: OwnedDescriptor
    init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
}

/// One accepted connection: bytes in through a callback, bytes out through a bounded buffer.
public final class LocalConnection {
    public let peer: Peer
    /// Bytes that may wait for a slow reader; beyond that it is cut off.
    private let outputLimit: Int
    private let box: OwnedDescriptorBox
    private var source: IOSource?
    private var output: [UInt8] = []
    private var sent = 0
    private var isReading = true
    private var endsAfterOutput = false
    private let received: ([UInt8]) -> Void
    private let closed: () -> Void

    /// `received` gets at most 16 KiB at a time; `closed` comes once, when the peer is gone or was cut off.
    public init(
        loop: EventLoop, _ box: OwnedDescriptorBox, peer: Peer, outputLimit: Int,
        received: @escaping ([UInt8]) -> Void, closed: @escaping () -> Void
    ) throws(SystemError) {
        self.peer = peer
        self.box = box
        self.outputLimit = outputLimit
        self.received = received
        self.closed = closed
        source = try loop.addIO(box.descriptor.raw, .readable, priority: .controlRequests) { [unowned self] events in
            ready(events)
        }
    }

    deinit { source?.cancel() }

    private func ready(_ events: IOEvents) {
        if events.contains(.writable) { flush() }
        if events.contains(.readable), isReading { return read() }
        // Not reading while an answer is worked on; that the peer hung up must be noticed all the same.
        if events.contains(.hangUp) || events.contains(.error) { close() }
    }

    private func read() {
        var buffer = [UInt8](repeating: 0, count: 16 * 1024)
        let count = Glibc.read(box.descriptor.raw, &buffer, buffer.count)
        if count > 0 { return received(Array(buffer.prefix(count))) }
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        close()
    }

    /// Stops and resumes reading; what is unread stays in the kernel, where it is bounded.
    public func setReading(_ on: Bool) {
        isReading = on
        updateEvents()
    }

    /// Queues bytes; a peer that does not take them is cut off when too many wait.
    public func send(_ bytes: [UInt8]) {
        guard source != nil else { return }
        output += bytes
        flush()
        if output.count - sent > outputLimit { close() }
    }

    /// Ends the connection when everything has been sent.
    public func closeAfterOutput() {
        endsAfterOutput = true
        flush()
    }

    private func flush() {
        while sent < output.count {
            let count = output.withUnsafeBytes { bytes in
                // MSG_NOSIGNAL: a peer that is gone is an error code, not a SIGPIPE.
                Glibc.send(
                    box.descriptor.raw, bytes.baseAddress?.advanced(by: sent), bytes.count - sent,
                    Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            if count > 0 {
                sent += count
            } else if count < 0, errno == EINTR {
                continue
            } else if count < 0, errno == EAGAIN {
                break
            } else {
                return close()
            }
        }
        if sent == output.count {
            output.removeAll(keepingCapacity: output.capacity <= 64 * 1024)
            sent = 0
            if endsAfterOutput { return close() }
        } else if sent > 256 * 1024 {
            output.removeSubrange(..<sent)
            sent = 0
        }
        updateEvents()
    }

    private func updateEvents() {
        var events: IOEvents = []
        if isReading { events.insert(.readable) }
        if sent < output.count { events.insert(.writable) }
        try? source?.setEvents(events)
    }

    /// Ends it now.
    public func close() {
        guard let source else { return }
        source.cancel()
        self.source = nil
        shutdown(box.descriptor.raw, Int32(SHUT_RDWR))
        closed()
    }
}

/// Calls `body` with `path` as a `sockaddr_un`; ENAMETOOLONG if it does not fit (107 bytes).
func withUnixAddress<R>(
    _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R
) throws(SystemError) -> R {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
        throw SystemError("use socket path", path, .fileNameTooLong)
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let size = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count + 1)
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, size) }
    }
}
