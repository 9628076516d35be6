import CSpawn
import Glibc
import SystemPackage

/// Sockets that other processes have open, by inode: a supervisor recovers the sockets that it held before it was
/// killed from the services that have duplicates (pidfd_getfd(2), which requires the right to trace them).
public struct ForeignSockets {
    private var places: [UInt64: [(pid: Int32, number: Int32)]] = [:]

    /// Lists the open sockets of these processes.
    public init(of pids: [Int32]) {
        for pid in pids {
            let path = "/proc/\(pid)/fd"
            guard let directory = try? OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY),
                let names = try? FileTree.entries(of: directory, path)
            else { continue }
            for name in names {
                guard let number = Int32(name), let inode = Self.socketInode(directory.raw, name) else { continue }
                places[inode, default: []].append((pid, number))
            }
        }
    }

    private static func socketInode(_ directory: Int32, _ name: String) -> UInt64? {
        var buffer = [CChar](repeating: 0, count: 64)
        let count = readlinkat(directory, name, &buffer, buffer.count)
        guard count > 0 else { return nil }
        let text = String(decoding: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
        guard text.hasPrefix("socket:["), text.hasSuffix("]") else { return nil }
        return UInt64(text.dropFirst(8).dropLast())
    }

    /// A descriptor of our own for the socket; nil if no process has it, or we may not copy it.
    public func take(inode: UInt64) -> OwnedDescriptor? {
        for (pid, number) in places[inode] ?? [] {
            guard let process = try? ProcessHandle(pid: pid) else { continue }
            let result = holdfast_pidfd_getfd(process.descriptor.raw, number)
            guard result >= 0 else { continue }
            let descriptor = OwnedDescriptor(owning: result)
            // The process may have closed that number and opened another file under it since the listing.
            if descriptor.inode == inode { return descriptor }
        }
        return nil
    }
}

extension OwnedDescriptor {
    /// The inode of the open file; for a socket the number that /proc shows, the same in all processes.
    public var inode: UInt64? { Self.inode(of: raw) }

    public static func inode(of raw: Int32) -> UInt64? {
        var status = stat()
        return fstat(raw, &status) == 0 ? UInt64(status.st_ino) : nil
    }
}
