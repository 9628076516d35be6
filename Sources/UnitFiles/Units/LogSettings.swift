/// Settings of a service's captured output (systemd.exec(5), "Logging and Standard Input/Output"; holdfast.unit(5)).
public struct LogSettings: Sendable, Hashable {
    /// `SyslogIdentifier=`; nil: the name of the program.
    public var syslogIdentifier: String?
    /// Level and facility, by their numbers in syslog(3).
    public var syslogLevel = 6
    public var syslogFacility = 3
    public var syslogLevelPrefix = true
    public var levelMax = 7
    /// `LogRateLimitIntervalSec=`; nil: unset. Setting either value turns on the limit.
    public var rateLimitInterval: Duration?
    public var rateLimitBurst: Int?
    /// `X-LogMaxBytes=`; nil: unlimited.
    public var maxBytes: UInt64? = 50 << 20
    /// `X-LogKeep=`
    public var keep = 10
    /// `X-LogMaxAgeSec=`; nil: unlimited.
    public var maxAge: Duration?

    public init() {}

    /// Largest number of lines per interval; nil: unlimited. If only one of the two is set, the other has the default
    /// of journald.conf(5).
    public var rateLimit: (interval: Duration, burst: Int)? {
        guard rateLimitInterval != nil || rateLimitBurst != nil else { return nil }
        let interval = rateLimitInterval ?? .seconds(30)
        let burst = rateLimitBurst ?? 10_000
        return interval > .zero && burst > 0 ? (interval, burst) : nil
    }

    static let levels = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"]
    static let facilities = [
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", nil, nil,
        nil, nil, "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
    ]
}
