import Glibc
import SystemPackage

/// The mounts of the host, to tell paths whose lookup may block: those on file systems that depend on a network or a
/// program (NFS, FUSE, autofs).
public struct MountTable: Sendable {
    /// File systems that never wait for a network or a program. Unknown ones may; so may an overlay, whose layers can lie
    /// on any file system, and out of our sight.
    private static let local: Set<String> = [
        "bcachefs", "bpf", "btrfs", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs",
        "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "fusectl", "hugetlbfs", "iso9660", "jfs", "mqueue", "nsfs",
        "ntfs3", "proc", "pstore", "ramfs", "reiserfs", "rootfs", "securityfs", "selinuxfs", "squashfs", "sysfs",
        "tmpfs",
        "tracefs", "udf", "vfat", "xfs", "zfs",
    ]

    /// Mount point -> whether the file system mounted there last is local.
    private let isLocal: [String: Bool]

    /// The present mounts; nil if the kernel does not report them.
    public static func current() -> MountTable? {
        ProcFile.read("/proc/self/mountinfo", limit: 4 << 20).map {
            MountTable(mountinfo: String(decoding: $0, as: UTF8.self))
        }
    }

    /// - Parameter mountinfo: the text of /proc/PID/mountinfo (proc(5)).
    init(mountinfo: String) {
        var found: [String: Bool] = [:]
        for line in mountinfo.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), dash >= 6, fields.count > dash + 1 else { continue }
            found[Self.unescaped(fields[4])] = Self.local.contains(String(fields[dash + 1]))
        }
        isLocal = found
    }

    /// Replaces octal escapes: `\040` is a space.
    private static func unescaped(_ text: Substring) -> String {
        guard text.contains("\\") else { return String(text) }
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8) {
                bytes.append(code)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Whether looking up the path cannot block. Resolves symbolic links itself, one component after the other, and
    /// accesses no path on another kind of file system.
    public func answersAtOnce(_ path: String) -> Bool {
        guard path.hasPrefix("/"), isLocal["/"] == true else { return false }
        var at = ""
        var rest = Array(path.split(separator: "/").map(String.init).reversed())
        var links = 40
        while let name = rest.popLast() {
            if name == "." { continue }
            if name == ".." {
                at = String(at[..<(at.lastIndex(of: "/") ?? at.startIndex)])
                continue
            }
            let next = at + "/" + name
            if isLocal[next] == false { return false }
            var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
            let length = readlink(next, &buffer, buffer.count)
            if length < 0 {
                // The path ends here, so nothing below it is accessed either.
                if errno == ENOENT || errno == ENOTDIR { return true }
                at = next
                continue
            }
            links -= 1
            guard links > 0 else { return true }
            let target = String(decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if target.hasPrefix("/") { at = "" }
            rest += target.split(separator: "/").map(String.init).reversed()
        }
        return true
    }
}
