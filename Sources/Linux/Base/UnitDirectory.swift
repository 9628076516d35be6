import CSpawn
import Glibc
import SystemPackage

/// Reads the files that define units. A user who can write them can run programs as us, so files and directories that
/// other users may write to are refused.
public enum UnitDirectory {
    public enum ReadError: Error, Equatable, Sendable, CustomStringConvertible {
        case system(SystemError)
        /// Users other than root and ourselves may change it.
        case insecure(path: String, reason: String)
        case tooLarge(path: String, limit: Int)
        case notAFile(path: String)

        public var description: String {
            switch self {
            case .system(let error): error.description
            case .insecure(let path, let reason): "\(path) is insecure: \(reason)"
            case .tooLarge(let path, let limit): "\(path) is larger than \(limit) bytes"
            case .notAFile(let path): "\(path) is not a regular file"
            }
        }
    }

    public enum Content: Equatable, Sendable {
        case text([UInt8])
        /// A link to /dev/null, or that device itself: the unit is masked (systemd.unit(5)).
        case masked
    }

    /// The largest unit file in bytes.
    public static let maximumSize = 1 << 20
    /// The most entries of a directory that are read.
    public static let maximumEntries = 100_000

    /// The names in a directory, sorted; nil if there is no directory.
    public static func list(_ path: String) throws(SystemError) -> [String]? {
        let directory: OwnedDescriptor
        do throws(SystemError) {
            directory = try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY)
        } catch {
            if error.errno == .noSuchFileOrDirectory || error.errno == .notDirectory { return nil }
            throw error
        }
        return try FileTree.entries(of: directory, path).prefix(maximumEntries).sorted()
    }

    /// The symbolic links in a directory with their targets as written; empty if there is no directory.
    public static func links(_ path: String) throws(SystemError) -> [String: String] {
        var links: [String: String] = [:]
        try visit(path) { directory, name, type in
            // Some file systems do not give the type; then readlinkat(2) returns EINVAL for a file that is no link.
            guard type == Int(DT_LNK) || type == Int(DT_UNKNOWN) else { return }
            if let target = target(of: name, in: directory) { links[name] = target }
        }
        return links
    }

    /// The names of directories in a directory; empty if there is no such directory.
    public static func directories(_ path: String) throws(SystemError) -> Set<String> {
        var names: Set<String> = []
        try visit(path) { directory, name, type in
            guard type == Int(DT_DIR) || type == Int(DT_UNKNOWN) else { return }
            var status = stat()
            guard type == Int(DT_DIR) || fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { return }
            if type == Int(DT_DIR) || status.st_mode & S_IFMT == S_IFDIR { names.insert(name) }
        }
        return names
    }

    private static func visit(
        _ path: String, _ body: (_ directory: Int32, _ name: String, _ type: Int) -> Void
    ) throws(SystemError) {
        guard let directory = opendir(path) else {
            if errno == ENOENT || errno == ENOTDIR { return }
            throw SystemError("list", path)
        }
        defer { closedir(directory) }
        var count = 0
        while let entry = readdir(directory), count < maximumEntries {
            count += 1
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            body(dirfd(directory), name, Int(entry.pointee.d_type))
        }
    }

    /// Whether a path leads to a device or to an empty file; either masks a unit.
    public static func isMask(_ path: String) -> Bool {
        var status = stat()
        guard stat(path, &status) == 0 else { return false }
        let kind = status.st_mode & S_IFMT
        return kind == S_IFCHR || kind == S_IFBLK || kind == S_IFREG && status.st_size == 0
    }

    private static func target(of name: String, in directory: Int32) -> String? {
        let bytes = [UInt8](unsafeUninitializedCapacity: Int(PATH_MAX)) { buffer, count in
            let length = buffer.withMemoryRebound(to: CChar.self) { text in
                text.baseAddress.map { readlinkat(directory, name, $0, text.count) } ?? -1
            }
            count = max(0, length)
        }
        return bytes.isEmpty ? nil : String(validating: bytes, as: UTF8.self)
    }

    /// The path without symbolic links (realpath(3)); nil if there is no such file.
    public static func realPath(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(validatingCString: resolved)
    }

    /// Reads a file, following links, and checks which users may write to it and to its directory.
    public static func read(_ path: String, checkOwner: Bool = true) throws(ReadError) -> Content {
        let file = checkOwner ? try open(path) : try openNamed(path)
        var status = stat()
        guard fstat(file.raw, &status) == 0 else { throw .system(SystemError("stat", path)) }
        if holdfast_is_dev_null(status.st_mode, UInt64(status.st_rdev)) != 0 { return .masked }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .notAFile(path: path) }
        if checkOwner {
            try check(status, path)
            if let parent = FileTree.parent(of: path) {
                var status = stat()
                if stat(parent, &status) == 0 { try check(status, parent) }
            }
        }
        do throws(SystemError) {
            return .text(try file.readAll(limit: maximumSize, subject: path))
        } catch {
            if error.errno == .fileTooLarge { throw .tooLarge(path: path, limit: maximumSize) }
            throw .system(error)
        }
    }

    private static func open(_ path: String) throws(ReadError) -> OwnedDescriptor {
        do throws(SystemError) {
            // O_NONBLOCK: a FIFO in its place must not block us.
            return try OwnedDescriptor.open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY)
        } catch { throw .system(error) }
    }

    /// Opens a file that a unit names: services may control its directory.
    private static func openNamed(_ path: String) throws(ReadError) -> OwnedDescriptor {
        do throws(SystemError) {
            return try SafeFile.open(path, O_RDONLY)
        } catch { throw .system(error) }
    }

    private static func check(_ status: stat, _ path: String) throws(ReadError) {
        guard status.st_uid == 0 || status.st_uid == geteuid() else {
            throw .insecure(path: path, reason: "its owner is user \(status.st_uid)")
        }
        if status.st_mode & 0o002 != 0 && status.st_mode & 0o1000 == 0 {
            throw .insecure(path: path, reason: "everybody may write to it")
        }
        // Group root counts as root; Debian's user private groups count as the user.
        if status.st_mode & 0o020 != 0 && status.st_gid != 0 && status.st_gid != getegid() {
            throw .insecure(path: path, reason: "group \(status.st_gid) may write to it")
        }
    }
}

extension UnitDirectory {
    /// Whether the mode lets all users of this host read the file.
    public static func isReadableByAll(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IROTH != 0
    }

    /// The last `limit` bytes of a file; for logs and histories, which may have grown without a limit.
    public static func readTail(_ path: String, limit: Int) throws(SystemError) -> [UInt8] {
        let file = try OwnedDescriptor.open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY)
        let size = lseek(file.raw, 0, SEEK_END)
        lseek(file.raw, max(0, size - limit), SEEK_SET)
        var bytes = [UInt8](repeating: 0, count: min(max(0, size), limit))
        var filled = 0
        while filled < bytes.count {
            let count = bytes.withUnsafeMutableBytes {
                Glibc.read(file.raw, $0.baseAddress?.advanced(by: filled), $0.count - filled)
            }
            guard count > 0 else { break }
            filled += count
        }
        return Array(bytes.prefix(filled))
    }
}
