import CSpawn
import Glibc
import SystemPackage

/// The connections that processes still hold on local addresses: a drain waits for them.
public struct Connections: Equatable, Sendable {
    public var count: Int
    /// The remote address of the oldest connection, `1.2.3.4:5678`; nil for Unix sockets. The kernel does not record
    /// when a connection was made, but numbers sockets in the order of creation (each processor takes its numbers in
    /// blocks of 1024, so of two connections of about the same age either may be named).
    public var oldestPeer: String?
    /// The time since data was last received or sent on that connection.
    public var oldestIdle: Duration?

    /// The most connections and descriptors that one call looks at.
    public static let bound = 65536

    init(count: Int) { self.count = count }

    /// Counts accepted connections of `pids` at `addresses`. Reads /proc/PID/fd of each, which needs root or their
    /// user; unreadable ones are not counted. Connections not yet accepted belong to no process.
    public static func held(by pids: [Int32], on addresses: [SocketAddress]) throws(SystemError) -> Connections {
        var peers: [UInt64: PeerEnd] = [:]
        for address in addresses {
            switch address {
            case .inet(_, let port): try tcp(AF_INET, port, address, &peers)
            case .inet6(let host, let port):
                try tcp(AF_INET6, port, address, &peers)
                if host == "::" { try tcp(AF_INET, port, .inet(host: "0.0.0.0", port: port), &peers) }
            case .unix(let path): unix(path, &peers)
            case .abstract(let name): unix("@" + name, &peers)
            // A list of vsock connections does not show their listener.
            case .vsock: break
            }
        }
        var result = Connections(count: 0)
        if peers.isEmpty { return result }
        var oldest = UInt64.max
        var budget = bound
        for pid in pids {
            for inode in socketInodes(of: pid, &budget) {
                // Removed when found: a connection held by two processes of the tree counts once.
                guard let peer = peers.removeValue(forKey: inode) else { continue }
                result.count += 1
                guard inode < oldest, !peer.name.isEmpty else { continue }
                oldest = inode
                result.oldestPeer = peer.name
                result.oldestIdle = peer.idle
            }
        }
        return result
    }

    /// The remote end of a connection.
    private struct PeerEnd {
        var name = ""
        var idle: Duration?
    }

    private static func tcp(
        _ family: Int32, _ port: UInt16, _ address: SocketAddress, _ peers: inout [UInt64: PeerEnd]
    ) throws(SystemError) {
        // Most answers are small; the second attempt has room for the number that the first one returned.
        var capacity = 512
        while true {
            var table = [holdfast_tcp_connection](repeating: holdfast_tcp_connection(), count: capacity)
            let found = Int(
                try check(holdfast_tcp_connections(family, port, &table, capacity), "list connections of", "\(address)")
            )
            if found > capacity && capacity < bound {
                capacity = min(bound, found + found / 4)
                continue
            }
            for entry in table.prefix(found) where entry.inode != 0 && matches(entry, family, address) {
                peers[UInt64(entry.inode)] = PeerEnd(name: text(entry, family), idle: .milliseconds(entry.idle))
            }
            return
        }
    }

    /// Whether the connection is of this address: another socket may listen on the same port at another one.
    private static func matches(_ entry: holdfast_tcp_connection, _ family: Int32, _ address: SocketAddress) -> Bool {
        switch address {
        case .inet("0.0.0.0", _), .inet6("::", _), .unix, .abstract, .vsock: true
        case .inet(let host, _), .inet6(let host, _):
            withUnsafeBytes(of: entry.local) { SocketAddress.host(family, $0) } == host
        }
    }

    private static func text(_ entry: holdfast_tcp_connection, _ family: Int32) -> String {
        let host = withUnsafeBytes(of: entry.remote) { SocketAddress.host(family, $0) } ?? "?"
        return family == AF_INET6 ? "[\(host)]:\(entry.remote_port)" : "\(host):\(entry.remote_port)"
    }

    /// Adds accepted Unix connections, which have their listener's path in /proc/net/unix (state 03, connected).
    private static func unix(_ path: String, _ peers: inout [UInt64: PeerEnd]) {
        guard let table = ProcFile.read("/proc/net/unix", limit: 8 << 20) else { return }
        let wanted = Array(path.utf8)
        for line in table.split(separator: UInt8(ascii: "\n")).dropFirst() {
            // The fields: Num RefCount Protocol Flags Type St Inode Path
            let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 7)
            guard fields.count == 8, fields[7].elementsEqual(wanted), fields[5].elementsEqual("03".utf8),
                let inode = UInt64(ascii: fields[6])
            else { continue }
            peers[inode] = PeerEnd()
            if peers.count >= bound { return }
        }
    }

    private static func socketInodes(of pid: Int32, _ budget: inout Int) -> [UInt64] {
        let path = "/proc/\(pid)/fd"
        guard let directory = try? OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY),
            let names = try? FileTree.entries(of: directory, path)
        else { return [] }
        var inodes: [UInt64] = []
        var buffer = [CChar](repeating: 0, count: 64)
        for name in names {
            guard budget > 0 else { break }
            budget -= 1
            let length = readlinkat(directory.raw, name, &buffer, buffer.count)
            guard length > 9 else { continue }
            let target = String(decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if target.hasPrefix("socket:["), let inode = UInt64(target.dropFirst(8).dropLast()) { inodes.append(inode) }
        }
        return inodes
    }
}
