import CSpawn
import Glibc
import SystemPackage

/// A directory that a `PathWalk` has reached, held open. Operations are by name, relative to the descriptor, and follow
/// no link: they act in this directory even if other users change the path meanwhile.
public struct SafeDirectory: ~Copyable, Sendable {
    /// Opened with O_PATH, for `…at` calls.
    let descriptor: OwnedDescriptor
    let status: stat
    /// Whether only root and we can replace entries of ours, in this directory and in every directory above it.
    public let isProtected: Bool
    /// The path without links.
    public let path: String

    /// Opens `/` or `.`, where walks begin.
    init(start: String) throws(SystemError) {
        let opened = OwnedDescriptor(owning: try check(holdfast_pin(AT_FDCWD, start, 0), "open", start))
        let status = try stat(of: opened.raw, start)
        self.init(opened, status, status.protectsEntries, start)
    }

    private init(_ descriptor: consuming OwnedDescriptor, _ status: stat, _ isProtected: Bool, _ path: String) {
        self.descriptor = descriptor
        self.status = status
        self.isProtected = isProtected
        self.path = path
    }

    /// Opens an existing directory.
    public static func open(_ path: String, _ trust: LinkTrust) throws(SystemError) -> SafeDirectory {
        let place = try PathWalk(path, trust).run(followsLast: true)
        return try entered(place, path)
    }

    /// Opens the directory of `path`, to work on the last component; makes missing directories with mode `making`.
    public static func parent(
        of path: String, _ trust: LinkTrust, making mode: mode_t? = nil
    ) throws(SystemError) -> SafeDirectory {
        // Only the directory part is resolved: the last component of `path` must not be followed.
        guard let parent = FileTree.parent(of: path) else { return try SafeDirectory(start: path == "/" ? "/" : ".") }
        guard let mode else { return try open(parent, trust) }
        return try make(parent, trust, mode: mode, parentMode: mode)
    }

    /// Opens a directory; makes it and those above it if they are missing. Existing ones are not changed.
    public static func make(
        _ path: String, _ trust: LinkTrust, mode: mode_t, parentMode: mode_t
    ) throws(SystemError) -> SafeDirectory {
        // A second attempt if it was missing: a directory that another process makes meanwhile is accepted.
        for _ in 0..<3 {
            let place = try PathWalk(path, trust, making: parentMode).run(followsLast: true)
            if place.entry != nil { return try entered(place, path) }
            if try place.directory.makeDirectory(place.name, mode: mode) {
                guard let entry = try place.directory.pin(place.name) else { continue }
                guard entry.status.isDirectory else { continue }
                // mkdir(2) ignores these bits; they are set only where other users cannot have replaced the directory.
                if mode & 0o6000 != 0, place.directory.isProtected { try entry.setMode(mode) }
                let isProtected = place.directory.isProtected && entry.status.protectsEntries
                return try place.directory.enter(entry, place.name, isProtected: isProtected)
            }
        }
        throw SystemError("make directory", path, .noSuchFileOrDirectory)
    }

    private static func entered(
        _ place: consuming PathWalk.Place, _ path: String
    ) throws(SystemError) -> SafeDirectory {
        let name = place.name
        let inside = place.directory.isProtected
        let base = place.directory.path
        guard let entry = place.takeEntry() else { throw SystemError("open", path, .noSuchFileOrDirectory) }
        let status = entry.status
        guard status.isDirectory else { throw SystemError("open", path, .notDirectory) }
        let full = name == .dot ? base : join(base, name)
        return SafeDirectory(entry.takeDescriptor(), status, inside && status.protectsEntries, full)
    }

    func path(of name: FileName) -> String { Self.join(path, name) }

    private static func join(_ path: String, _ name: FileName) -> String {
        path == "/" ? "/" + name.text : path + "/" + name.text
    }

    /// Opens a directory found in this one.
    func enter(
        _ entry: consuming PinnedFile, _ name: FileName, isProtected: Bool
    ) throws(SystemError) -> SafeDirectory {
        let status = entry.status
        guard status.isDirectory else { throw SystemError("open", path(of: name), .notDirectory) }
        return SafeDirectory(entry.takeDescriptor(), status, isProtected, path(of: name))
    }

    func parent() throws(SystemError) -> SafeDirectory {
        let up = OwnedDescriptor(owning: try check(holdfast_pin(descriptor.raw, "..", 0), "open", path + "/.."))
        let status = try stat(of: up.raw, path)
        return SafeDirectory(up, status, status.protectsEntries, FileTree.parent(of: path) ?? "/")
    }

    /// Another descriptor of the same directory.
    func reopen() throws(SystemError) -> SafeDirectory {
        SafeDirectory(try descriptor.duplicate(), status, isProtected, path)
    }

    /// The file at `name`, not following a link; nil if there is none.
    func pin(_ name: FileName, follow: Bool = false) throws(SystemError) -> PinnedFile? {
        let number = holdfast_pin(descriptor.raw, name.bytes, follow ? 1 : 0)
        if number == -ENOENT { return nil }
        let opened = OwnedDescriptor(owning: try check(number, "open", path(of: name)))
        let status = try stat(of: opened.raw, path(of: name))
        return PinnedFile(opened, status, path(of: name))
    }

    /// The path of a file without links in its directories; nil if these do not exist.
    static func canonical(_ path: String) -> String? {
        guard let directory = try? parent(of: path, .ofOwner) else { return nil }
        return directory.path(of: FileName(FileTree.name(of: path)))
    }

    /// Copies owner and mode from `other`.
    func copyOwnerAndMode(of other: stat) throws(SystemError) {
        if status.st_uid != other.st_uid || status.st_gid != other.st_gid {
            try check(holdfast_own(descriptor.raw, other.st_uid, other.st_gid), "change owner of", path)
        }
        try check(holdfast_set_mode(descriptor.raw, other.st_mode & 0o7777), "set mode of", path)
    }

    /// Opens the directory for listing.
    func list() throws(SystemError) -> DirectoryListing {
        let opened = try check(holdfast_openat(descriptor.raw, ".", O_RDONLY | O_DIRECTORY, 0), "list", path)
        return try DirectoryListing(OwnedDescriptor(owning: opened), path)
    }

    /// Opens a file in the directory; a link is ELOOP.
    func open(_ name: FileName, _ flags: Int32, mode: mode_t = 0o644) throws(SystemError) -> OwnedDescriptor {
        let number = holdfast_openat(descriptor.raw, name.bytes, flags | O_NOFOLLOW, mode)
        return OwnedDescriptor(owning: try check(number, "open", path(of: name)))
    }

    /// Makes a directory of ours with exactly this mode; false if the name exists.
    func makeDirectory(_ name: FileName, mode: mode_t) throws(SystemError) -> Bool {
        // The mode is set at creation: a later chmod(2) might find another directory in its place.
        let before = umask(0)
        let result = mkdirat(descriptor.raw, name.bytes, mode)
        let cause = Errno(rawValue: errno)
        umask(before)
        if result == 0 { return true }
        if cause == .fileExists { return false }
        throw SystemError("make directory", path(of: name), cause)
    }

    /// Makes a FIFO of ours with exactly this mode; false if the name exists.
    func makeFIFO(_ name: FileName, mode: mode_t) throws(SystemError) -> Bool {
        let before = umask(0)
        let result = mkfifoat(descriptor.raw, name.bytes, mode)
        let cause = Errno(rawValue: errno)
        umask(before)
        if result == 0 { return true }
        if cause == .fileExists { return false }
        throw SystemError("mkfifo", path(of: name), cause)
    }

    /// Makes a symbolic link; false if the name exists.
    func makeLink(_ name: FileName, to target: String) throws(SystemError) -> Bool {
        if symlinkat(target, descriptor.raw, name.bytes) == 0 { return true }
        guard errno == EEXIST else { throw SystemError("make link", path(of: name)) }
        return false
    }

    /// Removes a file that is no directory; false if there is none.
    @discardableResult
    func unlink(_ name: FileName) throws(SystemError) -> Bool {
        if unlinkat(descriptor.raw, name.bytes, 0) == 0 { return true }
        guard errno == ENOENT else { throw SystemError("remove", path(of: name)) }
        return false
    }

    /// Removes an empty directory; false if there is none, or it is not empty.
    @discardableResult
    func removeDirectory(_ name: FileName) throws(SystemError) -> Bool {
        if unlinkat(descriptor.raw, name.bytes, Int32(AT_REMOVEDIR)) == 0 { return true }
        guard errno == ENOENT || errno == ENOTEMPTY else { throw SystemError("remove", path(of: name)) }
        return false
    }

    /// Renames; replaces an existing target.
    func rename(_ name: FileName, to target: borrowing SafeDirectory, _ new: FileName) throws(SystemError) {
        try checkErrno(
            renameat(descriptor.raw, name.bytes, target.descriptor.raw, new.bytes), "rename", path(of: name))
    }

    /// Renames to a new name; EEXIST if it exists.
    func move(_ name: FileName, to target: borrowing SafeDirectory, _ new: FileName) throws(SystemError) {
        let result = holdfast_rename(
            descriptor.raw, name.bytes, target.descriptor.raw, new.bytes, Int32(HOLDFAST_RENAME_NEW))
        // Some file systems support the plain rename only.
        if result == -EINVAL { return try rename(name, to: target, new) }
        try check(result, "rename", path(of: name))
    }

    /// Waits until the directory's entries are on disk.
    func sync() throws(SystemError) {
        let opened = try OwnedDescriptor(
            owning: check(holdfast_openat(descriptor.raw, ".", O_RDONLY | O_DIRECTORY, 0), "open", path))
        try checkErrno(fsync(opened.raw), "sync", path)
    }
}

/// A file of any kind that a walk has found, held with O_PATH: operations act on this file, even if its name now
/// belongs to another.
struct PinnedFile: ~Copyable, Sendable {
    let descriptor: OwnedDescriptor
    let status: stat
    let path: String

    init(_ descriptor: consuming OwnedDescriptor, _ status: stat, _ path: String) {
        self.descriptor = descriptor
        self.status = status
        self.path = path
    }

    consuming func takeDescriptor() -> OwnedDescriptor { descriptor }

    /// Changes the owner; nil leaves it.
    func own(_ uid: UInt32?, _ gid: UInt32?) throws(SystemError) {
        try check(holdfast_own(descriptor.raw, uid ?? .max, gid ?? .max), "change owner of", path)
    }

    func setMode(_ mode: mode_t) throws(SystemError) {
        // chmod(2) would follow the link.
        guard !status.isLink else { throw SystemError("set mode of", path, .tooManySymbolicLinkLevels) }
        try check(holdfast_set_mode(descriptor.raw, mode), "set mode of", path)
    }

    /// Opens the file; a link is ELOOP.
    func reopen(_ flags: Int32) throws(SystemError) -> OwnedDescriptor {
        guard !status.isLink else { throw SystemError("open", path, .tooManySymbolicLinkLevels) }
        let plain = flags & ~(O_CREAT | O_EXCL)
        return OwnedDescriptor(owning: try check(holdfast_reopen(descriptor.raw, plain), "open", path))
    }

    /// Adds a name to the file; false if the name exists.
    func link(_ directory: borrowing SafeDirectory, _ name: FileName) throws(SystemError) -> Bool {
        let result = holdfast_link(descriptor.raw, directory.descriptor.raw, name.bytes)
        if result == -EEXIST { return false }
        try check(result, "link", directory.path(of: name))
        return true
    }

    /// The target of a link.
    func linkTarget() throws(SystemError) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = buffer.withUnsafeMutableBytes { bytes in
            bytes.bindMemory(to: CChar.self).baseAddress.map { readlinkat(descriptor.raw, "", $0, bytes.count) } ?? -1
        }
        return Array(buffer.prefix(try checkErrno(count, "read link", path)))
    }
}
