import CSpawn
import Glibc
import SystemPackage

/// Symbolic links that enable, alias and mask units.
public enum SymbolicLink {
    /// Makes a link and the directories above it. Replaces another link, but no other kind of file.
    /// - Returns: false if the link existed already.
    public static func make(_ path: String, to target: String) throws(SystemError) -> Bool {
        switch existing(path) {
        case .link(let found): if found == target { return false }
        case .other: throw SystemError("link", path, .fileExists)
        case nil: break
        }
        if let parent = FileTree.parent(of: path) { try FileTree.makeDirectory(parent) }
        // Made beside it and renamed, so that a reader finds the old link or the new one.
        let fresh = path + ".new-\(getpid())"
        unlink(fresh)
        try checkErrno(symlink(target, fresh), "link", path)
        try FileTree.move(fresh, to: path)
        return true
    }

    /// Removes a link, but no other kind of file, and with the last one a directory whose name ends in one of the
    /// suffixes.
    /// - Returns: false if there was no link.
    public static func remove(_ path: String, emptyDirectories suffixes: [String]) throws(SystemError) -> Bool {
        switch existing(path) {
        case .link: break
        case .other: throw SystemError("remove", path, .fileExists)
        case nil: return false
        }
        try checkErrno(unlink(path), "remove", path)
        // rmdir(2) fails for a directory that is not empty.
        if let parent = FileTree.parent(of: path), suffixes.contains(where: parent.hasSuffix) { rmdir(parent) }
        return true
    }

    private enum Entry {
        case link(String)
        case other
    }

    private static func existing(_ path: String) -> Entry? {
        if let parent = FileTree.parent(of: path),
            let target = (try? UnitDirectory.links(parent))?[FileTree.name(of: path)]
        {
            return .link(target)
        }
        var status = stat()
        return lstat(path, &status) == 0 ? .other : nil
    }
}
