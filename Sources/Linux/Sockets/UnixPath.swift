import CSpawn
import Glibc
import SystemPackage

/// Paths of Unix sockets: bound with their mode and owner from the first moment, even if others can write to the
/// directory.
enum UnixPath {
    /// Mode and owner of the file.
    struct OwnerAndMode {
        var mode: mode_t
        /// The owner; nil: ours.
        var owner: UInt32?
        var group: UInt32?
    }

    /// Binds a socket at `name` in a directory that was reached by `path`. EADDRINUSE if the name exists.
    ///
    /// bind(2) takes a path and keeps it as the socket's name, which programs compare with their configuration, so
    /// another path to the same directory, such as /proc/self/fd/7/x, is not possible. But a directory on the path that
    /// belongs to another user can have become a link by the time of the call. There the socket is bound in a directory
    /// of ours, which the call sees as the root directory, with the same path below it, and is moved from there to its
    /// place by descriptors.
    static func bind(
        _ socket: Int32, _ path: String, in directory: borrowing SafeDirectory, _ name: FileName,
        _ ownerAndMode: OwnerAndMode
    ) throws(SystemError) {
        // Without root's rights we can make nothing that the directory's owner could not make, too.
        if directory.isProtected || geteuid() != 0 {
            try bindThere(socket, path)
            guard let entry = try directory.pin(name), entry.status.kind == S_IFSOCK, entry.status.isOurs else {
                throw SystemError("bind", path, .noSuchFileOrDirectory)
            }
            return try setOwnerAndMode(entry, ownerAndMode)
        }
        try bindAside(socket, path, directory, name, ownerAndMode)
    }

    private static func bindThere(_ socket: Int32, _ path: String) throws(SystemError) {
        // Not accessible for other users until mode and owner are set.
        let before = umask(0o777 & ~0o600)
        defer { umask(before) }
        let result = try SocketAddress.unix(path: path).withSockaddr { Glibc.bind(socket, $0, $1) }
        try checkErrno(result, "bind", path)
    }

    static func setOwnerAndMode(_ entry: borrowing PinnedFile, _ ownerAndMode: OwnerAndMode) throws(SystemError) {
        // The owner is set first: a change of owner clears mode bits.
        if ownerAndMode.owner != nil || ownerAndMode.group != nil {
            try entry.own(ownerAndMode.owner, ownerAndMode.group)
        }
        if entry.status.st_mode & 0o7777 != ownerAndMode.mode { try entry.setMode(ownerAndMode.mode) }
    }

    private static func bindAside(
        _ socket: Int32, _ path: String, _ directory: borrowing SafeDirectory, _ name: FileName,
        _ ownerAndMode: OwnerAndMode
    ) throws(SystemError) {
        let stageName = TreeRemoval.freshName(".holdfast-binding-")
        guard try directory.makeDirectory(stageName, mode: 0o700) else { throw SystemError("bind", path, .fileExists) }
        do throws(SystemError) {
            let stage = try stage(stageName, directory)
            try bind(socket, path, below: stage, directory, name, ownerAndMode)
        } catch {
            _ = try? directory.removeDirectory(stageName)
            throw error
        }
        try directory.removeDirectory(stageName)
    }

    /// Opens an empty directory that only we can access. Its owner could have put another one of ours there.
    private static func stage(
        _ name: FileName, _ directory: borrowing SafeDirectory
    ) throws(SystemError) -> SafeDirectory {
        guard let entry = try directory.pin(name), entry.status.isOurs, entry.status.st_mode & 0o7777 == 0o700 else {
            throw SystemError("bind in", directory.path, .permissionDenied)
        }
        let stage = try directory.enter(entry, name, isProtected: true)
        var listing = try stage.list()
        guard try listing.next() == nil else { throw SystemError("bind in", directory.path, .permissionDenied) }
        return stage
    }

    private static func bind(
        _ socket: Int32, _ path: String, below stage: consuming SafeDirectory, _ directory: borrowing SafeDirectory,
        _ name: FileName, _ ownerAndMode: OwnerAndMode
    ) throws(SystemError) {
        let root = try stage.descriptor.duplicate()
        let components = FileName.components(path.utf8)
        var failure: SystemError?
        do throws(SystemError) {
            var place = try stage.reopen()
            for component in components.dropLast() where component != .dot {
                guard component != .dotDot else { throw SystemError("bind", path, .invalidArgument) }
                _ = try place.makeDirectory(component, mode: 0o700)
                guard let entry = try place.pin(component) else { continue }
                place = try place.enter(entry, component, isProtected: true)
            }
            let bound = try SocketAddress.unix(path: path).withSockaddr {
                holdfast_bind_below(root.raw, socket, $0, $1)
            }
            try check(bound, "bind", path)
            let last = components.last ?? .dot
            guard let entry = try place.pin(last) else { throw SystemError("bind", path, .noSuchFileOrDirectory) }
            try setOwnerAndMode(entry, ownerAndMode)
            do throws(SystemError) {
                try place.move(last, to: directory, name)
            } catch {
                throw SystemError("bind", path, error.errno == .fileExists ? .addressInUse : error.errno)
            }
        } catch { failure = error }
        var removal = TreeRemoval(everythingIn: stage)
        while removal.advance(64) {}
        if let failure { throw failure }
    }

    /// Connects a client to the socket of this file, wherever its path leads by now.
    static func connect(_ client: Int32, to entry: borrowing PinnedFile) throws(SystemError) -> Int32 {
        try SocketAddress.unix(path: "/proc/self/fd/\(entry.descriptor.raw)").withSockaddr {
            Glibc.connect(client, $0, $1)
        }
    }
}
