import CSpawn
import Glibc
import SystemPackage

/// Tells when a name in a directory vanishes or appears (inotify(7)): how a held Unix socket learns that its path was
/// removed, and how a PID file is awaited. One inotify instance for all names of a purpose, because a host allows only 128
/// of them per user.
public final class PathWatcher {
    /// What is told.
    public enum Purpose: Sendable {
        /// A name was removed, renamed away or replaced.
        case removal
        /// A name was made, or written and closed.
        case appearance

        fileprivate var mask: UInt32 {
            switch self {
            case .removal: UInt32(IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR)
            case .appearance: UInt32(IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR)
            }
        }
    }

    private let purpose: Purpose
    private let descriptor: OwnedDescriptor
    private var source: IOSource?
    private var directories: [Int32: String] = [:]
    private var numbers: [String: Int32] = [:]
    private var handlers: [String: () -> Void] = [:]

    public init(loop: EventLoop, for purpose: Purpose = .removal) throws(SystemError) {
        self.purpose = purpose
        descriptor = OwnedDescriptor(
            owning: try checkErrno(inotify_init1(Int32(IN_CLOEXEC | IN_NONBLOCK)), "watch directories"))
        source = try loop.addIO(descriptor.raw, .readable, priority: .probes) { [unowned self] _ in receive() }
    }

    /// Calls `handler` whenever that happened to `path`; the caller looks what is there now.
    public func watch(_ path: String, _ handler: @escaping () -> Void) throws(SystemError) {
        let directory = FileTree.parent(of: path) ?? "."
        if numbers[directory] == nil {
            let number = try checkErrno(
                inotify_add_watch(descriptor.raw, directory, purpose.mask), "watch directory", directory)
            numbers[directory] = number
            directories[number] = directory
        }
        handlers[path] = handler
    }

    /// Ends the watch of a path; of its directory with the last path in it.
    public func unwatch(_ path: String) {
        handlers[path] = nil
        let directory = FileTree.parent(of: path) ?? "."
        guard let number = numbers[directory],
            !handlers.keys.contains(where: { FileTree.parent(of: $0) ?? "." == directory })
        else { return }
        inotify_rm_watch(descriptor.raw, number)
        numbers[directory] = nil
        directories[number] = nil
    }

    private func receive() {
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        let count = read(descriptor.raw, &buffer, buffer.count)
        guard count > 0 else { return source?.postpone() ?? () }
        source?.noteProgress()
        var changed: Set<String> = []
        var offset = 0
        let headerSize = MemoryLayout<inotify_event>.size
        while offset + headerSize <= count {
            let event = buffer.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: inotify_event.self) }
            let start = offset + headerSize
            let end = min(start + Int(event.len), count)
            // The kernel's queue ran over: what was lost is unknown, so everybody looks.
            if event.mask & UInt32(IN_Q_OVERFLOW) != 0 { changed.formUnion(handlers.keys) }
            if let directory = directories[event.wd] {
                let name = String(decoding: buffer[start..<end].prefix { $0 != 0 }, as: UTF8.self)
                changed.insert(directory == "/" ? "/" + name : directory + "/" + name)
            }
            offset = end
        }
        for path in changed { handlers[path]?() }
    }
}
