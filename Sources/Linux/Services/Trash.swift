import CSpawn
import Glibc
import SystemPackage

/// Removes directories that may be large: those of services, and those left by an earlier supervisor process.
///
/// Throwing away is a rename into a directory of ours, which takes no time for a tree of any size and frees the path
/// for the next start. The contents are removed piece by piece, in pauses of the loop. No record is needed: everything
/// in the directory is to be removed, also after the process that put it there has ended.
public final class Trash {
    /// Entries removed between two looks at the clock, the length of one round of the loop, and the pause until the
    /// next (nanoseconds): most of the time stays for other work, however much there is to remove.
    private static let steps = 16
    private static let round: Int64 = 1_000_000
    private static let pause: Int64 = 2_000_000
    /// The pause before another attempt at paths for which there was no descriptor.
    private static let retry: Int64 = 1_000_000_000
    /// Entries removed at once from a directory that cannot be renamed, because it is a mount.
    private static let stepsAtOnce = 1 << 14

    private static let aside = ".holdfast-removing-"

    private let path: String
    private var timer: TimerSource?
    /// The removal of the trash, while it is not empty.
    private var emptying: Removal?
    /// Removals of directories that could not be moved into the trash.
    private var asides: [Removal] = []
    /// Called with the error of a failed removal, once for each call of `throwAway`.
    public var failed: ((SystemError) -> Void)?

    /// A path that could not be moved away for lack of a descriptor, and the file that was there.
    private struct Postponed {
        let path: String
        let file: FileID
        let withParent: Bool
    }
    private var postponed: [Postponed] = []

    private final class Removal {
        var removal: TreeRemoval
        init(_ removal: consuming TreeRemoval) { self.removal = removal }
    }

    /// - Parameter path: a directory of ours, made at the first call of `throwAway`.
    public init(loop: EventLoop, path: String) throws(SystemError) {
        self.path = path
        timer = try loop.addTimer(accuracy: 1000, priority: .idle) { [unowned self] in removeSome() }
        // Left by an earlier process.
        if access(path, F_OK) == 0, let base = try? open() { empty(base) }
        for name in FileTree.parent(of: path).flatMap({ try? UnitDirectory.list($0) }) ?? []
        where name.hasPrefix(Self.aside) {
            guard let parent = try? SafeDirectory.parent(of: path, .ofRoot) else { continue }
            remove(FileName(name), in: parent)
        }
    }

    private func open() throws(SystemError) -> SafeDirectory {
        try SafeDirectory.make(path, .ofRoot, mode: 0o700, parentMode: 0o755)
    }

    /// Moves a directory or file away from its path. A missing one is no error. For lack of descriptors or memory the
    /// move is postponed.
    /// - Parameter withParent: removes the directory that contains it as well, if that is then empty.
    public func throwAway(_ path: String, withParent: Bool = false) throws(SystemError) {
        // Most directories are empty. rmdir(2) needs no descriptor, and follows no link in the last component.
        if rmdir(path) < 0 && errno != ENOENT {
            do throws(SystemError) {
                try moveAway(path)
            } catch {
                guard error.isTransient, let file = FileID(ofLink: path) else { throw error }
                postponed.append(Postponed(path: path, file: file, withParent: withParent))
                if emptying == nil, asides.isEmpty { timer?.arm(after: Self.retry) }
                return
            }
        }
        if withParent, let parent = FileTree.parent(of: path) { rmdir(parent) }
    }

    private func throwAwayPostponed() {
        let list = postponed
        postponed = []
        // The path may meanwhile have another file.
        for left in list where FileID(ofLink: left.path) == left.file {
            do throws(SystemError) { try throwAway(left.path, withParent: left.withParent) } catch { failed?(error) }
        }
    }

    private func moveAway(_ path: String) throws(SystemError) {
        let parent: SafeDirectory
        do throws(SystemError) {
            parent = try SafeDirectory.parent(of: path, .ofRoot)
        } catch {
            if error.errno == .noSuchFileOrDirectory { return }
            throw error
        }
        try throwAway(FileName(FileTree.name(of: path)), in: parent)
    }

    /// The same for a directory that may contain held files, which keep their paths (`HeldEndpoint.paths`): an empty
    /// directory with the same mode and owner, in which each of these files has its name, is exchanged with it, so that
    /// the paths exist at every moment.
    public func throwAway(_ path: String, keeping held: [String]) throws(SystemError) {
        let parent: SafeDirectory
        do throws(SystemError) {
            parent = try SafeDirectory.parent(of: path, .ofRoot)
        } catch {
            if error.errno == .noSuchFileOrDirectory { return }
            throw error
        }
        let name = FileName(FileTree.name(of: path))
        let below = parent.path(of: name) + "/"
        let kept = held.filter { $0.hasPrefix(below) }.map { FileName.components($0.utf8.dropFirst(below.utf8.count)) }
        guard !kept.isEmpty, let entry = try parent.pin(name), entry.status.isDirectory else {
            return try throwAway(name, in: parent)
        }
        let old = try parent.enter(entry, name, isProtected: false)
        let base = try open()
        let fresh = TreeRemoval.freshName("")
        _ = try base.makeDirectory(fresh, mode: 0o700)
        guard let made = try base.pin(fresh) else { return }
        let new = try base.enter(made, fresh, isProtected: true)
        do throws(SystemError) {
            for components in kept { try Self.keep(components, of: old, in: new) }
            try new.copyOwnerAndMode(of: old.status)
            let result = holdfast_rename(
                base.descriptor.raw, fresh.bytes, parent.descriptor.raw, name.bytes, Int32(HOLDFAST_RENAME_EXCHANGE))
            try check(result, "replace", path)
            empty(base)
        } catch {
            empty(base)
            throw error
        }
    }

    private static func keep(
        _ components: [FileName], of old: borrowing SafeDirectory, in new: borrowing SafeDirectory
    ) throws(SystemError) {
        var from = try old.reopen()
        var to = try new.reopen()
        for component in components.dropLast() {
            guard let entry = try from.pin(component), entry.status.isDirectory else { return }
            from = try from.enter(entry, component, isProtected: false)
            _ = try to.makeDirectory(component, mode: 0o700)
            guard let made = try to.pin(component) else { return }
            to = try to.enter(made, component, isProtected: true)
            try to.copyOwnerAndMode(of: from.status)
        }
        guard let last = components.last, let entry = try from.pin(last) else { return }
        if entry.status.isLink {
            _ = try to.makeLink(last, to: String(decoding: entry.linkTarget(), as: UTF8.self))
        } else if !entry.status.isDirectory {
            _ = try entry.link(to, last)
        }
    }

    func throwAway(_ name: FileName, in parent: borrowing SafeDirectory) throws(SystemError) {
        guard let entry = try parent.pin(name) else { return }
        guard entry.status.isDirectory else {
            try parent.unlink(name)
            return
        }
        let fresh = TreeRemoval.freshName("")
        do throws(SystemError) {
            let base = try open()
            try parent.move(name, to: base, fresh)
            empty(base)
        } catch {
            switch error.errno {
            case .noSuchFileOrDirectory: return
            case .resourceBusy: try empty(entry, parent, name)
            // On another file system, or no space for the trash.
            default: try putAside(name, in: parent)
            }
        }
    }

    /// Empties a mount, which can only lose its contents; many at once, because later files must stay.
    private func empty(
        _ entry: borrowing PinnedFile, _ parent: borrowing SafeDirectory, _ name: FileName
    ) throws(SystemError) {
        let directory = try SafeDirectory.open(parent.path(of: name), .ofRoot)
        guard directory.status.isSame(as: entry.status) else { return }
        var removal = TreeRemoval(everythingIn: directory)
        if removal.advance(Self.stepsAtOnce) { throw SystemError("remove all of", entry.path, .resourceBusy) }
        if let problem = removal.problem { throw problem }
    }

    private func putAside(_ name: FileName, in parent: borrowing SafeDirectory) throws(SystemError) {
        let fresh = TreeRemoval.freshName(Self.aside)
        try parent.move(name, to: parent, fresh)
        remove(fresh, in: try SafeDirectory.open(parent.path, .ofRoot))
    }

    private func remove(_ name: FileName, in parent: consuming SafeDirectory) {
        asides.append(Removal(TreeRemoval(name, in: parent)))
        timer?.arm(after: Self.pause)
    }

    private func empty(_ base: consuming SafeDirectory) {
        // A running removal finds entries added later.
        if emptying == nil { emptying = Removal(TreeRemoval(everythingIn: base)) }
        timer?.arm(after: Self.pause)
    }

    private func removeSome(until end: Int64 = EventLoop.now + round) {
        if !postponed.isEmpty, asides.isEmpty, emptying == nil { throwAwayPostponed() }
        repeat {
            guard let first = asides.first ?? emptying else { break }
            if first.removal.advance(Self.steps) { continue }
            if asides.isEmpty { emptying = nil } else { asides.removeFirst() }
            if let problem = first.removal.problem { failed?(problem) }
        } while EventLoop.now < end
        if !isIdle { timer?.arm(after: asides.isEmpty && emptying == nil ? Self.retry : Self.pause) }
    }

    /// Removes as much as a time limit permits, at the end of the process; the next process removes the rest.
    public func finish() {
        removeSome(until: EventLoop.now + 100_000_000)
        timer?.cancel()
        if emptying == nil { rmdir(path) }
    }

    /// Whether nothing removable is left.
    var isIdle: Bool { emptying == nil && asides.isEmpty && postponed.isEmpty }
}
