import CSpawn
import Glibc
import SystemPackage
import Vocabulary

/// A directory of the cgroup v2 file system that we made (cgroups(7), "Cgroups v2").
public final class ControlGroup {
    public let path: String
    /// The name in /proc/PID/cgroup.
    let name: String
    /// The open directory: for CLONE_INTO_CGROUP, and unaffected by renames.
    let descriptor: OwnedDescriptor
    /// Whether `cgroup.kill` may have been written in this group: then nothing can be cloned into it
    /// (`SpawnPlan.joinsCgroup`).
    private(set) var isSpent: Bool
    private var events: OwnedDescriptor?
    private var source: IOSource?
    private var deferred: DeferredSource?

    /// Makes the directory, or takes an existing one.
    init(path: String, name: String) throws(SystemError) {
        let isFresh = mkdir(path, 0o755) == 0
        if !isFresh && errno != EEXIST { throw SystemError("make control group", path) }
        isSpent = !isFresh
        self.path = path
        self.name = name
        do throws(SystemError) {
            descriptor = try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY)
        } catch {
            if isFresh { rmdir(path) }
            throw error
        }
    }

    /// Makes a cgroup below our own, if this host has a writable cgroup v2, which only an attempt shows.
    static func delegatedRoot(name: String) -> ControlGroup? {
        guard let mount = mountPoint(), let own = ProcessFacts.cgroup(of: getpid()), !own.contains("/..") else {
            return nil
        }
        let prefix = own == "/" ? "" : own
        let parent = mount + prefix
        // Moving a process needs write access to the common ancestor, too (cgroups(7), "delegation containment").
        guard access(parent + "/cgroup.procs", W_OK) == 0 else { return nil }
        let directory = "/" + directoryName(name)
        guard let group = try? ControlGroup(path: parent + directory, name: prefix + directory) else { return nil }
        guard access(group.path + "/cgroup.procs", W_OK) == 0 else {
            try? group.remove()
            return nil
        }
        return group
    }

    /// The mount point of cgroup2: /sys/fs/cgroup, or /sys/fs/cgroup/unified on hosts with both versions.
    private static func mountPoint() -> String? {
        guard let mounts = ProcFile.read("/proc/self/mountinfo", limit: 1 << 20) else { return nil }
        for line in String(decoding: mounts, as: UTF8.self).split(separator: "\n") {
            // "36 35 0:30 / /sys/fs/cgroup rw,… - cgroup2 cgroup2 rw"; optional fields vary, " - " ends them.
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), dash >= 6, fields.count > dash + 1,
                fields[dash + 1] == "cgroup2", fields[3] == "/"
            else { continue }
            return String(fields[4])
        }
        return nil
    }

    /// The group with this name, which is made if it is missing.
    func child(_ name: String) throws(SystemError) -> ControlGroup {
        let directory = "/" + Self.directoryName(name)
        return try ControlGroup(path: path + directory, name: self.name + directory)
    }

    /// Makes a new group. An existing one with this name must have no members. It is removed first, because earlier
    /// settings (`cgroup.kill`, limits) would apply to the new members.
    func makeChild(_ name: String) throws(SystemError) -> ControlGroup {
        let directory = path + "/" + Self.directoryName(name)
        if access(directory, F_OK) == 0 {
            do throws(SystemError) {
                try Self.remove(directory, depth: 0)
            } catch {
                throw SystemError(
                    "make control group", "\(directory): processes of an earlier run are still running", error.errno)
            }
        }
        return try child(name)
    }

    /// A name that is one path component and never the name of a kernel file ("cgroup.procs", "cpu.stat").
    static func directoryName(_ name: String) -> String {
        let flat = String(name.map { $0 == "/" ? "-" : $0 })
        let reserved = ["cgroup.", "cpu.", "cpuset.", "memory.", "io.", "pids.", "hugetlb.", "misc.", "rdma.", "."]
        let bounded = flat.utf8.count > 240 ? String(flat.prefix(120)) + "-" + String(flat.suffix(60)) : flat
        return reserved.contains { bounded.hasPrefix($0) } ? "_" + bounded : bounded
    }

    /// The members of this group and all groups below it.
    func members() -> [Int32] {
        var found: [Int32] = []
        Self.collect(path, depth: 0, &found)
        return found
    }

    private static func collect(_ path: String, depth: Int, _ found: inout [Int32]) {
        if let procs = ProcFile.read(path + "/cgroup.procs", limit: 1 << 22) {
            found += procs.split(separator: UInt8(ascii: "\n")).compactMap { Int32(ascii: $0) }
        }
        guard depth < 16 else { return }
        for child in subdirectories(of: path) { collect(path + "/" + child, depth: depth + 1, &found) }
    }

    private static func subdirectories(of path: String) -> [String] {
        // A cgroup has two links and one for each group below it: the common case, a leaf, is not listed.
        var status = stat()
        guard stat(path, &status) == 0, status.st_nlink != 2,
            let directory = try? OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY),
            let names = try? FileTree.entries(of: directory, path)
        else { return [] }
        return names.filter { name in
            var status = stat()
            return fstatat(directory.raw, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && status.st_mode & S_IFMT == S_IFDIR
        }
    }

    /// The groups directly below with living members; groups without any are removed.
    func populatedChildren(except kept: Set<String>) -> [(name: String, members: [Int32])] {
        var found: [(name: String, members: [Int32])] = []
        for child in Self.subdirectories(of: path).sorted() where !kept.contains(child) {
            var pids: [Int32] = []
            Self.collect(path + "/" + child, depth: 0, &pids)
            if pids.isEmpty { try? Self.remove(path + "/" + child, depth: 0) } else { found.append((child, pids)) }
        }
        return found
    }

    func contains(_ pid: Int32) -> Bool {
        guard let group = ProcessFacts.cgroup(of: pid) else { return false }
        return group == name || group.hasPrefix(name + "/")
    }

    func signal(_ signal: Signal, except: Int32?) {
        for pid in members() where pid != except {
            guard let handle = try? ProcessHandle(pid: pid) else { continue }
            // The pid may have passed to another process between the list and the handle: only a member is signalled.
            if contains(pid) { try? handle.send(signal) }
        }
    }

    /// Whether a process lives in this group or below it. A removed group has none.
    var isPopulated: Bool {
        // Unreadable but not gone: no descriptors are left. A group not known to be empty is populated.
        guard let text = ProcFile.read(path + "/cgroup.events", limit: 4096) else { return access(path, F_OK) == 0 }
        return Self.isPopulated(text)
    }

    private static func isPopulated(_ text: [UInt8]) -> Bool {
        text.split(separator: UInt8(ascii: "\n")).contains { $0.elementsEqual("populated 1".utf8) }
    }

    func kill() {
        isSpent = true
        if let file = try? OwnedDescriptor.open(path + "/cgroup.kill", O_WRONLY),
            (try? file.writeAll("1".utf8, subject: path)) != nil
        {
            return
        }
        // Before Linux 5.14. A process that forks while the list is read is in the next one.
        for _ in 0..<64 {
            let pids = members()
            if pids.isEmpty { return }
            for pid in pids { _ = Glibc.kill(pid, SIGKILL) }
        }
    }

    func whenEmpty(loop: EventLoop, _ handler: @escaping () -> Void) throws(SystemError) {
        cancelWait()
        let file = try OwnedDescriptor.open(path + "/cgroup.events", O_RDONLY)
        let raw = file.raw
        events = consume file
        // POLLPRI reports a change since the last read: so the watch is added first and the file read after it.
        source = try loop.addIO(raw, .priority, priority: .childExits) { [unowned self] _ in
            checkAgain(raw, handler)
        }
        guard let text = Self.reread(raw), Self.isPopulated(text) else {
            deferred = try loop.addDeferred(priority: .childExits) { [unowned self] in
                cancelWait()
                handler()
            }
            return
        }
    }

    private func checkAgain(_ raw: Int32, _ handler: () -> Void) {
        if let text = Self.reread(raw), Self.isPopulated(text) { return }
        cancelWait()
        handler()
    }

    private static func reread(_ raw: Int32) -> [UInt8]? {
        lseek(raw, 0, SEEK_SET)
        return ProcFile.read(raw, limit: 4096)
    }

    func cancelWait() {
        source?.cancel()
        source = nil
        deferred?.cancel()
        deferred = nil
        events = nil
    }

    /// Waits until the group has no members, for at most `milliseconds`. It blocks, so it is for the end of this
    /// process only.
    func awaitEmpty(milliseconds: Int32) {
        guard let file = try? OwnedDescriptor.open(path + "/cgroup.events", O_RDONLY) else { return }
        let end = EventLoop.now + Int64(milliseconds) * 1_000_000
        while let text = Self.reread(file.raw), Self.isPopulated(text), EventLoop.now < end {
            var state = pollfd(fd: file.raw, events: Int16(POLLPRI), revents: 0)
            _ = poll(&state, 1, Int32(clamping: (end - EventLoop.now) / 1_000_000 + 1))
        }
    }

    /// Removes this group and those below it, deepest first.
    func remove() throws(SystemError) {
        cancelWait()
        try Self.remove(path, depth: 0)
    }

    private static func remove(_ path: String, depth: Int) throws(SystemError) {
        if depth < 16 { for child in subdirectories(of: path) { try remove(path + "/" + child, depth: depth + 1) } }
        if rmdir(path) < 0 && errno != ENOENT { throw SystemError("remove control group", path) }
    }
}
