import Linux

/// The supervisor's own files and directories: state that outlives it, its directories and their locks.
protocol FilesPort: AnyObject {
    /// Whether a file exists at this path; a dangling link counts.
    func exists(_ path: String) throws(SystemError) -> Bool

    /// Size of a file in bytes; nil if there is no file.
    func size(of path: String) -> Int?

    /// Names in a directory, sorted; nil if there is no directory.
    func names(in directory: String) throws(SystemError) -> [String]?

    /// Makes a directory and its parents. Parents get mode 0755; existing directories are not changed.
    func makeDirectory(_ path: String, mode: UInt32) throws(SystemError)

    /// Removes a directory if it is empty, otherwise keeps it.
    func removeEmptyDirectory(_ path: String)

    /// Removes a file or a whole directory at once, for files that the supervisor made itself. A missing file is no
    /// error.
    func remove(_ path: String) throws(SystemError)

    /// Renames durably, within a file system, in place of an existing file.
    func move(_ path: String, to target: String) throws(SystemError)

    /// Contents of a file that only root and the supervisor's user may write to.
    func read(_ path: String) throws(UnitDirectory.ReadError) -> UnitDirectory.Content

    /// Last `limit` bytes of a file.
    func tail(of path: String, limit: Int) throws(SystemError) -> [UInt8]

    /// Replaces a file so that a reader has the old or the new text, never a part; with `isDurable` also after a power
    /// cut.
    func replace(_ path: String, with bytes: [UInt8], isDurable: Bool) throws(SystemError)

    /// Appends to a file, which is made if there is none. The bytes are on disk after `sync`.
    func append(_ bytes: [UInt8], to path: String) throws(SystemError)

    /// Waits until all bytes appended to a file are on disk.
    func sync(_ path: String) throws(SystemError)

    /// Takes the lock on a directory without waiting. EWOULDBLOCK: another process has it.
    func lock(_ path: String) throws(SystemError) -> any MachineLock

    /// Keeps a lock that an earlier program of this process took.
    func inheritLock(_ descriptor: consuming OwnedDescriptor) -> any MachineLock
}

extension FilesPort {
    func makeDirectory(_ path: String) throws(SystemError) { try makeDirectory(path, mode: 0o755) }

    func replace(_ path: String, with bytes: [UInt8]) throws(SystemError) {
        try replace(path, with: bytes, isDurable: true)
    }
}

/// Exclusive use of a directory, until the handle goes or the process ends.
protocol MachineLock: AnyObject {
    /// Descriptor of the lock, for a successor.
    var raw: Int32 { get }
}
