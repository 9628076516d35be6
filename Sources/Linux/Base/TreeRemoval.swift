import CSpawn
import Glibc
import SystemPackage

/// Removes directory trees of any depth and width, a bounded piece at a time.
///
/// All work happens in one directory, the base. A directory in the base is emptied; its subdirectories that are not
/// empty are renamed into the base and emptied there in turn. So no tree is too deep: there are never more than three
/// open descriptors, no path grows, nothing recurses, and any process that has the base can continue an interrupted
/// removal. No mount is crossed, because none can be renamed. A directory that is being emptied is first taken from its
/// owner, so that processes in it can add no more files.
struct TreeRemoval: ~Copyable {
    private let base: SafeDirectory
    /// Whether everything in the base is to be removed.
    private let isWhole: Bool
    private var pending: [FileName]
    private var listing: DirectoryListing?
    private var current: Emptying?
    /// Names that could not be removed, and are not tried again.
    private var stuck: Set<FileName> = []
    /// The error of the first of them.
    private(set) var problem: SystemError?

    private static let mostPending = 1024

    private struct Emptying: ~Copyable {
        let name: FileName
        var listing: DirectoryListing
        /// Whether an entry was removed in this pass.
        var progressed = false
    }

    /// Removes the file or directory of this name in the base.
    init(_ name: FileName, in base: consuming SafeDirectory) {
        self.base = base
        isWhole = false
        pending = [name]
    }

    /// Removes everything in the base, but not the base itself.
    init(everythingIn base: consuming SafeDirectory) {
        self.base = base
        isWhole = true
        pending = []
    }

    /// An unused name for a file that is moved aside.
    static func freshName(_ prefix: String) -> FileName {
        FileName(prefix + String(UInt64.random(in: 0 ... .max), radix: 36))
    }

    /// Removes up to `steps` entries. False when no removable entry is left.
    mutating func advance(_ steps: Int) -> Bool {
        for _ in 0..<steps {
            if current != nil {
                continueEmptying()
            } else if let name = nextName() {
                enterDirectory(name)
            } else {
                return false
            }
        }
        return true
    }

    private mutating func nextName() -> FileName? {
        if let name = pending.popLast() { return name }
        guard isWhole else { return nil }
        var isFirst = listing == nil
        while true {
            if listing == nil { listing = try? base.list() }
            while let name = (try? listing?.next()) ?? nil {
                if !stuck.contains(name) { return name }
            }
            listing = nil
            // Entries may have been added since the pass began: only a whole pass without any is the end.
            guard !isFirst else { return nil }
            isFirst = true
        }
    }

    private mutating func enterDirectory(_ name: FileName) {
        do throws(SystemError) {
            if try Self.remove(name, in: base.descriptor.raw, base.path(of: name)) { return }
            let directory = try Self.openOwned(name, in: base)
            current = Emptying(name: name, listing: try DirectoryListing(directory, base.path(of: name)))
        } catch {
            markStuck(name, error)
        }
    }

    private mutating func continueEmptying() {
        guard var emptying = current.take() else { return }
        do throws(SystemError) {
            if let entry = try emptying.listing.next() {
                remove(entry, in: &emptying)
                current = consume emptying
                return
            }
            if try base.removeDirectory(emptying.name) { return }
            // Some file systems skip entries while others are removed.
            guard emptying.progressed else {
                return markStuck(
                    emptying.name, problem ?? SystemError("remove", base.path(of: emptying.name), .directoryNotEmpty))
            }
            emptying.progressed = false
            emptying.listing.rewind()
            current = consume emptying
        } catch {
            markStuck(emptying.name, error)
        }
    }

    private mutating func remove(_ entry: FileName, in emptying: inout Emptying) {
        let directory = emptying.listing.descriptor
        let path = base.path(of: emptying.name) + "/" + entry.text
        do throws(SystemError) {
            if try !Self.remove(entry, in: directory, path) { try moveUp(entry, from: directory, path) }
            emptying.progressed = true
        } catch {
            recordProblem(error)
        }
    }

    private mutating func moveUp(_ entry: FileName, from directory: Int32, _ path: String) throws(SystemError) {
        let name = Self.freshName(".removing-")
        var result = renameat(directory, entry.bytes, base.descriptor.raw, name.bytes)
        if result < 0, errno == EACCES, let number = Optional(holdfast_pin(directory, entry.bytes, 0)), number >= 0 {
            // Without root's rights a directory must be writable for a change of its parent.
            let pinned = OwnedDescriptor(owning: number)
            _ = holdfast_set_mode(pinned.raw, 0o700)
            result = renameat(directory, entry.bytes, base.descriptor.raw, name.bytes)
        }
        try checkErrno(result, "remove", path)
        if !isWhole || pending.count < Self.mostPending { pending.append(name) }
    }

    /// Removes a file or empty directory. False for a directory that is not empty.
    private static func remove(_ name: FileName, in directory: Int32, _ path: String) throws(SystemError) -> Bool {
        if unlinkat(directory, name.bytes, 0) == 0 || errno == ENOENT { return true }
        // Linux returns EISDIR, POSIX EPERM.
        guard errno == EISDIR || errno == EPERM else { throw SystemError("remove", path) }
        if unlinkat(directory, name.bytes, Int32(AT_REMOVEDIR)) == 0 || errno == ENOENT { return true }
        if errno == ENOTEMPTY || errno == EEXIST { return false }
        throw SystemError("remove", path)
    }

    /// Opens a directory of the base, and makes us its owner.
    private static func openOwned(
        _ name: FileName, in base: borrowing SafeDirectory
    ) throws(SystemError) -> OwnedDescriptor {
        let path = base.path(of: name)
        var number = holdfast_open_below(base.descriptor.raw, name.bytes, O_RDONLY | O_DIRECTORY)
        if number == -EACCES, let pinned = try base.pin(name), pinned.status.isDirectory {
            // Without root's rights the directory, which is ours, must be readable.
            try pinned.setMode(0o700)
            number = holdfast_open_below(base.descriptor.raw, name.bytes, O_RDONLY | O_DIRECTORY)
        }
        if number == -ENOSYS {
            number = holdfast_openat(base.descriptor.raw, name.bytes, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0)
        }
        let opened = OwnedDescriptor(owning: try check(number, "open", path))
        let status = try stat(of: opened.raw, path)
        guard status.st_dev == base.status.st_dev else { throw SystemError("open", path, .improperLink) }
        if geteuid() == 0, status.st_uid != 0 { try checkErrno(fchown(opened.raw, 0, 0), "change owner of", path) }
        if status.st_mode & 0o7777 != 0o700 { try checkErrno(fchmod(opened.raw, 0o700), "set mode of", path) }
        return opened
    }

    private mutating func markStuck(_ name: FileName, _ error: SystemError) {
        stuck.insert(name)
        recordProblem(error)
    }

    private mutating func recordProblem(_ error: SystemError) { if problem == nil { problem = error } }
}
