import CSpawn
import Glibc
import SystemPackage

/// The owners whose symbolic links are followed on the way to a file.
public enum LinkTrust: Sendable {
    /// Links of root and ourselves, in directories only we may write to. For files to give away, bind, or remove.
    case ofRoot
    /// In addition, links of any user that lead to a file of the same user, who could have put the file there directly.
    /// For files that are read or written, in deployments with a `current -> releases/7`.
    case ofOwner
}

/// Resolves a path component by component, as the kernel does, except for links that other users may have made.
///
/// The supervisor is root and its services are not; a service that owns a directory may at any moment replace anything
/// below it with a link. So each component is opened relative to the one before, never by its whole path; a link is
/// opened itself and judged by its owner; and an opened file stays open for its later use, so that there is no moment
/// in between. (openat2(2) with RESOLVE_NO_SYMLINKS cannot tell the administrator's `/var/lib/app -> /data/app` from
/// the service's.)
struct PathWalk: ~Copyable {
    /// The end of a walk: the directory, a name in it, and the file of that name.
    struct Place: ~Copyable {
        let directory: SafeDirectory
        let name: FileName
        /// Nil if there is no file.
        let entry: PinnedFile?

        consuming func takeEntry() -> PinnedFile? { entry }
        consuming func takeDirectory() -> SafeDirectory { directory }
    }

    private let path: String
    private let trust: LinkTrust
    /// The mode of directories made on the way; nil if none are made.
    private let making: mode_t?
    private var at: SafeDirectory
    /// The remaining components, the next one last.
    private var rest: [FileName]
    /// Followed links of other users: when at most `left` components are left, the file reached must belong to `uid`.
    private var owed: [(left: Int, uid: UInt32)] = []
    private var linksLeft = 40
    private var triesLeft = 64

    init(_ path: String, _ trust: LinkTrust, making: mode_t? = nil) throws(SystemError) {
        self.path = path
        self.trust = trust
        self.making = making
        at = try SafeDirectory(start: path.hasPrefix("/") ? "/" : ".")
        rest = FileName.components(path.utf8).reversed()
    }

    /// - Parameter followsLast: whether a link at the end of the path is followed.
    consuming func run(followsLast: Bool) throws(SystemError) -> Place {
        while let name = rest.popLast() {
            if name == .dot { continue }
            let isLast = rest.isEmpty
            if name == .dotDot {
                // The parent of a directory that other users may move is wherever they have moved it.
                guard at.isProtected else { throw refusal(at.status.st_uid, "leave the directory of", at.path) }
                at = try at.parent()
                try checkFollowedLinks(at.status)
                continue
            }
            guard let entry = try at.pin(name) else {
                if isLast {
                    try checkFollowedLinks(at.status)
                    return Place(directory: at, name: name, entry: nil)
                }
                try make(name)
                continue
            }
            if entry.status.isLink, !isLast || followsLast {
                if let found = try follow(entry, name) {
                    if isLast { return Place(directory: at, name: name, entry: consume found) }
                    let isProtected = found.status.protectsEntries
                    at = try at.enter(found, name, isProtected: isProtected)
                }
                continue
            }
            try checkFollowedLinks(entry.status)
            if isLast { return Place(directory: at, name: name, entry: consume entry) }
            let isProtected = at.isProtected && entry.status.protectsEntries
            at = try at.enter(entry, name, isProtected: isProtected)
        }
        // The path was "/", or ended with "." or "..", or a link led to one of these.
        let entry = try at.pin(.dot)
        return Place(directory: at, name: .dot, entry: entry)
    }

    private mutating func make(_ name: FileName) throws(SystemError) {
        guard let making else { throw SystemError("open", path, .noSuchFileOrDirectory) }
        // Another process may remove the directory as fast as it is made.
        triesLeft -= 1
        guard triesLeft > 0 else { throw SystemError("make directory", at.path(of: name), .noSuchFileOrDirectory) }
        _ = try at.makeDirectory(name, mode: making)
        rest.append(name)
    }

    /// Continues with the target of a link. Returns the target file if only the kernel can resolve it: links in
    /// /proc/self/fd are not paths.
    private mutating func follow(
        _ link: borrowing PinnedFile, _ name: FileName
    ) throws(SystemError) -> PinnedFile? {
        linksLeft -= 1
        guard linksLeft > 0 else { throw SystemError("open", path, .tooManySymbolicLinkLevels) }
        let uid = link.status.st_uid
        let isTrusted = at.isProtected && link.status.isOurs
        if isTrusted, at.path == "/proc" || at.path.hasPrefix("/proc/") { return try at.pin(name, follow: true) }
        if !isTrusted {
            guard trust == .ofOwner else { throw refusal(uid, "follow the link of", at.path(of: name)) }
            owed.append((rest.count, uid))
        }
        let target = try link.linkTarget()
        if target.first == UInt8(ascii: "/") { at = try SafeDirectory(start: "/") }
        let components = FileName.components(target)
        rest += components.reversed()
        if components.isEmpty { try checkFollowedLinks(at.status) }
        return nil
    }

    /// Checks that followed links of other users have led to their own files.
    private mutating func checkFollowedLinks(_ status: stat) throws(SystemError) {
        while let (left, uid) = owed.last, rest.count <= left {
            guard status.st_uid == uid else { throw refusal(uid, "follow a link of", path) }
            owed.removeLast()
        }
    }

    private func refusal(_ uid: UInt32, _ what: String, _ path: String) -> SystemError {
        SystemError("\(what) user \(uid)", path, .permissionDenied)
    }
}
