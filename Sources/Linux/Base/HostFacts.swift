import CSpawn
import Glibc
import SystemPackage

/// Facts about the host for `Condition…=` of systemd.unit(5). Small reads of /proc and /sys, without a cache.
public enum HostFacts {
    public enum FileKind: Sendable { case regular, directory, other }

    /// The kind of file at the path, following links; nil if there is none.
    public static func kind(_ path: String) -> FileKind? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return .regular
        case S_IFDIR: return .directory
        default: return .other
        }
    }

    /// Whether a file exists, following links: a dangling link does not count.
    public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    public static func isSymbolicLink(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
    }

    /// Compares device and inode with the parent's and, for bind mounts, the mount id in /proc/self/fdinfo.
    public static func isMountPoint(_ path: String) -> Bool {
        if path == "/" { return true }
        guard let own = mountID(path), let parent = FileTree.parent(of: path), let other = mountID(parent) else {
            return false
        }
        return own != other
    }

    private static func mountID(_ path: String) -> String? {
        // The value of O_PATH, which glibc declares only for GNU programs: it needs no right to read.
        guard let file = try? OwnedDescriptor.open(path, 0o10_000_000),
            let text = ProcFile.read("/proc/self/fdinfo/\(file.raw)", limit: 4096)
        else { return nil }
        let lines = text.split(separator: UInt8(ascii: "\n"))
        return lines.first { $0.starts(with: "mnt_id:".utf8) }.map { String(decoding: $0, as: UTF8.self) }
    }

    /// Whether the file system at the path is writable, regardless of the path's owner (ST_RDONLY of statvfs(3)).
    public static func isReadWrite(_ path: String) -> Bool {
        var status = statvfs()
        return statvfs(path, &status) == 0 && status.f_flag & UInt(ST_RDONLY) == 0
    }

    public static func isNonEmptyDirectory(_ path: String) -> Bool {
        // The first entry suffices, however many there are.
        guard let directory = try? OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY),
            var listing = try? DirectoryListing(directory, path)
        else { return false }
        return ((try? listing.next()) ?? nil) != nil
    }

    public static func isNonEmptyFile(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && status.st_size > 0
    }

    public static func isExecutableFile(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && status.st_mode & 0o111 != 0
    }

    public static func matchesGlob(_ pattern: String) -> Bool {
        var found = glob_t()
        defer { globfree(&found) }
        return glob(pattern, GLOB_NOSORT | GLOB_BRACE, nil, &found) == 0 && found.gl_pathc > 0
    }

    /// fnmatch(3) without flags.
    public static func matches(_ text: String, pattern: String) -> Bool { fnmatch(pattern, text, 0) == 0 }

    /// The text of a small file; nil if it cannot be read.
    public static func text(_ path: String) -> String? {
        ProcFile.read(path, limit: 1 << 20).map { String(decoding: $0, as: UTF8.self) }
    }

    /// `x86-64`, `arm64`, … as systemd names the machine of uname(2).
    public static var architecture: String {
        let machine = Self.uname { withUnsafeBytes(of: $0.machine, Self.string) }
        let names = [
            "x86_64": "x86-64", "i386": "x86", "i486": "x86", "i586": "x86", "i686": "x86", "aarch64": "arm64",
            "aarch64_be": "arm64-be", "armv7l": "arm", "armv6l": "arm", "armv5tel": "arm", "ppc64le": "ppc64-le",
            "ppcle": "ppc-le", "loongarch64": "loongarch64",
        ]
        return names[machine] ?? machine
    }

    public static var kernelRelease: String { uname { withUnsafeBytes(of: $0.release, string) } }
    public static var hostName: String { uname { withUnsafeBytes(of: $0.nodename, string) } }

    private static func uname(_ field: (utsname) -> String) -> String {
        var names = utsname()
        return Glibc.uname(&names) == 0 ? field(names) : ""
    }

    private static func string(_ bytes: UnsafeRawBufferPointer) -> String {
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }

    /// The kind of virtual machine or container, in the words of systemd-detect-virt(1); nil on bare metal.
    public static var virtualization: (name: String, isContainer: Bool)? {
        if let container = container { return (container, true) }
        if let machine = virtualMachine { return (machine, false) }
        return nil
    }

    private static var container: String? {
        // A container manager names itself in the environment of process 1 (systemd.io, "Container Interface").
        if let said = text("/run/systemd/container")?.split(separator: "\n").first { return String(said) }
        if let said = ProcessFacts.environmentVariable("container", of: 1), !said.isEmpty { return said }
        if exists("/run/.containerenv") { return "podman" }
        if exists("/.dockerenv") { return "docker" }
        if exists("/proc/vz"), !exists("/proc/bc") { return "openvz" }
        if text("/proc/sys/kernel/osrelease")?.contains("Microsoft") == true { return "wsl" }
        return nil
    }

    private static var virtualMachine: String? {
        let marks = [
            ("KVM", "kvm"), ("OpenStack", "kvm"), ("Amazon EC2", "amazon"), ("QEMU", "qemu"), ("VMware", "vmware"),
            ("VMW", "vmware"), ("innotek GmbH", "oracle"), ("VirtualBox", "oracle"), ("Xen", "xen"),
            ("Bochs", "bochs"), ("Parallels", "parallels"), ("BHYVE", "bhyve"), ("Hyper-V", "microsoft"),
            ("Apple Virtualization", "apple"), ("Google Compute Engine", "google"),
        ]
        for name in ["product_name", "sys_vendor", "board_vendor", "bios_vendor", "product_version"] {
            guard let value = text("/sys/class/dmi/id/\(name)") else { continue }
            // QEMU's firmware says QEMU under KVM, too; only the CPU tells them apart, and users mean KVM.
            if let mark = marks.first(where: { value.hasPrefix($0.0) }) {
                return mark.1 == "qemu" && exists("/sys/hypervisor/type") == false && isKVM ? "kvm" : mark.1
            }
        }
        if let type = text("/sys/hypervisor/type"), type.hasPrefix("xen") { return "xen" }
        return text("/proc/cpuinfo")?.contains(" hypervisor") == true ? "vm-other" : nil
    }

    private static var isKVM: Bool {
        text("/sys/devices/system/clocksource/clocksource0/available_clocksource")?.contains("kvm") ?? false
    }

    /// Whether a power supply of type Mains is online, or there is none, as on servers.
    public static var isOnACPower: Bool {
        let root = "/sys/class/power_supply"
        let supplies = ((try? UnitDirectory.list(root)) ?? nil) ?? []
        var sawMains = false
        for supply in supplies where text("\(root)/\(supply)/type")?.hasPrefix("Mains") == true {
            sawMains = true
            if text("\(root)/\(supply)/online")?.hasPrefix("1") == true { return true }
        }
        return !sawMains
    }

    /// Memory in bytes, as the kernel counts it.
    public static var memory: UInt64 {
        let pages = sysconf(Int32(_SC_PHYS_PAGES))
        let size = sysconf(Int32(_SC_PAGESIZE))
        return UInt64(max(0, pages)) * UInt64(max(0, size))
    }

    /// The number of CPUs that this process may run on.
    public static var cpus: UInt64 {
        let mask = statusField("Cpus_allowed:").map {
            $0.compactMap(\.hexDigitValue).reduce(0) { $0 + $1.nonzeroBitCount }
        }
        return UInt64(mask ?? max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
    }

    /// The value of a line of /proc/self/status.
    private static func statusField(_ name: String) -> Substring? {
        let line = text("/proc/self/status")?.split(separator: "\n").first { $0.hasPrefix(name) }
        return line.map { $0.dropFirst(name.count).drop { $0 == "\t" || $0 == " " } }
    }

    /// The bounding set of capabilities, as bits.
    public static var capabilities: UInt64 {
        statusField("CapBnd:").flatMap { UInt64($0, radix: 16) } ?? 0
    }

    /// The number of a capability of capabilities(7); nil for one that is unknown to this program's kernel headers.
    public static func capability(_ name: String) -> Int? {
        let names = [
            "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
            "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
            "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
            "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
            "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
            "checkpoint_restore",
        ]
        let wanted = name.lowercased()
        return names.firstIndex(of: wanted.hasPrefix("cap_") ? String(wanted.dropFirst(4)) : wanted)
    }

    /// Whether a security module or mechanism of `ConditionSecurity=` is available.
    public static func hasSecurity(_ name: String) -> Bool {
        switch name {
        case "selinux": exists("/sys/fs/selinux/enforce")
        case "apparmor": text("/sys/module/apparmor/parameters/enabled")?.hasPrefix("Y") ?? false
        case "smack": exists("/sys/fs/smackfs")
        case "tomoyo": exists("/sys/kernel/security/tomoyo")
        case "ima": exists("/sys/kernel/security/ima")
        case "audit": hasAudit
        case "uefi-secureboot":
            // The last byte of the variable; the first four are attributes.
            ProcFile.read(
                "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", limit: 5)?.last == 1
        case "tpm2": exists("/sys/class/tpmrm/tpmrm0")
        default: false
        }
    }

    /// Whether the kernel has auditing and permits it: a container may lack either.
    private static var hasAudit: Bool {
        // The value 9 is NETLINK_AUDIT of linux/netlink.h.
        do throws(SystemError) {
            _ = try OwnedDescriptor.socket(AF_NETLINK, Int32(SOCK_RAW.rawValue), 9)
            return true
        } catch {
            return ![Errno.addressFamilyNotSupported, .protocolNotSupported, .notPermitted].contains(error.errno)
        }
    }
}
