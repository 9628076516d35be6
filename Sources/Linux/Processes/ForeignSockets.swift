import CSpawn
import Glibc
import SystemPackage

/// Sockets that other processes have open, by inode: a supervisor recovers the sockets that it held before it was
/// killed from the services that have duplicates (pidfd_getfd(2), which requires the right to trace them).
public struct ForeignSockets {
    private var places: [UInt64: [(pid: Int32, number: Int32)]] = [:]

    /// Lists the open sockets of these processes. Throws a shortage of descriptors or memory, which says nothing about
    /// them.
    public init(of pids: [Int32]) throws(SystemError) {
        for pid in pids {
            do throws(SystemError) {
                try add(pid)
            } catch {
                if error.isTransient { throw error }
            }
        }
    }

    private mutating func add(_ pid: Int32) throws(SystemError) {
        let path = "/proc/\(pid)/fd"
        let directory = try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY)
        for name in try FileTree.entries(of: directory, path) {
            guard let number = Int32(name), let inode = Self.socketInode(directory.raw, name) else { continue }
            places[inode, default: []].append((pid, number))
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

    /// The sockets of the processes that can be reached from outside: listening ones, and bound datagram sockets.
    /// Processes in another network namespace are skipped, because their addresses mean something else there.
    ///
    /// Examines the first thousand descriptors of each process: programs get held sockets as descriptors 3, 4, ….
    public static func reachable(by pids: [Int32]) -> [ReachableSocket] {
        var found: [UInt64: ReachableSocket] = [:]
        let network = Self.network(of: "self")
        for pid in pids where Self.network(of: "\(pid)") == network {
            let path = "/proc/\(pid)/fd"
            guard let directory = try? OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY),
                let names = try? FileTree.entries(of: directory, path), let process = try? ProcessHandle(pid: pid)
            else { continue }
            for number in names.compactMap({ Int32($0) }).sorted().prefix(1000) {
                guard let inode = socketInode(directory.raw, "\(number)") else { continue }
                if let known = found[inode] {
                    known.holders.insert(pid)
                    continue
                }
                let result = holdfast_pidfd_getfd(process.descriptor.raw, number)
                guard result >= 0 else { continue }
                if let socket = ReachableSocket(OwnedDescriptor(owning: result), holder: pid) { found[inode] = socket }
            }
        }
        return found.sorted { $0.key < $1.key }.map(\.value)
    }

    private static func network(of process: String) -> UInt64? {
        var status = stat()
        return stat("/proc/\(process)/ns/net", &status) == 0 ? UInt64(status.st_ino) : nil
    }

    /// A descriptor of our own for the socket; nil if no process has it, or we may not copy it. Throws a shortage of
    /// descriptors or memory.
    public func duplicate(inode: UInt64) throws(SystemError) -> OwnedDescriptor? {
        for (pid, number) in places[inode] ?? [] {
            do throws(SystemError) {
                let process = try ProcessHandle(pid: pid)
                let result = holdfast_pidfd_getfd(process.descriptor.raw, number)
                let descriptor = OwnedDescriptor(owning: try check(result, "copy socket of process", "\(pid)"))
                // The process may have closed that number and opened another file under it since the listing.
                if descriptor.inode == inode { return descriptor }
            } catch {
                if error.isTransient { throw error }
            }
        }
        return nil
    }
}

/// A listening or datagram socket, with a descriptor of ours.
public final class ReachableSocket {
    private var descriptor: OwnedDescriptor?
    public let address: SocketAddress
    public let kind: SocketTransport
    public let inode: UInt64?
    /// Processes that have the socket.
    public fileprivate(set) var holders: Set<Int32> = []

    /// Fails for all other sockets and files.
    public init?(_ descriptor: consuming OwnedDescriptor, holder: Int32? = nil) {
        guard let kind = Self.kind(of: descriptor.raw), let address = SocketAddress.local(of: descriptor.raw) else {
            return nil
        }
        (self.kind, self.address, inode) = (kind, address, descriptor.inode)
        if let holder { holders = [holder] }
        self.descriptor = consume descriptor
    }

    init(
        _ descriptor: consuming OwnedDescriptor, at address: SocketAddress, _ kind: SocketTransport,
        holders: Set<Int32>
    ) {
        (self.kind, self.address, self.holders, inode) = (kind, address, holders, descriptor.inode)
        self.descriptor = consume descriptor
    }

    private static func kind(of raw: Int32) -> SocketTransport? {
        func option(_ name: Int32) -> Int32? {
            var value: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            return getsockopt(raw, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
        }
        guard let type = option(SO_TYPE) else { return nil }
        guard let kind = [SocketTransport.stream, .datagram, .sequentialPacket].first(where: { $0.type == type }) else {
            return nil
        }
        return !kind.isConnected || option(SO_ACCEPTCONN) == 1 ? kind : nil
    }

    /// Returns the descriptor on the first call, then nil.
    public func take() -> OwnedDescriptor? { descriptor.take() }

    public var isTaken: Bool {
        switch descriptor {
        case .some: false
        case .none: true
        }
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
