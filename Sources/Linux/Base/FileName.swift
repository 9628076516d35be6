import Glibc

/// One component of a path as the kernel has it: bytes, which need not be UTF-8. A file named `\xff` must not be
/// overlooked.
struct FileName: Hashable, Sendable {
    /// The name with its final NUL, for system calls.
    let bytes: [CChar]

    init(_ text: String) { bytes = text.utf8.map { CChar(bitPattern: $0) } + [0] }

    init(_ component: some Sequence<UInt8>) { bytes = component.map { CChar(bitPattern: $0) } + [0] }

    init(copying pointer: UnsafePointer<CChar>) {
        bytes = Array(UnsafeBufferPointer(start: pointer, count: strlen(pointer) + 1))
    }

    static let dot = FileName(".")
    static let dotDot = FileName("..")

    /// The name for people; bytes that are not UTF-8 are replaced.
    var text: String { String(decoding: bytes.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self) }

    /// The components of a path, without empty ones.
    static func components(_ path: some Sequence<UInt8>) -> [FileName] {
        path.split(separator: UInt8(ascii: "/")).map { FileName($0) }
    }
}

extension stat {
    /// The status of an open file (fstat(2)).
    init(of descriptor: Int32, _ path: @autoclosure () -> String) throws(SystemError) {
        self.init()
        try checkErrno(fstat(descriptor, &self), "stat", path())
    }

    var kind: mode_t { st_mode & S_IFMT }
    var isDirectory: Bool { kind == S_IFDIR }
    var isLink: Bool { kind == S_IFLNK }

    /// Whether root or we own the file, so that no other user can have put it there.
    var isOurs: Bool { st_uid == 0 || st_uid == geteuid() }

    /// Whether a directory's entries of ours are safe: only root and we can rename or replace them.
    ///
    /// Group root counts as root. In a sticky directory other users may add entries, but not rename or remove ours.
    var protectsEntries: Bool {
        guard isOurs else { return false }
        if st_mode & S_ISVTX != 0 || st_mode & 0o022 == 0 { return true }
        return st_mode & 0o002 == 0 && (st_gid == 0 || st_gid == getegid())
    }

    func isSame(as other: stat) -> Bool { st_dev == other.st_dev && st_ino == other.st_ino }
}

/// The entries of a directory, read one after another.
struct DirectoryListing: ~Copyable {
    private let stream: OpaquePointer
    private let path: String

    /// - Parameter directory: open for reading.
    init(_ directory: consuming OwnedDescriptor, _ path: String) throws(SystemError) {
        self.path = path
        let number = directory.release()
        guard let stream = fdopendir(number) else {
            let error = SystemError("list", path)
            close(number)
            throw error
        }
        self.stream = stream
    }

    deinit { closedir(stream) }

    var descriptor: Int32 { dirfd(stream) }

    /// The next entry except `.` and `..`; nil at the end.
    mutating func next() throws(SystemError) -> FileName? {
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw SystemError("list", path) }
                return nil
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { FileName(copying: $0) }
            }
            if name != .dot && name != .dotDot { return name }
        }
    }

    /// Starts again at the first entry.
    mutating func rewind() { rewinddir(stream) }

    /// The position for ``seek(_:)``: the kernel's `d_off`, valid as long as no entry is added or removed.
    var position: Int { telldir(stream) }

    mutating func seek(_ position: Int) { seekdir(stream, position) }
}
