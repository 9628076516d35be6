import Glibc
import Linux

/// A fingerprint of the unit directories: names, inodes, sizes and times of every file, without reading any.
///
/// An operator who edits a unit and swaps expects the file's present text. The check costs about a microsecond a file.
public struct UnitFingerprint: Equatable, Sendable {
    private let value: Int

    /// A fingerprint of files that are not on a disk.
    public init(_ value: Int) { self.value = value }

    /// Fingerprint of the present contents of the directories, including drop-in and `.wants/` directories.
    ///
    /// - Throws: shortage of descriptors or memory, which says nothing about the directories.
    public init(of directories: [String]) throws(SystemError) {
        var hasher = Hasher()
        for directory in directories { try Self.add(directory, 0, to: &hasher) }
        value = hasher.finalize()
    }

    private static func add(_ directory: String, _ depth: Int, to hasher: inout Hasher) throws(SystemError) {
        hasher.combine(directory)
        for name in try names(in: directory) {
            let path = directory + "/" + name
            var status = stat()
            // Links are followed: the text behind a link matters.
            guard stat(path, &status) == 0 else {
                hasher.combine(name)
                continue
            }
            hasher.combine(name)
            hasher.combine(status.st_ino)
            hasher.combine(status.st_size)
            hasher.combine(status.st_mtim.tv_sec)
            hasher.combine(status.st_mtim.tv_nsec)
            // Owner and mode decide whether a file may be read.
            hasher.combine(status.st_mode)
            hasher.combine(status.st_uid)
            if status.st_mode & S_IFMT == S_IFDIR, depth == 0 { try add(path, depth + 1, to: &hasher) }
        }
    }

    private static func names(in directory: String) throws(SystemError) -> [String] {
        do throws(SystemError) {
            return try UnitDirectory.list(directory) ?? []
        } catch {
            if error.isTransient { throw error }
            return []
        }
    }
}
