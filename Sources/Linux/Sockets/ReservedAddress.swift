import CSpawn
import Glibc
import SystemPackage

/// An address reserved for a program that must bind it itself.
///
/// TCP: bound and never listening. Two sockets may be bound to one port if both have SO_REUSEADDR and none listens
/// (socket(7)), so the program's bind(2) and listen(2) succeed beside this one, while an outgoing connection or another
/// program without that option cannot take the port. A program that does not set SO_REUSEADDR is refused; servers set
/// it.
///
/// Unix: a path cannot be bound twice, so only its directory is made, and the file of a dead process is removed.
public final class ReservedAddress {
    /// The requested address.
    public let requested: SocketAddress
    /// The address with the port that the kernel chose.
    public let address: SocketAddress
    private let descriptor: OwnedDescriptor?

    /// The bound socket, which survives a re-execution; nil for Unix addresses.
    public let raw: Int32?

    /// Throws `reserving 127.0.0.1:3000: Address already in use`.
    public init(_ wanted: SocketAddress, network: NetworkNamespace? = nil, directoryMode: mode_t = 0o755)
        throws(SystemError)
    {
        requested = wanted
        do throws(SystemError) {
            switch wanted {
            case .inet, .inet6:
                let opened = try OwnedDescriptor.socket(wanted.family, SocketType.stream, in: network)
                var on: Int32 = 1
                setsockopt(opened.raw, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
                try checkErrno(try wanted.withSockaddr { bind(opened.raw, $0, $1) }, "bind")
                address = SocketAddress.local(of: opened.raw) ?? wanted
                raw = opened.raw
                descriptor = consume opened
            case .unix(let path):
                let directory = try SafeDirectory.parent(of: path, .ofOwner, making: directoryMode)
                try ListeningSocket.removeStale(FileName(FileTree.name(of: path)), in: directory, .stream)
                address = wanted
                raw = nil
                descriptor = nil
            case .abstract, .vsock:
                address = wanted
                raw = nil
                descriptor = nil
            }
        } catch {
            throw SystemError("reserving", "\(wanted)", error)
        }
    }

    /// Takes the bound socket of an earlier supervisor process.
    public init(adopting opened: consuming OwnedDescriptor, requested: SocketAddress) throws(SystemError) {
        guard let local = SocketAddress.local(of: opened.raw) else {
            throw SystemError("reserving", "\(requested)", .invalidArgument)
        }
        self.requested = requested
        address = local
        raw = opened.raw
        descriptor = consume opened
    }

    /// Takes a Unix address of an earlier supervisor process, which has no open socket.
    public init(known address: SocketAddress, requested: SocketAddress) {
        self.requested = requested
        self.address = address
        raw = nil
        descriptor = nil
    }

    /// Removes a Unix socket's path that a program has left; one with a listener stays.
    public func removeLeftover() {
        guard case .unix(let path) = address else { return }
        guard let directory = try? SafeDirectory.parent(of: path, .ofOwner) else { return }
        try? ListeningSocket.removeStale(FileName(FileTree.name(of: path)), in: directory, .stream)
    }
}
