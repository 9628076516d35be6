import CSpawn
import Glibc
import SystemPackage

/// The file that this process executes.
public enum ProgramFile {
    /// Its path. After an upgrade, which unlinks the old file, the path of the new one; nil without /proc.
    public static func current() -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        guard length > 0 else { return nil }
        let path = String(decoding: buffer[..<length].map(UInt8.init(bitPattern:)), as: UTF8.self)
        let gone = " (deleted)"
        return path.hasSuffix(gone) ? String(path.dropLast(gone.count)) : path
    }

    /// A program that is installed beside this one, or in the directory of internal programs, or in that of user
    /// commands.
    public static func companion(_ name: String) -> String? {
        let own = current().flatMap(FileTree.parent(of:))
        return ([own].compactMap { $0 } + ["/usr/lib/holdfast", "/usr/libexec/holdfast", "/usr/bin"])
            .map { $0 + "/" + name }.first { access($0, X_OK) == 0 }
    }
}

/// Flags of a descriptor itself, not of its open file.
public enum DescriptorFlags {
    /// Sets or clears FD_CLOEXEC; cleared for descriptors that must survive our own re-execution.
    public static func setCloseOnExec(_ descriptor: Int32, _ on: Bool) throws(SystemError) {
        try check(holdfast_set_cloexec(descriptor, on ? 1 : 0), "set close-on-exec of", "\(descriptor)")
    }
}
