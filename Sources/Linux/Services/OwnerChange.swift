import CSpawn
import Glibc
import SystemPackage

/// The identity of a file, which stays the same when it is renamed.
public struct FileID: Hashable, Sendable {
    let device: UInt64
    let inode: UInt64

    init(_ status: stat) { (device, inode) = (UInt64(status.st_dev), UInt64(status.st_ino)) }

    /// The identity of the file at a path, without following a symbolic link; nil if there is none.
    init?(ofLink path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        self.init(status)
    }

    /// The identity of the file that a path leads to; nil if it is missing or inaccessible.
    init?(at path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        self.init(status)
    }
}

/// Changes the owner of a directory tree of any depth, a bounded piece at a time.
///
/// The former owner may still change the tree: no link is followed, no mount is crossed, and only two descriptors are
/// open: the way back is `..`, with a check that it leads to where the way down began.
///
/// These files keep their owner:
/// - A file with several names that belongs to root, or not to the former owner of the tree: one of its other names may
///   be elsewhere (if fs.protected_hardlinks is off, any user may have linked it here).
/// - If only the group of the tree changes, files that do not belong to the tree's owner.
struct OwnerChange: ~Copyable {
    private let path: String
    private let owner: ServiceDirectory.Owner
    private let former: uid_t
    private let sparing: Set<FileID>
    private var listing: DirectoryListing
    private var current: stat
    /// The directories above the current one, and the position in each.
    private var above: [(status: stat, position: Int)] = []

    init(
        of directory: borrowing OwnedDescriptor, _ path: String, to owner: ServiceDirectory.Owner, sparing: Set<FileID>
    ) throws(SystemError) {
        let status = try stat(of: directory.raw, path)
        listing = try DirectoryListing(try Self.open(".", in: directory.raw, path), path)
        self.path = path
        self.owner = owner
        self.sparing = sparing
        current = status
        former = status.st_uid
    }

    private static func open(_ name: String, in directory: Int32, _ path: String) throws(SystemError) -> OwnedDescriptor
    {
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW
        return OwnedDescriptor(owning: try check(holdfast_openat(directory, name, flags, 0), "open", path))
    }

    /// Changes up to `steps` files. False when all are done, the directory itself last: its owner shows that the rest
    /// is done.
    mutating func advance(_ steps: Int) throws(SystemError) -> Bool {
        for _ in 0..<steps {
            if let name = try listing.next() {
                try change(name)
            } else if try !ascend() {
                return false
            }
        }
        return true
    }

    private mutating func change(_ name: FileName) throws(SystemError) {
        let number = holdfast_pin(listing.descriptor, name.bytes, 0)
        if number == -ENOENT { return }
        let pinned = OwnedDescriptor(owning: try check(number, "change owner of", path + "/…/" + name.text))
        let status = try stat(of: pinned.raw, path)
        if status.isDirectory { return try descend(name, status) }
        guard isToChange(status) else { return }
        try check(holdfast_own(pinned.raw, owner.uid, owner.gid), "change owner of", path + "/…/" + name.text)
    }

    private func isToChange(_ status: stat) -> Bool {
        if status.st_uid == owner.uid && status.st_gid == owner.gid { return false }
        if former == owner.uid && status.st_uid != owner.uid { return false }
        if status.isDirectory { return true }
        if status.st_nlink > 1 && (status.st_uid == 0 || status.st_uid != former) { return false }
        return !sparing.contains(FileID(status))
    }

    private mutating func descend(_ name: FileName, _ status: stat) throws(SystemError) {
        var number = holdfast_open_below(listing.descriptor, name.bytes, O_RDONLY | O_DIRECTORY)
        if number == -ENOSYS {
            guard status.st_dev == current.st_dev else { return }
            number = holdfast_openat(listing.descriptor, name.bytes, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0)
        }
        // A mount, or removed or replaced meanwhile.
        if [-EXDEV, -ENOENT, -ELOOP, -ENOTDIR].contains(number) { return }
        let opened = OwnedDescriptor(owning: try check(number, "open", path + "/…/" + name.text))
        let position = listing.position
        above.append((current, position))
        current = try stat(of: opened.raw, path)
        listing = try DirectoryListing(opened, path)
    }

    /// Returns to the parent directory. False at the top.
    private mutating func ascend() throws(SystemError) -> Bool {
        if above.isEmpty || isToChange(current) {
            try checkErrno(fchown(listing.descriptor, owner.uid, owner.gid), "change owner of", path)
        }
        guard let (status, position) = above.popLast() else { return false }
        let up = try Self.open("..", in: listing.descriptor, path)
        let found = try stat(of: up.raw, path)
        guard found.isSame(as: status) else {
            throw SystemError("change owner of what is moved meanwhile in", path, .resourceBusy)
        }
        current = found
        listing = try DirectoryListing(up, path)
        listing.seek(position)
        return true
    }
}

/// Changes of owner that take several rounds of the loop, because the size of a state directory depends on its service.
public final class OwnerChanges {
    /// Nanoseconds that one call takes, and files that are changed between looks at the clock.
    private static let round: Int64 = 5_000_000
    private static let steps = 64

    private struct Key: Hashable {
        let directory: FileID
        let uid: UInt32
        let gid: UInt32
    }

    private final class Running {
        var change: OwnerChange
        init(_ change: consuming OwnerChange) { self.change = change }
    }

    private var running: [Key: Running] = [:]

    public init() {}

    /// Drops all unfinished changes.
    public func forget() { running = [:] }

    /// Starts or continues a change of owner. EINPROGRESS if it is not finished: call again.
    func advance(
        _ directory: borrowing OwnedDescriptor, _ path: String, to owner: ServiceDirectory.Owner, sparing: Set<FileID>
    ) throws(SystemError) {
        let key = Key(directory: FileID(try stat(of: directory.raw, path)), uid: owner.uid, gid: owner.gid)
        let current: Running
        if let known = running.removeValue(forKey: key) {
            current = known
        } else {
            current = Running(try OwnerChange(of: directory, path, to: owner, sparing: sparing))
        }
        let end = EventLoop.now + Self.round
        while try current.change.advance(Self.steps) {
            guard EventLoop.now < end else {
                running[key] = current
                throw SystemError("change owner of what is in", path, .nowInProgress)
            }
        }
    }
}
