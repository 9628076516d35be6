import Glibc
import SystemPackage

/// Wildcards in paths (glob(7)).
public enum PathPattern {
    /// Most directory entries examined for one pattern. More would take too much of the loop's time, and mean that the
    /// pattern begins too high in the tree.
    static let entryLimit = 20_000
    /// Most paths that a pattern may match.
    static let matchLimit = 1024

    /// Whether the path contains a wildcard.
    public static func isPattern(_ path: String) -> Bool { path.utf8.contains { "*?[".utf8.contains($0) } }

    /// The existing paths that match, sorted; unreadable directories count as empty. E2BIG if a limit is exceeded.
    public static func matches(_ pattern: String) throws(SystemError) -> [String] {
        var left = entryLimit
        var found = [pattern.hasPrefix("/") ? "/" : ""]
        let parts = pattern.split(separator: "/").map(String.init)
        for (index, part) in parts.enumerated() {
            var next: [String] = []
            for base in found {
                guard isPattern(part) || part.contains("\\") else {
                    let path = base + part
                    // A component without wildcards needs no listing; a missing path ends here.
                    if access(path, F_OK) == 0 { next.append(path) }
                    continue
                }
                for name in try names(in: base, of: pattern, &left) where fnmatch(part, name, FNM_PERIOD) == 0 {
                    next.append(base + name)
                }
            }
            guard index < parts.count - 1 || next.count <= matchLimit else {
                throw SystemError("match", "\(pattern): more than \(matchLimit) paths", .argListTooLong)
            }
            found = index == parts.count - 1 ? next : next.map { $0 + "/" }
        }
        return found.sorted()
    }

    private static func names(
        in directory: String, of pattern: String, _ left: inout Int
    ) throws(SystemError) -> [String] {
        guard let stream = opendir(directory.isEmpty ? "." : directory) else {
            let error = SystemError("list", directory)
            if error.isTransient { throw error }
            return []
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            left -= 1
            guard left >= 0 else {
                throw SystemError("match", "\(pattern): more than \(entryLimit) directory entries", .argListTooLong)
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
