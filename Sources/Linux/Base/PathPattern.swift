import Glibc
import SystemPackage

/// Wildcards in paths (glob(7)).
public enum PathPattern {
    /// Whether the path has a wildcard.
    public static func isPattern(_ path: String) -> Bool { path.utf8.contains { "*?[".utf8.contains($0) } }

    /// Existing paths that match, sorted; none if a directory cannot be read. At most 1024.
    public static func matches(_ pattern: String) -> [String] {
        var found = glob_t()
        defer { globfree(&found) }
        guard glob(pattern, 0, nil, &found) == 0 else { return [] }
        return (0..<min(Int(found.gl_pathc), 1024)).compactMap { index in
            found.gl_pathv[index].map { String(cString: $0) }
        }
    }
}
