import CSpawn
import Glibc
import SystemPackage

/// Directories and state files.
public enum FileTree {
    /// Makes a directory and its parents (`mkdir -p`). Parents get `parentMode`; existing directories are not changed.
    public static func makeDirectory(
        _ path: String, mode: mode_t = 0o755, parentMode: mode_t = 0o755
    ) throws(SystemError) {
        _ = try SafeDirectory.make(path, .ofOwner, mode: mode, parentMode: parentMode)
    }

    /// Whether a file exists at this path; a dangling link counts.
    public static func exists(_ path: String) throws(SystemError) -> Bool {
        var status = stat()
        if lstat(path, &status) == 0 { return true }
        guard errno == ENOENT else { throw SystemError("stat", path) }
        return false
    }

    /// The size of a file in bytes; nil if there is no file.
    public static func size(of path: String) -> Int? {
        var status = stat()
        return lstat(path, &status) == 0 ? Int(status.st_size) : nil
    }

    /// Removes a directory if it is empty, otherwise keeps it. It needs no descriptor, because none may be left. Only
    /// for paths whose parents are ours, where no other user can place a symbolic link.
    public static func removeEmptyDirectory(_ path: String) { rmdir(path) }

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

    /// Replaces a file so that a reader, and the disk after a power cut, has the old or the new text, never a part
    /// (temporary file, fsync, rename, fsync of the directory). Without `durable` neither fsync is made, each of which
    /// takes milliseconds; then a reader still never sees a part, but a power cut may bring the old text back.
    public static func writeAtomically(
        _ path: String, _ bytes: some Sequence<UInt8>, mode: mode_t = 0o644, durable: Bool = true
    ) throws(SystemError) {
        let directory = try SafeDirectory.parent(of: path, .ofOwner)
        // There is one writer per file, so the name can be fixed; a file left by a crash is overwritten.
        let temporary = FileName(name(of: path) + ".tmp")
        let file = try directory.open(temporary, O_WRONLY | O_CREAT | O_TRUNC, mode: mode)
        do throws(SystemError) {
            try file.writeAll(bytes, subject: path)
            try checkErrno(fchmod(file.raw, mode), "set mode of", path)
            if durable { try checkErrno(fsync(file.raw), "sync", path) }
            try directory.rename(temporary, to: directory, FileName(name(of: path)))
        } catch {
            _ = try? directory.unlink(temporary)
            throw error
        }
        // A new name survives a power cut only after a sync of its directory.
        if durable { try directory.sync() }
    }

    /// Appends to a file and, if `durable`, waits until the bytes are on disk: for records that must not be lost.
    public static func append(
        _ path: String, _ bytes: some Sequence<UInt8>, mode: mode_t = 0o644, durable: Bool = true
    ) throws(SystemError) {
        let file = try SafeFile.open(path, O_WRONLY | O_CREAT | O_APPEND, mode: mode)
        try file.writeAll(bytes, subject: path)
        if durable { try checkErrno(fdatasync(file.raw), "sync", path) }
    }

    /// Waits until all bytes appended to a file, through any descriptor, are on disk.
    public static func sync(_ path: String) throws(SystemError) {
        let file = try SafeFile.open(path, O_WRONLY)
        try checkErrno(fdatasync(file.raw), "sync", path)
    }

    /// Removes a file or a whole directory at once, following no link: for files that we made ourselves. (`Trash`
    /// removes directories that other users may have filled.) A missing file is no error.
    public static func remove(_ path: String) throws(SystemError) {
        let base: SafeDirectory
        do throws(SystemError) {
            base = try SafeDirectory.parent(of: path, .ofOwner)
        } catch {
            if error.errno == .noSuchFileOrDirectory { return }
            throw error
        }
        var removal = TreeRemoval(FileName(name(of: path)), in: base)
        while removal.advance(1 << 16) {}
        if let problem = removal.problem { throw problem }
    }

    /// The names in a directory, without `.` and `..`, unsorted, at most `limit` of them. For display: bytes that are
    /// not UTF-8 are replaced.
    static func entries(
        of directory: borrowing OwnedDescriptor, _ path: String, limit: Int = .max
    ) throws(SystemError) -> [String] {
        // A new open file description, because the position in the directory belongs to it.
        let number = try check(holdfast_openat(directory.raw, ".", O_RDONLY | O_DIRECTORY, 0), "list", path)
        var listing = try DirectoryListing(OwnedDescriptor(owning: number), path)
        var names: [String] = []
        while names.count < limit, let name = try listing.next() { names.append(name.text) }
        return names
    }

    /// Renames durably, within a file system.
    public static func move(_ path: String, to target: String) throws(SystemError) {
        let from = try SafeDirectory.parent(of: path, .ofOwner)
        let to = try SafeDirectory.parent(of: target, .ofOwner)
        try from.rename(FileName(name(of: path)), to: to, FileName(name(of: target)))
        try to.sync()
    }
}
