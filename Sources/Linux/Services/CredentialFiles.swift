import CSpawn
import Glibc
import SystemPackage

/// The files of a service's credentials (`LoadCredential=`, systemd.exec(5)).
public enum CredentialFiles {
    /// The limit for all credentials of a unit together, in bytes: systemd's.
    public static let sizeLimit = 1 << 20
    /// The most credentials of a unit: more have no use, and each is a file.
    public static let countLimit = 1024

    /// The most directory entries that are examined: a service may have filled the directory.
    private static let looksLimit = 4 * countLimit

    /// One credential with the name of its file.
    public struct Entry: Equatable, Sendable {
        public var name: String
        public var bytes: [UInt8]

        public init(_ name: String, _ bytes: [UInt8]) {
            self.name = name
            self.bytes = bytes
        }
    }

    /// Reads a path: a file is one credential, a directory has one for each file below it, named `name_FILE`. Links in
    /// a directory are skipped, as in systemd.
    /// - Parameter limit: the most bytes of all together; more is EFBIG.
    public static func read(_ path: String, as name: String, limit: Int) throws(SystemError) -> [Entry] {
        let entry: PinnedFile
        do throws(SystemError) {
            entry = try SafeFile.pin(path)
        } catch {
            throw SystemError("read credential", path, error.errno)
        }
        switch entry.status.kind {
        case S_IFDIR:
            var found: [Entry] = []
            let directory = try entry.reopen(O_RDONLY | O_DIRECTORY)
            var looks = looksLimit
            try collect(directory, path, name, depth: 0, limit, &looks, &found)
            return found
        case S_IFREG:
            // O_NONBLOCK: by now the path may be a FIFO.
            let file = try SafeFile.open(path, O_RDONLY)
            return [Entry(name, try file.readAll(limit: limit, subject: path))]
        default:
            // systemd reads from a socket; here no call may wait for its peer.
            throw SystemError("read credential (neither a file nor a directory)", path, .notSupported)
        }
    }

    private static func collect(
        _ directory: borrowing OwnedDescriptor, _ path: String, _ name: String, depth: Int, _ limit: Int,
        _ looks: inout Int, _ found: inout [Entry]
    ) throws(SystemError) {
        guard depth < 16 else { throw SystemError("read credentials", path, .tooManySymbolicLinkLevels) }
        let own = try stat(of: directory.raw, path)
        let entries = try FileTree.entries(of: directory, path, limit: looks + 1)
        looks -= entries.count
        guard looks >= 0 else { throw SystemError("read credentials", path, .fileTooLarge) }
        for entry in entries.sorted() {
            var status = stat()
            guard fstatat(directory.raw, entry, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            let place = path + "/" + entry
            switch status.st_mode & S_IFMT {
            case S_IFDIR:
                let below = try directory.open(entry, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
                try collect(below, place, name + "_" + entry, depth: depth + 1, limit, &looks, &found)
            case S_IFREG:
                let file = try directory.open(entry, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW)
                // Anybody may have linked it there (where fs.protected_hardlinks is off).
                let opened = try stat(of: file.raw, place)
                guard own.protectsEntries || opened.st_uid == own.st_uid || opened.st_nlink == 1 else {
                    throw SystemError("read credential with several names", place, .permissionDenied)
                }
                let used = found.reduce(0) { $0 + $1.bytes.count }
                guard used <= limit, found.count < countLimit else {
                    throw SystemError("read credentials", path, .fileTooLarge)
                }
                found.append(Entry(name + "_" + entry, try file.readAll(limit: limit - used, subject: place)))
            default: break
            }
        }
    }

    /// Replaces the contents of the directory with exactly these entries, each atomically for readers.
    /// - Parameter owner: the user who may read them beside root; nil: we ourselves.
    public static func write(
        _ entries: [Entry], to path: String, owner: (uid: UInt32, gid: UInt32)?
    ) throws(SystemError) {
        let parent = try SafeDirectory.parent(of: path, .ofRoot, making: 0o755)
        let name = FileName(FileTree.name(of: path))
        _ = try parent.makeDirectory(name, mode: 0o700)
        let directory = try parent.open(name, O_RDONLY | O_DIRECTORY)
        try checkErrno(fchmod(directory.raw, 0o700), "set mode of", path)
        let wanted = Set(entries.map(\.name))
        for stale in try FileTree.entries(of: directory, path) where !wanted.contains(stale) {
            try FileTree.remove(path + "/" + stale)
        }
        for entry in entries { try write(entry, in: directory, path, owner) }
        if let owner { try checkErrno(fchown(directory.raw, owner.uid, owner.gid), "change owner of", path) }
        try checkErrno(fchmod(directory.raw, 0o500), "set mode of", path)
    }

    private static func write(
        _ entry: Entry, in directory: borrowing OwnedDescriptor, _ path: String, _ owner: (uid: UInt32, gid: UInt32)?
    ) throws(SystemError) {
        // The service owns the directory and may have put a file there: only a new file is written to.
        let temporary = ".\(entry.name.prefix(200)).new"
        unlinkat(directory.raw, temporary, 0)
        let file = try directory.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o400)
        let place = path + "/" + entry.name
        do throws(SystemError) {
            try file.writeAll(entry.bytes, subject: place)
            try checkErrno(fchmod(file.raw, 0o400), "set mode of", place)
            if let owner { try checkErrno(fchown(file.raw, owner.uid, owner.gid), "change owner of", place) }
            try checkErrno(renameat(directory.raw, temporary, directory.raw, entry.name), "rename to", place)
        } catch {
            unlinkat(directory.raw, temporary, 0)
            throw error
        }
    }

    /// Removes the entries and their directory. A missing directory is no error.
    public static func remove(_ path: String) throws(SystemError) {
        // Without root's rights nothing can be removed from a directory that is not writable.
        if let entry = try? SafeFile.pin(path), entry.status.isDirectory { try? entry.setMode(0o700) }
        try FileTree.remove(path)
    }
}
