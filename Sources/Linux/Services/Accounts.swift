import Glibc
import SystemPackage

/// The user and groups of a program.
public struct Credentials: Equatable, Sendable {
    public var uid: UInt32
    public var gid: UInt32
    /// The complete supplementary list; the primary group may be missing from it.
    public var groups: [UInt32]

    public init(uid: UInt32, gid: UInt32, groups: [UInt32]) {
        self.uid = uid
        self.gid = gid
        self.groups = groups
    }

    /// Whether an unprivileged process has these credentials already, so that no change is needed.
    var isCurrent: Bool { uid != 0 && uid == geteuid() && gid == getegid() }
}

/// A name that is not in the user database (`user nosuch does not exist`), or whose lookup failed.
public struct UnknownAccount: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Kind: String, Sendable { case user, group }
    public var kind: Kind
    public var name: String
    /// The error of the lookup; nil if the database has no such name.
    public var cause: Errno?

    public var description: String {
        guard let cause else { return "\(kind.rawValue) \(name) does not exist" }
        return "looking up \(kind.rawValue) \(name): \(cause.text)"
    }

    /// Whether the lookup failed for lack of a resource that may soon be available again.
    public var isTransient: Bool { cause.map { SystemError("", nil, $0).isTransient } ?? false }
}

/// A user of passwd(5).
public struct User: Equatable, Sendable {
    public var name: String
    public var uid: UInt32
    public var gid: UInt32
    public var home: String
    public var shell: String
}

/// Lookups in the user database. They read files (or ask NSS): for the time before a start, not for frequent calls.
public enum Accounts {
    /// The largest database entry in bytes.
    private static let bound = 1 << 20

    /// The user by name, or by number if `name` is one. A number needs no entry: its group is then the same number.
    public static func user(_ name: String) throws(UnknownAccount) -> User {
        let number = UInt32(name)
        let found = try record(.user, name) { (entry: inout passwd, buffer, size) in
            var result: UnsafeMutablePointer<passwd>?
            let status =
                number.map { getpwuid_r($0, &entry, buffer, size, &result) }
                ?? getpwnam_r(name, &entry, buffer, size, &result)
            return (status, result != nil)
        } read: { (entry: passwd) in
            // The user nobody has no home, regardless of the database: as in systemd.
            User(
                name: String(cString: entry.pw_name), uid: entry.pw_uid, gid: entry.pw_gid,
                home: entry.pw_uid == 65534 ? "/" : String(cString: entry.pw_dir),
                shell: String(cString: entry.pw_shell))
        }
        if let found { return found }
        // 65535 and -1 mean "no change" to the kernel's calls.
        guard let number, number != .max, number != 65535 else { throw UnknownAccount(kind: .user, name: name) }
        return User(name: name, uid: number, gid: number, home: "/", shell: "/bin/sh")
    }

    /// The number of a group by name or number.
    public static func group(_ name: String) throws(UnknownAccount) -> UInt32 {
        if let number = UInt32(name), number != .max, number != 65535 { return number }
        let found = try record(.group, name) { (entry: inout Glibc.group, buffer, size) in
            var result: UnsafeMutablePointer<Glibc.group>?
            let status = getgrnam_r(name, &entry, buffer, size, &result)
            return (status, result != nil)
        } read: { (entry: Glibc.group) in
            entry.gr_gid
        }
        guard let found else { throw UnknownAccount(kind: .group, name: name) }
        return found
    }

    /// The name of a group by its number; nil if the database has none.
    public static func groupName(_ gid: UInt32) -> String? {
        let found = try? record(.group, "\(gid)") { (entry: inout Glibc.group, buffer, size) in
            var result: UnsafeMutablePointer<Glibc.group>?
            let status = getgrgid_r(gid, &entry, buffer, size, &result)
            return (status, result != nil)
        } read: { (entry: Glibc.group) in
            String(cString: entry.gr_name)
        }
        return found ?? nil
    }

    /// The credentials from `User=`, `Group=` and `SupplementaryGroups=`: the user's own groups, then the named ones.
    /// Without a user, only the group changes.
    public static func credentials(
        user userName: String?, group groupName: String?, supplementaryGroups: [String]
    ) throws(UnknownAccount) -> Credentials {
        let account: User? = if let userName { try user(userName) } else { nil }
        let gid: UInt32 = if let groupName { try group(groupName) } else { account?.gid ?? getegid() }
        var groups: [UInt32] = []
        if let account { groups = memberships(of: account.name, gid) }
        for name in supplementaryGroups {
            let number = try group(name)
            if !groups.contains(number) { groups.append(number) }
        }
        return Credentials(uid: account?.uid ?? geteuid(), gid: gid, groups: groups)
    }

    /// The groups of a user (getgrouplist(3)), at most 65536 (NGROUPS_MAX).
    private static func memberships(of name: String, _ gid: UInt32) -> [UInt32] {
        var count: Int32 = 64
        var groups = [gid_t](repeating: 0, count: 64)
        if getgrouplist(name, gid, &groups, &count) < 0 {
            count = min(max(count, 0), 65536)
            groups = [gid_t](repeating: 0, count: Int(count))
            guard getgrouplist(name, gid, &groups, &count) >= 0 else { return [gid] }
        }
        return Array(groups.prefix(Int(count)))
    }

    /// Calls getpwnam_r(3) or getgrnam_r(3) with growing buffers: the size that they need is unknown.
    private static func record<Entry, Result>(
        _ kind: UnknownAccount.Kind, _ name: String,
        _ call: (inout Entry, UnsafeMutablePointer<CChar>, Int) -> (Int32, Bool), read: (Entry) -> Result
    ) throws(UnknownAccount) -> Result? {
        var size = 4096
        while size <= bound {
            let buffer = UnsafeMutablePointer<CChar>.allocate(capacity: size)
            let entry = UnsafeMutablePointer<Entry>.allocate(capacity: 1)
            defer {
                buffer.deallocate()
                entry.deallocate()
            }
            // The database fills a plain C struct; zeroes are a valid value.
            UnsafeMutableRawPointer(entry).initializeMemory(
                as: UInt8.self, repeating: 0, count: MemoryLayout<Entry>.size)
            let (status, found) = call(&entry.pointee, buffer, size)
            if status == ERANGE {
                size *= 4
                continue
            }
            if status == EINTR { continue }
            if status == 0 { return found ? read(entry.pointee) : nil }
            // These errors also mean that there is no such entry (getpwnam_r(3)).
            if [ENOENT, ESRCH, EBADF, EPERM].contains(status) { return nil }
            throw UnknownAccount(kind: kind, name: name, cause: Errno(rawValue: status))
        }
        return nil
    }
}
