import Glibc
import Linux

/// Files and directories of services on this host.
final class LinuxServiceFiles: ServiceFilesPort {
    private let loop: EventLoop
    private let ownerChanges = OwnerChanges()

    init(loop: EventLoop) { self.loop = loop }

    func makeDirectory(
        _ path: String, mode: UInt16, owner: ServiceDirectory.Owner?, keepsExisting: Bool, sparing: Set<FileID>
    ) throws(SystemError) {
        try ServiceDirectory.make(
            path, mode: mode, owner: owner, keepsExisting: keepsExisting, sparing: sparing, changes: ownerChanges)
    }

    func makeDirectoryAtOnce(
        _ path: String, mode: UInt16, owner: ServiceDirectory.Owner?, keepsExisting: Bool
    ) throws(SystemError) {
        try ServiceDirectory.make(path, mode: mode, owner: owner, keepsExisting: keepsExisting)
    }

    func forgetOwnerChanges() { ownerChanges.forget() }

    func link(_ path: String, to target: String, in root: String) throws(SystemError) {
        try ServiceDirectory.link(path, to: target, in: root)
    }

    func unlink(_ path: String, to target: String, in root: String) throws(SystemError) {
        try ServiceDirectory.unlink(path, to: target, in: root)
    }

    func readCredentials(
        _ path: String, as name: String, limit: Int
    ) throws(SystemError) -> [CredentialFiles.Entry] {
        try CredentialFiles.read(path, as: name, limit: limit)
    }

    func writeCredentials(
        _ entries: [CredentialFiles.Entry], to path: String, owner: ServiceDirectory.Owner?
    ) throws(SystemError) -> String? {
        try CredentialFiles.write(entries, to: path, owner: owner)
    }

    func releaseCredentials(_ path: String) { CredentialFiles.release(path) }

    func openPassed(_ path: String, name: String, _ access: PassedFile.Access) throws(SystemError) -> PassedFile {
        try PassedFile(path: path, name: name, access)
    }

    func openTemplate(_ path: String) throws(SystemError) -> OwnedDescriptor { try SafeFile.open(path, O_RDONLY) }

    func open(_ target: OutputTarget, stream: Int32) throws(SystemError) -> OwnedDescriptor {
        try target.open(stream: stream)
    }

    func openBothWays(_ path: String) throws(SystemError) -> OwnedDescriptor { try OutputTarget.openBothWays(path) }

    func openTerminal(_ path: String, _ flags: Int32) throws(SystemError) -> OwnedDescriptor {
        try Terminal.open(path, flags)
    }

    func give(_ terminal: borrowing OwnedDescriptor, _ path: String, to uid: UInt32) throws(SystemError) {
        try Terminal.give(terminal, path, to: uid)
    }

    func prepareTerminal(_ path: String, _ preparation: Terminal.Preparation) throws(SystemError) {
        try Terminal.prepare(path, preparation)
    }

    func terminalType(of path: String) -> String { Terminal.type(of: path) }

    func readPidFile(_ path: String, user: UInt32) throws(SystemError) -> PidFile.Content {
        try PidFile.read(path, user: user)
    }

    func removePidFile(_ path: String) throws(SystemError) { try PidFile.remove(path) }

    func openTrash(
        _ path: String, failed: @escaping (SystemError) -> Void
    ) throws(SystemError) -> any MachineTrash {
        let trash = try Trash(loop: loop, path: path)
        trash.failed = failed
        return trash
    }

    func watchPaths() throws(SystemError) -> any MachinePathWatcher { try PathWatcher(loop: loop, for: .appearance) }

    func isThere(_ path: String) -> Bool { access(path, F_OK) == 0 }

    func matches(of pattern: String) throws(SystemError) -> [String] { try PathPattern.matches(pattern) }
}

extension Trash: MachineTrash {}
extension PathWatcher: MachinePathWatcher {}
