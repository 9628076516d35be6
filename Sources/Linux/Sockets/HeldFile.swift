import CSpawn
import Glibc
import SystemPackage

/// What a socket unit can hold beside sockets with an address: a FIFO, a special file, a POSIX message queue, a netlink socket.
/// Something is there to read, or not; nobody connects to it.
public final class HeldFile {
    public enum Target: Hashable, Sendable, Codable, CustomStringConvertible {
        case fifo(path: String)
        /// A character device, or a file of /proc or /sys.
        case special(path: String, writable: Bool)
        /// Of POSIX (mq_overview(7)), its name with the slash.
        case messageQueue(name: String)
        /// The number of the family, and the bits of nl_groups.
        case netlink(family: Int32, groups: UInt32)

        public var description: String {
            switch self {
            case .fifo(let path), .special(let path, writable: _): path
            case .messageQueue(let name): name
            case .netlink(let family, let groups): "netlink:\(family):\(groups)"
            }
        }
    }

    /// What only some kinds have.
    public struct Sizes: Equatable, Sendable {
        /// Of a FIFO's buffer, bytes.
        public var pipe: Int32?
        /// Of a message queue that does not exist yet.
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
    /// Settings that the kernel refused: told, and gone on without.
    public private(set) var problems: [SystemError] = []
    private let descriptor: OwnedDescriptor
    /// What it was like when it was opened or updated; only of a netlink socket.
    var baseline: SocketBaseline
    /// Of a FIFO.
    private(set) var pipeSize: Int32?
    private var watch: IOSource?

    /// The number to put into a `SpawnPlan`.
    public var raw: Int32 { descriptor.raw }

    /// Opens it, and makes a FIFO or a message queue that is not there. Throws `listening on /run/x: File exists`.
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

    /// Takes one that somebody else opened.
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

    /// Sets what can be set on what is open.
    public func update(options: SocketOptions, previous: SocketOptions, sizes: Sizes) {
        problems = []
        switch target {
        case .netlink:
            // What others have changed is not to look as if it were ours.
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
            // In a directory of somebody else only what is ours or the owner's: another one is not given away.
            let owners = [0, geteuid(), directory.status.st_uid, file.owner ?? 0]
            guard directory.isProtected || owners.contains(entry.status.st_uid) && entry.status.st_nlink == 1 else {
                throw SystemError("open", path, .permissionDenied)
            }
            // Read and write: a writer that comes and goes is no end of file for those who read.
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

    /// Of a FIFO.
    var path: String? { if case .fifo(let path) = target { path } else { nil } }

    /// Removes the FIFO's path or the message queue's name; what is open stays open.
    public func unlinkPath() {
        switch target {
        case .fifo(let path): unlink(path)
        case .messageQueue(let name): _ = holdfast_remove_message_queue(name)
        case .special, .netlink: break
        }
    }

    /// Only if it still leads here.
    private func unlink(_ path: String) {
        let name = FileName(FileTree.name(of: path))
        guard let here = try? stat(of: raw, path), let directory = try? SafeDirectory.parent(of: path, .ofOwner),
            let entry = (try? directory.pin(name)) ?? nil, entry.status.isSame(as: here)
        else { return }
        _ = try? directory.unlink(name)
    }

    /// O_NONBLOCK, which all who share it have in common.
    public func setNonBlocking(_ on: Bool) throws(SystemError) { try descriptor.setNonBlocking(on) }

    /// Another descriptor of the same open file description.
    public func duplicate() throws(SystemError) -> OwnedDescriptor { try descriptor.duplicate() }

    /// Calls `handler` when there is something to read, again and again until it is read or the watch cancelled; with growing
    /// pauses as long as `handler` returns false.
    public func watchReadable(loop: EventLoop, _ handler: @escaping () -> Bool) throws(SystemError) {
        // A special file that is never ready by poll (a regular one) is EPERM for epoll: as under systemd nothing ever
        // triggers.
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

    /// Throws away what waits to be read.
    public func flush() {
        guard (try? setNonBlocking(true)) != nil else { return }
        switch target {
        // Bounded: somebody may write as fast as this reads.
        case .fifo, .netlink: for _ in 0..<4096 where holdfast_discard(raw) <= 0 { return }
        case .messageQueue: for _ in 0..<4096 where holdfast_discard_message(raw) <= 0 { return }
        // What is in a special file is not ours to take.
        case .special: break
        }
    }
}
