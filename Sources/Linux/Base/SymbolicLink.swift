import CSpawn
import Glibc
import SystemPackage

/// Symbolic links by which units are enabled, named and masked.
public enum SymbolicLink {
    /// Makes a link, in place of another link but never of something else, with the directories above it.
    /// - Returns: false if it was there already.
    public static func make(_ path: String, to target: String) throws(SystemError) -> Bool {
        switch existing(path) {
        case .link(let found): if found == target { return false }
        case .other: throw SystemError("link", path, .fileExists)
        case nil: break
        }
        if let parent = FileTree.parent(of: path) { try FileTree.makeDirectory(parent) }
        // Beside it and renamed: whoever reads meanwhile finds the old link or the new one.
        let fresh = path + ".new-\(getpid())"
        unlink(fresh)
        try checkErrno(symlink(target, fresh), "link", path)
        try FileTree.move(fresh, to: path)
        return true
    }

    /// Removes a link, but nothing else, and with the last of them a directory whose name ends in one of the suffixes.
    /// - Returns: false if there was none.
    public static func remove(_ path: String, emptyDirectories suffixes: [String]) throws(SystemError) -> Bool {
        switch existing(path) {
        case .link: break
        case .other: throw SystemError("remove", path, .fileExists)
        case nil: return false
        }
        try checkErrno(unlink(path), "remove", path)
        // One that is not empty stays by itself.
        if let parent = FileTree.parent(of: path), suffixes.contains(where: parent.hasSuffix) { rmdir(parent) }
        return true
    }

    private enum Entry {
        case link(String)
        case other
    }

    private static func existing(_ path: String) -> Entry? {
        if let parent = FileTree.parent(of: path), let target = UnitDirectory.links(parent)[FileTree.name(of: path)] {
            return .link(target)
        }
        var status = stat()
        return lstat(path, &status) == 0 ? .other : nil
    }
}
