import CSpawn
import Glibc
import Synchronization
import SystemPackage

/// The socket to which services report (`NOTIFY_SOCKET`): datagrams with the sender's credentials from the kernel.
public final class NotifySocket {
    /// A parsed datagram.
    public struct Datagram: Equatable, Sendable {
        /// The sender according to the kernel. The process may be dead by now.
        public var pid: Int32
        public var uid: UInt32
        public var gid: UInt32
        public var messages: [NotifyAssignment]
        /// The descriptors sent with it; those not taken are closed after the handler has returned.
        public var descriptors = ReceivedDescriptors([])
        /// Whether the kernel dropped descriptors for lack of room; the messages are valid all the same.
        public var hasLostDescriptors = false

        /// Descriptors are not compared: they are never equal.
        public static func == (left: Datagram, right: Datagram) -> Bool {
            (left.pid, left.uid, left.gid) == (right.pid, right.uid, right.gid) && left.messages == right.messages
        }
    }

    /// Counts of dropped input since the start.
    public struct Dropped: Equatable, Sendable {
        /// Datagrams over 4096 bytes.
        public var tooLong = 0
        /// Datagrams without a sender.
        public var anonymous = 0
        /// Lines that are not assignments.
        public var garbageLines = 0
    }

    public static let maximumLength = 4096
    /// The most datagrams per turn, so that a flood does not delay other sources.
    static let datagramsPerTurn = 64

    public let path: String
    public private(set) var dropped = Dropped()
    private let descriptor: OwnedDescriptor
    private var source: IOSource?
    private let handler: (Datagram) -> Void
    private var buffer = [UInt8](repeating: 0, count: maximumLength)
    private var numbers = [Int32](repeating: -1, count: HOLDFAST_MOST_DESCRIPTORS)

    /// Binds `path`, replacing an existing file: the runtime directory is ours. Any user may send: services run as
    /// other users, and `NotifyAccess=` decides which senders count.
    ///
    /// The descriptor of a BARRIER is closed after `handler` has returned: when sd_notify_barrier(3) returns in the
    /// service, its earlier messages have been handled.
    public init(path: String, loop: EventLoop, _ handler: @escaping (Datagram) -> Void) throws(SystemError) {
        self.path = path
        self.handler = handler
        descriptor = try OwnedDescriptor.socket(AF_UNIX, SocketType.datagram | SocketType.nonBlocking)
        var on: Int32 = 1
        try checkErrno(
            setsockopt(descriptor.raw, SOL_SOCKET, SO_PASSCRED, &on, socklen_t(MemoryLayout<Int32>.size)),
            "set SO_PASSCRED")
        // Room for many services that report at once; a sender in sd_notify would otherwise block until we read. The
        // forced form needs root; the limit of the other form is sufficient.
        var size: Int32 = 8 << 20
        if setsockopt(descriptor.raw, SOL_SOCKET, SO_RCVBUFFORCE, &size, socklen_t(MemoryLayout<Int32>.size)) < 0 {
            setsockopt(descriptor.raw, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        let directory = try SafeDirectory.parent(of: path, .ofOwner)
        let name = FileName(FileTree.name(of: path))
        try directory.unlink(name)
        try UnixPath.bind(descriptor.raw, path, in: directory, name, UnixPath.OwnerAndMode(mode: 0o777))
        try listen(loop)
    }

    /// Continues with a socket that is bound to `path` already; waiting messages are taken next.
    public init(
        path: String, inherited: consuming OwnedDescriptor, loop: EventLoop, _ handler: @escaping (Datagram) -> Void
    ) throws(SystemError) {
        self.path = path
        self.handler = handler
        descriptor = inherited
        try listen(loop)
    }

    /// The socket, for a successor.
    public var raw: Int32 { descriptor.raw }

    private func listen(_ loop: EventLoop) throws(SystemError) {
        let raw = raw
        source = try loop.addIO(raw, .readable, priority: .notifyMessages) { [unowned self] _ in
            receive(atMost: Self.datagramsPerTurn)
        }
    }

    /// Handles all waiting datagrams, also in a flood: before a decision about a process whose last messages may be
    /// among them.
    public func receiveWaiting() { receive(atMost: max(Self.queueLength, Self.datagramsPerTurn)) }

    /// The most datagrams that wait in a socket (net.unix.max_dgram_qlen, and one more).
    private static let queueLength: Int = {
        let text = ProcFile.read("/proc/sys/net/unix/max_dgram_qlen", limit: 32) ?? []
        return min(4096, (Int(ascii: text.prefix { $0 != UInt8(ascii: "\n") }) ?? 512) + 1)
    }()

    private func receive(atMost count: Int) {
        for _ in 0..<count {
            var info = holdfast_datagram()
            let result = buffer.withUnsafeMutableBytes { buffer in
                numbers.withUnsafeMutableBufferPointer { numbers in
                    info.descriptors = numbers.baseAddress
                    defer { info.descriptors = nil }
                    return FileLimit.bounded(by: .services) {
                        holdfast_receive(descriptor.raw, buffer.baseAddress, buffer.count, &info)
                    }
                }
            }
            // EAGAIN: all are read. Another error (such as no memory) may repeat at once.
            guard result >= 0 else {
                if result != -EAGAIN && result != -EINTR { source?.postpone() }
                return
            }
            source?.noteProgress()
            handleDatagram(info)
        }
    }

    private func handleDatagram(_ info: holdfast_datagram) {
        let descriptors = ReceivedDescriptors(Array(numbers.prefix(Int(info.descriptor_count))))
        defer { descriptors.closeAll() }
        if info.truncated != 0 {
            dropped.tooLong += 1
            return
        }
        guard info.has_credentials != 0, info.pid > 0 else {
            dropped.anonymous += 1
            return
        }
        let (messages, garbage) = NotifyAssignment.parse(buffer[..<min(info.length, buffer.count)])
        dropped.garbageLines += garbage
        guard !messages.isEmpty else { return }
        handler(
            Datagram(
                pid: info.pid, uid: info.uid, gid: info.gid, messages: messages, descriptors: descriptors,
                hasLostDescriptors: info.lost_descriptors != 0))
    }

    /// Stops receiving and removes the path.
    public func remove() {
        source?.cancel()
        guard let directory = try? SafeDirectory.parent(of: path, .ofOwner) else { return }
        _ = try? directory.unlink(FileName(FileTree.name(of: path)))
    }
}

/// Descriptors received with a datagram. Each is taken by a caller or closed.
public final class ReceivedDescriptors: Sendable {
    private let numbers: Mutex<[Int32]>

    init(_ numbers: [Int32]) { self.numbers = Mutex(numbers) }

    deinit { closeAll() }

    /// The first remaining descriptor; nil if there is none.
    public func takeFirst() -> OwnedDescriptor? {
        let number = numbers.withLock { $0.isEmpty ? nil : $0.removeFirst() }
        return number.map { OwnedDescriptor(owning: $0) }
    }

    func closeAll() {
        let left = numbers.withLock { numbers in
            defer { numbers = [] }
            return numbers
        }
        holdfast_close_received(left, left.count)
    }
}
