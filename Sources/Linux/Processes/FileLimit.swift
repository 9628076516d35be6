import Glibc
import SystemPackage

/// RLIMIT_NOFILE of this process, and a reserve of descriptors below it.
///
/// Without descriptors a supervisor can neither examine a control group, nor kill it, nor report the problem.
/// Descriptors that stay open for long, in numbers determined by unit files and clients, are therefore limited by a
/// bound. The rest is for short operations of the supervisor itself: examining, stopping, writing its journal,
/// replying. The kernel always assigns the lowest free number, so the bound is enforced by lowering the soft limit
/// during a call.
public enum FileLimit {
    /// The users of descriptors.
    public enum DescriptorClass: CaseIterable, Sendable {
        /// Services with their sockets, processes and output, and connections of users who may not act.
        case services
        /// Connections of operators.
        case operators
    }

    /// Size of the reserve; with a very low limit it is a quarter of the limit.
    private static let largestReserve: UInt64 = 64
    /// Descriptors that must be free before a service is started (fewer with a very low limit): the number that one
    /// service needs during and after its start.
    private static let usualRoom: UInt64 = 32

    /// RLIMIT_NOFILE, which <sys/resource.h> defines as a macro for an enum constant.
    private static let resource = __rlimit_resource_t(UInt32(7))

    private static var current: rlimit {
        var limit = rlimit()
        getrlimit(resource, &limit)
        return limit
    }

    /// Raises the soft limit to the hard limit; returns the earlier limit, for started programs.
    @discardableResult
    public static func raise() -> SpawnPlan.Limit {
        var limit = current
        let before = SpawnPlan.Limit(resource: 7, soft: UInt64(limit.rlim_cur), hard: UInt64(limit.rlim_max))
        limit.rlim_cur = limit.rlim_max
        setrlimit(resource, &limit)
        return before
    }

    /// The first descriptor number that the share must not use.
    private static func bound(_ descriptorClass: DescriptorClass, of limit: UInt64) -> UInt64 {
        let reserve = min(largestReserve, limit / 4)
        return switch descriptorClass {
        case .services: limit - reserve
        case .operators: limit - reserve / 2
        }
    }

    /// Runs `body` with descriptors limited to the bound of the share; beyond it, calls fail with EMFILE.
    public static func bounded<R: ~Copyable, E: Error>(by descriptorClass: DescriptorClass, _ body: () throws(E) -> R)
        throws(E) -> R
    {
        var limit = current
        let before = limit.rlim_cur
        limit.rlim_cur = min(before, rlim_t(bound(descriptorClass, of: UInt64(limit.rlim_max))))
        setrlimit(resource, &limit)
        defer {
            limit.rlim_cur = before
            setrlimit(resource, &limit)
        }
        return try body()
    }

    /// Whether the share must not use a descriptor with this number.
    static func isBeyond(_ descriptorClass: DescriptorClass, _ descriptor: Int32) -> Bool {
        UInt64(max(0, descriptor)) >= bound(descriptorClass, of: UInt64(current.rlim_max))
    }

    /// Throws the error that another service would get now for its descriptors: EMFILE, ENFILE, ENOMEM.
    public static func requireRoom() throws(SystemError) {
        let count = min(usualRoom, UInt64(current.rlim_max) / 4)
        let failure: SystemError? = bounded(by: .services) {
            var opened: [Int32] = []
            defer { for descriptor in opened { close(descriptor) } }
            for _ in 0..<count {
                // Each needs an open file of its own, because the host may have none left (ENFILE).
                let descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC)
                guard descriptor >= 0 else { return SystemError("taking \(count) descriptors") }
                opened.append(descriptor)
            }
            return nil
        }
        if let failure { throw failure }
    }

    /// The limit in words, for users who can raise it.
    public static var description: String { "RLIMIT_NOFILE is \(current.rlim_max)" }
}
