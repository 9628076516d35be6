import Glibc
import SystemPackage

/// RLIMIT_NOFILE of this process, and the descriptors below it that are kept in reserve.
///
/// A supervisor without descriptors can neither see what is in a control group, nor end it, nor say what is wrong. So what
/// takes descriptors for long, in numbers that unit files and clients decide, gets only those below a bound; the rest is for
/// short work of the supervisor's own: looking, stopping, writing its journal, answering. The kernel gives the lowest free
/// number, so the bound is the soft limit, lowered for the time of a call.
public enum FileLimit {
    /// Who takes descriptors.
    public enum Share: CaseIterable, Sendable {
        /// Services with their sockets, processes and output; connections of people who may not act.
        case services
        /// Connections of operators.
        case operators
    }

    /// The reserve of a usual limit; of a very low one it is a quarter.
    private static let largestReserve: UInt64 = 64
    /// Descriptors that must be there before something is started, unless the limit is very low: what one service takes, while it
    /// starts and afterwards.
    private static let usualRoom: UInt64 = 32

    /// RLIMIT_NOFILE; a macro of <sys/resource.h> that is a C enum's case.
    private static let resource = __rlimit_resource_t(UInt32(7))

    private static var current: rlimit {
        var limit = rlimit()
        getrlimit(resource, &limit)
        return limit
    }

    /// Raises it to its hard limit; answers what it was before, for programs that are started.
    @discardableResult
    public static func raise() -> SpawnPlan.Limit {
        var limit = current
        let before = SpawnPlan.Limit(resource: 7, soft: UInt64(limit.rlim_cur), hard: UInt64(limit.rlim_max))
        limit.rlim_cur = limit.rlim_max
        setrlimit(resource, &limit)
        return before
    }

    /// Numbers from this one on are not for the share.
    private static func bound(_ share: Share, of limit: UInt64) -> UInt64 {
        let reserve = min(largestReserve, limit / 4)
        return switch share {
        case .services: limit - reserve
        case .operators: limit - reserve / 2
        }
    }

    /// Runs `body`, which gets no descriptor above the bound of the share: EMFILE instead.
    public static func bounded<R: ~Copyable, E: Error>(by share: Share, _ body: () throws(E) -> R) throws(E) -> R {
        var limit = current
        let before = limit.rlim_cur
        limit.rlim_cur = min(before, rlim_t(bound(share, of: UInt64(limit.rlim_max))))
        setrlimit(resource, &limit)
        defer {
            limit.rlim_cur = before
            setrlimit(resource, &limit)
        }
        return try body()
    }

    /// Whether a descriptor has a number that is not for the share.
    static func isBeyond(_ share: Share, _ descriptor: Int32) -> Bool {
        UInt64(max(0, descriptor)) >= bound(share, of: UInt64(current.rlim_max))
    }

    /// Throws what keeps another service from getting descriptors now: EMFILE, ENFILE, ENOMEM.
    public static func requireRoom() throws(SystemError) {
        let count = min(usualRoom, UInt64(current.rlim_max) / 4)
        let failure: SystemError? = bounded(by: .services) {
            var opened: [Int32] = []
            defer { for descriptor in opened { close(descriptor) } }
            for _ in 0..<count {
                // An open file of its own each: the host may have no more of them (ENFILE).
                let descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC)
                guard descriptor >= 0 else { return SystemError("taking \(count) descriptors") }
                opened.append(descriptor)
            }
            return nil
        }
        if let failure { throw failure }
    }

    /// The limit in words, for those who may raise it.
    public static var text: String { "RLIMIT_NOFILE is \(current.rlim_max)" }
}
