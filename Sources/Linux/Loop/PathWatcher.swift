import CSpawn
import Glibc
import SystemPackage

/// Reports when a name in a directory vanishes or appears (inotify(7)): a held Unix socket learns that its path was
/// removed, and a PID file is awaited. One inotify instance for all names of a purpose, because a host allows only 128
/// of them per user.
///
/// An inotify watch belongs to a directory, not to its path: if the directory or one above it is removed, renamed or
/// replaced, and made again, the watch stays with the old directory. (And a directory that is a process's working
/// directory reports its removal only after that process has left.) So the whole path is watched: in each existing
/// directory on the way, the next name.
public final class PathWatcher {
    /// The kind of change that is reported.
    public enum Purpose: Sendable {
        /// A name was removed, renamed or replaced.
        case removal
        /// A name was made, or a file written and closed.
        case appearance

        fileprivate var mask: UInt32 {
            switch self {
            case .removal: UInt32(IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
            case .appearance: UInt32(IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO)
            }
        }
    }

    /// The reason for which a directory is watched.
    private struct Interest: Hashable {
        let path: String
        let name: String
        /// Whether `name` is the last component of the path, and not a directory on the way to it.
        let isLast: Bool
    }

    private let loop: EventLoop
    private let purpose: Purpose
    private let descriptor: OwnedDescriptor
    private var source: IOSource?
    private var retry: TimerSource?
    private var handlers: [String: () -> Void] = [:]
    /// Interests by the kernel's number of the watch. Links may lead several paths through one directory.
    private var interests: [Int32: Set<Interest>] = [:]
    /// Paths that could not be watched for lack of memory or watches; tried again after a second.
    private var unwatched: Set<String> = []

    public init(loop: EventLoop, for purpose: Purpose = .removal) throws(SystemError) {
        self.loop = loop
        self.purpose = purpose
        descriptor = OwnedDescriptor(
            owning: try checkErrno(inotify_init1(Int32(IN_CLOEXEC | IN_NONBLOCK)), "watch directories"))
        source = try loop.addIO(descriptor.raw, .readable, priority: .probes) { [unowned self] _ in receive() }
    }

    /// Calls `handler` after each such change of `path`, which is absolute, and after each change on the way to it; the
    /// caller checks the present state. Changes before this call are not reported: the caller checks after it. A lack
    /// of memory does not end the watch: the handler is then called every second.
    public func watch(_ path: String, _ handler: @escaping () -> Void) {
        handlers[path] = handler
        arm(path)
    }

    public func unwatch(_ path: String) {
        handlers[path] = nil
        unwatched.remove(path)
        disarm(path)
    }

    // MARK: - Watches

    private func arm(_ path: String) {
        disarm(path)
        do throws(SystemError) {
            // A directory that appears between the look and the watch is found in the next round.
            var way = DirectoryChain(to: path)
            for _ in 0..<8 {
                for step in way.steps { try add(step, path) }
                let now = DirectoryChain(to: path)
                if now == way { break }
                disarm(path)
                way = now
            }
            unwatched.remove(path)
        } catch {
            unwatched.insert(path)
            retryLater()
        }
    }

    private func add(_ step: DirectoryChain.Step, _ path: String) throws(SystemError) {
        let mask = step.isLast ? purpose.mask : UInt32(IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM)
        let number = inotify_add_watch(descriptor.raw, step.directory, mask | UInt32(IN_ONLYDIR) | UInt32(IN_MASK_ADD))
        guard number >= 0 else {
            // The directory has vanished or changed its kind since the look: the next look finds that.
            if errno == ENOENT || errno == ENOTDIR { return }
            throw SystemError("watch directory", step.directory)
        }
        interests[number, default: []].insert(Interest(path: path, name: step.name, isLast: step.isLast))
    }

    private func disarm(_ path: String) {
        for (number, list) in interests where list.contains(where: { $0.path == path }) {
            let left = list.filter { $0.path != path }
            interests[number] = left.isEmpty ? nil : left
            if left.isEmpty { inotify_rm_watch(descriptor.raw, number) }
        }
    }

    private func retryLater() {
        if retry == nil { retry = loop.addRetry { [unowned self] in retryWatches() } }
    }

    private func retryWatches() {
        retry = nil
        for path in unwatched.sorted() {
            arm(path)
            handlers[path]?()
        }
    }

    // MARK: - Events

    private func receive() {
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        let count = read(descriptor.raw, &buffer, buffer.count)
        guard count > 0 else { return }
        var changed: Set<String> = []
        var rerouted: Set<String> = []
        var offset = 0
        let headerSize = MemoryLayout<inotify_event>.size
        while offset + headerSize <= count {
            let event = buffer.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: inotify_event.self) }
            let start = offset + headerSize
            let end = min(start + Int(event.len), count)
            let name = String(decoding: buffer[start..<end].prefix { $0 != 0 }, as: UTF8.self)
            recordChange(event, name, &changed, &rerouted)
            offset = end
        }
        for path in rerouted where handlers[path] != nil { arm(path) }
        for path in changed.union(rerouted).sorted() { handlers[path]?() }
    }

    private func recordChange(
        _ event: inotify_event, _ name: String, _ changed: inout Set<String>, _ rerouted: inout Set<String>
    ) {
        // The kernel's queue overflowed: the lost events are unknown, so every handler is called.
        if event.mask & UInt32(IN_Q_OVERFLOW) != 0 { return rerouted.formUnion(handlers.keys) }
        let isGone = event.mask & UInt32(IN_IGNORED | IN_UNMOUNT) != 0
        for interest in interests[event.wd] ?? [] where isGone || interest.name == name {
            if isGone || !interest.isLast { rerouted.insert(interest.path) } else { changed.insert(interest.path) }
        }
        if event.mask & UInt32(IN_IGNORED) != 0 { interests[event.wd] = nil }
    }
}

/// The existing directories on the way to a path.
private struct DirectoryChain: Equatable {
    struct Step: Equatable {
        let directory: String
        /// The next component of the path, in this directory.
        let name: String
        let isLast: Bool
    }

    private(set) var steps: [Step] = []

    init(to path: String) {
        var directory = "/"
        let names = path.split(separator: "/").map(String.init)
        for (index, name) in names.enumerated() {
            let isLast = index == names.count - 1
            steps.append(Step(directory: directory, name: name, isLast: isLast))
            directory += directory == "/" ? name : "/" + name
            var status = stat()
            guard !isLast, stat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return }
        }
    }
}
