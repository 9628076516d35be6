import Glibc
import SystemPackage
import UnitFiles

@testable import Linux
@testable import Supervisor

/// One supervisor's view of the files of services.
final class SimulatedServiceFiles: ServiceFilesPort {
    private unowned let machine: SimulatedMachine
    private var world: World { machine.world }
    private var disk: WorldDisk { machine.world.disk }

    init(machine: SimulatedMachine) { self.machine = machine }

    // MARK: - Directories

    func makeDirectory(
        _ path: String, mode: UInt16, owner: ServiceDirectory.Owner?, keepsExisting: Bool, sparing: Set<FileID>
    ) throws(SystemError) {
        try makeDirectoryAtOnce(path, mode: mode, owner: owner, keepsExisting: keepsExisting)
    }

    func makeDirectoryAtOnce(
        _ path: String, mode: UInt16, owner: ServiceDirectory.Owner?, keepsExisting: Bool
    ) throws(SystemError) {
        try world.step(machine, "make directory", path)
        let isPresent = disk.node(path) != nil
        try disk.makeDirectory(path, mode: UInt32(mode))
        guard let node = disk.node(path), !isPresent || !keepsExisting else { return }
        node.mode = UInt32(mode)
        if let owner { (node.user, node.group) = (owner.uid, owner.gid) }
    }

    func forgetOwnerChanges() {}

    func link(_ path: String, to target: String, in root: String) throws(SystemError) {
        try world.step(machine, "link", path)
        let place = "\(root)/\(path)"
        if disk.node(place, follows: false) == nil { try disk.make(place, .link(target)) }
    }

    func unlink(_ path: String, to target: String, in root: String) throws(SystemError) {
        try world.step(machine, "unlink", path)
        disk.remove("\(root)/\(path)")
    }

    // MARK: - Credentials

    func readCredentials(
        _ path: String, as name: String, limit: Int
    ) throws(SystemError) -> [CredentialFiles.Entry] {
        try world.step(machine, "read credential", path)
        guard let text = disk.text(path) else { throw SystemError("read credential", path, .noSuchFileOrDirectory) }
        return [CredentialFiles.Entry(name, Array(text.utf8))]
    }

    func writeCredentials(
        _ entries: [CredentialFiles.Entry], to path: String, owner: ServiceDirectory.Owner?
    ) throws(SystemError) -> String? {
        try world.step(machine, "write credentials", path)
        var old: String?
        if disk.node(path) != nil {
            old = "\(path).old"
            try disk.rename(path, to: "\(path).old")
        }
        try disk.makeDirectory(path, mode: 0o500)
        for entry in entries { try disk.make("\(path)/\(entry.name)", .file(entry.bytes), mode: 0o400) }
        return old
    }

    func releaseCredentials(_ path: String) {}

    // MARK: - Streams

    func openPassed(_ path: String, name: String, _ access: PassedFile.Access) throws(SystemError) -> PassedFile {
        try world.step(machine, "open", path)
        guard disk.node(path) != nil else { throw SystemError("open", path, .noSuchFileOrDirectory) }
        return PassedFile(try OwnedDescriptor.inMemory([], name: "passed"), name: name)
    }

    func openTemplate(_ path: String) throws(SystemError) -> OwnedDescriptor {
        try world.step(machine, "open", path)
        guard let text = disk.text(path) else { throw SystemError("open", path, .noSuchFileOrDirectory) }
        return try OwnedDescriptor.inMemory(Array(text.utf8), name: "template")
    }

    func open(_ target: OutputTarget, stream: Int32) throws(SystemError) -> OwnedDescriptor {
        try world.step(machine, "open", "\(target)")
        return try OwnedDescriptor.null()
    }

    func openBothWays(_ path: String) throws(SystemError) -> OwnedDescriptor {
        try world.step(machine, "open", path)
        return try OwnedDescriptor.null()
    }

    func openTerminal(_ path: String, _ flags: Int32) throws(SystemError) -> OwnedDescriptor {
        try world.step(machine, "open terminal", path)
        return try OwnedDescriptor.null()
    }

    func give(_ terminal: borrowing OwnedDescriptor, _ path: String, to uid: UInt32) throws(SystemError) {
        try world.step(machine, "give terminal", path)
    }

    func prepareTerminal(_ path: String, _ preparation: Terminal.Preparation) throws(SystemError) {
        try world.step(machine, "prepare terminal", path)
    }

    func terminalType(of path: String) -> String { "linux" }

    // MARK: - PID files

    func readPidFile(_ path: String, user: UInt32) throws(SystemError) -> PidFile.Content {
        try world.step(machine, "read", path)
        guard let text = disk.text(path) else { return .missing }
        return Int32(text.prefix { $0 != "\n" }).map { .process($0) } ?? .noNumber
    }

    func removePidFile(_ path: String) throws(SystemError) {
        try world.step(machine, "remove", path)
        disk.remove(path)
    }

    func watchPaths() throws(SystemError) -> any MachinePathWatcher {
        try world.step(machine, "watch directories")
        return SimulatedPathWatcher(machine)
    }

    // MARK: - Others

    func openTrash(
        _ path: String, failed: @escaping (SystemError) -> Void
    ) throws(SystemError) -> any MachineTrash {
        try world.step(machine, "make directory", path)
        try disk.makeDirectory(path, mode: 0o700)
        return SimulatedTrash(machine)
    }

    func isThere(_ path: String) -> Bool { world.permits(machine, "stat", path) && disk.node(path) != nil }

    func matches(of pattern: String) throws(SystemError) -> [String] {
        try world.step(machine, "match", pattern)
        return disk.paths(below: "/").filter { fnmatch(pattern, $0, FNM_PATHNAME) == 0 }
    }
}

private final class SimulatedTrash: MachineTrash {
    private unowned let machine: SimulatedMachine

    init(_ machine: SimulatedMachine) { self.machine = machine }

    func throwAway(_ path: String, withParent: Bool) throws(SystemError) {
        try machine.world.step(machine, "throw away", path)
        let disk = machine.world.disk
        disk.remove(path)
        if withParent, let parent = FileTree.parent(of: path), disk.names(in: parent)?.isEmpty == true {
            disk.remove(parent)
        }
    }

    func throwAway(_ path: String, keeping held: [String]) throws(SystemError) {
        try machine.world.step(machine, "throw away", path)
        let disk = machine.world.disk
        for place in disk.paths(below: path).reversed() {
            guard !held.contains(where: { $0 == place || $0.hasPrefix(place + "/") }) else { continue }
            disk.remove(place)
        }
    }

    func finish() {}
}

/// Awaited paths. A test that writes a file calls `World.fileAppeared`.
private final class SimulatedPathWatcher: MachinePathWatcher {
    private unowned let machine: SimulatedMachine
    private var handlers: [String: () -> Void] = [:]

    init(_ machine: SimulatedMachine) {
        self.machine = machine
        machine.world.onFile.append { [weak self] path in self?.report(path) }
    }

    func watch(_ path: String, _ changed: @escaping () -> Void) { handlers[path] = changed }
    func unwatch(_ path: String) { handlers[path] = nil }

    private func report(_ path: String) {
        guard !machine.isDead, handlers[path] != nil else { return }
        machine.simulatedLoop.post(.probes) { [weak self] in self?.handlers[path]?() }
    }
}

extension World {
    /// Writes a file, as a process of a service does.
    func writeFile(_ path: String, _ text: String) throws(SystemError) {
        try disk.write(path, text)
        for report in onFile { report(path) }
    }
}
