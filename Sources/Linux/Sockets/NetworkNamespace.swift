import CSpawn
import Glibc
import SystemPackage

/// A network namespace (network_namespaces(7)) that exists for as long as this object, or a process or socket in it.
///
/// It has a loopback interface, up, and nothing else: what shall be reached from outside is opened outside and passed in.
public final class NetworkNamespace: Sendable {
    private let descriptor: OwnedDescriptor

    /// The number to put into a `SpawnPlan`.
    public var raw: Int32 { descriptor.raw }

    /// Makes a new one. Needs CAP_SYS_ADMIN.
    public init() throws(SystemError) {
        descriptor = OwnedDescriptor(owning: try check(holdfast_make_network(), "creating a network namespace"))
    }

    /// Takes a descriptor that an earlier supervisor process has kept.
    public init(adopting opened: consuming OwnedDescriptor) { descriptor = opened }

    /// That of a process that lives in it.
    public init(of pid: Int32) throws(SystemError) {
        descriptor = try OwnedDescriptor.open("/proc/\(pid)/ns/net", O_RDONLY)
    }
}

extension OwnedDescriptor {
    /// A socket, close-on-exec, of a namespace; nil for ours. `type` may carry SOCK_NONBLOCK.
    static func socket(
        _ family: Int32, _ type: Int32, _ proto: Int32 = 0, in network: NetworkNamespace?
    ) throws(SystemError) -> OwnedDescriptor {
        guard let network else { return try socket(family, type, proto) }
        let result = holdfast_socket_in_network(network.raw, family, type, proto)
        return OwnedDescriptor(owning: try check(result, "socket in a network namespace"))
    }
}
