/// The reason why a unit file could not be read.
public enum UnitFileReadError: Error, Sendable, Hashable, CustomStringConvertible {
    case missing
    /// The system's error, for example `Permission denied`.
    case unreadable(String)
    /// Users other than the owner may write to the file; the text names them.
    case insecure(String)
    /// Size in bytes, more than `UnitFileLimits.fileSize`.
    case tooLarge(Int)
    /// Not UTF-8; `line` counts from 1.
    case notText(line: Int)
    /// A link to `/dev/null`: the unit or drop-in is masked. An empty file masks as well, but is returned as empty
    /// text.
    case masked

    public var description: String {
        switch self {
        case .missing: "No such file or directory"
        case .unreadable(let reason): reason
        case .insecure(let reason): reason
        case .tooLarge(let size): "\(size) bytes; the limit is \(UnitFileLimits.fileSize)"
        case .notText(let line): "line \(line) is not UTF-8"
        case .masked: "masked (a link to /dev/null)"
        }
    }
}

/// The directories and files of units. `UnitStore` implements it with system calls, tests with a dictionary.
public protocol UnitFileSource: Sendable {
    /// The names in a directory, in any order; empty if there is no such directory.
    func entries(of directory: String) -> [String]
    /// The symbolic links in a directory: name -> target, as written in the link.
    func links(of directory: String) -> [String: String]
    /// The names of directories in a directory, without links to directories.
    func directories(of directory: String) -> Set<String>
    /// Whether the path leads to /dev/null or to an empty file.
    func isMask(_ path: String) -> Bool
    /// The path without symbolic links; nil if there is no such file.
    func realPath(_ path: String) -> String?
    /// The text of a file.
    func read(_ path: String) throws(UnitFileReadError) -> String
}

/// Unit files in memory, by absolute path.
public struct InMemoryUnitFileSource: UnitFileSource {
    /// Path -> text of the file.
    public var files: [String: String]
    /// Path -> error of reading it.
    public var failures: [String: UnitFileReadError]
    /// Path of a symbolic link -> its target, an absolute path.
    public var links: [String: String]

    public init(
        files: [String: String] = [:], failures: [String: UnitFileReadError] = [:], links: [String: String] = [:]
    ) {
        self.files = files
        self.failures = failures
        self.links = links
    }

    public func entries(of directory: String) -> [String] {
        let prefix = directory.utf8.last == UInt8(ascii: "/") ? directory : directory + "/"
        var names: Set<String> = []
        let all = [String](files.keys) + [String](failures.keys) + [String](links.keys)
        for path in all where path.hasPrefix(prefix) {
            let rest = path.dropFirst(prefix.count)
            names.insert(String(rest.prefix { $0 != "/" }))
        }
        return names.sorted()
    }

    public func links(of directory: String) -> [String: String] {
        var found: [String: String] = [:]
        for (path, target) in links {
            guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")), path[..<slash] == directory else { continue }
            found[String(path[path.utf8.index(after: slash)...])] = target
        }
        return found
    }

    public func directories(of directory: String) -> Set<String> {
        Set(entries(of: directory).filter { !entries(of: directory + "/" + $0).isEmpty })
    }

    public func isMask(_ path: String) -> Bool {
        if let target = links[path] { return target == "/dev/null" || isMask(target) }
        return files[path] == ""
    }

    public func realPath(_ path: String) -> String? {
        if let target = links[path] { return realPath(target) }
        return files[path] == nil ? nil : path
    }

    public func read(_ path: String) throws(UnitFileReadError) -> String {
        if let target = links[path] {
            guard target != "/dev/null" else { throw .masked }
            return try read(target)
        }
        if let failure = failures[path] { throw failure }
        guard let text = files[path] else { throw .missing }
        guard text.utf8.count <= UnitFileLimits.fileSize else { throw .tooLarge(text.utf8.count) }
        return text
    }
}
