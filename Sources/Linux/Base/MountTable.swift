import Glibc
import SystemPackage

/// Which paths may keep whoever looks at them waiting: those on file systems behind a network or a program (NFS, FUSE, autofs).
public struct MountTable: Sendable {
    /// File systems that answer by themselves. What is not known may wait.
    private static let local: Set<String> = [
        "bcachefs", "bpf", "btrfs", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs",
        "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "fusectl", "hugetlbfs", "iso9660", "jfs", "mqueue", "nsfs",
        "ntfs3",
        "overlay", "proc", "pstore", "ramfs", "reiserfs", "rootfs", "securityfs", "selinuxfs", "squashfs", "sysfs",
        "tmpfs",
        "tracefs", "udf", "vfat", "xfs", "zfs",
    ]

    /// By mount point: whether the last one mounted there is local.
    private let isLocal: [String: Bool]

    /// As it is now; nil if the kernel does not say.
    public static func current() -> MountTable? {
        ProcFile.read("/proc/self/mountinfo", limit: 4 << 20).map {
            MountTable(mountinfo: String(decoding: $0, as: UTF8.self))
        }
    }

    /// - Parameter mountinfo: as in proc(5).
    init(mountinfo: String) {
        var found: [String: Bool] = [:]
        for line in mountinfo.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), dash >= 6, fields.count > dash + 1 else { continue }
            found[Self.unescaped(fields[4])] = Self.local.contains(String(fields[dash + 1]))
        }
        isLocal = found
    }

    /// `\040` is a space, and so on.
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

    /// Whether a look at the path waits for nobody. Resolves links itself, one component after the other, and looks at none that
    /// is on another kind of file system.
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
                // Nothing is there, so nothing below it is looked at either.
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
