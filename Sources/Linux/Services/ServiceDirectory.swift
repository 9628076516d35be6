import CSpawn
import Glibc
import SystemPackage

/// A directory for a service (`RuntimeDirectory=` and its siblings, systemd.exec(5)).
public enum ServiceDirectory {
    public typealias Owner = (uid: UInt32, gid: UInt32)

    /// Makes the directory and its parents, and sets its mode and owner, also if it exists.
    ///
    /// Its parents belong to root. Files below it change their owner along with it, and are left alone if the directory
    /// itself has the right one, as in systemd.
    ///
    /// With `StateDirectory=foo foo/sub` the service owns `foo`, and can replace `sub` while this runs: no link of the
    /// service is followed, and an existing directory is only given to the service if it is the service's already, or
    /// empty.
    /// - Parameters:
    ///   - owner: nil keeps the owner.
    ///   - keepsExisting: an existing directory stays unchanged (`ConfigurationDirectory=`: not for the service to write).
    ///   - sparing: files below it that keep their owner: held sockets, which have their own settings.
    ///   - changes: limits a call to a few milliseconds: EINPROGRESS means that it must be repeated. nil: no limit.
    public static func make(
        _ path: String, mode: UInt16, owner: Owner?, keepsExisting: Bool = false, sparing: Set<FileID> = [],
        changes: OwnerChanges? = nil
    ) throws(SystemError) {
        let request = OwnershipRequest(path: path, mode: mode, owner: owner, sparing: sparing, changes: changes)
        for _ in 0..<3 {
            let place = try PathWalk(path, .ofRoot, making: 0o755).run(followsLast: true)
            if place.entry == nil {
                // A directory that another process makes meanwhile is checked like any existing one.
                _ = try place.directory.makeDirectory(place.name, mode: mode_t(mode))
                guard let made = try place.directory.pin(place.name) else { continue }
                return try setOwnerAndMode(made, place.directory.isProtected, place.directory.status.st_uid, request)
            }
            if keepsExisting { return }
            let isProtected = place.directory.isProtected
            let user = place.directory.status.st_uid
            guard let entry = place.takeEntry() else { continue }
            return try setOwnerAndMode(entry, isProtected, user, request)
        }
        throw SystemError("make directory", path, .noSuchFileOrDirectory)
    }

    private struct OwnershipRequest {
        let path: String
        let mode: UInt16
        let owner: Owner?
        let sparing: Set<FileID>
        let changes: OwnerChanges?
    }

    /// - Parameters:
    ///   - isProtected: only root and we can have put the directory there; else `user` can, too.
    private static func setOwnerAndMode(
        _ entry: borrowing PinnedFile, _ isProtected: Bool, _ user: UInt32, _ request: OwnershipRequest
    ) throws(SystemError) {
        let path = request.path
        guard entry.status.isDirectory else { throw SystemError("make directory", path, .notDirectory) }
        let directory = try entry.reopen(O_RDONLY | O_DIRECTORY)
        let status = try stat(of: directory.raw, path)
        if !isProtected, let owner = request.owner, status.st_uid != owner.uid {
            guard status.isOurs, try isEmpty(directory, path) else {
                throw SystemError(
                    "change owner of",
                    "\(path), a directory of user \(status.st_uid) that user \(user) may have created",
                    .permissionDenied)
            }
        }
        if status.st_mode & 0o7777 != mode_t(request.mode) {
            try checkErrno(fchmod(directory.raw, mode_t(request.mode)), "set mode of", path)
        }
        guard let owner = request.owner, status.st_uid != owner.uid || status.st_gid != owner.gid else { return }
        if let changes = request.changes {
            return try changes.advance(directory, path, to: owner, sparing: request.sparing)
        }
        var change = try OwnerChange(of: directory, path, to: owner, sparing: request.sparing)
        while try change.advance(1 << 16) {}
    }

    private static func isEmpty(_ directory: borrowing OwnedDescriptor, _ path: String) throws(SystemError) -> Bool {
        let number = try check(holdfast_openat(directory.raw, ".", O_RDONLY | O_DIRECTORY, 0), "list", path)
        var listing = try DirectoryListing(OwnedDescriptor(owning: number), path)
        return try listing.next() == nil
    }

    /// Makes a symbolic link at `path`, and its parents, unless it exists with this target. Another kind of file or
    /// link stays, and is an error.
    ///
    /// Both are paths below `root`; the link's text is relative, as in systemd.
    public static func link(_ path: String, to target: String, in root: String) throws(SystemError) {
        let target = relative(target, from: path)
        let path = root + "/" + path
        let directory = try SafeDirectory.parent(of: path, .ofRoot, making: 0o755)
        let name = FileName(FileTree.name(of: path))
        if try directory.makeLink(name, to: target) { return }
        guard try directory.leads(name, to: target) else { throw SystemError("make link", path, .fileExists) }
    }

    /// Removes the link if it has this target; a file in its place stays.
    public static func unlink(_ path: String, to target: String, in root: String) throws(SystemError) {
        let full = root + "/" + path
        do throws(SystemError) {
            let directory = try SafeDirectory.parent(of: full, .ofRoot)
            let name = FileName(FileTree.name(of: full))
            if try directory.leads(name, to: relative(target, from: path)) { try directory.unlink(name) }
        } catch {
            if error.errno != .noSuchFileOrDirectory { throw error }
        }
    }

    private static func relative(_ target: String, from path: String) -> String {
        let from = path.split(separator: "/").dropLast()
        let to = target.split(separator: "/")
        let common = zip(from, to).prefix { $0 == $1 }.count
        return (Array(repeating: "..", count: from.count - common) + to.dropFirst(common)).joined(separator: "/")
    }
}

extension SafeDirectory {
    /// Whether the name is a symbolic link with this text.
    func leads(_ name: FileName, to target: String) throws(SystemError) -> Bool {
        guard let entry = try pin(name), entry.status.isLink else { return false }
        return try entry.linkTarget() == Array(target.utf8)
    }
}
