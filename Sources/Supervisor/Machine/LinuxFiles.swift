import Linux

/// Files on disk.
final class LinuxFiles: FilesPort {
    func exists(_ path: String) throws(SystemError) -> Bool { try FileTree.exists(path) }

    func size(of path: String) -> Int? { FileTree.size(of: path) }

    func names(in directory: String) throws(SystemError) -> [String]? { try UnitDirectory.list(directory) }

    func makeDirectory(_ path: String, mode: UInt32) throws(SystemError) {
        try FileTree.makeDirectory(path, mode: mode)
    }

    func removeEmptyDirectory(_ path: String) { FileTree.removeEmptyDirectory(path) }

    func remove(_ path: String) throws(SystemError) { try FileTree.remove(path) }

    func move(_ path: String, to target: String) throws(SystemError) { try FileTree.move(path, to: target) }

    func read(_ path: String) throws(UnitDirectory.ReadError) -> UnitDirectory.Content { try UnitDirectory.read(path) }

    func tail(of path: String, limit: Int) throws(SystemError) -> [UInt8] {
        try UnitDirectory.readTail(path, limit: limit)
    }

    func replace(_ path: String, with bytes: [UInt8], isDurable: Bool) throws(SystemError) {
        try FileTree.writeAtomically(path, bytes, durable: isDurable)
    }

    func append(_ bytes: [UInt8], to path: String) throws(SystemError) {
        try FileTree.append(path, bytes, durable: false)
    }

    func sync(_ path: String) throws(SystemError) { try FileTree.sync(path) }

    func lock(_ path: String) throws(SystemError) -> any MachineLock { LinuxLock(try DirectoryLock(path: path)) }

    func inheritLock(_ descriptor: consuming OwnedDescriptor) -> any MachineLock {
        LinuxLock(DirectoryLock(inherited: descriptor))
    }
}

private final class LinuxLock: MachineLock {
    private let lock: DirectoryLock
    var raw: Int32 { lock.raw }

    init(_ lock: consuming DirectoryLock) { self.lock = lock }
}
