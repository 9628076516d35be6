import Linux
import SystemPackage

@testable import Supervisor

/// One supervisor's view of the simulated disk.
final class SimulatedFiles: FilesPort {
    private unowned let machine: SimulatedMachine
    private var world: World { machine.world }
    private var disk: WorldDisk { machine.world.disk }

    init(machine: SimulatedMachine) { self.machine = machine }

    func exists(_ path: String) throws(SystemError) -> Bool {
        try world.step(machine, "stat", path)
        return disk.node(path, follows: false) != nil
    }

    func size(of path: String) -> Int? {
        guard world.permits(machine, "stat", path) else { return nil }
        return disk.node(path, follows: false)?.size
    }

    func names(in directory: String) throws(SystemError) -> [String]? {
        try world.step(machine, "list", directory)
        return disk.names(in: directory)
    }

    func makeDirectory(_ path: String, mode: UInt32) throws(SystemError) {
        try world.step(machine, "make directory", path)
        try disk.makeDirectory(path, mode: mode)
    }

    func removeEmptyDirectory(_ path: String) {
        guard world.permits(machine, "remove directory", path), disk.names(in: path)?.isEmpty == true else { return }
        disk.remove(path)
    }

    func remove(_ path: String) throws(SystemError) {
        // A crash may leave a part of a directory: the part whose names sort last.
        try world.step(machine, "remove", path) { share in
            let all = disk.paths(below: path).reversed()
            for path in all.prefix(Int(Double(all.count) * share)) { disk.remove(path) }
        }
        disk.remove(path)
    }

    func move(_ path: String, to target: String) throws(SystemError) {
        try world.step(machine, "rename", path)
        try disk.rename(path, to: target)
    }

    func read(_ path: String) throws(UnitDirectory.ReadError) -> UnitDirectory.Content {
        do throws(SystemError) {
            try world.step(machine, "open", path)
        } catch { throw .system(error) }
        guard let node = disk.node(path) else { throw .system(SystemError("open", path, .noSuchFileOrDirectory)) }
        switch node.kind {
        case .null: return .masked
        case .file(let bytes):
            guard node.user == 0 else {
                throw .insecure(path: path, reason: "its owner is user \(node.user)")
            }
            return .text(bytes)
        case .directory, .fifo, .socket, .link, .records: throw .notAFile(path: path)
        }
    }

    func tail(of path: String, limit: Int) throws(SystemError) -> [UInt8] {
        try world.step(machine, "open", path)
        guard case .file(let bytes)? = disk.node(path)?.kind else {
            throw SystemError("open", path, .noSuchFileOrDirectory)
        }
        return Array(bytes.suffix(limit))
    }

    func replace(_ path: String, with bytes: [UInt8], isDurable: Bool) throws(SystemError) {
        // A crash leaves at most the temporary file.
        try world.step(machine, "write", path)
        guard let node = disk.node(path) else {
            try disk.make(path, .file(bytes))
            return
        }
        try disk.setContents(path, node, .file(bytes))
    }

    func append(_ bytes: [UInt8], to path: String) throws(SystemError) {
        try world.step(machine, "write", path) { share in
            try? add(Array(bytes.prefix(Int(Double(bytes.count) * share))), to: path)
        }
        try add(bytes, to: path)
    }

    private func add(_ bytes: [UInt8], to path: String) throws(SystemError) {
        let present = disk.node(path)
        let node = if let present { present } else { try disk.make(path, .file([])) }
        guard case .file(let present) = node.kind else { throw SystemError("open", path, .isDirectory) }
        try disk.setContents(path, node, .file(present + bytes))
    }

    func sync(_ path: String) throws(SystemError) { try world.step(machine, "sync", path) }

    func lock(_ path: String) throws(SystemError) -> any MachineLock {
        try world.step(machine, "lock", path)
        if disk.node(path) == nil { try disk.make(path, .file([])) }
        guard let node = disk.node(path) else { throw SystemError("lock", path, .noSuchFileOrDirectory) }
        if let holder = disk.locks[node.inode]?.holder, holder !== machine, !holder.isDead {
            throw SystemError("lock", path, .wouldBlock)
        }
        let lock = SimulatedLock(try OwnedDescriptor.inMemory([], name: "lock"))
        disk.locks[node.inode] = WorldDisk.Lock(holder: machine, token: OwnedDescriptor.inode(of: lock.raw))
        return lock
    }

    func inheritLock(_ descriptor: consuming OwnedDescriptor) -> any MachineLock {
        let token = OwnedDescriptor.inode(of: descriptor.raw)
        for (inode, lock) in disk.locks where lock.token == token { disk.locks[inode]?.holder = machine }
        return SimulatedLock(descriptor)
    }
}

private final class SimulatedLock: MachineLock {
    private let descriptor: OwnedDescriptor
    var raw: Int32 { descriptor.raw }

    init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
}
