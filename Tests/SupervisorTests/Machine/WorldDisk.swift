import Linux
import SystemPackage

/// The files of the world.
///
/// Paths are absolute and plain (no `.`, `..` or trailing slash). Links are resolved in every part of a path.
final class WorldDisk {
    /// One file. Several paths may lead to the same node (hard links).
    final class Node {
        enum Kind: Equatable {
            case directory, fifo, socket, null
            case file([UInt8])
            case link(String)
            /// Record file: its records in the order in which they were written.
            case records([Record])
        }

        var kind: Kind
        var mode: UInt32
        var user: UInt32 = 0
        var group: UInt32 = 0
        /// Time of the last write, on the world's clock.
        var modified: Int64
        /// Bytes that the file has allocated (fallocate(2)); they count even if the file is smaller.
        var allocated = 0
        let inode: UInt64

        init(_ kind: Kind, mode: UInt32, inode: UInt64, at time: Int64) {
            self.kind = kind
            self.mode = mode
            self.inode = inode
            modified = time
        }

        var size: Int {
            switch kind {
            case .file(let bytes): bytes.count
            case .records(let records): records.reduce(0) { $0 + $1.size }
            case .directory, .fifo, .socket, .null, .link: 0
            }
        }

        /// Bytes that the file takes of the disk's capacity.
        var room: Int { max(size, allocated) }
    }

    /// One record of a record file; without a value it removes the key.
    struct Record: Equatable {
        var key: String
        var value: [UInt8]?

        /// Bytes in the file (`RecordFile`).
        var size: Int { 11 + key.utf8.count + (value?.count ?? 0) }
    }

    /// A lock on a file: its holder, and the inode of the descriptor that stands for it.
    struct Lock {
        weak var holder: SimulatedMachine?
        var token: UInt64?
    }

    /// Locks by the inode of the locked file.
    var locks: [UInt64: Lock] = [:]
    private(set) var nodes: [String: Node] = [:]
    private var lastInode: UInt64 = 1
    /// Bytes that all files together may have.
    var capacity = Int.max
    /// Clock of the world, for times of files.
    var clock: () -> Int64 = { 0 }

    init() { nodes["/"] = Node(.directory, mode: 0o755, inode: 1, at: 0) }

    /// Bytes that all files together have.
    var used: Int {
        var counted: Set<UInt64> = []
        return nodes.values.reduce(0) { counted.insert($1.inode).inserted ? $0 + $1.room : $0 }
    }

    // MARK: - Looking

    /// The path with every link resolved, the last part's only with `follows`; nil if there is a loop.
    func resolve(_ path: String, follows: Bool = true, depth: Int = 0) -> String? {
        guard depth < 40 else { return nil }
        var resolved = ""
        let parts = path.split(separator: "/")
        for (index, part) in parts.enumerated() {
            let next = resolved + "/" + part
            if case .link(let target)? = nodes[next]?.kind, follows || index < parts.count - 1 {
                let whole = target.hasPrefix("/") ? target : "\(resolved)/\(target)"
                guard let place = resolve(whole, depth: depth + 1) else { return nil }
                resolved = place == "/" ? "" : place
            } else {
                resolved = next
            }
        }
        return resolved.isEmpty ? "/" : resolved
    }

    /// The node at a path. Without `follows` a link at its end is the node.
    func node(_ path: String, follows: Bool = true) -> Node? { resolve(path, follows: follows).flatMap { nodes[$0] } }

    /// Names in a directory, sorted; nil if there is none.
    func names(in directory: String) -> [String]? {
        guard let path = resolve(directory), case .directory? = nodes[path]?.kind else { return nil }
        let prefix = path == "/" ? "/" : path + "/"
        return nodes.keys.compactMap { key in
            guard key != "/", key.hasPrefix(prefix) else { return nil }
            let name = key.dropFirst(prefix.count)
            return name.contains("/") ? nil : String(name)
        }.sorted()
    }

    /// Text of a file, for tests.
    func text(_ path: String) -> String? {
        guard case .file(let bytes)? = node(path)?.kind else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// All paths at or below one, sorted.
    func paths(below path: String) -> [String] {
        nodes.keys.filter { $0 == path || $0.hasPrefix(path == "/" ? "/" : path + "/") }.sorted()
    }

    // MARK: - Changing

    /// Makes a file. Its directory must exist.
    @discardableResult
    func make(_ path: String, _ kind: Node.Kind, mode: UInt32 = 0o644) throws(SystemError) -> Node {
        guard let place = resolve(path, follows: false) else {
            throw SystemError("open", path, .tooManySymbolicLinkLevels)
        }
        if nodes[place] != nil { throw SystemError("make", path, .fileExists) }
        guard let parent = FileTree.parent(of: place), case .directory? = nodes[parent]?.kind else {
            throw SystemError("open", path, .noSuchFileOrDirectory)
        }
        lastInode += 1
        let node = Node(kind, mode: mode, inode: lastInode, at: clock())
        if node.room > free { throw SystemError("write", path, .noSpace) }
        nodes[place] = node
        return node
    }

    func makeDirectory(_ path: String, mode: UInt32 = 0o755) throws(SystemError) {
        guard let place = resolve(path) else { throw SystemError("make directory", path, .tooManySymbolicLinkLevels) }
        if let present = nodes[place] {
            guard case .directory = present.kind else { throw SystemError("make directory", path, .notDirectory) }
            return
        }
        if let parent = FileTree.parent(of: place) { try makeDirectory(parent) }
        try make(place, .directory, mode: mode)
    }

    /// Writes a file with its directories, for tests that prepare a host.
    func write(_ path: String, _ text: String) throws(SystemError) {
        if let parent = FileTree.parent(of: path) { try makeDirectory(parent) }
        nodes[resolve(path) ?? path] = nil
        try make(path, .file(Array(text.utf8)))
    }

    /// Replaces the contents of a node, if the disk has room for them.
    func setContents(_ path: String, _ node: Node, _ kind: Node.Kind) throws(SystemError) {
        let (before, room) = (node.kind, node.room)
        node.kind = kind
        // A file that needs no more than it has allocated can be written on a full disk.
        guard node.room <= room || capacity == .max || used <= capacity else {
            node.kind = before
            throw SystemError("write", path, .noSpace)
        }
        node.modified = clock()
    }

    /// Allocates bytes for a node, if the disk has them.
    func allocate(_ path: String, _ node: Node, _ bytes: Int) throws(SystemError) {
        let before = node.allocated
        node.allocated = max(before, bytes)
        guard capacity != .max, used > capacity else { return }
        node.allocated = before
        throw SystemError("keep room for", path, .noSpace)
    }

    var free: Int { capacity == .max ? .max : max(0, capacity - used) }

    /// Removes a file, or a directory with everything in it.
    func remove(_ path: String) {
        guard let place = resolve(path, follows: false), place != "/" else { return }
        for key in paths(below: place) { nodes[key] = nil }
    }

    /// Gives a file or directory another path, in place of a file or an empty directory.
    func rename(_ path: String, to target: String) throws(SystemError) {
        guard let from = resolve(path, follows: false), let to = resolve(target, follows: false), nodes[from] != nil,
            let parent = FileTree.parent(of: to), case .directory? = nodes[parent]?.kind
        else { throw SystemError("rename", path, .noSuchFileOrDirectory) }
        if names(in: to)?.isEmpty == false { throw SystemError("rename", path, .directoryNotEmpty) }
        nodes[to] = nil
        for key in paths(below: from) {
            nodes[to + key.dropFirst(from.count)] = nodes.removeValue(forKey: key)
        }
    }

    /// Another path for the same file.
    func link(_ path: String, to target: String) throws(SystemError) {
        guard let node = node(path, follows: false), let place = resolve(target, follows: false) else {
            throw SystemError("link", path, .noSuchFileOrDirectory)
        }
        if nodes[place] != nil { throw SystemError("link", target, .fileExists) }
        nodes[place] = node
    }
}
