import Glibc
import Linux

/// Whether the unit directories are as they were: names, inodes, sizes and times of every file, without reading any.
///
/// An operator who edits a unit and swaps means what the file says now. Looking costs about a microsecond a file.
public struct UnitFingerprint: Equatable, Sendable {
    private let value: Int

    /// Of what is in the directories now, drop-in and `.wants/` directories included.
    public init(of directories: [String]) {
        var hasher = Hasher()
        for directory in directories { Self.add(directory, 0, to: &hasher) }
        value = hasher.finalize()
    }

    private static func add(_ directory: String, _ depth: Int, to hasher: inout Hasher) {
        hasher.combine(directory)
        guard let names = (try? UnitDirectory.list(directory)) ?? nil else { return }
        for name in names {
            let path = directory + "/" + name
            var status = stat()
            // Follows links: what counts is the text behind one.
            guard stat(path, &status) == 0 else {
                hasher.combine(name)
                continue
            }
            hasher.combine(name)
            hasher.combine(status.st_ino)
            hasher.combine(status.st_size)
            hasher.combine(status.st_mtim.tv_sec)
            hasher.combine(status.st_mtim.tv_nsec)
            // Owner and mode decide whether a file is read at all.
            hasher.combine(status.st_mode)
            hasher.combine(status.st_uid)
            if status.st_mode & S_IFMT == S_IFDIR, depth == 0 { add(path, depth + 1, to: &hasher) }
        }
    }
}
