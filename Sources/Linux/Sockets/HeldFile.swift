import CSpawn
import Glibc
import SystemPackage

/// An endpoint of a socket unit without connections: FIFO, special file, POSIX message queue, netlink socket.
public final class HeldFile {
    public enum Target: Hashable, Sendable, Codable, CustomStringConvertible {
        case fifo(path: String)
        /// A character device, or a file of /proc or /sys.
        case special(path: String, writable: Bool)
        /// A POSIX message queue (mq_overview(7)), by its name with the slash.
        case messageQueue(name: String)
        /// A netlink socket: the number of the family, and the bits of nl_groups.
        case netlink(family: Int32, groups: UInt32)

        public var description: String {
            switch self {
            case .fifo(let path), .special(let path, writable: _): path
            case .messageQueue(let name): name
            case .netlink(let family, let groups): "netlink:\(family):\(groups)"
            }
        }
    }

    /// Sizes that only some kinds have.
    public struct Sizes: Equatable, Sendable {
        /// The size of a FIFO's buffer in bytes.
        public var pipe: Int32?
        /// The sizes of a message queue that does not exist yet.
        public var messages: Int?
        public var messageSize: Int?
        public init(pipe: Int32? = nil, messages: Int? = nil, messageSize: Int? = nil) {
            self.pipe = pipe
            self.messages = messages
            self.messageSize = messageSize
        }
    }

    public let target: Target
    public let file: ListeningSocket.FileOptions
    /// Settings that the kernel refused; they are reported, and the file is used without them.
    public private(set) var problems: [SystemError] = []
    private let descriptor: OwnedDescriptor
    /// The attributes at the last opening or update; only a netlink socket has any.
    var baseline: SocketBaseline
    /// The buffer size of a FIFO.
    private(set) var pipeSize: Int32?
    private var watch: IOSource?

    /// The number for a `SpawnPlan`.
    public var raw: Int32 { descriptor.raw }

    /// Opens the file, and makes a missing FIFO or message queue. Throws `listening on /run/x: File exists`.
    public init(
        _ target: Target, file: ListeningSocket.FileOptions = .init(), options: SocketOptions = SocketOptions(),
        sizes: Sizes = Sizes()
    ) throws(SystemError) {
        self.target = target
        self.file = file
        do throws(SystemError) {
            descriptor = try Self.open(target, file, sizes)
        } catch {
            throw SystemError("listening on", "\(target)", error.errno)
        }
        baseline = SocketBaseline(of: descriptor.raw)
        update(options: options, previous: SocketOptions(), sizes: sizes)
    }

    /// Takes a file that another process opened.
    public init(
        adopting opened: consuming OwnedDescriptor, _ target: Target, file: ListeningSocket.FileOptions = .init(),
        baseline: HeldBaseline? = nil
    ) {
        self.target = target
        self.file = file
        self.baseline = baseline?.socket ?? SocketBaseline(of: opened.raw)
        pipeSize = baseline?.pipeSize ?? StatusFlags.pipeSize(opened.raw)
        descriptor = opened
    }

    /// Applies the settings that can be changed on an open file.
    public func update(options: SocketOptions, previous: SocketOptions, sizes: Sizes) {
        problems = []
        switch target {
        case .netlink:
            // Changes by other processes must not become part of the baseline.
            _ = baseline.putBack(raw) { nil }
            problems = options.apply(raw, AF_NETLINK, previous: previous)
            baseline = SocketBaseline(of: raw)
        case .fifo:
            if let size = sizes.pipe {
                let result = holdfast_set_pipe_size(raw, size)
                if result < 0 { problems.append(SystemError("PipeSize=", "\(size)", negated: result)) }
            }
            if sizes.pipe != nil || pipeSize == nil { pipeSize = StatusFlags.pipeSize(raw) }
        case .special, .messageQueue: break
        }
    }

    private static func open(
        _ target: Target, _ file: ListeningSocket.FileOptions, _ sizes: Sizes
    ) throws(SystemError) -> OwnedDescriptor {
        switch target {
        case .fifo(let path):
            let directory = try SafeDirectory.parent(of: path, .ofOwner, making: file.directoryMode)
            let name = FileName(FileTree.name(of: path))
            _ = try directory.makeFIFO(name, mode: file.mode)
            guard let entry = try directory.pin(name) else { throw SystemError("open", path, .noSuchFileOrDirectory) }
            guard entry.status.kind == S_IFIFO else { throw SystemError("open", path, .fileExists) }
            // In a directory of another user only our files or its owner's are given away.
            let owners = [0, geteuid(), directory.status.st_uid, file.owner ?? 0]
            guard directory.isProtected || owners.contains(entry.status.st_uid) && entry.status.st_nlink == 1 else {
                throw SystemError("open", path, .permissionDenied)
            }
            // Opened for reading and writing: a temporary writer then causes no end of file for the readers.
            let opened = try entry.reopen(O_RDWR | O_NOCTTY | O_NONBLOCK)
            try checkErrno(fchmod(opened.raw, file.mode), "set mode of", path)
            try own(opened, file, path)
            return opened
        case .special(let path, let writable):
            let mode = writable ? O_RDWR : O_RDONLY
            let opened = try SafeFile.open(path, mode | O_NOFOLLOW)
            try check(opened, path, is: [S_IFREG, S_IFCHR])
            return opened
        case .messageQueue(let name):
            let queue = holdfast_message_queue(
                name, O_RDONLY | O_NONBLOCK | O_CREAT, file.mode, sizes.messages ?? 0, sizes.messageSize ?? 0)
            let opened = OwnedDescriptor(owning: try Linux.check(queue, "mq_open", name))
            try checkErrno(fchmod(opened.raw, file.mode), "set mode of", name)
            try own(opened, file, name)
            return opened
        case .netlink(let family, let groups):
            return OwnedDescriptor(owning: try Linux.check(holdfast_netlink(family, groups), "netlink"))
        }
    }

    private static func check(
        _ opened: borrowing OwnedDescriptor, _ path: String, is kinds: [mode_t]
    ) throws(SystemError) {
        var status = stat()
        try checkErrno(fstat(opened.raw, &status), "stat", path)
        guard kinds.contains(status.st_mode & S_IFMT) else { throw SystemError("open", path, .fileExists) }
    }

    private static func own(
        _ opened: borrowing OwnedDescriptor, _ file: ListeningSocket.FileOptions, _ path: String
    ) throws(SystemError) {
        guard file.owner != nil || file.group != nil else { return }
        try checkErrno(fchown(opened.raw, file.owner ?? .max, file.group ?? .max), "set owner of", path)
    }

    /// The path of a FIFO.
    var path: String? { if case .fifo(let path) = target { path } else { nil } }

    /// Removes the FIFO's path or the message queue's name; the open file stays open.
    public func unlinkPath() {
        switch target {
        case .fifo(let path): unlink(path)
        case .messageQueue(let name): _ = holdfast_remove_message_queue(name)
        case .special, .netlink: break
        }
    }

    /// Removes the path only if it still leads to this FIFO.
    private func unlink(_ path: String) {
        let name = FileName(FileTree.name(of: path))
        guard let here = try? stat(of: raw, path), let directory = try? SafeDirectory.parent(of: path, .ofOwner),
            let entry = (try? directory.pin(name)) ?? nil, entry.status.isSame(as: here)
        else { return }
        _ = try? directory.unlink(name)
    }

    /// Sets O_NONBLOCK, which all processes that share the file have in common.
    public func setNonBlocking(_ on: Bool) throws(SystemError) { try descriptor.setNonBlocking(on) }

    /// Another descriptor of the same open file description.
    public func duplicate() throws(SystemError) -> OwnedDescriptor { try descriptor.duplicate() }

    /// Calls `handler` while input waits, until it is read or the watch is cancelled; with growing pauses as long as
    /// `handler` returns false.
    public func watchReadable(loop: EventLoop, _ handler: @escaping () -> Bool) throws(SystemError) {
        // epoll returns EPERM for a file that poll cannot wait for (a regular one): as under systemd it never triggers.
        do throws(SystemError) {
            watch = try loop.addIO(raw, [.readable], priority: .traffic) { [unowned self] _ in
                let source = watch
                if handler() { source?.noteProgress() } else { source?.postpone() }
            }
        } catch {
            guard error.errno == .notPermitted else { throw error }
        }
    }

    public func cancelWatch() {
        watch?.cancel()
        watch = nil
    }

    /// Discards waiting input.
    public func flush() {
        guard (try? setNonBlocking(true)) != nil else { return }
        switch target {
        // Bounded: a writer may be as fast as this loop.
        case .fifo, .netlink: for _ in 0..<4096 where holdfast_discard(raw) <= 0 { return }
        case .messageQueue: for _ in 0..<4096 where holdfast_discard_message(raw) <= 0 { return }
        // The contents of a special file are not ours to discard.
        case .special: break
        }
    }
}
