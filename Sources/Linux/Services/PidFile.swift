import Glibc
import SystemPackage

/// The file in which a service names its main process (`PIDFile=`, systemd.service(5)).
public enum PidFile {
    public enum Content: Equatable, Sendable {
        case missing
        /// The file exists, and its first line is not a process number.
        case noNumber
        case process(Int32)
    }

    /// Reads the file.
    ///
    /// A user who can write to it chooses which process is signalled, so it must belong to root or to the service's
    /// user, and links of other users are not followed.
    public static func read(_ path: String, user: UInt32) throws(SystemError) -> Content {
        guard let entry = try find(path) else { return .missing }
        guard entry.status.kind == S_IFREG else { throw SystemError("read PID file", path, .invalidArgument) }
        guard entry.status.isOurs || entry.status.st_uid == user else {
            throw SystemError("read PID file of user \(entry.status.st_uid)", path, .permissionDenied)
        }
        let bytes = try entry.reopen(O_RDONLY | O_NONBLOCK).readAll(limit: 4096, subject: path)
        let first = bytes.split(separator: UInt8(ascii: "\n"), maxSplits: 1).first ?? []
        let isBlank = { (byte: UInt8) in
            byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
        }
        guard let start = first.firstIndex(where: { !isBlank($0) }), let end = first.lastIndex(where: { !isBlank($0) }),
            let pid = Int32(String(decoding: first[start...end], as: UTF8.self)), pid > 0
        else { return .noNumber }
        return .process(pid)
    }

    private static func find(_ path: String) throws(SystemError) -> PinnedFile? {
        do throws(SystemError) {
            let place = try PathWalk(path, .ofRoot).run(followsLast: true)
            return place.takeEntry()
        } catch {
            if error.errno == .noSuchFileOrDirectory { return nil }
            throw error
        }
    }

    /// Removes the file, whatever its contents, after its service has ended. A missing file is no error.
    public static func remove(_ path: String) throws(SystemError) {
        do throws(SystemError) {
            let directory = try SafeDirectory.parent(of: path, .ofRoot)
            let name = FileName(FileTree.name(of: path))
            guard let entry = try directory.pin(name), entry.status.kind == S_IFREG || entry.status.isLink else {
                return
            }
            try directory.unlink(name)
        } catch {
            if error.errno != .noSuchFileOrDirectory { throw error }
        }
    }
}
