import CSpawn
import Glibc
import SystemPackage

/// Directories and state files.
public enum FileTree {
    /// Makes a directory and its parents (`mkdir -p`). Parents get `parentMode`; what exists is left as it is.
    public static func makeDirectory(
        _ path: String, mode: mode_t = 0o755, parentMode: mode_t = 0o755
    ) throws(SystemError) {
        if mkdir(path, mode) == 0 {
            // mkdir(2) subtracts our umask.
            if chmod(path, mode) < 0 { throw SystemError("set mode of", path) }
            return
        }
        let cause = Errno(rawValue: errno)
        switch cause {
        case .noSuchFileOrDirectory:
            guard let parent = parent(of: path) else { throw SystemError("make directory", path, cause) }
            try makeDirectory(parent, mode: parentMode, parentMode: parentMode)
            // Once more and not again and again: below /proc there is "no such directory" however its parents are.
            if mkdir(path, mode) < 0 && Glibc.errno != EEXIST { throw SystemError("make directory", path) }
            if chmod(path, mode) < 0 { throw SystemError("set mode of", path) }
        case .fileExists:
            var status = stat()
            guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
                throw SystemError("make directory", path, cause)
            }
        default:
            throw SystemError("make directory", path, cause)
        }
    }

    /// Whether there is anything at this path, a link that leads nowhere included.
    public static func exists(_ path: String) throws(SystemError) -> Bool {
        var status = stat()
        if lstat(path, &status) == 0 { return true }
        guard errno == ENOENT else { throw SystemError("stat", path) }
        return false
    }

    /// The directory part of a path; nil at the root and for a plain name.
    public static func parent(of path: String) -> String? {
        var trimmed = path[...]
        while trimmed.count > 1 && trimmed.hasSuffix("/") { trimmed = trimmed.dropLast() }
        guard let slash = trimmed.lastIndex(of: "/"), trimmed != "/" else { return nil }
        return slash == trimmed.startIndex ? "/" : String(trimmed[..<slash])
    }

    /// The last part of a path.
    public static func name(of path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? path
    }

    /// Replaces a file so that a reader, and the disk after a power cut, has the old or the new text, never half
    /// (temporary file, fsync, rename, fsync of the directory). Not `durable`: neither is waited for, which costs
    /// milliseconds each; then a reader still never sees half, but a power cut may bring the old text back.
    public static func writeAtomically(
        _ path: String, _ bytes: some Sequence<UInt8>, mode: mode_t = 0o644, durable: Bool = true
    ) throws(SystemError) {
        // One writer per file, so a fixed name does; one left by a crash is overwritten.
        let temporary = path + ".tmp"
        let file = try OwnedDescriptor.open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: mode)
        do throws(SystemError) {
            try file.writeAll(bytes, subject: temporary)
            try checkErrno(fchmod(file.raw, mode), "set mode of", temporary)
            if durable { try checkErrno(fsync(file.raw), "sync", temporary) }
            try checkErrno(rename(temporary, path), "rename to", path)
        } catch {
            unlink(temporary)
            throw error
        }
        if durable { try syncParent(of: path) }
    }

    /// A new name outlives a power cut only when its directory has been synced.
    private static func syncParent(of path: String) throws(SystemError) {
        guard let parent = parent(of: path) else { return }
        let directory = try OwnedDescriptor.open(parent, O_RDONLY | O_DIRECTORY)
        try checkErrno(fsync(directory.raw), "sync", parent)
    }

    /// Appends to a file and, if `durable`, waits until it is on disk; for records that must not be lost.
    public static func append(
        _ path: String, _ bytes: some Sequence<UInt8>, mode: mode_t = 0o644, durable: Bool = true
    ) throws(SystemError) {
        let file = try OwnedDescriptor.open(path, O_WRONLY | O_CREAT | O_APPEND, mode: mode)
        try file.writeAll(bytes, subject: path)
        if durable { try checkErrno(fdatasync(file.raw), "sync", path) }
    }

    /// Waits until what was appended to a file is on disk, by whatever descriptor.
    public static func sync(_ path: String) throws(SystemError) {
        let file = try OwnedDescriptor.open(path, O_WRONLY)
        try checkErrno(fdatasync(file.raw), "sync", path)
    }

    /// Removes a file or a whole directory. Follows no link and does not go deeper than 64. That it is not there is fine.
    public static func remove(_ path: String) throws(SystemError) {
        try remove(name: path, in: AT_FDCWD, path, depth: 0)
    }

    private static func remove(name: String, in parent: Int32, _ path: String, depth: Int) throws(SystemError) {
        if unlinkat(parent, name, 0) == 0 || errno == ENOENT { return }
        let cause = Errno(rawValue: errno)
        // Linux says EISDIR, POSIX EPERM.
        guard cause == .isDirectory || cause == .notPermitted else { throw SystemError("remove", path, cause) }
        guard depth < 64 else { throw SystemError("remove", path, .tooManySymbolicLinkLevels) }
        let number = try check(holdfast_openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0), "open", path)
        let directory = OwnedDescriptor(owning: number)
        for entry in try entries(of: directory, path) {
            try remove(name: entry, in: directory.raw, path + "/" + entry, depth: depth + 1)
        }
        if unlinkat(parent, name, Int32(AT_REMOVEDIR)) < 0 && errno != ENOENT { throw SystemError("remove", path) }
    }

    /// The names in a directory, without `.` and `..`, in no order.
    static func entries(of directory: borrowing OwnedDescriptor, _ path: String) throws(SystemError) -> [String] {
        let copy = try directory.duplicate()
        let number = copy.release()
        guard let stream = fdopendir(number) else {
            let error = SystemError("list", path)
            close(number)
            throw error
        }
        defer { closedir(stream) }
        rewinddir(stream)
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    /// Renames within a file system, for good.
    public static func move(_ path: String, to target: String) throws(SystemError) {
        try checkErrno(Glibc.rename(path, target), "rename", path)
        try syncParent(of: target)
    }
}
