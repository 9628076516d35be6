import CSpawn
import Glibc
import SystemPackage

/// A directory that a service is given (`RuntimeDirectory=` and its siblings, systemd.exec(5)).
public enum ServiceDirectory {
    /// Makes the directory and its parents, and gives it mode and owner, also if it is there already.
    ///
    /// Its parents belong to root. Files below it change their owner along with it, and are left alone if the directory
    /// itself has the right one, as in systemd.
    /// - Parameters:
    ///   - owner: nil: whoever owns it.
    ///   - keepsExisting: one that is there stays as it is (`ConfigurationDirectory=`, which is not the service's to write).
    public static func make(
        _ path: String, mode: UInt16, owner: (uid: UInt32, gid: UInt32)?, keepsExisting: Bool = false
    ) throws(SystemError) {
        if keepsExisting, access(path, F_OK) == 0 { return }
        try FileTree.makeDirectory(path, mode: mode_t(mode))
        let directory = try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY)
        var status = stat()
        try checkErrno(fstat(directory.raw, &status), "stat", path)
        if status.st_mode & 0o7777 != mode_t(mode) {
            try checkErrno(fchmod(directory.raw, mode_t(mode)), "set mode of", path)
        }
        guard let owner, status.st_uid != owner.uid || status.st_gid != owner.gid else { return }
        try chownAll(in: directory, path, owner, depth: 0)
        // Last: the directory's own owner says that the rest is done.
        try checkErrno(fchown(directory.raw, owner.uid, owner.gid), "change owner of", path)
    }

    /// Follows no link: whoever owned the tree may have put one there.
    private static func chownAll(
        in directory: borrowing OwnedDescriptor, _ path: String, _ owner: (uid: UInt32, gid: UInt32), depth: Int
    ) throws(SystemError) {
        guard depth < 64 else { throw SystemError("change owner of", path, .tooManySymbolicLinkLevels) }
        for name in try FileTree.entries(of: directory, path) {
            let entry = path + "/" + name
            let number = holdfast_openat(directory.raw, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0)
            if number >= 0 {
                let below = OwnedDescriptor(owning: number)
                try chownAll(in: below, entry, owner, depth: depth + 1)
                try checkErrno(fchown(below.raw, owner.uid, owner.gid), "change owner of", entry)
            } else if fchownat(directory.raw, name, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) < 0, errno != ENOENT {
                throw SystemError("change owner of", entry)
            }
        }
    }

    /// Makes a symbolic link at `path`, and its parents, unless it is there with this target. Something else that is there
    /// stays, and is an error.
    ///
    /// Both are paths below `root`; the link's text is relative, as systemd makes it.
    public static func link(_ path: String, to target: String, in root: String) throws(SystemError) {
        let target = relative(target, from: path)
        let path = root + "/" + path
        if let parent = FileTree.parent(of: path) { try FileTree.makeDirectory(parent) }
        if symlink(target, path) == 0 { return }
        guard errno == EEXIST, linkTarget(of: path) == target else { throw SystemError("make link", path) }
    }

    /// Removes the link if it points there; what somebody put in its place stays.
    public static func unlink(_ path: String, to target: String, in root: String) {
        let path = (link: root + "/" + path, target: relative(target, from: path))
        if linkTarget(of: path.link) == path.target { Glibc.unlink(path.link) }
    }

    private static func relative(_ target: String, from path: String) -> String {
        let from = path.split(separator: "/").dropLast()
        let to = target.split(separator: "/")
        let common = zip(from, to).prefix { $0 == $1 }.count
        return (Array(repeating: "..", count: from.count - common) + to.dropFirst(common)).joined(separator: "/")
    }

    private static func linkTarget(of path: String) -> String? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes { bytes in
            bytes.bindMemory(to: CChar.self).baseAddress.map { readlink(path, $0, bytes.count) } ?? -1
        }
        return count < 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
    }
}
