/// A resource limit of setrlimit(2); nil is `infinity`.
public struct ResourceLimit: Sendable, Hashable {
    public var soft: UInt64?
    public var hard: UInt64?

    public init(soft: UInt64?, hard: UInt64?) {
        self.soft = soft
        self.hard = hard
    }

    /// The unit of a limit's numbers.
    public enum Unit: Sendable {
        /// Bytes; suffixes are allowed.
        case bytes
        /// A number without suffixes.
        case count
        /// CPU time in seconds, rounded up; units of time are allowed.
        case seconds
        /// Time in microseconds; units of time are allowed.
        case microseconds
        /// A signed nice level, which the kernel stores as 20 - level; or that value itself, 0 to 40.
        case nice
    }

    /// Parses `1024` (both), `1024:4096` (soft:hard), or `infinity` for either (systemd.exec(5)).
    public static func parse(_ text: String, unit: Unit) throws(ValueError) -> ResourceLimit {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let soft = try parseOne(parts[0], unit)
        let hard = parts.count > 1 ? try parseOne(Ascii.trimmed(parts[1]), unit) : soft
        if let hard, soft ?? .max > hard {
            throw ValueError("the soft limit is above the hard limit")
        }
        return ResourceLimit(soft: soft, hard: hard)
    }

    private static func parseOne(_ text: String, _ unit: Unit) throws(ValueError) -> UInt64? {
        if text == "infinity", unit != .nice { return nil }
        switch unit {
        case .bytes:
            let size = try Value.size(text)
            guard size < .max else { throw ValueError("the limit is too large; write \"infinity\"") }
            return size
        case .count:
            guard let (isNegative, number) = Value.magnitude(text), !isNegative || number == 0 else {
                throw ValueError("expected a limit such as \"1024\", \"1024:4096\" or \"infinity\"")
            }
            guard number < .max else { throw ValueError("the limit is too large; write \"infinity\"") }
            return number
        case .seconds:
            let parts = try TimeSpan.parseFinite(text).components
            return UInt64(clamping: parts.seconds + (parts.attoseconds > 0 ? 1 : 0))
        case .microseconds:
            return try TimeSpan.parseNanoseconds(text, unit: 1000) / 1000
        case .nice:
            if text.hasPrefix("+") || text.hasPrefix("-") {
                let level = text.prefix(1) + Ascii.trimmed(text.dropFirst())
                return UInt64(20 - (try Value.integer(String(level), in: -20...19)))
            }
            let number = try Value.integer(text, in: UInt64(0)...40)
            return max(number, 1)
        }
    }
}

/// A resource, by the name after `Limit` and `RLIMIT_`.
public enum ResourceLimitKind: String, Sendable, CaseIterable {
    case cpu = "CPU"
    case fsize = "FSIZE"
    case data = "DATA"
    case stack = "STACK"
    case core = "CORE"
    case rss = "RSS"
    case nproc = "NPROC"
    case nofile = "NOFILE"
    case memlock = "MEMLOCK"
    case addressSpace = "AS"
    case locks = "LOCKS"
    case sigpending = "SIGPENDING"
    case msgqueue = "MSGQUEUE"
    case nice = "NICE"
    case rtprio = "RTPRIO"
    case rttime = "RTTIME"

    /// The number of RLIMIT_…, the same on every architecture that Debian supports for servers.
    public var number: Int32 {
        switch self {
        case .cpu: 0
        case .fsize: 1
        case .data: 2
        case .stack: 3
        case .core: 4
        case .rss: 5
        case .nproc: 6
        case .nofile: 7
        case .memlock: 8
        case .addressSpace: 9
        case .locks: 10
        case .sigpending: 11
        case .msgqueue: 12
        case .nice: 13
        case .rtprio: 14
        case .rttime: 15
        }
    }

    var unit: ResourceLimit.Unit {
        switch self {
        case .cpu: .seconds
        case .rttime: .microseconds
        case .nice: .nice
        case .fsize, .data, .stack, .core, .rss, .addressSpace, .memlock, .msgqueue: .bytes
        case .nproc, .nofile, .locks, .sigpending, .rtprio: .count
        }
    }
}
