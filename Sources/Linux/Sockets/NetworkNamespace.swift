import CSpawn
import Glibc
import SystemPackage

/// A network namespace (network_namespaces(7)) that exists as long as this object, or a process or socket in it.
///
/// It has only a loopback interface, which is up: sockets reachable from outside are opened outside and passed in.
public final class NetworkNamespace: Sendable {
    private let descriptor: OwnedDescriptor

    /// The number for a `SpawnPlan`.
    public var raw: Int32 { descriptor.raw }

    /// Makes a namespace. Needs CAP_SYS_ADMIN.
    public init() throws(SystemError) {
        descriptor = OwnedDescriptor(owning: try check(holdfast_make_network(), "creating a network namespace"))
    }

    /// Takes the descriptor of an earlier supervisor process.
    public init(adopting opened: consuming OwnedDescriptor) { descriptor = opened }

    /// The namespace of a running process.
    public init(of pid: Int32) throws(SystemError) {
        descriptor = try OwnedDescriptor.open("/proc/\(pid)/ns/net", O_RDONLY)
    }
}

extension OwnedDescriptor {
    /// Makes a socket in a namespace, close-on-exec; nil for ours. `type` may include SOCK_NONBLOCK.
    static func socket(
        _ family: Int32, _ type: Int32, _ proto: Int32 = 0, in network: NetworkNamespace?
    ) throws(SystemError) -> OwnedDescriptor {
        guard let network else { return try socket(family, type, proto) }
        let result = holdfast_socket_in_network(network.raw, family, type, proto)
        return OwnedDescriptor(owning: try check(result, "socket in a network namespace"))
    }
}
