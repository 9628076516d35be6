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
    private static let entryLimit = 4 * countLimit

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
            var entriesLeft = entryLimit
            try collect(directory, path, name, depth: 0, limit, &entriesLeft, &found)
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
        _ entriesLeft: inout Int, _ found: inout [Entry]
    ) throws(SystemError) {
        guard depth < 16 else { throw SystemError("read credentials", path, .tooManySymbolicLinkLevels) }
        let own = try stat(of: directory.raw, path)
        let entries = try FileTree.entries(of: directory, path, limit: entriesLeft + 1)
        entriesLeft -= entries.count
        guard entriesLeft >= 0 else { throw SystemError("read credentials", path, .fileTooLarge) }
        for entry in entries.sorted() {
            var status = stat()
            guard fstatat(directory.raw, entry, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            let place = path + "/" + entry
            switch status.st_mode & S_IFMT {
            case S_IFDIR:
                let below = try directory.open(entry, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
                try collect(below, place, name + "_" + entry, depth: depth + 1, limit, &entriesLeft, &found)
            case S_IFREG:
                let file = try directory.open(entry, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW)
                // Another user may have linked the file there (where fs.protected_hardlinks is off).
                let opened = try stat(of: file.raw, place)
                guard own.protectsEntries || opened.st_uid == own.st_uid || opened.st_nlink == 1 else {
                    throw SystemError("read credential", "\(place), which has several hard links", .permissionDenied)
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

    /// Replaces the directory by one with exactly these entries, atomically for readers.
    ///
    /// The service owns the existing directory and may have filled it. Nothing in it is therefore touched, and its
    /// removal is left to `Trash`.
    /// - Parameter owner: the user who may read the entries besides root; nil: ourselves.
    /// - Returns: the path of the replaced directory; nil if there was none.
    public static func write(
        _ entries: [Entry], to path: String, owner: (uid: UInt32, gid: UInt32)?
    ) throws(SystemError) -> String? {
        let parent = try SafeDirectory.parent(of: path, .ofRoot, making: 0o755)
        let fresh = TreeRemoval.freshName(".new-")
        guard try parent.makeDirectory(fresh, mode: 0o700) else {
            throw SystemError("make directory", path, .fileExists)
        }
        do throws(SystemError) {
            let directory = try parent.open(fresh, O_RDONLY | O_DIRECTORY)
            for entry in entries { try write(entry, in: directory, path, owner) }
            if let owner { try checkErrno(fchown(directory.raw, owner.uid, owner.gid), "change owner of", path) }
            try checkErrno(fchmod(directory.raw, 0o500), "set mode of", path)
            return try place(fresh, as: FileName(FileTree.name(of: path)), in: parent)
        } catch {
            try? FileTree.remove(parent.path(of: fresh))
            throw error
        }
    }

    private static func place(
        _ fresh: FileName, as name: FileName, in parent: borrowing SafeDirectory
    ) throws(SystemError) -> String? {
        let result = holdfast_rename(
            parent.descriptor.raw, fresh.bytes, parent.descriptor.raw, name.bytes, Int32(HOLDFAST_RENAME_EXCHANGE))
        switch -result {
        case ENOENT:
            try parent.move(fresh, to: parent, name)
            return nil
        case EINVAL:
            // Some file systems support only the plain rename.
            let old = TreeRemoval.freshName(".old-")
            try parent.rename(name, to: parent, old)
            try parent.rename(fresh, to: parent, name)
            return parent.path(of: old)
        default:
            try check(result, "replace", parent.path(of: name))
            return parent.path(of: fresh)
        }
    }

    private static func write(
        _ entry: Entry, in directory: borrowing OwnedDescriptor, _ path: String, _ owner: (uid: UInt32, gid: UInt32)?
    ) throws(SystemError) {
        let file = try directory.open(entry.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o400)
        let place = path + "/" + entry.name
        try file.writeAll(entry.bytes, subject: place)
        try checkErrno(fchmod(file.raw, 0o400), "set mode of", place)
        if let owner { try checkErrno(fchown(file.raw, owner.uid, owner.gid), "change owner of", place) }
    }

    /// Makes a directory of credentials writable for us, so that it can be moved: its mode forbids that to all but
    /// root.
    public static func release(_ path: String) {
        if geteuid() != 0, let entry = try? SafeFile.pin(path), entry.status.isDirectory { try? entry.setMode(0o700) }
    }
}
