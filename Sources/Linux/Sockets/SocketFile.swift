import CSpawn
import Glibc
import SystemPackage

/// The file of a bound Unix socket, with a second hard link beside it, `.NAME.held`.
///
/// A bound socket cannot be bound again, but its inode can be linked again as long as one link is left: so a vanished
/// path is restored to the same socket, in all processes that share it.
///
/// The directory may belong to a service's user: it is opened again for each operation, without following that user's
/// links, and only our own file is touched.
final class SocketFile {
    let path: String
    /// The directory without links.
    private let directory: String
    private let name: FileName
    private let held: FileName
    let id: FileID

    init?(_ path: String) {
        guard let directory = try? SafeDirectory.parent(of: path, .ofOwner) else { return nil }
        name = FileName(FileTree.name(of: path))
        guard let entry = (try? directory.pin(name)) ?? nil, entry.status.kind == S_IFSOCK else { return nil }
        self.path = path
        self.directory = directory.path
        id = FileID(entry.status)
        held = FileName(".\(FileTree.name(of: path)).held")
        // Best effort: some file systems have no hard links; a vanished path then gets a new socket.
        if isOurs(held, in: directory) { return }
        _ = try? directory.unlink(held)
        _ = try? entry.link(directory, held)
    }

    /// The path and the second link, without links in their directories.
    var paths: [String] { [directory + "/" + name.text, directory + "/" + held.text] }

    /// Whether the path that clients use leads to the socket.
    var isIntact: Bool {
        var status = stat()
        return lstat(path, &status) == 0 && FileID(status) == id
    }

    private func isOurs(_ name: FileName, in directory: borrowing SafeDirectory) -> Bool {
        guard let entry = (try? directory.pin(name)) ?? nil else { return false }
        return FileID(entry.status) == id
    }

    private func open() throws(SystemError) -> SafeDirectory { try SafeDirectory.open(directory, .ofOwner) }

    /// Restores the path of the socket file; false if that is impossible for good.
    /// - Throws: a transient error. If it counted as impossible, the caller would open a new socket at the path, and
    ///   the processes that have the old one would get no more connections.
    func restore() throws(SystemError) -> Bool {
        do throws(SystemError) {
            let place = try open()
            guard let entry = try place.pin(held), FileID(entry.status) == id else { return false }
            return try entry.link(place, name)
        } catch {
            if error.isTransient { throw error }
            return false
        }
    }

    func setOwnerAndMode(_ ownerAndMode: UnixPath.OwnerAndMode) throws(SystemError) {
        let place = try open()
        guard let entry = try place.pin(name), FileID(entry.status) == id else { return }
        try UnixPath.setOwnerAndMode(entry, ownerAndMode)
    }

    /// Removes the second link only: the next holder of the socket makes its own.
    func forget() {
        guard let place = try? open(), isOurs(held, in: place) else { return }
        _ = try? place.unlink(held)
    }

    /// Removes the path, if it is still ours, and the second link.
    func remove() {
        if let place = try? open(), isOurs(name, in: place) { _ = try? place.unlink(name) }
        forget()
    }
}
