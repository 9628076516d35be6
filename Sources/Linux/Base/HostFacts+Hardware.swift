import CSpawn
import Glibc

/// Facts for `ConditionNeedsUpdate=`, `…PathIsEncrypted=`, `…CPUFeature=` and `…Pressure=` of systemd.unit(5).
extension HostFacts {
    /// Whether /usr is newer than the directory's stamp file `.updated`, or there is none; false if it is read-only.
    public static func needsUpdate(_ directory: String) -> Bool {
        guard isReadWrite(directory) else { return false }
        var usr = stat()
        var stamp = stat()
        let file = directory + "/.updated"
        guard lstat("/usr", &usr) == 0, lstat(file, &stamp) == 0 else { return true }
        let (vendor, own) = (usr.st_mtim, stamp.st_mtim)
        if vendor.tv_sec != own.tv_sec { return vendor.tv_sec > own.tv_sec }
        if vendor.tv_nsec == 0 || own.tv_nsec > 0 { return vendor.tv_nsec > own.tv_nsec }
        // On a file system with whole seconds systemd-update-done(8) writes the nanoseconds into the file.
        let line = text(file)?.split(separator: "\n").first { $0.hasPrefix("TIMESTAMP_NSEC=") }
        guard let said = line.flatMap({ Int64($0.dropFirst(15)) }) else { return true }
        return Int64(vendor.tv_sec).multipliedSaturated(by: 1_000_000_000).addingSaturated(Int64(vendor.tv_nsec)) > said
    }

    /// Whether the block device behind the path, or one of its parts, belongs to dm-crypt.
    public static func isEncrypted(_ path: String) -> Bool {
        var status = stat()
        guard stat(path, &status) == 0 else { return false }
        let device = status.st_mode & S_IFMT == S_IFBLK ? status.st_rdev : status.st_dev
        let number = UInt64(device)
        // This is the encoding of makedev(3).
        let major = number >> 8 & 0xFFF | number >> 32 & ~0xFFF
        let minor = number & 0xFF | number >> 12 & ~0xFF
        return isEncrypted(device: "/sys/dev/block/\(major):\(minor & 0xFFFF_FFFF)", depth: 0)
    }

    private static func isEncrypted(device: String, depth: Int) -> Bool {
        if text(device + "/dm/uuid")?.hasPrefix("CRYPT-") == true { return true }
        // A partition has no uuid of its own; LVM uses other devices.
        guard depth < 8, let below = (try? UnitDirectory.list(device + "/slaves")) ?? nil else { return false }
        return below.contains { isEncrypted(device: device + "/slaves/" + $0, depth: depth + 1) }
    }

    /// Whether the CPU has a feature, by systemd's name.
    public static func hasCPUFeature(_ name: String) -> Bool {
        // Features for which the kernel's word differs from CPUID's.
        let words = ["fma3": "fma", "pclmul": "pclmulqdq", "osxsave": "xsave"]
        let flags = text("/proc/cpuinfo")?.split(separator: "\n").first { $0.hasPrefix("flags") }
        let wanted = words[name] ?? name
        return flags?.split(separator: " ").dropFirst().contains { $0 == wanted } ?? false
    }

    /// An average of /proc/pressure in percent, as written there: of all tasks if the kernel has it, else of some. Nil
    /// if the kernel does not measure it.
    public static func pressure(_ resource: String, _ window: String) -> String? {
        guard let lines = text("/proc/pressure/\(resource)")?.split(separator: "\n") else { return nil }
        guard let line = lines.first(where: { $0.hasPrefix("full ") }) ?? lines.first else { return nil }
        let field = line.split(separator: " ").first { $0.hasPrefix(window + "=") }
        return field.map { String($0.dropFirst(window.count + 1)) }
    }
}
