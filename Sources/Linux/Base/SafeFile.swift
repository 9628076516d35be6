import CSpawn
import Glibc
import SystemPackage

/// Files that the supervisor opens for a service, or reads on its behalf, at paths that the service's user may control.
public enum SafeFile {
    /// Opens a file (open(2)), close-on-exec, without waiting and without a controlling terminal, except where a user
    /// could misuse root's rights:
    ///
    /// - A link of another user is followed only to a file of that user (`LinkTrust.ofOwner`).
    /// - In a directory that other users may write to, a file with several names is opened only if it belongs to the
    ///   directory's owner: any user may have linked it there (if fs.protected_hardlinks is off).
    /// - A device there is not opened, because opening alone may have effects.
    ///
    /// The file is checked before it is opened, and the same file is then opened.
    public static func open(
        _ path: String, _ flags: Int32, mode: mode_t = 0o644
    ) throws(SystemError) -> OwnedDescriptor {
        // Repeated if the file appears or vanishes in between, as open(2) itself does.
        for _ in 0..<8 {
            let place = try PathWalk(path, .ofOwner).run(followsLast: flags & O_NOFOLLOW == 0)
            let directory = place.directory.descriptor.raw
            if place.entry == nil {
                guard flags & O_CREAT != 0 else { throw SystemError("open", path, .noSuchFileOrDirectory) }
                let number = holdfast_openat(
                    directory, place.name.bytes, flags | O_EXCL | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode)
                if number == -EEXIST { continue }
                return OwnedDescriptor(owning: try check(number, "open", path))
            }
            let isProtected = place.directory.isProtected
            let owner = place.directory.status.st_uid
            guard let entry = place.takeEntry() else { continue }
            if flags & O_EXCL != 0 { throw SystemError("open", path, .fileExists) }
            try admit(entry.status, isProtected, owner, path)
            return try entry.reopen(flags | O_NONBLOCK | O_NOCTTY)
        }
        throw SystemError("open", path, .resourceTemporarilyUnavailable)
    }

    /// The file at the path, following links as `open` does, without opening it: for connecting to a socket.
    static func pin(_ path: String) throws(SystemError) -> PinnedFile {
        let place = try PathWalk(path, .ofOwner).run(followsLast: true)
        guard let entry = place.takeEntry() else { throw SystemError("open", path, .noSuchFileOrDirectory) }
        return entry
    }

    private static func admit(
        _ status: stat, _ isProtected: Bool, _ owner: uid_t, _ path: String
    ) throws(SystemError) {
        if isProtected || status.st_uid == owner && status.isRegularOrFIFO { return }
        switch status.kind {
        case S_IFREG, S_IFIFO:
            guard status.st_nlink == 1 else {
                throw SystemError("open a file with several names", path, .permissionDenied)
            }
        case S_IFCHR, S_IFBLK:
            throw SystemError("open a device in a directory of user \(owner)", path, .permissionDenied)
        default: break
        }
    }
}

extension stat {
    fileprivate var isRegularOrFIFO: Bool { kind == S_IFREG || kind == S_IFIFO }
}
