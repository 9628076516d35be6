import Glibc

/// The file at the path of a Unix socket or FIFO that prevents its creation: bind(2) returns EADDRINUSE for any kind.
public enum PathObstacle {
    /// The two kinds of file that are made at a path.
    public enum Wanted { case socket, fifo }

    /// `a regular file is in the way; remove it, or choose another path`; nil if the path is free or has the wanted
    /// FIFO.
    public static func description(of path: String, insteadOf wanted: Wanted) -> String? {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        let kind: String
        switch (status.st_mode & S_IFMT, wanted) {
        case (S_IFSOCK, .socket): return "a process listens there already"
        case (S_IFIFO, .fifo): return nil
        case (S_IFSOCK, .fifo): kind = "a socket"
        case (S_IFIFO, .socket): kind = "a FIFO"
        case (S_IFREG, _): kind = "a regular file"
        case (S_IFDIR, _): kind = "a directory"
        case (S_IFLNK, _): kind = "a symbolic link"
        default: kind = "a device"
        }
        return "\(kind) is in the way; remove it, or choose another path"
    }
}
