import Glibc

/// An open file of the site; closed with its last reference, also if a connection ends in the middle of it.
final class SiteFile {
    let descriptor: Int32
    /// The size in bytes when opened; a file that shrinks later ends the connection, which was promised this length.
    let size: Int
    let mediaType: String

    init(descriptor: Int32, size: Int, mediaType: String) {
        self.descriptor = descriptor
        self.size = size
        self.mediaType = mediaType
    }

    deinit { close(descriptor) }

    /// Fills `buffer` from `offset`. Returns the number of bytes read, 0 at the end, nil on an error.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int? {
        while true {
            let count = pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
            if count >= 0 { return count }
            if errno != EINTR { return nil }
        }
    }
}

/// A directory whose files may be served, and no file outside it.
struct Site: Sendable {
    /// The absolute path without links, for comparison with the kernel's path of an open file. `/` is the empty text.
    private let root: String

    init(root path: String) throws(StaticError) {
        guard let resolved = realpath(path, nil) else {
            throw StaticError("cannot serve \(path): \(errorText(errno))")
        }
        defer { free(resolved) }
        var information = stat()
        guard stat(resolved, &information) == 0, information.st_mode & S_IFMT == S_IFDIR else {
            throw StaticError("cannot serve \(path): not a directory")
        }
        let absolute = String(cString: resolved)
        root = absolute == "/" ? "" : absolute
    }

    enum Found {
        case file(SiteFile)
        /// A directory without `/` at its end: its relative links would be wrong.
        case directoryWithoutSlash
        case nothing
    }

    /// Opens the file at `path`; for a directory its `index.html`.
    ///
    /// This blocks on the disk, which is acceptable for a small site.
    func open(_ path: SitePath) -> Found {
        let location = root + path.names.map { "/" + $0 }.joined()
        switch openBeneath(path.isDirectory ? location + "/index.html" : location) {
        case .file(let file): return .file(file)
        case .directory: return path.isDirectory ? .nothing : .directoryWithoutSlash
        case .nothing: return .nothing
        }
    }

    private enum Opened {
        case file(SiteFile)
        case directory
        case nothing
    }

    private func openBeneath(_ location: String) -> Opened {
        // O_NONBLOCK: a FIFO in the directory must not block the loop until it has a writer.
        let descriptor = Glibc.open(location, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else { return .nothing }
        var information = stat()
        // Links may lead anywhere and change at any time, so the opened file is checked, not the requested path.
        guard fstat(descriptor, &information) == 0, isBeneathRoot(descriptor) else {
            close(descriptor)
            return .nothing
        }
        switch information.st_mode & S_IFMT {
        case S_IFREG:
            let type = SitePath.mediaType(of: location)
            return .file(SiteFile(descriptor: descriptor, size: Int(information.st_size), mediaType: type))
        case S_IFDIR:
            close(descriptor)
            return .directory
        default:
            close(descriptor)
            return .nothing
        }
    }

    private func isBeneathRoot(_ descriptor: Int32) -> Bool {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = buffer.withUnsafeMutableBytes { space in
            space.withMemoryRebound(to: CChar.self) { space in
                space.baseAddress.map { readlink("/proc/self/fd/\(descriptor)", $0, space.count) } ?? -1
            }
        }
        guard count > 0, count < buffer.count else { return false }
        let opened = buffer[..<count]
        let prefix = Array(root.utf8)
        return opened.starts(with: prefix)
            && (opened.count == prefix.count || opened[prefix.count] == UInt8(ascii: "/"))
    }
}
