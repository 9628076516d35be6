import Glibc

/// The file of a bound Unix socket, with a second hard link beside it, `.NAME.held`.
///
/// A bound socket cannot be bound again, but its inode can be linked again for as long as one link is left: so a vanished
/// path comes back to the same socket, in all processes that share it.
final class SocketFile {
    let path: String
    private let held: String
    private let device: UInt64
    private let inode: UInt64

    init?(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return nil }
        self.path = path
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        held = (FileTree.parent(of: path) ?? ".") + "/." + FileTree.name(of: path) + ".held"
        // Best effort: some file systems have no hard links; a vanished path then gets a new socket.
        unlink(held)
        link(path, held)
    }

    var isIntact: Bool { isOurs(path) }

    private func isOurs(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && UInt64(status.st_dev) == device && UInt64(status.st_ino) == inode
    }

    func restore() -> Bool { isOurs(held) && link(held, path) == 0 }

    /// Removes the second link only: whoever holds the socket next makes its own.
    func forget() { if isOurs(held) { unlink(held) } }

    func remove() {
        if isOurs(path) { unlink(path) }
        forget()
    }
}
